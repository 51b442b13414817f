# SPDX-License-Identifier: MIT
"""Disks that become full in the middle of packs, parts and deltas, on either side: the error names
it, nothing that was there is lost, and with room again the transfer goes on."""

import contextlib
import subprocess

import pytest

import mixed
import trees
from agent import Agent
from mounts import remount, tmpfs
from proxies import CountingProxy

# Small disks that are filled again and again: the sanitizers see the same paths in test_full_disks.
pytestmark = pytest.mark.plain_only

KIB, MIB = 1 << 10, 1 << 20


def many(root, seed, size=10 * KIB, count=1600):
    """16 MiB of packs."""
    for number in range(count):
        trees.write(root, f"{number % 30}/{number}", trees.random_bytes(size, f"{seed}/{number}"))


def parts(root, seed):
    for number in range(2):
        trees.write(root, f"part-{number}", trees.random_bytes(8 * MIB, f"{seed}/{number}"))


def delta(root, seed):
    """16 MiB that differ from seed to seed in a few blocks."""
    data = bytearray(trees.random_bytes(16 * MIB, "delta"))
    for number in range(20):
        at = number * 500 * KIB
        data[at:at + 4096] = trees.random_bytes(4096, f"{seed}{number}")
    trees.write(root, "file", data)


KINDS = {"packs": many, "parts": parts, "deltas": delta}


def fill(disk, left=0):
    """Nothing can be written there but `left` bytes."""
    if left:
        (disk / "left").write_bytes(bytes(left))
    with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(64 * KIB))
    (disk / "left").unlink(missing_ok=True)


def is_visible(server, names, version):
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/{version}"
    return server.request("GET", path, token=server.all_rights).status != 404


@pytest.mark.parametrize("kind", KINDS)
def test_server_full_in_the_middle(kind, new_server, keeper, names, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    trees.small_tree(one)
    KINDS[kind](one, "one")
    KINDS[kind](two, "two")
    with tmpfs(tmp_path / "disk", "120m", keeper) as disk:
        server = new_server(disk / "data")
        agent = Agent(tmp_path / "agent", server.url, server.all_rights, retries=1)
        agent.push(one, names.project, names.app, "v1")
        fill(disk, 7 * MIB)
        done = agent.push(two, names.project, names.app, "v2", code=7)
        assert "full" in done.stderr.lower() or "space" in done.stderr
        assert not is_visible(server, names, "v2")
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
        trees.assert_same(one, tmp_path / "copy")
        (disk / "filler").unlink()
        again = agent.push(two, names.project, names.app, "v2")
        assert again["state"] == "created"
        if kind == "deltas":
            assert again["sent_bytes"] < MIB
        agent.pull(tmp_path / "copy", names.project, names.app, "v2", "--delete-extra")
        trees.assert_same(two, tmp_path / "copy")
        server.kill()


@pytest.mark.parametrize("words", [(), ("--exchange",)], ids=["live", "exchange"])
@pytest.mark.parametrize("kind", KINDS)
def test_destination_full_in_the_middle(kind, words, server, keeper, names, tmp_path):
    """There is room when the pull begins; then somebody else takes it."""
    one, two = tmp_path / "one", tmp_path / "two"
    KINDS[kind](one, "one")
    KINDS[kind](two, "two")
    with CountingProxy(server.port) as proxy, tmpfs(tmp_path / "disk", "100m", keeper) as disk:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights, retries=1)
        for version, tree in (("v1", one), ("v2", two)):
            agent.push(tree, names.project, names.app, version)
        copy = disk / "copy"
        agent.pull(copy, names.project, names.app, "v1", *words)
        proxy.reset()
        left = 0 if kind == "deltas" else 3 * MIB
        proxy.on_down = (50 * KIB if kind == "deltas" else 2 * MIB, lambda: fill(disk, left))
        done = agent.pull(copy, names.project, names.app, "v2", *words, code=9)
        assert "space" in done.stderr or "full" in done.stderr
        trees.assert_same(one, copy)
        (disk / "filler").unlink()
        again = agent.pull(copy, names.project, names.app, "v2", *words)
        trees.assert_same(two, copy)
        if kind == "packs":
            assert again["received_bytes"] < 15 * MIB, "what had come is not fetched again"


def test_destination_full_of_names(server, keeper, names, tmp_path):
    """No inode is left in the middle of it."""
    one, two = tmp_path / "one", tmp_path / "two"
    trees.small_tree(one)
    many(two, "two", size=3000, count=1000)
    with CountingProxy(server.port) as proxy, tmpfs(tmp_path / "disk", "60m", keeper) as disk:
        remount(disk, "nr_inodes=1500")
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights, retries=1)
        for version, tree in (("v1", one), ("v2", two)):
            agent.push(tree, names.project, names.app, version)
        agent.pull(disk / "copy", names.project, names.app, "v1")
        proxy.reset()
        proxy.on_down = (MIB, lambda: remount(disk, "nr_inodes=700"))
        done = agent.run("pull", disk / "copy", "--project", names.project, "--app", names.app,
                         "--version", "v2")
        assert proxy.on_down is None, "nothing was taken"
        assert done.code == 9 and ("space" in done.stderr or "full" in done.stderr), done
        mixed.assert_each_whole(disk / "copy", (one, two))
        remount(disk, "nr_inodes=5000")
        agent.pull(disk / "copy", names.project, names.app, "v2")
        trees.assert_same(two, disk / "copy")


@pytest.mark.parametrize("often, code", [("1", 0), ("1+", 9)], ids=["once", "always"])
def test_a_disk_that_refuses_the_tree(often, code, agent, names, tmp_path):
    """It is fetched again, from its beginning; a disk's fault is not told as the server's."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    trees.small_tree(source)
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1")
    trees.write(source, "new", b"new")
    agent.push(source, names.project, names.app, "v2")
    line = ["strace", "-f", "-o", "/dev/null", "-P", copy / ".kkartifact/tree-new",
            "-e", "trace=pwrite64", "-e", f"inject=pwrite64:error=EIO:when={often}",
            *agent.line("pull", copy, "--project", names.project, "--app", names.app,
                        "--version", "v2")]
    done = subprocess.run(list(map(str, line)), env=agent.environment, capture_output=True,
                          text=True, timeout=240, check=False)
    assert done.returncode == code, done.stderr
    agent.pull(copy, names.project, names.app, "v2")
    trees.assert_same(source, copy)
