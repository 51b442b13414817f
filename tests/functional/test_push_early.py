# SPDX-License-Identifier: MIT
"""The large files of an app's first push go before they are hashed, as new-N: what breaks off goes
on, what changes meanwhile is told, and a server that takes none has them in the ordinary way."""

import os
import random
import signal
import threading
import time

import pytest

import trees
from agent import Agent
from proxies import FaultyProxy, LyingProxy

KIB, MIB = 1 << 10, 1 << 20
LARGE = 40 * MIB
LANES, PART = 2, 1 * MIB
NEW = r"/blobs/new-\d+$"


def tree(root, seed):
    """Two files that go early, one of which compresses, and some that do not. What stands before
    them keeps those who hash busy until the push is open; it has no bytes on the disk, and one
    blob."""
    chance = random.Random(f"early {seed}")
    for number in range(8):
        os.truncate(trees.write(root, f"0/{number}"), 31 * MIB)
    trees.write(root, "a/large", chance.randbytes(LARGE + 1000))
    words = [chance.randbytes(6).hex() for _ in range(3000)]
    trees.write(root, "b/text", " ".join(chance.choices(words, k=LARGE // 12)).encode())
    for number in range(40):
        trees.write(root, f"small/{number}", chance.randbytes(3000))
    trees.write(root, "c/middle", chance.randbytes(3 * MIB))
    return root


class World:
    """An app that nobody has pushed to, a new one at each turn."""

    def __init__(self, server, names, tmp_path):
        self.server, self.names, self.directory = server, names, tmp_path
        self.number = 0
        self.agent = Agent(tmp_path / "agent", server.url, server.all_rights, concurrency=LANES,
                           chunk_size="1MiB")
        self.next()

    def next(self):
        self.number += 1
        self.app = f"app-{self.number}"
        self.source = self.directory / f"source-{self.number}"
        self.copy = self.directory / f"copy-{self.number}"
        tree(self.source, f"{self.names.project}-{self.number}")

    def words(self, *more):
        return ("--project", self.names.project, "--app", self.app, "--version", "v1", *more)

    def push(self, *more, codes=(0,), within=120):
        done = self.agent.run("push", self.source, *self.words("--verbose", *more), within=within)
        assert done.code in codes, f"exit {done.code}\n{done!r}"
        return done

    def check(self):
        """It is there, and what it was; the push before ended well."""
        self.agent.pull(self.copy, self.names.project, self.app, "v1")
        trees.assert_same(self.source, self.copy)


@pytest.fixture
def world(server, names, tmp_path):
    return World(server, names, tmp_path)


@pytest.fixture
def proxy(server):
    with FaultyProxy(server.port) as passing:
        yield passing


def early(origin):
    """The new-N that were sent to."""
    return {path.rpartition("/")[2] for method, path, _ in origin.seen
            if method == "PATCH" and "/blobs/new-" in path}


def test_large_files_of_a_first_push(world, server):
    with LyingProxy(server) as origin:
        world.push("--server", origin.url)
        assert early(origin) == {"new-0", "new-1"}
        missing = [path for _, path, _ in origin.seen if path.endswith("/missing")]
        assert missing, "the rest goes in the ordinary way"
        world.check()
        # a second version: what is there is not sent before one knows what it is
        origin.seen.clear()
        trees.write(world.source, "a/large", random.Random("second").randbytes(LARGE))
        world.agent.run("push", world.source, "--project", world.names.project, "--app", world.app,
                        "--version", "v2", "--server", origin.url).expect(0)
        assert not early(origin)


def test_the_same_tree_again_is_not_sent_twice(world, proxy):
    """As when the answer to the commit was lost: the agent knows the files by then."""
    world.push("--server", proxy.url)
    proxy.reset()
    world.push("--server", proxy.url)
    assert proxy.up < 10 * KIB


def test_a_token_that_may_not_pull_pushes_as_ever(world, server):
    world.agent.use_token(server.token("push"))
    with LyingProxy(server) as origin:
        world.push("--server", origin.url)
        assert not early(origin)
    world.agent.use_token(server.all_rights)
    world.check()


def test_killed_and_gone_on_with(world, proxy):
    chance = random.Random(77)
    world.push("--server", proxy.url)
    whole = proxy.up
    for _ in range(5):
        world.next()
        proxy.reset()
        kills = 0
        for _ in range(3):
            with world.agent.start("push", world.source, *world.words("--server",
                                                                      proxy.url)) as pushing:
                proxy.on_up = (proxy.up + chance.randrange(whole // 3), pushing.kill)
                assert pushing.wait(120) in (0, -9)
                proxy.on_up = None
            kills += 1
            if pushing.returncode == 0:
                break
        world.push("--server", proxy.url)
        # what a lane has on its way is packed, sent or in the proxy when it is killed
        assert proxy.up < whole + kills * LANES * 4 * PART + 2 * MIB, (proxy.up, whole)
        world.check()


def test_a_server_that_is_killed(new_server, names, tmp_path):
    chance = random.Random(78)
    server = new_server()
    server.listen = f"127.0.0.1:{server.port}"  # the next one is found where this one was
    world = World(server, names, tmp_path)
    world.agent.settings["retries"] = 8
    world.agent.write_config()
    for _ in range(3):
        world.next()
        with FaultyProxy(server.port) as proxy:
            dead = threading.Event()
            proxy.on_up = (chance.randrange(30 * MIB), lambda: (server.kill(), dead.set()))
            with world.agent.start("push", world.source,
                                   *world.words("--server", proxy.url)) as pushing:
                assert dead.wait(60)
                server.start()
                assert pushing.wait(120) == 0, pushing.stderr.read()
            assert proxy.up < 130 * MIB
        world.check()


@pytest.mark.parametrize("kind", ["up", "down"])
def test_cut(kind, world, proxy):
    chance = random.Random(79)
    world.push("--server", proxy.url)
    whole, answers = proxy.up, proxy.down
    for _ in range(4):
        world.next()
        proxy.reset()
        point = chance.randrange(whole // KIB if kind == "up" else answers) * (KIB if kind == "up"
                                                                             else 1)
        setattr(proxy, f"on_{kind}", (point, proxy.cut))
        world.push("--server", proxy.url)
        proxy.on_up = proxy.on_down = None
        assert proxy.up < whole + 10 * MIB, point
        world.check()


def test_the_answer_to_a_last_part_is_lost(world, server):
    """The bytes have their digest by then, and new-N is another name of them."""
    with LyingProxy(server) as origin:
        ends = []

        class LastPart:
            used = 0

            def applies(self, method, path):
                return method == "PATCH" and "/blobs/new-" in path

            def change(self, reply):
                if reply.header("Upload-Offset") == str(LARGE + 1000) and not ends:
                    ends.append(reply.status)
                    reply.status, reply.body, reply.headers = 502, b"", []

        origin.rules.append(LastPart())
        world.push("--server", origin.url)
        assert ends == [204]
        world.check()


@pytest.mark.parametrize("status,code", [(404, "not-found"), (405, "method-not-allowed")])
def test_a_server_that_takes_none(status, code, world, server):
    def refuse(reply):
        reply.status, reply.body = status, b'{"code":"%s","status":%d}' % (code.encode(), status)
        reply.headers = [("Content-Type", "application/problem+json")]

    with LyingProxy(server) as origin:
        rule = origin.lie(NEW, refuse, method="PATCH")
        world.push("--server", origin.url)
        assert 0 < rule.used <= LANES
        world.check()


def test_a_server_that_is_not_there_is_asked_once(world, server):
    """What could not be asked before hashing is not asked all over again after it."""
    def refuse(reply):
        reply.status, reply.body, reply.headers = 503, b"", []

    world.agent.settings["retries"] = 3
    world.agent.write_config()
    with LyingProxy(server) as origin:
        origin.lie("", refuse)
        world.push("--server", origin.url, codes=(7,))
        assert len(origin.seen) == 4, origin.seen


def test_a_bit_on_the_way(world, server):
    """Once: it is sent again. Each time: the way is bad, and that is told as what it is."""
    spoilt = []

    def spoil(body, times):
        if len(spoilt) < times and len(body) > 1000:
            spoilt.append(len(body))
            body = body[:500] + bytes([body[500] ^ 1]) + body[501:]
        return body

    with LyingProxy(server) as origin:
        origin.spoilt[r"/blobs/new-0$"] = lambda body: spoil(body, 1)
        world.push("--server", origin.url)
        assert len(spoilt) == 1
        world.check()
        world.next()
        spoilt.clear()
        origin.spoilt[r"/blobs/new-0$"] = lambda body: spoil(body, 10_000)
        world.push("--server", origin.url, codes=(8,))
        origin.spoilt.clear()
        world.push("--server", origin.url)
        world.check()


def test_a_full_disk_is_told_and_leaves_nothing(world, server):
    def refuse(reply):
        reply.status, reply.body = 507, b'{"code":"full","status":507,"title":"Full"}'
        reply.headers = [("Content-Type", "application/problem+json")]

    with LyingProxy(server) as origin:
        origin.lie(NEW, refuse, method="PATCH")
        done = world.push("--server", origin.url, codes=(7,))
        assert "507" in done.stderr
        assert any(method == "DELETE" for method, _, _ in origin.seen), "what was taken is free"


@pytest.mark.parametrize("how", ["other bytes", "shorter", "gone"])
def test_a_file_that_changes_meanwhile(how, world, proxy):
    """It is pushed as it is in the end."""
    path = os.path.join(world.source, "a/large")

    def change():
        if how == "gone":
            os.remove(path)
        else:
            with open(path, "r+b") as file:
                file.seek(LARGE // 2)
                file.write(b"changed while it was pushed")
                if how == "shorter":
                    file.truncate(LARGE // 2)

    world.agent.settings["bandwidth_limit"] = "60MiB"
    world.agent.write_config()
    proxy.on_up = (10 * MIB, change)
    world.push("--server", proxy.url)
    assert proxy.on_up is None
    world.check()


def test_interrupted(world, proxy):
    world.agent.settings["bandwidth_limit"] = "40MiB"
    world.agent.write_config()
    with world.agent.start("push", world.source, *world.words("--server", proxy.url)) as pushing:
        while proxy.up < 20 * MIB:
            assert pushing.poll() is None
            time.sleep(0.005)
        pushing.send_signal(signal.SIGINT)
        _, told = pushing.communicate(timeout=60)
    assert pushing.returncode == 130
    assert b"goes on where this one stopped" in told
    del world.agent.settings["bandwidth_limit"]
    world.agent.write_config()
    before = proxy.up
    world.push("--server", proxy.url)
    assert proxy.up < 2 * LARGE + before - 10 * MIB
    world.check()


def test_a_dry_run_sends_nothing(world, server):
    with LyingProxy(server) as origin:
        world.push("--dry-run", "--server", origin.url)
        assert not early(origin)
        assert not [path for method, path, _ in origin.seen if method in ("POST", "PUT", "PATCH")]
