# SPDX-License-Identifier: MIT
"""A large file that changed comes as a delta from the file that is there; whatever is wrong with
the delta, it comes whole."""

import os

import pytest

from origin import hexdigest
from support import describe, write

SIZE = 2_000_000


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    write(root, "big", os.urandom(SIZE))
    write(root, "small", os.urandom(1000))
    return root


def change(source, name="big", at=1_000_000):
    data = bytearray((source / name).read_bytes())
    data[at:at + 10] = os.urandom(20)
    write(source, name, bytes(data))
    return hexdigest(bytes(data))


@pytest.fixture
def changed(agent, origin, source, tmp_path):
    """v1 is in `copy`, v2 has another `big`; its digest."""
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    name = change(source)
    agent.push(source, "v2")
    origin.state.requests.clear()
    return name


def blobs_asked(origin, name):
    return sum(request.endswith(f"/blobs/{name}") and request.startswith("GET")
               for request in origin.state.requests)


def test_only_the_change_travels(agent, origin, source, tmp_path, changed):
    pulled = agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert pulled["received_bytes"] < 30_000 and pulled["written_files"] == 1
    assert origin.state.deltas == [changed] and blobs_asked(origin, changed) == 1
    agent.run("verify", tmp_path / "copy")
    assert agent.pull(tmp_path / "copy", "v2")["state"] == "current"


def test_verbose_tells_how_each_came(agent, source, tmp_path, changed):
    done = agent.run("pull", tmp_path / "copy", "--version", "v2", "--verbose")
    assert "big: delta, " in done.words and f"of {SIZE + 10}" in done.words
    done = agent.run("pull", tmp_path / "other", "--version", "v2", "--verbose")
    assert f"big: whole, {SIZE + 10} bytes" in done.words
    assert "small: " not in done.words


def test_a_server_without_deltas(agent, origin, source, tmp_path, changed):
    origin.state.spoil_delta = lambda name, data: None
    assert agent.pull(tmp_path / "copy", "v2")["received_bytes"] > SIZE
    assert describe(source) == describe(tmp_path / "copy")
    assert blobs_asked(origin, changed) == 1


LIES = {
    "other bytes": lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:],
    "another target": lambda data: data[:40] + bytes(32) + data[72:],
    "cut": lambda data: data[:-1],
    "nothing": lambda data: b"",
    "too much": lambda data: data + b"x",
    "html": lambda data: b"<html>",
    "larger than the file": lambda data: data + bytes(SIZE),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_delta_that_lies_is_no_harm(agent, origin, source, tmp_path, changed, lie):
    origin.state.spoil_delta = lambda name, data: LIES[lie](data)
    done = agent.run("pull", tmp_path / "copy", "--version", "v2", "--verbose")
    assert describe(source) == describe(tmp_path / "copy")
    assert "big: no delta: " in done.words and "big: whole, " in done.words
    assert blobs_asked(origin, changed) == 2


def test_wrong_bytes_after_a_wrong_delta_are_refused(agent, origin, tmp_path, changed):
    before = describe(tmp_path / "copy")
    origin.state.spoil_delta = lambda name, data: data[:-1]
    origin.state.spoil = lambda name, data: data[:-1] + b"x" if name == changed else data
    agent.run("pull", tmp_path / "copy", "--version", "v2", code=8)
    assert describe(tmp_path / "copy") == before


@pytest.mark.parametrize("status", [404, 403, 422, 500])
def test_a_server_that_refuses_deltas(agent, origin, source, tmp_path, changed, status):
    agent.config.write_text(agent.config.read_text() + "retries: 0\n")
    origin.state.fail = lambda request: (status if blobs_asked(origin, changed) == 1
                                         and request.endswith(changed) else None)
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


def test_a_base_that_is_not_what_was_noted(agent, origin, source, tmp_path, changed):
    """Written to while the delta is on its way."""
    copy = tmp_path / "copy"

    def spoil_delta(name, data):
        with open(copy / "big", "r+b") as file:
            file.write(b"damage")
        return data

    origin.state.spoil_delta = spoil_delta
    agent.pull(copy, "v2")
    assert describe(source) == describe(copy)
    assert blobs_asked(origin, changed) == 2


def test_a_file_that_was_written_anew_is_no_base(agent, source, tmp_path, changed):
    write(tmp_path / "copy", "big", os.urandom(SIZE))
    done = agent.run("pull", tmp_path / "copy", "--version", "v2", "--verbose")
    assert describe(source) == describe(tmp_path / "copy")
    assert "big: not mended: too much" in done.words and "big: whole, " in done.words


