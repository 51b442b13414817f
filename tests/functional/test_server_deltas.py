# SPDX-License-Identifier: MIT
"""Deltas between versions: what travels, and what damage in the store makes of them."""

import contextlib
import hashlib
import pathlib
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import trees
import wire
from kkformats import chunk_list, delta, merkle, refused
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


def test_who_comes_back_is_not_given_the_whole(old, new_server, names):
    """With two workers one delta is made at a time, and nobody waits."""
    server = new_server(environment={"KKARTIFACT_WORKERS": "2"})
    olds = [old[at * 4 * MIB:(at + 1) * 4 * MIB] for at in range(5)]
    news = [b"new" + data for data in olds]
    for name, files in (("old", olds), ("new", news)):
        push = Push(server, names, name)
        push.describe(*((b"%d" % at, data) for at, data in enumerate(files)))
        for data in files:
            assert push.part(sha(data), data, 0, len(data)).status == 204
        assert push.commit().status == 201

    def get(at, **headers):
        return push.request("GET", f"{push.app}/versions/new/blobs/{sha(news[at])}"
                                   f"?from={sha(olds[at])}", headers=headers)

    with ThreadPoolExecutor(len(olds)) as pool:
        answers = list(pool.map(lambda at: get(at, Prefer="respond-async"), range(len(olds))))
    assert {answer.status for answer in answers} == {200, 202}, answers
    for at, answer in enumerate(answers):
        if answer.status == 202:
            assert answer.body == b"" and answer.headers["retry-after"] == "1"
            assert answer.headers["cache-control"] == "no-store"
            answer = get(at)  # nobody else is there now
        assert answer.headers["content-type"] == DELTA
        assert_right(answer, news[at], olds[at])


def objects_beside(server, data, suffix):
    """The store's files beside the blob of these bytes."""
    root = pathlib.Path(server.data) / "blobs"
    return [path for path in root.rglob(f"*{suffix}")
            if path.is_file() and path.name.startswith(sha(data)[:16])]


