# SPDX-License-Identifier: MIT
"""The agent or the server killed at many points of pushes and pulls: what follows completes, sends
only the rest, and nothing half is to be seen.

Where the kills fall follows from a seed, which is printed.
"""

import random
import subprocess
import time

import pytest

import mixed
import trees
from agent import Agent
from proxies import CountingProxy

# What is killed reports nothing, and many points of many kills take their time.
pytestmark = pytest.mark.plain_only

KIB, MIB = 1 << 10, 1 << 20
LANES = 2
PART = 2 * MIB  # what a lane may have on its way: an upload's part, a pack
AGENT_POINTS = [9, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
SERVER_POINTS = [4, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]


class World:
    """A tree that changes from version to version, its first one pushed; and what an undisturbed
    run of the same kind costs."""

    def __init__(self, server, names, tmp_path, proxy, seed):
        print(f"seed {seed}")
        self.server, self.names, self.proxy = server, names, proxy
        self.chance = random.Random(seed)
        self.source, self.copy, self.former = (tmp_path / name for name in
                                               ("source", "copy", "former"))
        self.agent = Agent(tmp_path / "agent", proxy.url, server.all_rights, concurrency=LANES,
                           chunk_size="1MiB")
        self.version = None
        self.number = 0
        self.next_version()
        self.push_direct()
        self.pull_direct(self.copy)

    def next_version(self):
        self.number += 1
        self.version = f"v{self.number}"
        mixed.tree(self.source, f"{self.names.project}-{self.number}")

    def next_pull(self):
        """Another version is on the server, and the tree of the last one is kept."""
        self.former, self.source = self.source, self.former
        self.next_version()
        self.push_direct()

    def push_direct(self):
        return self.agent.push(self.source, self.names.project, self.names.app, self.version,
                               "--server", self.server.url)

    def pull_direct(self, copy, *words):
        return self.agent.pull(copy, self.names.project, self.names.app, self.version, "--server",
                               self.server.url, *words)

    def start(self, verb, *words):
        place = self.source if verb == "push" else self.copy
        return self.agent.start(verb, place, "--verbose", "--project", self.names.project, "--app",
                                self.names.app, "--version", self.version, *words)

    def run(self, verb, *words):
        """To its end, undisturbed: (bytes, seconds)."""
        self.proxy.reset()
        began = time.monotonic()
        with self.start(verb, *words) as process:
            _, said = process.communicate(timeout=120)
        said = said.decode(errors="replace")
        assert process.returncode == 0, said
        print("\n".join(line for line in said.splitlines() if "big" in line or "large" in line))
        return self.passed(verb), time.monotonic() - began

    def passed(self, verb):
        return self.proxy.up if verb == "push" else self.proxy.down

    def at(self, verb, count, act):
        """When so many bytes more have passed."""
        point = (self.passed(verb) + count, act) if count is not None else None
        setattr(self.proxy, "on_up" if verb == "push" else "on_down", point)

    def is_visible(self):
        path = (f"/api/v1/projects/{self.names.project}/apps/{self.names.app}/versions/"
                f"{self.version}")
        return self.server.request("GET", path, token=self.server.all_rights).status == 200

    def check_push(self):
        self.pull_direct(self.copy)
        trees.assert_same(self.source, self.copy)

    # ------------------------------------------------------------ kills

    def kill_once(self, verb, whole, took, *words):
        """One try with a kill in it, at a number of bytes or after a time; its exit code."""
        left = max(whole - self.passed(verb), 100 * KIB)
        share = self.chance.random()
        by_bytes = self.chance.random() < 0.6
        with self.start(verb, *words) as process:
            try:
                if by_bytes:
                    self.at(verb, int(share * left), process.kill)
                    process.wait(120)
                else:
                    process.wait(took * share)
            except subprocess.TimeoutExpired:
                assert not by_bytes, "it hangs"
                process.kill()
                process.wait(60)
            self.at(verb, None, None)
            assert process.returncode in (0, -9), process.stderr.read()
            return process.returncode

    def bound(self, whole, kills):
        return int(1.3 * whole) + kills * LANES * PART


@pytest.fixture
def proxy(server):
    with CountingProxy(server.port) as passing:
        yield passing


def tell(verb, passed, whole, kills):
    print(f"{verb}: {passed} bytes in {kills + 1} tries, {whole} undisturbed")


@pytest.mark.parametrize("points", AGENT_POINTS)
def test_push_killed(points, server, names, proxy, tmp_path):
    world = World(server, names, tmp_path, proxy, seed=101)
    world.next_version()
    whole, took = world.run("push")
    while points > 0:
        world.next_version()
        proxy.reset()
        kills = 0
        while points > 0:
            points -= 1
            if world.kill_once("push", whole, took) == 0:
                break
            kills += 1
            if world.is_visible():  # killed after the commit
                world.check_push()
        passed = proxy.up
        if not world.is_visible():
            proxy.reset()
            world.run("push")
            passed += proxy.up
        tell("push", passed, whole, kills)
        world.check_push()
        assert passed <= world.bound(whole, kills)
        assert world.push_direct()["state"] == "exists"


@pytest.mark.parametrize("points", AGENT_POINTS)
@pytest.mark.parametrize("words", [(), ("--exchange",)], ids=["live", "exchange"])
def test_pull_killed(words, points, server, names, proxy, tmp_path):
    world = World(server, names, tmp_path, proxy, seed=202)
    world.next_pull()
    whole, took = world.run("pull", *words)
    while points > 0:
        world.next_pull()
        proxy.reset()
        kills = 0
        while points > 0:
            points -= 1
            if world.kill_once("pull", whole, took, *words) == 0:
                break
            kills += 1
            if words:
                new = is_new(world)
                trees.assert_same(world.source if new else world.former, world.copy)
            else:
                mixed.assert_each_whole(world.copy, (world.former, world.source))
        passed = proxy.down
        world.run("pull", *words)
        passed += proxy.down
        tell("pull", passed, whole, kills)
        trees.assert_same(world.source, world.copy)
        assert passed <= world.bound(whole, kills)


def is_new(world):
    return (world.copy / "link").readlink() == (world.source / "link").readlink()


# ------------------------------------------------------------------ the server

def outlive(world, verb, kills, whole, *words):
    """Runs it while the server is killed so many times and started again; the kills that were."""
    done = 0

    def arm():
        world.at(verb, int(world.chance.random() * whole / kills), world.server.process.kill)

    for _ in range(kills + 1):
        if done < kills:
            arm()
        with world.start(verb, *words) as process:
            until = time.monotonic() + 120
            try:
                while process.poll() is None:
                    assert time.monotonic() < until, "it hangs"
                    if world.server.process.poll() is not None:
                        world.server.kill()
                        world.server.start()
                        done += 1
                        if done < kills:
                            arm()
                    time.sleep(0.005)
            finally:
                process.kill()
            said = process.stderr.read().decode(errors="replace")
        if world.server.process.poll() is not None:
            world.server.kill()
            world.server.start()
            done += 1
        if process.returncode == 0:
            world.at(verb, None, None)
            return done
        assert process.returncode == 7, said
        assert not (verb == "push" and world.is_visible() and "409" in said), said
    raise AssertionError("it did not end after the last kill")


@pytest.fixture
def mortal(new_server):
    """A server that stays at its port."""
    server = new_server()
    server.listen = f"127.0.0.1:{server.port}"
    return server


@pytest.mark.parametrize("points", SERVER_POINTS)
@pytest.mark.parametrize("verb, words", [("push", ()), ("pull", ()), ("pull", ("--exchange",))],
                         ids=["push", "pull", "pull-exchange"])
def test_server_killed(verb, words, points, mortal, names, tmp_path):
    with CountingProxy(mortal.port) as proxy:
        world = World(mortal, names, tmp_path, proxy, seed=303)
        advance = world.next_version if verb == "push" else world.next_pull
        advance()
        whole, _ = world.run(verb, *words)
        while points > 0:
            advance()
            proxy.reset()
            kills = outlive(world, verb, min(points, 1 + world.chance.randrange(3)), whole, *words)
            points -= max(kills, 1)
            tell(verb, world.passed(verb), whole, kills)
            if verb == "push":
                world.check_push()
            trees.assert_same(world.source, world.copy)
            assert world.passed(verb) <= world.bound(whole, kills)
