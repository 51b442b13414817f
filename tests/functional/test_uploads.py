# SPDX-License-Identifier: MIT
"""Uploads that are not what they promised: bodies, offsets, digests, listings."""

import hashlib
import os
import pathlib
import socket
import struct
import time

import pytest
import zstandard

import wire
from kkformats import entries, listing
from pushes import Push

SIZE = 128 << 10  # of the data of a Push
VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "refused"


@pytest.fixture
def push(server, names):
    return Push(server, names)


def raw_part(push, data, headers, **options):
    """A PATCH with its headers as they are given; the answer's bytes."""
    sent = wire.request("PATCH", f"{push.path}/blobs/{push.digest}", push.token,
                        [("Content-Type", "application/octet-stream"), *headers], data)
    return wire.exchange(push.server.port, sent, **options)


def test_by_hand(push):
    push.describe((b"f", push.data))
    missing = push.request("GET", f"{push.path}/missing")
    assert missing.body == b"\x01"
    assert push.send(0, 65536).headers["upload-offset"] == "65536"
    assert push.offset() == 65536
    early = push.commit()
    assert (early.status, early.code, early.json()["missing"]) == (409, "missing-blobs", 1)
    assert push.send(65536).status == 204
    assert not push.is_visible()
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


def test_body_shorter_than_promised(push):
    """The client ends its side in the middle: nothing is visible, and what came counts."""
    push.describe((b"f", push.data))
    headers = [("Upload-Offset", "0"), ("Upload-Length", SIZE), ("Content-Length", SIZE)]
    answer = raw_part(push, push.data[:50000], headers, end=True, within=60)
    assert wire.status_of(answer) in (None, 400, 408)
    until = time.monotonic() + 60
    while push.offset() == 0:  # it may not have noticed yet
        assert time.monotonic() < until
        time.sleep(0.02)
    assert push.offset() == 50000, "what came counts"
    assert push.send(50000).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


def test_connection_reset_in_the_middle(push):
    """Nothing is visible, and the upload is completed from the offset that the server tells.

    How much of it counts is not known: a reset drops what the server has not read yet.
    """
    push.describe((b"f", push.data))
    headers = [("Upload-Offset", "0"), ("Upload-Length", SIZE), ("Content-Length", SIZE)]
    link = socket.create_connection(("127.0.0.1", push.server.port))
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.sendall(wire.request("PATCH", f"{push.path}/blobs/{push.digest}", push.token, headers,
                              push.data[:50000]))
    link.close()
    until = time.monotonic() + 60
    while True:  # until it has noticed: 409 while the other request goes on, or moved the offset
        offset = push.offset()
        assert 0 <= offset <= 50000
        assert not push.is_visible()
        answer = push.send(offset)
        if answer.status == 204:
            break
        assert answer.status == 409, answer
        assert time.monotonic() < until
        time.sleep(0.02)
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


def test_body_longer_than_promised(push):
    """What follows the promised bytes is another request, and no part of the blob."""
    push.describe((b"f", push.data))
    headers = [("Upload-Offset", "0"), ("Upload-Length", SIZE), ("Content-Length", SIZE)]
    answer = raw_part(push, push.data + b"more of it", headers)
    assert wire.status_of(answer) in (204, 400)
    if push.offset() < len(push.data):
        assert push.send(push.offset()).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


@pytest.mark.parametrize("offset, total, status", [
    (0, SIZE - 1, 422), (0, SIZE + 1, 422), (1, SIZE, 409), (-1, SIZE, 422), (2**63, SIZE, 409),
    (0, 2**63, 422), ("x", SIZE, 422), (0, "", 422), ("00x", 0, 422)])
def test_wrong_numbers(push, offset, total, status):
    push.describe((b"f", push.data))
    answer = push.part(push.digest, push.data, offset, total)
    assert answer.status in (status, 400, 422), answer
    assert push.offset() == 0
    assert not push.is_visible()


def test_part_beyond_the_end(push):
    push.describe((b"f", push.data))
    assert push.send(0, 100_000).status == 204
    answer = push.part(push.digest, push.data[:100_000], 100_000, len(push.data))
    assert 400 <= answer.status < 500, answer
    assert push.send(push.offset()).status == 204


def test_part_that_is_too_large(push):
    """Judged by its header: refused before the body is read."""
    push.describe((b"f", push.data))
    headers = [("Upload-Offset", "0"), ("Upload-Length", 1 << 40), ("Content-Length", 1 << 40)]
    answer = raw_part(push, b"", headers, within=10)
    assert wire.status_of(answer) in (413, 422), answer[:300]


def test_without_a_length(push):
    push.describe((b"f", push.data))
    answer = raw_part(push, b"5\r\nhello\r\n0\r\n\r\n",
                      [("Upload-Offset", "0"), ("Upload-Length", len(push.data)),
                       ("Transfer-Encoding", "chunked")], within=10)
    assert wire.status_of(answer) == 411, answer[:300]


