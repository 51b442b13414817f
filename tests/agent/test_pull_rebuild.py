# SPDX-License-Identifier: MIT
"""The tree image of a large version that changed a little is made from the one that is here:
listing and times come as deltas, and the digests of new files. Whatever does not work out, it comes
whole."""

import os
import pathlib
import signal
import subprocess
import threading

import pytest

from support import describe, write

FILES = 1500


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    for number in range(FILES):
        write(root, f"{number % 40}/file {number}", b"%d" % number, mtime=1_700_000_000 + number)
    return root


@pytest.fixture
def changed(agent, origin, source, tmp_path):
    """v1 is in `copy`; in v2 a file has changed, one is new, one is gone, one is a copy."""
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    write(source, "7/file 7", b"changed")
    write(source, "7/new", b"new")
    write(source, "8/empty", b"")
    write(source, "9/copy", b"changed")
    (source / "5/file 5").unlink()
    agent.push(source, "v2")
    origin.state.requests.clear()
    origin.state.deltas.clear()
    return origin.state.versions["p", "a", "v2"]


def is_whole(origin):
    return any(request.endswith("/tree") for request in origin.state.requests)


def image_of(copy):
    return pathlib.Path(copy / ".kkartifact/tree").read_bytes()


def test_only_the_changes_travel(agent, origin, source, tmp_path, changed):
    version, image = changed
    copy = tmp_path / "copy"
    done = agent.run("pull", copy, "--version", "v2", "--verbose")
    assert "the tree: delta, " in done.words and f"of {len(image)}" in done.words
    assert describe(source) == describe(copy)
    assert image_of(copy) == image
    assert origin.state.deltas == [version["content"], version["times"]]
    agent.run("verify", copy)
    assert agent.pull(copy, "v2")["state"] == "current"


def test_it_is_little(agent, tmp_path, changed):
    """The fake server's deltas find one change only, so most of a listing travels; no image."""
    assert agent.pull(tmp_path / "copy", "v2")["received_bytes"] < len(changed[1])


def test_times_alone(agent, origin, source, tmp_path, changed):
    agent.pull(tmp_path / "copy", "v2")
    os.utime(source / "3/file 3", (5, 5))
    write(source, "3/file 43", b"changed")  # else it is the same content
    agent.push(source, "v3")
    agent.pull(tmp_path / "copy", "v3")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_first_pull_gets_it_whole(agent, origin, source, tmp_path, changed):
    agent.pull(tmp_path / "other", "v2")
    assert is_whole(origin) and not origin.state.deltas
    assert describe(source) == describe(tmp_path / "other")


def test_many_new_files(agent, origin, source, tmp_path, changed):
    for number in range(300):
        write(source, f"new/{number}", b"new %d" % number)
    agent.push(source, "v3")
    done = agent.run("pull", tmp_path / "copy", "--version", "v3", "--verbose")
    assert "the tree: whole, " in done.words and "files are new" in done.words
    assert describe(source) == describe(tmp_path / "copy")


LIES = {
    "cut": lambda data: data[:-1],
    "html": lambda data: b"<html>",
    "nothing": lambda data: b"",
    "other bytes": lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
    "another target size": lambda data: data[:80] + b"\x00" * 8 + data[88:],
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("which", ["content", "times"])
def test_deltas_that_lie(agent, origin, source, tmp_path, changed, which, lie):
    version, image = changed
    origin.state.spoil_delta = lambda name, data: (LIES[lie](data) if name == version[which]
                                                   else data)
    done = agent.run("pull", tmp_path / "copy", "--version", "v2", "--verbose")
    assert "the tree: whole, " in done.words
    assert describe(source) == describe(tmp_path / "copy")
    assert image_of(tmp_path / "copy") == image


@pytest.mark.parametrize("lie", [lambda data: bytes(len(data)), lambda data: data[:5000],
                                 lambda data: bytes(byte ^ 1 for byte in data)])
def test_digests_that_lie(agent, origin, source, tmp_path, changed, lie):
    origin.state.spoil_hint = lambda what, name, data: lie(data)
    done = agent.run("pull", tmp_path / "copy", "--version", "v2", "--verbose")
    assert "the tree: whole, " in done.words
    assert describe(source) == describe(tmp_path / "copy")
    assert image_of(tmp_path / "copy") == changed[1]


def test_an_interrupt_while_digests_are_waited_for(agent, origin, source, tmp_path, changed):
    asked, over = threading.Event(), threading.Event()

    def outside(request):
        if request.endswith("/tree"):
            asked.set()
            over.wait(200)

    origin.state.outside = outside
    before = describe(tmp_path / "copy")
    with subprocess.Popen(agent.line("pull", tmp_path / "copy", "--version", "v2"),
                          env=agent.environment, stderr=subprocess.PIPE) as process:
        try:
            assert asked.wait(60)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            over.set()
    assert describe(tmp_path / "copy") == before
    origin.state.outside = lambda request: None
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_server_without_deltas(agent, origin, source, tmp_path, changed):
    origin.state.spoil_delta = lambda name, data: None
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert image_of(tmp_path / "copy") == changed[1]


def test_a_damaged_image_of_the_last_pull(agent, origin, source, tmp_path, changed):
    (tmp_path / "copy/.kkartifact/tree").write_bytes(b"damage")
    agent.run("pull", tmp_path / "copy", "--version", "v2", code=9)  # nothing is ours any more
    assert is_whole(origin) and not origin.state.deltas