DAMAGE = {
    "in place": lambda data: data[:300_000] + b"damage" + data[300_006:],
    "at the front": lambda data: b"damage" + data[6:],
    "at the end": lambda data: data[:-6] + b"damage",
    "in two places": lambda data: b"damage" + data[6:1_500_000] + b"damage" + data[1_500_006:],
    "in neighbours": lambda data: data[:600_000] + b"x" * 10_000 + data[610_000:],
    "appended": lambda data: data + b"damage",
    "cut": lambda data: data[:-6],
    "cut out": lambda data: data[:-6000] + data[-3000:],
}


def damage(copy, how, name="big"):
    write(copy, name, DAMAGE[how]((copy / name).read_bytes()))


@pytest.mark.parametrize("how", DAMAGE)
def test_a_changed_file_is_mended(agent, source, tmp_path, changed, how):
    """The delta is that from what the last pull has put there; a few blocks are what is wrong."""
    damage(tmp_path / "copy", how)
    done = agent.run("pull", tmp_path / "copy", "--version", "v2", "--verbose")
    assert describe(source) == describe(tmp_path / "copy")
    if how == "appended":  # what is behind its end does not matter
        assert "big: delta, " in done.words
    else:
        assert "big: mended, " in done.words
    assert not (tmp_path / "copy/.kkartifact/stage").exists()
    damage(tmp_path / "copy", how)
    pulled = agent.pull(tmp_path / "copy", "v2")  # and back to what it was: nothing but blocks
    assert describe(source) == describe(tmp_path / "copy")
    assert pulled["received_bytes"] < 60_000


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("how", ["moved", "half", "little"])
def test_what_is_changed_all_over_comes_whole(agent, source, tmp_path, changed, how, version):
    copy, other = tmp_path / "copy", tmp_path / "other"
    agent.pull(other, version)
    data = (copy / "big").read_bytes()
    write(copy, "big", {"moved": b"x" + data, "half": data[:SIZE // 3],
                        "little": data[:1000]}[how])
    done = agent.run("pull", copy, "--version", version, "--verbose")
    assert describe(other) == describe(copy)
    assert "big: whole, " in done.words


def test_what_is_changed_far_and_wide_comes_whole(agent, source, tmp_path, changed):
    data = bytearray((tmp_path / "copy/big").read_bytes())
    for at in range(0, len(data), 30_000):
        data[at] ^= 1
    write(tmp_path / "copy", "big", bytes(data))
    done = agent.run("pull", tmp_path / "copy", "--version", "v2", "--verbose")
    assert describe(source) == describe(tmp_path / "copy")
    assert "big: not mended: too much" in done.words and "big: whole, " in done.words


MENDING_LIES = {
    "another tree": lambda what, data: bytes(len(data)) if what == "merkle" else data,
    "a bit of it": lambda what, data: data[:9] + bytes([data[9] ^ 1]) + data[10:]
                   if what == "merkle" else data,
}


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("lie", MENDING_LIES)
def test_a_tree_that_lies_mends_nothing(agent, origin, tmp_path, source, changed, lie, version):
    agent.pull(tmp_path / "other", version)
    damage(tmp_path / "copy", "in place")
    origin.state.spoil_hint = lambda what, name, data: MENDING_LIES[lie](what, data)
    done = agent.run("pull", tmp_path / "copy", "--version", version, "--verbose")
    assert describe(tmp_path / "other") == describe(tmp_path / "copy")
    assert "big: not mended: " in done.words and "big: whole, " in done.words


@pytest.mark.parametrize("status", [404, 500, "cut"])
def test_mending_that_fails_comes_whole(agent, origin, source, tmp_path, changed, status):
    agent.config.write_text(agent.config.read_text() + "retries: 0\n")
    damage(tmp_path / "copy", "in place")
    origin.state.fail = lambda request: status if request.endswith("/merkle") else None
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_server_that_is_away_is_waited_for_once(agent, origin, source, tmp_path, when):
    """Not for each file that was changed: before it is asked for, or when it is mended."""
    agent.config.write_text(agent.config.read_text() + "retries: 1\n")
    for number in range(4):
        write(source, f"{number}/file", os.urandom(300_000))
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    changed = {change(source, f"{number}/file", 10_000) for number in range(4)}
    agent.push(source, "v2")
    for number in range(4):
        damage(tmp_path / "copy", "at the end", f"{number}/file")
    origin.state.requests.clear()
    end = "/merkle" if when == "after" else tuple(changed)
    asked = []

    def fail(request):
        if request.endswith(end) and (when == "after" or len(asked) < 2):
            asked.append(request)
            return 503
        return None

    origin.state.fail = fail
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert len(asked) == 2 and len(set(asked)) == 1
    # Before: the one that was waited for, then each as ever.
    if when == "before":
        assert sum(blobs_asked(origin, name) for name in changed) == 2 + 4


@pytest.mark.parametrize("first", ["v2", "v3"])
def test_nothing_half_mended_is_left(agent, origin, source, tmp_path, changed, first):
    """Another file does not come, before this one is mended or after."""
    copy = tmp_path / "copy"
    write(source, "other", os.urandom(SIZE))
    agent.push(source, "v3")
    missing = hexdigest((source / "other").read_bytes())
    agent.pull(copy, first)
    for name in ["big", "other"] if first == "v3" else ["big"]:
        damage(copy, "in place", name)
    origin.state.fail = lambda request: 404 if missing in request else None
    agent.run("pull", copy, "--version", "v3", code=5)
    left = os.listdir(copy / ".kkartifact/stage")
    assert left == ([changed] if first == "v3" else [])
    origin.state.fail = lambda request: None
    agent.pull(copy, "v3")
    assert describe(source) == describe(copy)


def test_wrong_bytes_mend_nothing(agent, origin, source, tmp_path, changed):
    """What came by Range is not believed either."""
    before = describe(tmp_path / "copy")
    damage(tmp_path / "copy", "in place")
    damaged = describe(tmp_path / "copy")
    origin.state.spoil = lambda name, data: b"x" * len(data) if name == changed else data
    agent.run("pull", tmp_path / "copy", "--version", "v2", code=8)
    assert describe(tmp_path / "copy") == damaged != before
    origin.state.spoil = lambda name, data: data
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")


def test_many_at_once_and_broken_connections(agent, origin, source, tmp_path):
    for number in range(12):
        write(source, f"{number}/file", os.urandom(300_000))
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    names = [change(source, f"{number}/file", number * 20_000) for number in range(12)]
    agent.push(source, "v2")
    seen = set()

    def fail(request):
        if request in seen or "/blobs/" not in request:
            return None
        seen.add(request)
        return "cut" if len(seen) % 2 else None

    origin.state.fail = fail
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert sorted(origin.state.deltas) == sorted(names)


def test_nothing_is_left_in_the_stage_when_the_pull_fails(agent, origin, tmp_path, changed):
    origin.state.spoil_delta = lambda name, data: data[:-1]
    origin.state.fail = lambda request: (404 if blobs_asked(origin, changed) > 1
                                         and request.endswith(changed) else None)
    agent.run("pull", tmp_path / "copy", "--version", "v2", code=5)
    assert not os.listdir(tmp_path / "copy/.kkartifact/stage")


def test_a_touched_file_is_read(agent, origin, source, tmp_path, changed):
    """It has another stamp than the last pull has noted, and the same bytes."""
    os.utime(tmp_path / "copy/big", (1, 1))
    pulled = agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert origin.state.deltas == [changed] and pulled["received_bytes"] < 30_000


def test_a_touched_file_that_is_wanted_is_not_fetched(agent, origin, tmp_path, source):
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    write(source, "small", b"changed")
    os.rename(source / "big", source / "moved")
    agent.push(source, "v2")
    os.utime(tmp_path / "copy/big", (1, 1))
    assert agent.pull(tmp_path / "copy", "v2")["received_bytes"] < 30_000
    assert describe(source) == describe(tmp_path / "copy")
    os.utime(tmp_path / "copy/moved", (1, 1))
    origin.state.requests.clear()
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert not any("/blobs" in request for request in origin.state.requests)


def test_a_file_that_was_put_there_by_hand_is_a_base(agent, origin, source, tmp_path, changed):
    """What it holds is another version's, though the last pull was of neither."""
    copy = tmp_path / "copy"
    old = (copy / "big").read_bytes()
    write(source, "big", os.urandom(SIZE))
    agent.push(source, "v3")
    agent.pull(copy, "v3")
    write(copy, "big", old)
    origin.state.deltas.clear()
    assert agent.pull(copy, "v2")["received_bytes"] < 30_000
    assert set(origin.state.deltas) == {changed}
    agent.pull(tmp_path / "other", "v2")
    assert describe(copy) == describe(tmp_path / "other")


def test_a_file_that_is_much_larger_is_not_read(agent, origin, source, tmp_path, changed):
    old = (tmp_path / "copy/big").read_bytes()
    write(tmp_path / "copy", "big", old + bytes(9 * SIZE))
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert not origin.state.deltas


MOVES = {
    "into a directory": ("one", "sub/one"),
    "out of a directory": ("sub/one", "one"),
    "with its directory": ("app-1.9/lib/one.so", "app-1.10/lib/one.so"),
    "to another number": ("lib/app-1.9.jar", "lib/app-1.10.jar"),
    "to another digest": ("main.8d2f1c.js", "main.07ab3e.js"),
}


@pytest.mark.parametrize("touched", [False, True])
@pytest.mark.parametrize("move", MOVES)
def test_what_moved_and_changed(agent, origin, source, tmp_path, move, touched):
    old, new = MOVES[move]
    copy = tmp_path / "copy"
    write(source, old, os.urandom(SIZE))
    agent.push(source, "v1")
    agent.pull(copy, "v1")
    write(source, new, (source / old).read_bytes())
    os.remove(source / old)
    if os.path.dirname(old) and not os.listdir(source / os.path.dirname(old)):
        os.removedirs(source / os.path.dirname(old))
    name = change(source, new)
    agent.push(source, "v2")
    if touched:
        os.utime(copy / old, (1, 1))
    pulled = agent.pull(copy, "v2")
    assert describe(source) == describe(copy)
    assert origin.state.deltas == [name] and pulled["received_bytes"] < 30_000


def test_of_several_the_likest_is_the_base(agent, origin, source, tmp_path):
    """The version's directory has another name, and files of one name are below it. What is of the
    same name and stays is no better than that; another number that stays is nothing."""
    parts = ["a", "b", "c"]
    for part in parts:
        write(source, f"app-1/{part}/lib.so", os.urandom(SIZE + parts.index(part)))
    write(source, "other/lib.so", os.urandom(SIZE + 10))
    write(source, "data/1.bin", os.urandom(SIZE))
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    os.rename(source / "app-1", source / "app-2")
    names = [change(source, f"app-2/{part}/lib.so") for part in parts]
    write(source, "data/2.bin", os.urandom(SIZE))
    agent.push(source, "v2")
    pulled = agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert sorted(origin.state.deltas) == sorted(names)
    assert SIZE < pulled["received_bytes"] < SIZE + 100_000


def test_many_of_like_names_hide_none(agent, origin, source, tmp_path):
    """The one that has moved is found among more small ones than are examined."""
    for number in range(5000):
        write(source, f"{number % 7}/file-{number}.js", b"%d" % number)
    write(source, "x/file-7.js", os.urandom(SIZE))
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    os.rename(source / "x", source / "y")
    os.rename(source / "y/file-7.js", source / "y/file-8.js")
    name = change(source, "y/file-8.js")
    agent.push(source, "v2")
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert name in origin.state.deltas  # and listing and times


def test_a_new_file_is_like_one_that_stays(agent, origin, source, tmp_path):
    agent.push(source, "v1")
    agent.pull(tmp_path / "copy", "v1")
    write(source, "again/big", (source / "big").read_bytes())
    name = change(source, "again/big")
    agent.push(source, "v2")
    agent.pull(tmp_path / "copy", "v2")
    assert describe(source) == describe(tmp_path / "copy")
    assert origin.state.deltas == [name]


def test_back_to_a_version_that_differs(agent, origin, source, tmp_path):
    """Whatever is there, touched or not, is what the older one is made of."""
    first = change(source)
    agent.push(source, "v1")
    change(source, at=500_000)
    agent.push(source, "v2")
    agent.pull(tmp_path / "copy", "v2")
    for touch in False, True:
        if touch:
            os.utime(tmp_path / "copy/big", (1, 1))
        assert agent.pull(tmp_path / "copy", "v1")["received_bytes"] < 700_000
        assert origin.state.deltas.pop() == first
        assert agent.pull(tmp_path / "copy", "v2")["received_bytes"] < 700_000
    assert describe(source) == describe(tmp_path / "copy")