def packed(data, log=18):
    """One frame with its content size, matches at most 2^log bytes back."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=log)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def packed_part(push, body, offset, length):
    return push.part(push.digest, body, offset, SIZE, Content_Encoding="zstd",
                     Upload_Part_Length=length)


def test_parts_in_zstd(push):
    push.describe((b"f", push.data))
    answer = packed_part(push, packed(push.data[:50000]), 0, 50000)
    assert (answer.status, answer.headers["upload-offset"]) == (204, "50000")
    assert push.offset() == 50000
    assert push.send(50000, 60000).status == 204, "and plain ones between them"
    assert packed_part(push, packed(push.data[60000:]), 60000, SIZE - 60000).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


@pytest.mark.parametrize("how, status", [
    ("no frame", 422), ("cut", 422), ("more behind", 422), ("longer", 422), ("shorter", 422),
    ("damaged", 422), ("no length", 422), ("other bytes", 422),
    ("too long", 422), ("at another place", 409), ("gzip", 415)])
def test_bad_parts_in_zstd(push, how, status):
    push.describe((b"f", push.data))
    good = packed(push.data)
    bad = {"no frame": push.data[:1000], "cut": good[:-5], "more behind": good + b"x",
           "longer": packed(push.data + b"x"), "shorter": packed(push.data[:-1]),
           "other bytes": packed(bytes(SIZE)),
           "damaged": good[:20000] + b"\xff" * 300 + good[20300:]}.get(how, good)
    length = {"no length": "", "too long": SIZE + 1, "at another place": SIZE - 100}.get(how, SIZE)
    offset = 100 if how == "at another place" else 0
    answer = push.part(push.digest, bad, offset, SIZE, Upload_Part_Length=length,
                       Content_Encoding="gzip" if how == "gzip" else "zstd")
    assert answer.status == status, answer
    assert push.offset() == 0 and not push.is_visible()
    assert packed_part(push, good, 0, SIZE).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


def test_much_of_nothing_in_zstd(push):
    """A frame that unpacks to more than was said ends there."""
    push.describe((b"f", push.data))
    assert packed_part(push, packed(bytes(64 << 20)), 0, SIZE).status == 422
    assert push.offset() == 0


@pytest.mark.parametrize("log, status", [(18, 204), (20, 422)])
def test_window_of_a_part(log, status, push):
    """A part in zstd makes its reader hold 256 KiB, not what the frame announces."""
    push.data = os.urandom(64 << 10) * 18  # more than the window, else the content is all of it
    push.digest = hashlib.sha256(push.data).hexdigest()
    push.describe((b"f", push.data))
    frame = packed(push.data, log)
    assert zstandard.get_frame_parameters(frame).window_size == 1 << log
    answer = push.part(push.digest, frame, 0, len(push.data), Content_Encoding="zstd",
                       Upload_Part_Length=len(push.data))
    assert answer.status == status, answer
    assert push.offset() == (len(push.data) if status == 204 else 0)


def test_wrong_bytes(push):
    push.describe((b"f", push.data))
    wrong = push.part(push.digest, push.data[:-1] + b"X", 0, len(push.data))
    assert (wrong.status, wrong.code) == (422, "digest-mismatch")
    assert wrong.json()["expected"] == push.digest
    assert wrong.json()["actual"] == hashlib.sha256(push.data[:-1] + b"X").hexdigest()
    assert push.offset() == 0
    assert push.commit().status == 409
    assert push.send().status == 204
    assert push.commit().status == 201


def test_blob_of_another_listing(push):
    push.describe((b"f", push.data))
    other = hashlib.sha256(b"other").hexdigest()
    assert push.part(other, b"other", 0, 5).status == 404


def test_push_of_another_token(push, server, names):
    push.describe((b"f", push.data))
    thief = server.token("push,pull", project=names.project)
    for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/missing"),
                        ("HEAD", f"/blobs/{push.digest}"), ("POST", "/commit")):
        assert server.request(method, push.path + end, token=thief).status == 404, (method, end)
    assert push.send().status == 204
    assert push.commit().status == 201


def test_abandoned_push_leaves_nothing(push):
    push.describe((b"f", push.data))
    assert push.send().status == 204
    assert push.request("DELETE", push.path).status == 204
    assert push.request("GET", push.path).status == 404
    assert not push.is_visible()


@pytest.mark.parametrize("vector", sorted(VECTORS.glob("listing/*.bin")),
                         ids=lambda path: path.stem)
def test_refused_listing(vector, push):
    """`..`, absolute, duplicate, unsorted, two kinds at one path, no parent, sizes, digests."""
    for body, encoding in ((vector.read_bytes(), None),
                           (zstandard.compress(vector.read_bytes()), "zstd")):
        answer = push.put("listing", body, encoding)
        assert (answer.status, answer.code) == (422, "validation"), answer
        assert answer.json()["errors"][0]["detail"]
    assert push.request("GET", f"{push.path}/missing").status == 409


MAGIC = b"kkartifact-times-1\0"


@pytest.mark.parametrize("body", [
    b"", MAGIC, MAGIC + bytes(7), MAGIC + bytes(9), MAGIC + bytes(16), b"K" + MAGIC[1:] + bytes(8),
    MAGIC + struct.pack("<q", 2**53), MAGIC + struct.pack("<q", -2**53),
    MAGIC + struct.pack("<q", -2**63), MAGIC + struct.pack("<Q", 2**63 - 1)],
    ids=lambda body: body[len(MAGIC):].hex() or f"{len(body)}-bytes")
def test_refused_times(body, push):
    """Not one time for one entry, or a time that is out of bounds."""
    made = [entries.Entry.file(b"f", len(push.data), bytes.fromhex(push.digest))]
    assert push.put("listing", listing.write(made)).status == 204
    answer = push.put("times", body)
    assert (answer.status, answer.code) in ((422, "validation"), (413, "too-large")), answer
    assert push.commit().status == 409
    assert not push.is_visible()


@pytest.mark.parametrize("garbage", ["million", "zeros", "bomb", "not zstd", "half", "window"])
def test_garbage_for_a_listing(garbage, push):
    magic = b"kkartifact-listing-1\0"
    whole = zstandard.compress(magic)
    body, encoding = {
        "million": (magic + b"f 0644 1 " * 1_000_000, None),
        "zeros": (magic + bytes(1 << 20), None),
        "bomb": (zstandard.compress(magic + bytes(1 << 28)), "zstd"),
        "not zstd": (magic, "zstd"),
        "half": (whole[:-3], "zstd"),
        "window": (bytes.fromhex("28b52ffd00f8") + b"\0" * 64, "zstd"),
    }[garbage]
    answer = push.put("listing", body, encoding)
    assert 400 <= answer.status < 500, answer
    assert push.server.request("GET", "/healthz").status == 200


@pytest.mark.parametrize("log, status", [(21, 204), (22, 422)])
def test_window_of_a_listing(log, status, push):
    """What a frame makes its reader hold in memory is bounded."""
    digest = bytes.fromhex(push.digest)
    body = listing.write([entries.Entry.file(b"%05d" % i + b"x" * 200, SIZE, digest)
                          for i in range(18_000)])
    assert len(body) > 1 << 22, "else the frame needs no more than its content"
    frame = packed(body, log)
    assert zstandard.get_frame_parameters(frame).window_size == 1 << log
    assert push.put("listing", frame, "zstd").status == status


def test_unknown_encoding(push):
    assert push.put("listing", b"x", "gzip").status == 415


def test_deep_and_wrong_json(server, names):
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/pushes"
    bodies = {b"[" * 100_000: (400,), b'{"a":' * 50_000 + b"1" + b"}" * 50_000: (400,),
              b"{": (400,), b"[]": (400, 422), b"null": (400, 422),
              b'{"version": 1}': (422,), b'{"version": "v", "version": "w"}': (400, 422),
              b'{"version": "\xff"}': (400, 422), b'{"content": "00"}': (422,),
              b'{"metadata": {"labels": {"UPPER": "x"}}}': (422,),
              b'{"metadata": {"build_time": "yesterday"}}': (422,)}
    for body, statuses in bodies.items():
        answer = server.request("POST", path, token=server.all_rights, body=body,
                                headers={"Content-Type": "application/json"})
        assert answer.status in statuses, (body[:60], answer)
        assert answer.headers["content-type"] == "application/problem+json"
    assert server.request("POST", path, token=server.all_rights, body=b"{}",
                          headers={"Content-Type": "text/plain"}).status == 415
    large = wire.request("POST", path, server.all_rights, [("Content-Type", "application/json"),
                                                           ("Content-Length", 1 << 30)])
    assert wire.status_of(wire.exchange(server.port, large, within=10)) == 413


def test_two_pushes_of_one_name(server, names):
    """Who commits first has it; the other is told, and nothing of his is under the name."""
    one, two = Push(server, names), Push(server, names)
    for each in (one, two):
        each.describe((b"f", each.data))
        assert each.send().status == 204
    assert two.commit().status == 201
    late = one.commit()
    assert (late.status, late.code) == (409, "version-exists")
    stored = server.request("GET", f"{two.app}/versions/v1", token=server.all_rights).json()
    assert late.json()["existing_content"] == stored["content"]
    assert one.bytes_of("f").body == two.data