@pytest.mark.parametrize("changed, lists", [(SIZE // 80, 0), (SIZE // 40, 1)])
def test_lists_are_made_where_trees_leave_much(changed, lists, server, names):
    old = trees.random_bytes(SIZE, changed)
    new = old[:MIB] + bytes(changed) + old[MIB + changed:]
    put_version(server, names, "old", old)
    push = put_version(server, names, "new", new)
    answer = get_from(push, new, old)
    assert answer.headers["content-type"] == DELTA
    assert delta.apply(answer.body, old) == new
    assert [len(objects_beside(server, data, ".c")) for data in (old, new)] == [lists, lists]


def overwrite(path, data):
    path.chmod(0o600)
    path.write_bytes(data)


def restart(server):
    server.kill()
    for kept in (pathlib.Path(server.data) / "delta").iterdir():
        kept.unlink()
    server.start()


def put_lie(server, names, old, new):
    """Two versions, and a chunk list of the first that keeps every rule and is that of other
    bytes."""
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
    return push


def test_chunk_lists_that_lie(new_server, names):
    """No wrong delta of a small blob leaves the server."""
    server = new_server()
    old = trees.random_bytes(3 * MIB, 8)
    new = b"inserted" * 10 + old
    push = put_lie(server, names, old, new)
    assert_right(get_from(push, new, old), new, old)
    # It was found out, and made again.
    again = get_from(push, new, old)
    assert again.headers["content-type"] == DELTA and len(again.body) < len(new) / 50
    assert_right(again, new, old)


def test_a_large_delta_that_is_wrong_goes(old, new_server, names):
    """It is the receiver's to refuse; what is asked for again is looked at, and given up."""
    server = new_server()
    new = b"inserted" * 10 + old
    push = put_lie(server, names, old, new)
    answer = get_from(push, new, old)
    assert answer.headers["content-type"] == DELTA
    with pytest.raises(refused.Refused, match="target"):
        delta.apply(answer.body, old)
    until = time.monotonic() + 60
    while answer.headers["content-type"] == DELTA:
        assert time.monotonic() < until
        time.sleep(0.05)  # 20 MiB each time keep the server from looking at it
        answer = get_from(push, new, old)
    assert answer.body == new
    restart(server)
    again = get_from(push, new, old)
    assert again.headers["content-type"] == DELTA
    assert delta.apply(again.body, old) == new


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


@pytest.mark.parametrize("size, media_type", [(3 * MIB, "application/octet-stream"),
                                              (SIZE, DELTA)])
def test_damaged_blobs_give_no_wrong_delta(size, media_type, old, new_server, names):
    """One bit of the base: what is left of a small target is all of it. Of a large one it is a
    delta, which only names what it copies: it is right for a base that is."""
    server = new_server()
    old = old[:size]
    new = old[:100] + b"changed in place" + old[116:]
    put_version(server, names, "old", old)
    push = put_version(server, names, "new", new)
    stored = [path for path in objects_beside(server, old, "")
              if path.is_file() and path.stat().st_size == size]
    assert len(stored) == 1
    overwrite(stored[0], old[:size // 2] + bytes([old[size // 2] ^ 1]) + old[size // 2 + 1:])
    answer = get_from(push, new, old)
    assert answer.headers["content-type"] == media_type
    assert_right(answer, new, old)


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


# ------------------------------------------------------------------ pushes

def open_target(server, names, base, version="new"):
    """A push of one change to `base`, ready for its blob; the target and its delta."""
    target = base[:1000] + b"pushed as a delta" + base[1017:]
    push = Push(server, names, version)
    push.describe((b"file", target))
    frames = [("copy", 0, 1000), ("raw", target[1000:1017]), ("copy", 1017, len(base) - 1017)]
    return push, target, delta.write(base, target, frames)


def send_delta(push, target, body):
    return push.request("PUT", f"{push.path}/blobs/{sha(target)}", body=body,
                        headers={"Content-Type": DELTA})


def sizes_in_store(server):
    return sorted(path.stat().st_size for path in (pathlib.Path(server.data) / "blobs").rglob("*")
                  if path.is_file())


def test_pushed_as_a_delta(old, server, names):
    """A few hundred bytes make 20 MB."""
    put_version(server, names, "old", old)
    push, target, body = open_target(server, names, old)
    assert len(body) < 300
    answer = send_delta(push, target, body)
    assert (answer.status, answer.headers["upload-offset"]) == (204, str(SIZE))
    assert push.commit().status == 201
    assert push.bytes_of("file").body == target


def test_a_large_blob_pushed_as_a_delta(server, names):
    """Above 64 MiB the merkle object is made from what was stored."""
    piece = trees.random_bytes(MIB, 12)
    base = b"".join(number.to_bytes(8, "little") + piece for number in range(66))
    put_version(server, names, "old", base)
    push, target, body = open_target(server, names, base)
    assert send_delta(push, target, body).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("file").body == target
    merkle_object = push.request("GET", f"{push.app}/versions/new/blobs/{sha(target)}/merkle").body
    assert len(merkle_object) == merkle.object_size(len(target))
    answer = get_from(push, target, base)
    assert answer.headers["content-type"] == DELTA
    assert delta.apply(answer.body, base) == target


def test_a_delta_that_lies_leaves_nothing(old, new_server, names):
    server = new_server()
    put_version(server, names, "old", old)
    push, target, body = open_target(server, names, old)
    before = sizes_in_store(server)
    lie = body.replace(b"pushed as a delta", b"pushed as a lie!!")
    answer = send_delta(push, target, lie)
    assert (answer.status, answer.code) == (422, "digest-mismatch")
    assert sizes_in_store(server) == before
    assert push.commit().code == "missing-blobs"
    assert send_delta(push, target, body).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("file").body == target


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_server_killed_while_it_makes_a_blob(after_s, old, new_server, names):
    """Whenever it dies: the push goes on, and the blob is whole or not there."""
    server = new_server()
    put_version(server, names, "old", old)
    push, target, body = open_target(server, names, old)
    sent = wire.request("PUT", f"{push.path}/blobs/{sha(target)}", push.token,
                        [("Content-Type", DELTA), ("Content-Length", len(body))], body)
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(sent)
        time.sleep(after_s)
        server.process.kill()
        server.kill()
    server.start()
    head = push.request("HEAD", f"{push.path}/blobs/{sha(target)}")
    assert head.headers["upload-offset"] in ("0", str(SIZE))
    assert send_delta(push, target, body).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("file").body == target


def test_server_killed_in_the_middle_of_the_body(new_server, names):
    server = new_server()
    base = trees.random_bytes(MIB, 21)
    put_version(server, names, "old", base)
    push, target, body = open_target(server, names, base)
    sent = wire.request("PUT", f"{push.path}/blobs/{sha(target)}", push.token,
                        [("Content-Type", DELTA), ("Content-Length", len(body))], body[:100])
    with socket.create_connection(("127.0.0.1", server.port)) as link:
        link.sendall(sent)
        server.process.kill()
        server.kill()
    server.start()
    head = push.request("HEAD", f"{push.path}/blobs/{sha(target)}")
    assert head.headers["upload-offset"] == "0"
    assert send_delta(push, target, body).status == 204
    assert push.commit().status == 201


def in_database(server, *statements):
    """What the collector does to rows, while the server runs; what the last statement gives."""
    path = pathlib.Path(server.data) / "kkartifact.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        database.execute("PRAGMA foreign_keys = on")
        with database:
            return [database.execute(*one).fetchall() for one in statements][-1]


def test_bases_that_were_given_up(new_server, names):
    """Condemned: it lives again, and is held. Its object gone: an error that blames nobody, then no
    such base; and never a wrong blob."""
    server = new_server()
    base = trees.random_bytes(MIB, 22)
    put_version(server, names, "old", base)
    mine = (hashlib.sha256(base).digest(),)
    in_database(server, ("UPDATE blobs SET state = 'condemned' WHERE sha256 = ?", mine))
    push, target, body = open_target(server, names, base)
    assert send_delta(push, target, body).status == 204
    assert in_database(server, ("SELECT state FROM blobs WHERE sha256 = ?", mine)) == [("live",)]
    with pytest.raises(sqlite3.IntegrityError):
        in_database(server, ("DELETE FROM version_blobs WHERE blob_id ="
                             " (SELECT id FROM blobs WHERE sha256 = ?)", mine),
                    ("DELETE FROM blobs WHERE sha256 = ?", mine))
    assert push.commit().status == 201
    second = put_version(server, names, "second", base + b"2")
    push, target, body = open_target(server, names, base + b"2", "third")
    for path in objects_beside(server, base + b"2", ""):
        path.unlink()
    server.kill()
    server.start()
    answer = send_delta(push, target, body)
    assert answer.status in (500, 502, 404), answer
    answer = send_delta(push, target, body)
    assert (answer.status, answer.code) == (404, "not-found")
    assert second.part(sha(target), target, 0, len(target)).status == 404  # it has ended
    assert push.part(sha(target), target, 0, len(target)).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("file").body == target
