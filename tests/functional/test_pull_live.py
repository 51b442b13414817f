# SPDX-License-Identifier: MIT
"""Pulls into a directory that programs live in, that another pull works in, or that has no room."""

import os
import shutil
import subprocess
import threading
import time

import pytest

import trees
from agent import Agent
from mounts import tmpfs
from proxies import CountingProxy, LyingProxy

MIB = 1 << 20


def inode(path):
    return os.lstat(path).st_ino


@pytest.mark.parametrize("words", [(), ("--exchange",)])
def test_a_running_program_goes_on(words, agent, names, tmp_path):
    """Its file is replaced by a rename, never written into: that would be ETXTBSY, or a crash."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    program = open(shutil.which("sleep"), "rb").read()
    trees.write(source, "tool", program, 0o755)
    agent.push(source, names.project, names.app, "v1")
    trees.write(source, "tool", program + b"\0" * 4096, 0o755)
    agent.push(source, names.project, names.app, "v2")
    agent.pull(copy, names.project, names.app, "v1")
    before = inode(copy / "tool")
    with subprocess.Popen([copy / "tool", "600"]) as running:
        try:
            agent.pull(copy, names.project, names.app, "v2", *words)
            assert running.poll() is None
            assert os.stat(f"/proc/{running.pid}/exe").st_ino == before
            with open(f"/proc/{running.pid}/exe", "rb") as exe:
                assert exe.read() == program
            assert inode(copy / "tool") != before
            trees.assert_same(source, copy)
        finally:
            running.kill()


def test_the_second_pull_is_refused_and_told_of_the_first(server, agent, names, tmp_path):
    source = tmp_path / "source"
    for number in range(8):
        trees.write(source, f"{number}", trees.random_bytes(4 * MIB, f"live {number}"))
    agent.push(source, names.project, names.app, "v1")
    copy = tmp_path / "copy"
    with CountingProxy(server.port) as proxy:
        slow = Agent(tmp_path / "slow", proxy.url, server.all_rights)
        with slow.start("pull", copy, "--project", names.project, "--app", names.app, "--version",
                        "v1") as first:
            try:
                until = time.monotonic() + 60
                while proxy.down == 0 and first.poll() is None:
                    assert time.monotonic() < until
                os.kill(first.pid, 19)  # SIGSTOP: it keeps the lock
                done = agent.pull(copy, names.project, names.app, "v1", code=9)
                assert str(first.pid) in done.stderr
                os.kill(first.pid, 18)
                assert first.wait(60) == 0, first.stderr.read()
            finally:
                first.kill()
    assert agent.pull(copy, names.project, names.app, "v1")["state"] == "current"
    trees.assert_same(source, copy)


def test_a_disk_that_folds_case(agent, names, tmp_path):
    """Such a disk finds DEST/.kkartifact by another name, which a bind mount imitates. Names that
    it takes for one are refused, all of them, before one is written."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    for name in ("README", "readme", "Sub/x", "sub/x", "sub/y", "fine", ".Kkartifact.yml"):
        trees.write(source, name, name.encode())
    agent.push(source, names.project, names.app, "v1")
    agent.pull(tmp_path / "other", names.project, names.app, "v1")
    (copy / ".kkartifact").mkdir(parents=True)
    (copy / ".KKARTIFACT").mkdir()
    subprocess.run(["mount", "--bind", copy / ".kkartifact", copy / ".KKARTIFACT"], check=True)
    try:
        done = agent.pull(copy, names.project, names.app, "v1", code=9)
    finally:
        subprocess.run(["umount", copy / ".KKARTIFACT"], check=True)
    for told in (".Kkartifact.yml", "readme: is the same name on this disk as README",
                 "sub: is the same name on this disk as Sub"):
        assert told in done.stderr
    assert "3 names cannot be held here" in done.stderr
    assert sorted(os.listdir(copy)) == [".KKARTIFACT", ".kkartifact"]
    trees.assert_same(source, tmp_path / "other")


@pytest.mark.parametrize("words", [(), ("--delete-extra",)])
def test_another_spelling_is_not_removed(words, agent, names, tmp_path):
    """Where README and readme are one file, the removal of the one would be that of the other,
    which was just put there."""
    one, two, copy = tmp_path / "one", tmp_path / "two", tmp_path / "copy"
    trees.write(one, "README", b"x")
    trees.write(one, "gone", b"x")
    trees.write(two, "readme", b"x")
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    agent.pull(copy, names.project, names.app, "v1")
    (copy / ".KKARTIFACT").mkdir()
    subprocess.run(["mount", "--bind", copy / ".kkartifact", copy / ".KKARTIFACT"], check=True)
    try:
        agent.pull(copy, names.project, names.app, "v2", "--ignore", ".KKARTIFACT", *words)
    finally:
        subprocess.run(["umount", copy / ".KKARTIFACT"], check=True)
    assert sorted(os.listdir(copy)) == [".KKARTIFACT", ".kkartifact", "README", "readme"]


