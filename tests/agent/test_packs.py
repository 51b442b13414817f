# SPDX-License-Identifier: MIT
"""Small files travel in packs; what a pack could not carry goes alone."""

import collections
import hashlib
import os

import pytest

from support import describe, write

SMALL = 300


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    for number in range(SMALL):
        write(root, f"d{number % 7}/f{number:03}", b"%d %s" % (number, os.urandom(number)))
    write(root, "limit", os.urandom(256 << 10))  # the largest that goes in a pack
    write(root, "large", os.urandom((256 << 10) + 1))
    write(root, "empty", b"")
    return root


def kinds(origin):
    """How often each kind of request came."""
    counts = collections.Counter()
    for request in origin.state.requests:
        method, path = request.split()
        parts = path.split("/")
        counts[f"{method} {'blobs' if parts[-2] == 'blobs' else parts[-1]}"] += 1
    return counts


def test_few_requests_for_many_files(agent, origin, source, tmp_path):
    agent.push(source, "v1")
    pushed = kinds(origin)
    assert pushed["POST blobs:batch"] <= 4 and pushed["PATCH blobs"] == 1, pushed
    origin.state.requests.clear()
    agent.pull(tmp_path / "copy", "v1")
    pulled = kinds(origin)
    assert pulled["POST blobs:batch"] <= 4 and pulled["GET blobs"] == 1, pulled
    assert describe(source) == describe(tmp_path / "copy")


def test_a_server_that_knows_no_packs(agent, origin, source, tmp_path):
    origin.state.knows_packs = False
    agent.push(source, "v1", "--concurrency", "8")
    agent.pull(tmp_path / "copy", "v1")
    assert describe(source) == describe(tmp_path / "copy")
    assert kinds(origin)["PATCH blobs"] == SMALL + 3


def flipped(times):
    """One byte in the middle is wrong, so many times."""
    left = [times]

    def spoil(pack):
        if not left[0]:
            return pack
        left[0] -= 1
        at = len(pack) // 2
        return pack[:at] + bytes([pack[at] ^ 1]) + pack[at + 1:]
    return spoil


def test_what_came_damaged_goes_alone(agent, origin, source, tmp_path):
    # The member in the middle is `limit`, of more bytes than all others.
    origin.state.spoil_pack = flipped(1)
    agent.push(source, "v1")
    assert kinds(origin)["PATCH blobs"] == 2
    origin.state.requests.clear()
    origin.state.spoil_pack = flipped(1)
    agent.pull(tmp_path / "copy", "v1")
    assert kinds(origin)["GET blobs"] == 2
    assert describe(source) == describe(tmp_path / "copy")


@pytest.mark.parametrize("answer", [b"", b"no pack", b"KKAPACK1" + b"x" * 1000])
def test_an_answer_that_is_no_pack(agent, origin, source, tmp_path, answer):
    agent.push(source, "v1")
    origin.state.spoil_pack = lambda data: answer
    agent.pull(tmp_path / "copy", "v1")
    assert describe(source) == describe(tmp_path / "copy")


def test_bytes_that_nobody_can_give(agent, origin, source, tmp_path):
    """Wrong in the pack and alone: exit 8, and nothing of it in the destination."""
    agent.push(source, "v1")
    name = hashlib.sha256((source / "d3/f010").read_bytes()).hexdigest()
    origin.state.spoil = lambda which, data: b"other" if which == name else data
    agent.run("pull", tmp_path / "copy", "--version", "v1", code=8)
    assert describe(tmp_path / "copy") == {}


def test_a_broken_connection_is_tried_again(agent, origin, source, tmp_path):
    failures = ["cut", 503, None]

    def fail(request):
        return failures.pop(0) if request.endswith("blobs:batch") and failures else None
    origin.state.fail = fail
    agent.push(source, "v1", "--concurrency", "1")
    assert failures == []
    failures.extend(["cut", 503, None])
    agent.pull(tmp_path / "copy", "v1", "--concurrency", "1")
    assert failures == [] and describe(source) == describe(tmp_path / "copy")


def test_a_file_that_changes_is_pushed_again(agent, origin, source, tmp_path):
    """Changed after it was hashed, before its pack is made."""
    changed = []

    def after(request):
        if request.endswith("/missing") and not changed:
            changed.append(True)
            write(source, "d5/f005", b"changed in between")
    origin.state.after = after
    pushed = agent.push(source, "v1")
    assert changed and pushed["state"] == "created"
    agent.pull(tmp_path / "copy", "v1")
    assert (tmp_path / "copy/d5/f005").read_bytes() == b"changed in between"
    assert describe(source) == describe(tmp_path / "copy")
