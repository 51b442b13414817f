# SPDX-License-Identifier: MIT
"""Disks that are full or read-only, under the server, the pull and the mount's cache."""

import contextlib
import hashlib
import os
import sqlite3
import subprocess

import pytest

import trees
from agent import Agent
from mounts import forget_pages, remount, tmpfs
from proxies import CountingProxy
from pushes import Push

MIB = 1 << 20
BINARY = {"Content-Type": "application/octet-stream"}


def impatient(tmp_path, server, **settings):
    return Agent(tmp_path / "agent", server.url, server.all_rights, retries=1, **settings)


def is_visible(server, names, version):
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/{version}"
    return server.request("GET", path, token=server.all_rights).status != 404


def test_server_disk_full(new_server, keeper, names, tmp_path):
    """The push fails in words; what is stored stays, and with room again the push completes."""
    small, large = tmp_path / "small", tmp_path / "large"
    trees.small_tree(small)
    trees.write(large, "big", trees.random_bytes(40 * MIB))
    with tmpfs(tmp_path / "disk", "100m", keeper) as disk:
        server = new_server(disk / "data")
        agent = impatient(tmp_path, server)
        agent.push(small, names.project, names.app, "v1")
        done = agent.push(large, names.project, names.app, "v2", code=7)
        assert "full" in done.stderr.lower() or "space" in done.stderr
        assert not is_visible(server, names, "v2")
        agent.pull(tmp_path / "copy", names.project, names.app, "v1", "--full-check")
        trees.assert_same(small, tmp_path / "copy")
        remount(disk, "size=200m")
        assert agent.push(large, names.project, names.app, "v2")["state"] == "created"
        agent.pull(tmp_path / "copy2", names.project, names.app, "v2")
        trees.assert_same(large, tmp_path / "copy2")
        server.kill()


def open_pushes(server):
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db")) as rows:
        return rows.execute("SELECT count(*) FROM pushes").fetchone()[0]


def test_push_that_cannot_fit(new_server, keeper, names, tmp_path):
    """It is refused before much of it was sent, and no lease keeps what the server took of it."""
    source = tmp_path / "source"
    trees.write(source, "big", trees.random_bytes(60 * MIB))
    with tmpfs(tmp_path / "disk", "120m", keeper) as disk:
        server = new_server(disk / "data")
        with CountingProxy(server.port) as proxy:
            agent = Agent(tmp_path / "agent", proxy.url, server.all_rights, retries=1)
            done = agent.push(source, names.project, names.app, "v1", code=7)
            assert "507 Full" in done.stderr and proxy.up < 10 * MIB, "a part at most"
        assert open_pushes(server) == 0
        remount(disk, "size=200m")
        agent = impatient(tmp_path / "again", server)
        assert agent.push(source, names.project, names.app, "v1")["state"] == "created"
        server.kill()


def test_full_answer(new_server, keeper, names, tmp_path):
    """What the API says of a full disk: 507 full."""
    data = trees.random_bytes(24 * MIB)
    with tmpfs(tmp_path / "disk", "90m", keeper) as disk:
        server = new_server(disk / "data")
        push = Push(server, names)
        push.describe((b"f", data))
        remount(disk, "size=60m")
        for part in ("listing", "times"):
            answer = push.put(part, b"x")
            assert (answer.status, answer.code) == (507, "full"), answer
        digest = hashlib.sha256(data).hexdigest()
        answer = push.part(digest, data[:1000], 0, len(data))
        assert (answer.status, answer.code) == (507, "full"), answer
        server.wait_for_log("the store is full: it keeps 64 MiB of its disk free")
        answer = push.request("POST", f"{push.path}/blobs:batch", body=data[:1000], headers=BINARY)
        assert (answer.status, answer.code) == (507, "full"), answer
        answer = push.request("PUT", f"{push.path}/blobs/{digest}", body=b"x", headers={
            "Content-Type": "application/vnd.kkartifact.delta"})
        assert (answer.status, answer.code) == (507, "full"), answer
        assert server.request("GET", "/healthz").status == 200
        server.kill()