@pytest.mark.parametrize("words", [(), ("--exchange",)])
@pytest.mark.parametrize("lacking", ["bytes", "inodes"])
def test_room_is_looked_for_first(words, lacking, server, agent, keeper, names, tmp_path):
    """Refused with both numbers before a byte of a blob is fetched; with room the pull goes."""
    source, small = tmp_path / "source", tmp_path / "small"
    trees.write(small, "small", b"small")
    if lacking == "bytes":
        trees.write(source, "big", trees.random_bytes(24 * MIB, "room"))
    else:
        for number in range(200):
            trees.write(source, f"{number}", b"%d" % number)
    agent.push(small, names.project, names.app, "v1")
    agent.push(source, names.project, names.app, "v2")
    with tmpfs(tmp_path / "disk", "16m,nr_inodes=100", keeper) as disk, \
            CountingProxy(server.port) as proxy:
        counted = Agent(tmp_path / "counted", proxy.url, server.all_rights)
        copy = disk / "copy"
        counted.pull(copy, names.project, names.app, "v1")
        proxy.reset()
        done = counted.pull(copy, names.project, names.app, "v2", *words, code=9)
        needed = str(24 * MIB) if lacking == "bytes" else "200 inodes"
        assert "not enough space" in done.stderr and needed in done.stderr
        assert proxy.down < 100_000
        trees.assert_same(small, copy)
        assert os.listdir(disk) == ["copy"]
        assert "stage" not in os.listdir(copy / ".kkartifact")
        subprocess.run(["mount", "-o", "remount,size=64m,nr_inodes=1000", disk], check=True)
        counted.pull(copy, names.project, names.app, "v2", *words)
        trees.assert_same(source, copy)


def test_what_is_staged_counts(server, agent, keeper, names, tmp_path):
    """A disk with room for the version, but not for it and what was fetched already."""
    source = tmp_path / "source"
    for number in range(10):
        trees.write(source, f"{number}", trees.random_bytes(2 * MIB, f"staged {number}"))
    agent.push(source, names.project, names.app, "v1")
    with tmpfs(tmp_path / "disk", "26m", keeper) as disk, CountingProxy(server.port) as proxy:
        counted = Agent(tmp_path / "counted", proxy.url, server.all_rights)
        copy = disk / "copy"
        with counted.start("pull", copy, "--project", names.project, "--app", names.app,
                           "--version", "v1", "--concurrency", "1") as pulling:
            until = time.monotonic() + 60
            while proxy.down < 9 * MIB and pulling.poll() is None:
                assert time.monotonic() < until
            pulling.kill()
        counted.pull(copy, names.project, names.app, "v1")
        trees.assert_same(source, copy)


@pytest.mark.parametrize("words", [(), ("--exchange",)])
def test_what_is_staged_for_nothing_gives_way(words, server, agent, keeper, names, tmp_path):
    """Left by a pull that was killed: of another version, and a half of a file being made. It is
    in nobody's way while there is room."""
    source = tmp_path / "source"
    for version in "v1", "v2":
        trees.write(source, "big", trees.random_bytes(8 * MIB, version))
        agent.push(source, names.project, names.app, version)
    with tmpfs(tmp_path / "disk", "64m", keeper) as disk:
        copy = disk / "copy"
        agent.pull(copy, names.project, names.app, "v1", *words)
        of_v2 = trees.file_digest(source / "big")
        stage = (disk / ".copy.kkartifact" if words else copy) / ".kkartifact/stage"
        with LyingProxy(server) as origin:
            asked, over = threading.Event(), threading.Event()
            origin.lie("/blobs/", lambda reply: asked.set() or over.wait(60))
            stalled = Agent(tmp_path / "stalled", origin.url, server.all_rights)
            with stalled.start("pull", copy, "--project", names.project, "--app", names.app,
                               "--version", "v2", *words) as pulling:
                assert asked.wait(60)
                pulling.kill()
            over.set()
        for name in os.listdir(stage):
            (stage / name).unlink()
        left = [stage / ("0" * 64), stage / f"{of_v2}.made"]
        for path in left:
            path.write_bytes(bytes(4 * MIB))
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        agent.pull(copy, names.project, names.app, "v2", *words)
        trees.assert_same(source, copy)
