# SPDX-License-Identifier: MIT
"""Several servers of one store, of which one is down, lying, silent, or another store's."""

import contextlib
import errno
import os
import time

import pytest

from proxies import CountingProxy, LyingProxy, Silence

WITHIN_S = 120
FILES = 12


@pytest.fixture
def files():
    return {f"d{i}/file": os.urandom(30_000 + i) for i in range(FILES)} | {
        "large": os.urandom(3_000_000)}


class Door(CountingProxy):
    """A server that can be away: connections are closed, the ones there are and those to come."""

    def shut(self):
        self.behind, self.port = self.port, 9
        self.cut()

    def open(self):
        self.port = self.behind


def mounted(new_mount, server, first, *others):
    return new_mount(first, server.all_rights, deadline="60s", prefetch="none",
                     server=",server=".join(others))


def await_state(mount, index, *states):
    until = time.monotonic() + WITHIN_S
    while (one := mount.status()["servers"][index])["state"] not in states:
        assert time.monotonic() < until, one
        time.sleep(0.05)
    return one


def read(top, files, *numbers):
    for number in numbers:
        assert (top / f"d{number}" / "file").read_bytes() == files[f"d{number}/file"]


def test_one_that_comes_back_is_used_again(server, project, push, new_mount, files):
    push(server, f"{project}/app/v1", files)
    with Door(server.port) as first, Door(server.port) as second, Door(server.port) as third:
        mount = mounted(new_mount, server, first.url, second.url, third.url)
        top = mount / project / "app" / "v1"
        read(top, files, 0)
        assert second.connections == third.connections == 0
        first.shut()
        read(top, files, 1, 2)
        assert second.connections > 0 and third.connections == 0
        one = await_state(mount, 0, "away")
        assert one["url"] == first.url and one["failures"] >= 1 and one["cause"]
        status = mount.status()
        assert status["online"] is True and status["server"] == second.url
        # Names that are not known yet come from there too.
        push(server, f"{project}/app/v2", {"new": b"2"})
        assert (mount / project / "app" / "v2" / "new").read_bytes() == b"2"
        second.shut()
        read(top, files, 3)
        assert third.connections > 0
        first.open()
        await_state(mount, 0, "ok")
        third.reset()
        read(top, files, 4, 5)
        assert third.connections == 0 and mount.status()["server"] == first.url
        assert "away" in mount.verb("status", mount.path).expect(0).stdout  # the second is


def flip(reply):
    reply.body = reply.body[:-1] + bytes([reply.body[-1] ^ 1]) if reply.body else b""


def page(reply):
    reply.status = 200
    reply.body = b"<html>Please log in</html>"
    reply.headers = [("Content-Type", "text/html")]


@pytest.mark.parametrize("lie", [flip, page])
def test_one_that_lies_is_passed_over(server, project, push, new_mount, files, lie):
    push(server, f"{project}/app/v1", files)
    with LyingProxy(server) as first, LyingProxy(server) as second:
        mount = mounted(new_mount, server, first.url, second.url)
        top = mount / project / "app" / "v1"
        read(top, files, 0)
        first.lie(r"/blobs/", lie)
        for number in range(1, FILES):
            read(top, files, number)
            if mount.status()["servers"][0]["state"] == "quarantined":
                break
            await_state(mount, 0, "ok", "quarantined")  # it is doubted for some seconds
        status = mount.status()
        liar, honest = status["servers"]
        assert liar["state"] == "quarantined" and liar["wrong"] == 3, status
        assert honest["state"] == "ok" and honest["wrong"] == 0
        assert status["integrity_failures"] == 3
        asked = len(first.seen)
        assert (top / "large").read_bytes() == files["large"]
        assert len(first.seen) == asked


@pytest.mark.parametrize("pattern", [r"/blobs/", r"/(versions|tree|apps|projects)", r"."])
def test_one_that_is_silent_is_not_waited_for(server, project, push, new_mount, files, pattern):
    push(server, f"{project}/app/v1", files)
    with Silence(server, pattern) as silence, LyingProxy(server) as second:
        mount = mounted(new_mount, server, silence.proxy.url, second.url)
        assert os.listdir(mount.path)
        silence.hold()
        top = mount / project / "app" / "v1"
        for number in range(4):
            read(top, files, number)  # or EIO at the deadline
        assert (top / "large").read_bytes() == files["large"]
        assert mount.status()["online"] is True
        silence.let()
        silence.rule.times = 0
        await_state(mount, 0, "ok")


def test_another_store_is_never_used(new_server, server, project, push, new_mount, files):
    push(server, f"{project}/app/v1", files)
    other = new_server()
    push(other, f"{project}/app/v9", {"theirs": b"9"})
    with Door(server.port) as first:
        mount = mounted(new_mount, server, first.url, other.url)
        top = mount / project / "app" / "v1"
        read(top, files, 0)
        first.shut()
        with pytest.raises(OSError) as raised:
            (mount / project / "app" / "v9").stat()
        assert raised.value.errno in (errno.EIO, errno.ENOENT)
        one = await_state(mount, 1, "other-store")
        assert "another store" in one["cause"]
        first.open()
        until = time.monotonic() + WITHIN_S
        while True:
            with contextlib.suppress(OSError):
                read(top, files, 1)
                break
            assert time.monotonic() < until
        assert mount.status()["servers"][1]["state"] == "other-store"
        assert os.listdir(mount / project / "app") == ["v1"]
