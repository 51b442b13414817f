# SPDX-License-Identifier: MIT
"""A large file that changed is pushed as a delta from what the latest version has at its path; of
that only the chunk list or merkle tree is asked for, in parts. Whatever does not work out, the file
goes whole. What copies of the last push add to it is told in tests/functional."""

import os
import random
import shutil

import pytest

from kkformats import chunk_list, merkle
from origin import hexdigest
from support import describe, write

SIZE = 600_000
random_bytes = random.Random(5).randbytes


@pytest.fixture(autouse=True)
def no_copies(agent):
    """Nothing can be kept where a file stands."""
    place = agent.token.parent / ".cache/kkartifact/agent"
    place.mkdir(parents=True)
    (place / "kept").write_bytes(b"")


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    write(root, "bin/big", random_bytes(SIZE))
    write(root, "small", b"x" * 1000)
    return root


def change(source, how, name="bin/big", at=SIZE // 2):
    """`how`: the bytes come instead of others, or between them."""
    data = (source / name).read_bytes()
    data = data[:at] + random_bytes(20) + data[at + (20 if how == "in place" else 0):]
    write(source, name, data)
    return hexdigest(data)


@pytest.fixture(params=["in place", "inserted"])
def how(request):
    return request.param


@pytest.fixture
def changed(agent, origin, source, how):
    agent.push(source, "v1")
    name = change(source, how)
    origin.state.requests.clear()
    origin.state.body_bytes = 0
    return name


def hints_of(agent):
    place = agent.token.parent / ".cache/kkartifact/agent/hints"
    return sorted(path.name for path in place.glob("*.*") if path.suffix in (".chunks", ".merkle"))


def test_only_the_change_travels(agent, origin, source, tmp_path, changed, how):
    pushed = agent.push(source, "v2")
    assert origin.state.taken == [changed]
    assert pushed["sent_bytes"] == origin.state.body_bytes < SIZE / 4
    assert not any("PATCH" in request and changed in request for request in origin.state.requests)
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    kind = "merkle" if how == "in place" else "chunks"
    assert hints_of(agent) == [f"{changed}.{kind}"]


def test_the_next_push_asks_for_no_list(agent, origin, source, tmp_path, changed, how):
    agent.push(source, "v2")
    second = change(source, how, at=SIZE // 3)
    origin.state.requests.clear()
    agent.push(source, "v3")
    assert origin.state.taken == [changed, second]
    assert not [request for request in origin.state.requests
                if request.endswith(("chunks", "merkle"))]
    agent.pull(tmp_path / "copy", "v3")
    assert describe(source) == describe(tmp_path / "copy")


def test_damaged_hints_are_none(agent, origin, source, changed, how):
    agent.push(source, "v2")
    place = agent.token.parent / ".cache/kkartifact/agent/hints"
    for name in hints_of(agent):
        data = bytearray((place / name).read_bytes())
        data[len(data) // 2] ^= 1
        (place / name).write_bytes(data)
    second = change(source, how, at=SIZE // 3)
    agent.push(source, "v3")
    assert origin.state.taken == [changed, second]


def test_verbose_tells_how_each_went(agent, source, changed):
    write(source, "new", random_bytes(300_000))
    done = agent.run("push", source, "--verbose")
    assert "bin/big: delta, " in done.words and "new: whole, 300000 bytes" in done.words
    assert "small: " not in done.words


def test_a_first_push_and_other_files(agent, origin, source, tmp_path):
    done = agent.run("push", source, "--version", "v1", "--verbose")
    assert f"bin/big: whole, {SIZE} bytes" in done.words
    write(source, "bin/big", random_bytes(SIZE))  # nothing in common, of equal size
    done = agent.run("push", source, "--version", "v2", "--verbose")
    assert f"bin/big: whole, {SIZE} bytes: there is little" in done.words
    write(source, "bin/big", random_bytes(SIZE + 1))
    agent.push(source, "v3")
    write(source, "small", random_bytes(SIZE))  # what is there is too small for a list
    agent.push(source, "v4")
    assert not origin.state.taken and not hints_of(agent)
    agent.pull(tmp_path / "copy", "v4")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_file_in_a_renamed_directory(agent, origin, source, how):
    """The listing of the last push is at hand: a file of the same name will do, without asking."""
    agent.push(source, "v1")
    (source / "bin").rename(source / "bin-2")
    name = change(source, how, "bin-2/big")
    write(source, "elsewhere", random_bytes(SIZE))
    origin.state.requests.clear()
    done = agent.run("push", source, "--version", "v2", "--verbose")
    assert origin.state.taken == [name]
    assert "elsewhere: whole, 600000 bytes: the last version has no such file" in done.words
    assert not [request for request in origin.state.requests if request.startswith("HEAD")]


def test_a_listing_at_hand_that_is_not_the_latest(agent, origin, source, tmp_path, changed):
    """Another host has pushed since: the file of its version is the base."""
    other = tmp_path / "other"
    shutil.copytree(source, other)
    write(other, "small", b"other")
    agent.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    agent.push(other, "v2")
    assert origin.state.taken == [changed]
    del agent.environment["XDG_CACHE_HOME"]
    second = change(source, "in place", at=100_000)
    origin.state.requests.clear()
    agent.push(source, "v3")
    assert origin.state.taken == [changed, second]
    assert [request for request in origin.state.requests if request.startswith("HEAD")]


def test_a_relative_cache_is_none(agent, source, tmp_path):
    """As the XDG base directory specification has it; the home's is taken."""
    (tmp_path / "here").mkdir()
    agent.environment["XDG_CACHE_HOME"] = "cache"
    agent.run("push", source, cwd=tmp_path / "here")
    assert os.listdir(tmp_path / "here") == []
    assert os.listdir(agent.token.parent / ".cache/kkartifact/agent")
    agent.environment["HOME"] = "home"
    agent.run("push", source, cwd=tmp_path / "here")
    assert os.listdir(tmp_path / "here") == []


def test_equal_sizes_by_chance(agent, origin, source):
    """A shift that keeps the size is found by the lists, after the trees found nothing."""
    agent.push(source, "v1")
    data = (source / "bin/big").read_bytes()
    write(source, "bin/big", b"y" + data[:-1])
    agent.push(source, "v2")
    assert origin.state.taken == [hexdigest(b"y" + data[:-1])]


REFUSALS = [404, 403, 409, 413, 422, 500]


@pytest.mark.parametrize("status", REFUSALS)
def test_a_delta_that_is_refused(agent, origin, source, tmp_path, changed, status):
    agent.config.write_text(agent.config.read_text() + "retries: 0\n")
    origin.state.fail = lambda request: (status if request.startswith("PUT")
                                         and request.endswith(changed) else None)
    agent.push(source, "v2")
    origin.state.fail = lambda request: None
    assert not origin.state.taken and not hints_of(agent)
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


@pytest.mark.parametrize("what", ["chunks", "merkle", "files"])
def test_a_server_that_tells_nothing_of_the_base(agent, origin, source, changed, what):
    shutil.rmtree(agent.token.parent / ".cache")
    origin.state.fail = lambda request: 404 if f"/{what}" in request and "v1" in request else None
    agent.push(source, "v2")
    assert changed in origin.state.blobs


LIES = {
    "html": lambda data: b"<html>" * 100,
    "nothing": lambda data: b"",
    "cut": lambda data: data[:-10],
    "another blob's": lambda data: data[:16] + bytes(32) + data[48:],
    "huge": lambda data: data[:48] + b"\xff" * 8 + data[56:],
    "first hash": lambda data: data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
    "zeros": lambda data: bytes(len(data)),
}


@pytest.mark.parametrize("lie", LIES)
def test_lists_and_trees_that_lie(agent, origin, source, tmp_path, changed, lie):
    origin.state.spoil_hint = lambda what, name, data: LIES[lie](data)
    agent.push(source, "v2")
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_list_that_leads_to_wrong_bytes(agent, origin, source, tmp_path, changed):
    """A list or tree of other bytes, but well-formed: the server refuses the delta."""
    target = (source / "bin/big").read_bytes()
    base = next(name for name, data in origin.state.blobs.items() if len(data) == SIZE)

    def spoil(what, name, data):
        assert name == base
        if what == "merkle":
            return merkle.build(target)[0]
        return chunk_list.write(bytes.fromhex(base), chunk_list.leaves_of(target[:SIZE]))

    origin.state.spoil_hint = spoil
    agent.push(source, "v2")
    assert any(request.startswith("PUT") and request.endswith(changed)
               for request in origin.state.requests) and not origin.state.taken
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_delta_larger_than_a_part_goes_whole(agent, origin, source, tmp_path):
    write(source, "bin/big", random_bytes(3_000_000))
    agent.push(source, "v1")
    write(source, "bin/big", (source / "bin/big").read_bytes()[:1_500_000]
          + random_bytes(1_490_000))
    done = agent.run("push", source, "--version", "v2", "--verbose")
    assert "bin/big: whole, 2990000 bytes: " in done.words and not origin.state.taken
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_file_that_changes_on_the_way_is_pushed_again(agent, origin, source, tmp_path, changed):
    state = origin.state

    def after(request):
        if request.endswith(("chunks", "merkle")) and not state.__dict__.get("done"):
            state.done = True
            write(source, "bin/big", random_bytes(SIZE))

    state.after = after
    agent.push(source, "v2")
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


def test_many_at_once_and_broken_connections(agent, origin, source, tmp_path):
    for number in range(8):
        write(source, f"{number}/file", random_bytes(300_000))
    agent.push(source, "v1")
    names = [change(source, "inserted", f"{number}/file", number * 20_000 + 50_000)
             for number in range(8)]
    seen = set()

    def fail(request):
        if request in seen or request.startswith("P"):
            return None
        seen.add(request)
        return "cut" if len(seen) % 3 == 0 else None

    origin.state.fail = fail
    agent.push(source, "v2")
    assert sorted(origin.state.taken) == sorted(names)
    shutil.rmtree(agent.token.parent / ".cache")
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