def test_read_only_store(new_server, keeper, names, tmp_path):
    small, other = trees.small_tree(tmp_path / "small"), trees.small_tree(tmp_path / "other", 2)
    data = tmp_path / "data"
    data.mkdir()
    with tmpfs(data / "blobs", "100m", keeper) as blobs:
        server = new_server(data)
        agent = impatient(tmp_path, server)
        agent.push(small, names.project, names.app, "v1")
        remount(blobs, "ro")
        done = agent.push(other, names.project, names.app, "v2", code=7)
        assert done.stderr
        assert not is_visible(server, names, "v2")
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
        trees.assert_same(small, tmp_path / "copy")
        remount(blobs, "rw")
        assert agent.push(other, names.project, names.app, "v2")["state"] == "created"
        server.kill()


def test_destination_full(server, keeper, names, tmp_path):
    """Exit 9; what was there before is there still, whole."""
    one, two = trees.small_tree(tmp_path / "one"), trees.small_tree(tmp_path / "two", 2)
    trees.write(two, "big", trees.random_bytes(20 * MIB))
    agent = impatient(tmp_path, server)
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    with tmpfs(tmp_path / "disk", "16m", keeper) as disk:
        copy = disk / "copy"
        agent.pull(copy, names.project, names.app, "v1")
        done = agent.pull(copy, names.project, names.app, "v2", code=9)
        assert "space" in done.stderr or "full" in done.stderr
        trees.assert_same(one, copy)
        remount(disk, "size=100m")
        agent.pull(copy, names.project, names.app, "v2")
        trees.assert_same(two, copy)


def test_read_only_destination(server, keeper, names, tmp_path):
    one = trees.small_tree(tmp_path / "one")
    agent = impatient(tmp_path, server)
    agent.push(one, names.project, names.app, "v1")
    with tmpfs(tmp_path / "disk", "16m", keeper) as disk:
        remount(disk, "ro")
        done = agent.pull(disk / "copy", names.project, names.app, "v1", code=9)
        assert "ead-only" in done.stderr
        assert os.listdir(disk) == []


@pytest.mark.serial
def test_cache_full(server, agent, keeper, names, new_mount, tmp_path):
    """A full cache disk slows the mount and changes no byte."""
    source = trees.small_tree(tmp_path / "source")
    trees.write(source, "big", trees.random_bytes(24 * MIB))
    agent.push(source, names.project, names.app, "v1")
    with tmpfs(tmp_path / "disk", "4m", keeper) as disk:
        with new_mount(server.url, server.all_rights, cache=disk / "cache") as mount:
            shown = mount / names.project / names.app / "v1"
            for _ in range(2):
                trees.assert_same(source, shown)
                forget_pages()
            with pytest.raises(OSError), open(disk / "filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(4096))
            forget_pages()
            trees.assert_same(source, shown)


@pytest.mark.serial
def test_cache_read_only(server, agent, keeper, names, new_mount, tmp_path):
    """A cache that was written and is mounted again on a read-only disk: streamed, or refused in
    words (exit 9); never a broken mount."""
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    with tmpfs(tmp_path / "disk", "64m", keeper) as disk:
        with new_mount(server.url, server.all_rights, cache=disk / "cache") as mount:
            trees.assert_same(source, mount / names.project / names.app / "v1")
            mount.umount()
        remount(disk, "ro")
        again = new_mount(server.url, server.all_rights, cache=disk / "cache", mounted=False)
        done = again.try_mount()
        if done.code == 0:
            trees.assert_same(source, again / names.project / names.app / "v1")
        else:
            assert done.code == 9 and str(disk) in done.stderr, done
        again.drop()


def test_few_descriptors(server, agent, names, new_mount, tmp_path):
    """The mount works with the descriptors that it is given."""
    source = tmp_path / "source"
    for number in range(300):
        trees.write(source, f"{number}", b"%d\n" % number * 50)
    agent.push(source, names.project, names.app, "v1")
    mount = new_mount(server.url, server.all_rights)
    worker = mount.status()["worker"]
    limit = len(os.listdir(f"/proc/{worker['pid']}/fd")) + 24
    # By the worker's own user: root of a container may not limit others.
    subprocess.run(["prlimit", "--pid", str(worker["pid"]), f"--nofile={limit}:{limit}"],
                   user=worker["uid"], group=worker["uid"], extra_groups=[], check=True)
    trees.assert_same(source, mount / names.project / names.app / "v1")
