# SPDX-License-Identifier: MIT
"""No call waits longer than the deadline, whatever the network does; what is known does not wait at
all; and when the network is back, so is the mount."""

import errno
import random
import shutil
import subprocess
import time

import pytest

from calls import KINDS, Call
from mounts import eventually
from network import Network
from proxies import FaultyProxy
from resolver import Resolver

DEADLINE_S = 3
MARGIN_S = 30  # for a machine that is busy; without a bound it would be minutes, or for ever
NAME = "artifacts.test"


@pytest.fixture
def network():
    with Network() as made:
        yield made


@pytest.fixture
def resolver(network):
    with Resolver(network) as made:
        yield made


@pytest.fixture
def line(server, network):
    """What the mount in that network asks."""
    with FaultyProxy(server.port, network.here) as proxy:
        yield proxy


def make_tree(directory):
    chance = random.Random(1)
    (directory / "cached").mkdir(parents=True)
    for number in range(4):
        (directory / "cached" / str(number)).write_bytes(chance.randbytes(3000 << number * 4))
    for number in range(4):
        (directory / f"cold-{number}").write_bytes(chance.randbytes(300_000))
    shutil.copy(shutil.which("true"), directory / "program")
    (directory / "link").symlink_to("cached/1")
    return directory


class Place:
    """A mount over the line, of an app whose version v1 is known in part, v2 by its name alone."""

    def __init__(self, mount, app, source):
        self.mount = mount
        self.app = app
        self.top = app / "v1"
        self.source = source
        self.known = [
            ("stat", mount.path), ("list", mount.path), ("statfs", mount.path), ("list", app),
            ("stat", app / "v2"), ("list", self.top), ("stat", self.top / "cold-1"),
            ("open", self.top / "cold-1"), ("readlink", self.top / "link"),
            *(("read known", path) for path in (self.top / "cached").iterdir())]
        self.cold = [
            ("stat", mount.path / "unheard"), ("stat", app.parent / "unheard"),
            ("open", app / "unheard"), ("list", app / "v2"), ("read", self.top / "cold-0"),
            ("read direct", self.top / "cold-1"), ("fault", self.top / "cold-2"),
            ("execute", self.top / "program")]
        for path in (self.top / "cached").iterdir():
            assert path.read_bytes() == (source / "cached" / path.name).read_bytes()
        self.ask_what_is_known()

    def ask_what_is_known(self):
        for kind, path in self.known:
            KINDS[kind](path)

    def forget_lists(self):
        """As after a start: what no version was opened by is not known."""
        self.known = [(kind, path) for kind, path in self.known if path != self.app / "v2"]

    def start_cold(self, stack):
        return [stack.enter_context(Call(kind, path)) for kind, path in self.cold]

    def is_whole(self):
        """Everything is there that was not."""
        try:
            for number in range(4):
                name = f"cold-{number}"
                assert (self.top / name).read_bytes() == (self.source / name).read_bytes()
            return (self.app / "v2" / "link").is_symlink()
        except OSError as failure:
            assert failure.errno == errno.EIO
            return False


@pytest.fixture
def place(server, network, line, project, agent_push, new_mount, tmp_path, request):
    url = getattr(request, "param", None)
    source = make_tree(tmp_path / "source")
    for version in ("v1", "v2"):
        agent_push(server, source, project, "app", version)
        (source / "changed").write_text("so that v2 is another")
    mount = new_mount(url.format(port=line.listens) if url else line.url, server.all_rights,
                      deadline=f"{DEADLINE_S}s", prefetch="none", insecure=True,
                      prefix=network.prefix)
    return Place(mount, mount / project / "app", source)


# What goes wrong, and what ends that.
FAULTS = {
    "packets are lost": (lambda network, line: network.lose(),
                         lambda network, line: network.heal()),
    "no route": (lambda network, line: network.forget_routes(),
                 lambda network, line: network.heal()),
    "accepts, and is silent": (lambda network, line: be_silent(line),
                               lambda network, line: speak(line)),
    "a byte a second": (lambda network, line: setattr(line, "trickle_from", 0),
                        lambda network, line: setattr(line, "trickle_from", None)),
}


def be_silent(line):
    line.fault = lambda number, kind, at, block: line.stall()
    line.cut()


def speak(line):
    line.fault = None
    line.cut()


def assert_bounded(place, stack):
    """While the network is as it is."""
    started = time.monotonic()
    calls = place.start_cold(stack)
    place.ask_what_is_known()
    # It did not take so long that the others have failed.
    assert all(call.is_waiting() for call in calls)
    ends = {call.what: call.ends(DEADLINE_S + MARGIN_S) for call in calls}
    took = time.monotonic() - started
    print(f"{took:.1f} s: {ends}")
    assert took < DEADLINE_S + MARGIN_S
    assert set(ends.values()) == {errno.EIO, errno.EFAULT}, ends
    assert list(ends.values()).count(errno.EFAULT) == 1, ends
    place.ask_what_is_known()
    said = place.mount.status()["last_error"]
    print(said)
    assert said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_network_that_fails(network, line, place, fault, stack):
    begin, end = FAULTS[fault]
    begin(network, line)
    assert_bounded(place, stack)
    end(network, line)
    eventually(place.is_whole)


def test_a_body_that_trickles(line, place):
    """Something comes all the time; that is no reason to wait on."""
    line.trickle_from = 1000
    started = time.monotonic()
    with Call("read", place.top / "cold-0") as call:
        assert call.ends(DEADLINE_S + MARGIN_S) == errno.EIO
    assert time.monotonic() - started < DEADLINE_S + MARGIN_S
    line.trickle_from = None
    eventually(place.is_whole)


def connections(line):
    done = subprocess.run(["ss", "-Htn", "sport", "=", f":{line.listens}"], check=True,
                          capture_output=True, text=True)
    return done.stdout.splitlines()


def test_a_server_that_vanished(network, line, place, stack):
    """Its connections are there on this side alone: what is asked on one is never answered."""
    line.fault = lambda number, kind, at, block: line.stall()
    started = time.monotonic()
    calls = place.start_cold(stack)
    time.sleep(1)
    network.lose()
    line.vanish()
    eventually(lambda: not connections(line))
    network.heal()
    line.fault = None
    for call in calls:
        call.ends(DEADLINE_S + MARGIN_S)
    assert time.monotonic() - started < DEADLINE_S + MARGIN_S
    eventually(place.is_whole)


@pytest.mark.parametrize("place", ["http://" + NAME + ":{port}"], indirect=True)
def test_a_name_server_that_is_silent(resolver, line, place, stack):
    """Mounted so: nothing is remembered of lists."""
    place.mount.umount()
    before = resolver.fall_silent()
    started = time.monotonic()
    place.mount.mount()
    print(f"mounted after {time.monotonic() - started:.1f} s")
    place.forget_lists()
    started = time.monotonic()
    for directory in (place.mount.path, place.app.parent, place.app):
        with Call("list", directory) as call:
            assert call.ends(DEADLINE_S + MARGIN_S) == 0
    print(f"listed after {time.monotonic() - started:.1f} s")
    assert_bounded(place, stack)
    assert resolver.answer() > before
    eventually(place.is_whole)
