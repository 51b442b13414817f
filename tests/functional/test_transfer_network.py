# SPDX-License-Identifier: MIT
"""Pushes and pulls over a network that fails: cut, stalled, slow, damaged, or with a proxy in it
that has nothing but errors to say. They end right, or with the exit code that was promised (7, 8);
never with wrong bytes, and never not at all.

Where a fault falls follows from a seed, which is printed.
"""

import random
import time

import pytest

import mixed
import trees
from agent import Agent
from proxies import FaultyProxy, LyingProxy

# Stalls and deadlines are chosen for programs at their own speed.
pytestmark = pytest.mark.plain_only

KIB, MIB = 1 << 10, 1 << 20
POINTS = [6, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
VERBS = ["push", "pull"]


class World:
    """A tree in many versions; each run is that of a new one."""

    def __init__(self, server, names, tmp_path, seed):
        print(f"seed {seed}")
        self.server, self.names = server, names
        self.chance = random.Random(seed)
        self.source, self.former, self.copy = (tmp_path / name for name in
                                               ("source", "former", "copy"))
        self.agent = Agent(tmp_path / "agent", server.url, server.all_rights)
        self.number = 0
        self.next("push")
        self.complete()

    def next(self, verb):
        """A version that is to be pushed, or is there to be pulled."""
        self.number += 1
        self.source, self.former = self.former, self.source
        mixed.tree(self.source, f"{self.names.project}-{self.number}", large=(1, 3), big=8 * MIB)
        if verb == "pull":
            self.run("push")

    def run(self, verb, *words, codes=(0,), within=120):
        """The exit code; `words` may name a way through a proxy."""
        place = self.source if verb == "push" else self.copy
        done = self.agent.run(verb, place, "--project", self.names.project, "--app",
                              self.names.app, "--version", f"v{self.number}", *words,
                              within=within)
        assert done.code in codes, f"exit {done.code}\n{done!r}"
        return done.code

    def is_visible(self):
        path = (f"/api/v1/projects/{self.names.project}/apps/{self.names.app}/versions/"
                f"v{self.number}")
        return self.server.request("GET", path, token=self.server.all_rights).status == 200

    def check(self, verb, code):
        """After a run that ended with it: all of it, or nothing half; and then it completes."""
        if verb == "pull":
            mixed.assert_each_whole(self.copy, (self.former, self.source))
        if code == 0:
            assert self.is_visible()
            if verb == "pull":
                trees.assert_same(self.source, self.copy)
        self.complete()

    def complete(self):
        self.run("push")
        self.run("pull")
        trees.assert_same(self.source, self.copy)


@pytest.fixture
def proxy(server):
    with FaultyProxy(server.port) as passing:
        yield passing


@pytest.fixture
def world(server, names, tmp_path):
    return World(server, names, tmp_path, seed=404)


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("verb", VERBS)
def test_cut_once(verb, points, world, proxy):
    """Every connection ends at some kilobyte, and the agent goes on by itself."""
    way = ("--server", proxy.url)
    world.next(verb)
    world.run(verb, *way)
    whole = proxy.up if verb == "push" else proxy.down
    for _ in range(points):
        world.next(verb)
        proxy.reset()
        point = world.chance.randrange(whole // KIB) * KIB
        setattr(proxy, "on_up" if verb == "push" else "on_down", (point, proxy.cut))
        world.run(verb, *way)
        proxy.on_up = proxy.on_down = None
        assert (proxy.up if verb == "push" else proxy.down) < whole + 9 * MIB, point
        world.check(verb, 0)


@pytest.mark.parametrize("size", [1 * KIB, 30 * KIB, 700 * KIB, 5000 * KIB])
@pytest.mark.parametrize("verb", VERBS)
def test_cut_always(verb, size, world, proxy):
    """No connection carries more than so much, either way."""
    world.agent.settings.update(retries=2, chunk_size="256KiB")
    world.agent.write_config()
    proxy.fault = lambda number, kind, at, block: block[:max(size - at, 0)]
    world.next(verb)
    code = world.run(verb, "--server", proxy.url, codes=(0, 7))
    assert code == 0 or size < 5000 * KIB
    world.check(verb, code)


def test_answer_to_a_commit_is_lost(world, server):
    """The version is there: that the push is gone is no failure."""
    with LyingProxy(server) as origin:
        world.next("push")
        lost = origin.lie(r"/commit$", lambda reply: Every(1, 502).change(reply), method="POST",
                          times=1)
        world.run("push", "--server", origin.url)
        assert lost.used == 1
        world.check("push", 0)


@pytest.mark.parametrize("coding", ["as it is", "zstd"])
def test_a_large_file_goes_in_the_end(coding, server, names, proxy, tmp_path):
    """Larger than what a connection carries, as each of its parts is."""
    agent = Agent(tmp_path / "agent", server.url, server.all_rights, retries=2)
    copy = tmp_path / "copy"
    words = trees.random_bytes(30 * MIB)
    if coding == "zstd":
        words = words.hex().encode()
    trees.write(tmp_path / "source", "file", words)
    proxy.fault = lambda number, kind, at, block: \
        block[:max(3 * MIB - at, 0)] if kind == "up" else block
    done = agent.run("push", tmp_path / "source", "--server", proxy.url, "--project", names.project,
                     "--app", names.app, "--version", "v1")
    assert done.code == 0, done
    assert proxy.up < 40 * MIB, "what a connection carried counts"
    agent.pull(copy, names.project, names.app, "v1")
    trees.assert_same(tmp_path / "source", copy)


def test_a_large_file_comes_in_the_end(server, names, proxy, tmp_path):
    """Larger than what a connection carries, and than all tries together would if each began
    anew."""
    agent = Agent(tmp_path / "agent", server.url, server.all_rights, retries=1)
    trees.write(tmp_path / "source", "file", trees.random_bytes(10 * MIB))
    agent.push(tmp_path / "source", names.project, names.app, "v1")
    proxy.fault = lambda number, kind, at, block: \
        block[:max(1 * MIB - at, 0)] if kind == "down" else block
    agent.pull(tmp_path / "copy", names.project, names.app, "v1", "--server", proxy.url)
    trees.assert_same(tmp_path / "source", tmp_path / "copy")
    assert proxy.down < 12 * MIB


# ------------------------------------------------------------------ a proxy's own answers

class Every:
    """A rule that takes each n-th request, whatever it is: the server has done what was asked, and
    the answer is lost."""

    def __init__(self, nth, status, *, retry_after=None, until=None):
        self.nth, self.status, self.retry_after, self.until = nth, status, retry_after, until
        self.used = self.seen = 0

    def applies(self, method, path):
        self.seen += 1
        return self.seen % self.nth == 0 and (self.until is None or self.used < self.until)

    def change(self, reply):
        reply.status, reply.body = self.status, b"<html>an error</html>"
        reply.headers = [("Content-Type", "text/html"), ("Content-Length", str(len(reply.body)))]
        if self.retry_after is not None:
            reply.headers.append(("Retry-After", self.retry_after))


@pytest.mark.parametrize("rule", [lambda: Every(4, 502), lambda: Every(3, 503, retry_after="1",
                                                                       until=4)],
                         ids=["502", "503"])
@pytest.mark.parametrize("verb", VERBS)
def test_errors_now_and_then(verb, rule, world, server):
    with LyingProxy(server) as origin:
        world.next(verb)
        origin.rules.append(rule())
        code = world.run(verb, "--server", origin.url, codes=(0, 7))
        assert origin.rules[0].used > 0
        assert code == 0 or verb == "push", "what is asked twice does no harm"
        world.check(verb, code)


@pytest.mark.parametrize("rule", [lambda: Every(1, 502), lambda: Every(1, 503, retry_after="1")],
                         ids=["502", "503"])
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_but_errors(verb, rule, world, server):
    world.agent.settings.update(retries=2)
    world.agent.write_config()
    with LyingProxy(server) as origin:
        world.next(verb)
        origin.rules.append(rule())
        world.run(verb, "--server", origin.url, codes=(7,), within=30)
        assert 1 < origin.rules[0].used < 30
        world.check(verb, 7)


@pytest.mark.parametrize("what", [r"/blobs/[0-9a-f]{64}$", r"/commit$"])
def test_busy_with_what_broke_off(what, world, server):
    """The server is still at a request that broke off, for longer than the retries of failures:
    that is waited for."""
    began = []

    def refuse(reply):
        began.append(time.monotonic())
        if began[-1] - began[0] < 4:
            reply.status, reply.body = 409, b'{"code":"push-busy","status":409}'
            reply.headers = [("Content-Type", "application/problem+json")]

    world.agent.settings["retries"] = 1
    world.agent.write_config()
    with LyingProxy(server) as origin:
        world.next("push")
        for method in ("POST",) if "commit" in what else ("PATCH", "HEAD"):
            origin.lie(what, refuse, method=method)
        world.run("push", "--server", origin.url)
        assert began[-1] - began[0] >= 4
        world.check("push", 0)


# ------------------------------------------------------------------ slow, or not at all

@pytest.mark.parametrize("after", [0, 500 * KIB])
@pytest.mark.parametrize("kind", ["up", "down"])
@pytest.mark.parametrize("verb", VERBS)
def test_stalled(verb, kind, after, world, proxy):
    """Nothing passes any more, and no connection ends: the agent's limit does."""
    world.agent.settings.update(retries=1, timeout="1s")
    world.agent.write_config()

    def fault(number, way, at, block):
        if way == kind and at + len(block) > after:
            proxy.stall()
        return block

    proxy.fault = fault
    world.next(verb)
    code = world.run(verb, "--server", proxy.url, codes=(0, 7), within=60)
    assert code == 7 or after > 0
    world.agent.settings.update(timeout="30s")
    world.agent.write_config()
    world.check(verb, code)


@pytest.mark.parametrize("verb", VERBS)
def test_stalled_at_first(verb, world, proxy):
    """The first connections stall, those after them do not."""
    world.agent.settings.update(timeout="1s")
    world.agent.write_config()

    def fault(number, kind, at, block):
        if number <= 2 and kind == "down" and at + len(block) > 200 * KIB * number:
            proxy.stall()
        return block

    proxy.fault = fault
    world.next(verb)
    world.run(verb, "--server", proxy.url, within=100)
    world.check(verb, 0)


@pytest.mark.parametrize("verb", VERBS)
def test_trickled(verb, world, proxy):
    """Slow is no stall: it takes longer than the limit, and comes."""
    world.agent.settings.update(timeout="2s", concurrency=2)
    world.agent.write_config()

    def fault(number, kind, at, block):
        time.sleep(len(block) / (3 * MIB))  # this is the trickle
        return block

    proxy.fault = fault
    world.next(verb)
    world.run(verb, "--server", proxy.url)
    world.check(verb, 0)


# ------------------------------------------------------------------ damaged

def flip(chance, block):
    at, bit = chance.randrange(len(block) // 4, len(block)), chance.randrange(8)
    return block[:at] + bytes([block[at] ^ 1 << bit]) + block[at + 1:]


LARGE_BLOCK = 2 * KIB  # no head of a message is as large


@pytest.mark.parametrize("points", POINTS)
@pytest.mark.parametrize("verb", VERBS)
def test_one_bit(verb, points, world, proxy):
    way = ("--server", proxy.url)
    for _ in range(points):
        world.next(verb)
        proxy.reset()
        point, done = world.chance.randrange(100 * KIB, 4 * MIB), []

        def fault(number, kind, at, block, point=point, done=done):
            passed = proxy.up if verb == "push" else proxy.down
            if done or kind != ("up" if verb == "push" else "down") or passed < point or \
                    len(block) < LARGE_BLOCK:
                return block
            done.append(True)
            return flip(world.chance, block)

        proxy.fault = fault
        code = world.run(verb, *way, codes=(0, 7, 8))
        proxy.fault = None
        world.check(verb, code)


def test_a_bit_of_the_listing(world, proxy, tmp_path):
    """By an agent that knows no listing before it: it goes whole, is refused, and goes again."""
    world.next("push")
    world.agent = Agent(tmp_path / "other", world.server.url, world.server.all_rights)
    flipped = []

    def fault(number, kind, at, block):
        if kind == "down" or flipped or len(block) < LARGE_BLOCK:
            return block
        flipped.append(at)
        return flip(world.chance, block)

    proxy.fault = fault
    world.run("push", "--server", proxy.url)
    assert flipped and flipped[0] < 10 * KIB, "it was not the first body"
    world.check("push", 0)


@pytest.mark.parametrize("verb", VERBS)
def test_a_bit_in_each_large_block(verb, world, proxy):
    """No body of any size comes through as it was, but for a push's listing: a server that gets
    another one refuses it by its rules."""
    world.agent.settings.update(retries=2)
    world.agent.write_config()
    kind_of = {"push": "up", "pull": "down"}

    def fault(number, kind, at, block):
        described = verb == "pull" or proxy.up > 100 * KIB
        if kind != kind_of[verb] or len(block) < LARGE_BLOCK or not described:
            return block
        return flip(world.chance, block)

    world.next(verb)
    proxy.fault = fault
    code = world.run(verb, "--server", proxy.url, codes=(7, 8))
    proxy.fault = None
    world.check(verb, code)
