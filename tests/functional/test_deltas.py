# SPDX-License-Identifier: MIT
"""Deltas between versions: what travels, and what damage in the store makes of them."""

import hashlib
import pathlib

import pytest

import trees
from kkformats import chunk_list, delta, merkle
from pushes import Push

MIB = 1 << 20
SIZE = 20 * MIB
DELTA = "application/vnd.kkartifact.delta"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def put_version(server, names, version, data, **options):
    """A version of one file, pushed by hand."""
    push = Push(server, names, version, **options)
    push.describe((b"file", data))
    for at in range(0, len(data), 8 * MIB):
        assert push.part(sha(data), data[at:at + 8 * MIB], at, len(data)).status == 204
    assert push.commit().status == 201
    return push


def get_from(push, target, base):
    """The blob of the version that was pushed, from another."""
    return push.request("GET", f"{push.app}/versions/{push.version}/blobs/{sha(target)}"
                               f"?from={sha(base)}")


def assert_right(answer, target, base):
    """A delta that makes the blob, or the blob."""
    assert answer.status == 200, answer
    if answer.headers["content-type"] == DELTA:
        assert delta.apply(answer.body, base) == target
    else:
        assert answer.body == target


@pytest.fixture(scope="module")
def old():
    return trees.random_bytes(SIZE, 7)


@pytest.mark.parametrize("kind, percent", [("in-place", 0.2), ("inserted", 1), ("moved", 1)])
def test_bytes_of_a_delta(kind, percent, old, server, names):
    """A large file of which little changed costs little, wherever the change stands."""
    half = SIZE // 2
    new = {"in-place": old[:half] + b"changed in place" + old[half + 16:],
           "inserted": old[:5000] + b"inserted" * 100 + old[5000:],
           "moved": old[half:] + old[:half]}[kind]
    put_version(server, names, "old", old)
    push = put_version(server, names, "new", new)
    answer = get_from(push, new, old)
    assert answer.headers["content-type"] == DELTA
    assert delta.apply(answer.body, old) == new
    assert len(answer.body) <= SIZE * percent / 100
    # another time it is there already, byte for byte
    assert get_from(push, new, old).body == answer.body


def objects_beside(server, data, suffix):
    """The store's files beside the blob of these bytes."""
    root = pathlib.Path(server.data) / "blobs"
    return [path for path in root.rglob(f"*{suffix}")
            if path.is_file() and path.name.startswith(sha(data)[:16])]


def overwrite(path, data):
    path.chmod(0o600)
    path.write_bytes(data)


def restart(server):
    server.kill()
    for kept in (pathlib.Path(server.data) / "delta").iterdir():
        kept.unlink()
    server.start()


def test_chunk_lists_that_lie(new_server, names):
    """A list that keeps every rule and is that of other bytes: no wrong delta leaves the server."""
    server = new_server()
    old = trees.random_bytes(3 * MIB, 8)
    new = b"inserted" * 10 + old
    put_version(server, names, "old", old)
    push = put_version(server, names, "new", new)
    honest = get_from(push, new, old)
    assert honest.headers["content-type"] == DELTA
    lists = objects_beside(server, old, ".c")
    assert len(lists) == 1
    lie = bytearray(chunk_list.build(new[:len(old)]))
    lie[16:48] = hashlib.sha256(old).digest()
    overwrite(lists[0], bytes(lie))
    restart(server)
    assert_right(get_from(push, new, old), new, old)
    # It was found out, and made again.
    again = get_from(push, new, old)
    assert again.headers["content-type"] == DELTA and len(again.body) < len(new) / 50
    assert_right(again, new, old)


@pytest.mark.parametrize("whose", ["old", "new"])
@pytest.mark.parametrize("damage", ["other", "nonsense", "cut", "gone"])
def test_damaged_hints(damage, whose, new_server, names):
    """Merkle objects and chunk lists that are of another blob, or none at all."""
    server = new_server()
    data = {"old": trees.random_bytes(3 * MIB, 1)}
    data["new"] = data["old"][:MIB] + b"changed in place" + data["old"][MIB + 16:]
    put_version(server, names, "old", data["old"])
    push = put_version(server, names, "new", data["new"])
    assert push.request("GET", f"{push.app}/versions/new/blobs/{sha(data['new'])}/chunks"
                        ).status == 200
    other = trees.random_bytes(3 * MIB, 2)
    lies = {".m": merkle.build(other)[0],
            ".c": chunk_list.build(other)}
    for suffix, lie in lies.items():
        for path in objects_beside(server, data[whose], suffix):
            whole = path.read_bytes()
            if damage == "gone":
                path.unlink()
            else:
                overwrite(path, {"other": lie[:len(whole)].ljust(len(whole), b"\0"),
                                 "nonsense": b"x" * len(whole), "cut": whole[:-1]}[damage])
    restart(server)
    assert_right(get_from(push, data["new"], data["old"]), data["new"], data["old"])
    assert_right(get_from(push, data["new"], data["old"]), data["new"], data["old"])


def test_damaged_blobs_give_no_wrong_delta(old, new_server, names):
    """One bit of the base: what is left is the target, whole."""
    server = new_server()
    new = old[:100] + b"changed in place" + old[116:]
    put_version(server, names, "old", old)
    push = put_version(server, names, "new", new)
    stored = [path for path in objects_beside(server, old, "")
              if path.is_file() and path.stat().st_size == SIZE]
    assert len(stored) == 1
    overwrite(stored[0], old[:SIZE // 2] + bytes([old[SIZE // 2] ^ 1]) + old[SIZE // 2 + 1:])
    answer = get_from(push, new, old)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.body == new


def test_a_base_of_another_project(server, names):
    """It is there, it would be worth it, and the answer is that of one that does not exist."""
    old = trees.random_bytes(MIB, 11)
    new = old[:-16] + b"changed in place"
    hidden = type(names)(project=names.project + "-hidden", app="app")
    put_version(server, hidden, "old", old)
    push = put_version(server, names, "new", new)
    assert get_from(push, new, old).headers["content-type"] == DELTA  # to one who sees both
    push.token = server.token("pull", project=names.project)
    answers = [get_from(push, new, base) for base in (old, b"nobody has this")]
    assert [(one.status, one.body) for one in answers] == [(200, new)] * 2
    kept = [{name: value for name, value in one.headers.items()
             if name not in ("date", "x-request-id")} for one in answers]
    assert kept[0] == kept[1]
