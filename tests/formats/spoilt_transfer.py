# SPDX-License-Identifier: MIT
"""Chunk lists, deltas and packs that must be refused, in the manner of spoilt_vectors.py."""

import random
import struct

from kkformats import chunk_list, delta, pack, random_blob, zstd_frame
from kkformats.random_transfer import leaves
from transfer_vectors import TEXT

BASE = random_blob.make("small base", 50)
LIMITS = {"member_size": 10_000, "count": 3}


def _put(data, at, new):
    return data[:at] + new + data[at + len(new) :]


def _u32(data, at, value):
    return _put(data, at, struct.pack("<I", value))


def _u64(data, at, value):
    return _put(data, at, struct.pack("<Q", value % 2**64))


def _listed(records, size=None):
    """With everything that follows from the leaves made to agree."""
    levels = chunk_list.levels_of(records)
    total = sum(length for length, _ in records)
    return chunk_list.join(bytes(32), total if size is None else size, levels)


def _regrouped(levels, counts):
    """With groups over other counts of leaves, and hashes that agree."""
    at, groups = 0, []
    for count in counts:
        records = levels[0][at : at + count]
        packed = b"".join(chunk_list.LEAF.pack(*record) for record in records)
        covered = sum(record[0] for record in records)
        groups.append((covered, count, chunk_list.hash_of(packed)))
        at += count
    size = sum(length for length, _ in levels[0])
    return chunk_list.join(bytes(32), size, [levels[0], groups])


def _chunk_lists():
    some = leaves(random.Random("spoilt"), 40, True)
    good = _listed(some)
    levels = chunk_list.levels_of(some)
    size = sum(length for length, _ in some)
    many = leaves(random.Random("many"), 257 * 16, True)
    deep = chunk_list.levels_of(many)
    deep_size = sum(length for length, _ in many)
    first = len(good) - 20 * len(some)
    yield "truncated", good[:255]
    yield "truncated.empty", b""
    yield "chunk-list-magic", _put(good, 0, b"KKACHNK2")
    yield "header-size", _u32(good, 8, 257)
    yield "level-count", _u32(good, 12, 1)
    yield "level-count.six", _u32(good, 12, 6)
    yield "blob-size", _listed([(65535, bytes(16))])
    yield "blob-size.64-gib", _u64(good, 48, (64 << 30) + 1)
    yield "chunk-parameters", _u32(good, 56, 2048)
    yield "chunk-parameters.rest", _u32(good, 68, 1)
    yield "level-offset", _u64(good, 72, 257)
    yield "level-offset.leaves", _u64(good, 88, 256)
    yield "level-entries", _u64(good, 80, 2**60)
    yield "level-entries.no-groups-of-groups", chunk_list.join(bytes(32), deep_size, deep[:2])
    yield "level-entries.too-many-levels", chunk_list.join(
        bytes(32), size, levels + [chunk_list.group(1, levels[1])])  # fmt: skip
    yield "gap-not-zero", _put(good, 104, b"\1")
    yield "gap-not-zero.last", _put(good, 255, b"\1")
    yield "list-length", good + b"\0"
    yield "level-entries.cut-off", good[:-1]
    yield "chunk-length", _listed([(4096, bytes(16))] + some)
    yield "chunk-length.zero", _listed(some[:-1] + [(0, bytes(16))])
    yield "chunk-length.long", _listed([(65537, bytes(16))] + some)
    yield "chunk-sum", _u64(good, 48, size + 1)
    yield "group-entries", _regrouped(levels, [15, 25])
    yield "group-entries.late", _regrouped(levels, [17, 23])
    yield "group-bytes", _u64(good, 256, 5)
    yield "group-hash", _put(good, 268, bytes(16))
    yield "group-hash.leaf", _put(good, first + 10, bytes([good[first + 10] ^ 1]))


def _copy(offset, length):
    return struct.pack("<BQQ", 1, offset % 2**64, length % 2**64)


def _data(raw, stored, coding, rest=b""):
    return struct.pack("<BIIB", 2, raw, stored, coding) + rest


def _delta(*frames, end=b"\0", size=10):
    """From BASE to ten bytes of it."""
    head = delta.header(BASE, BASE[:10])
    return head[:80] + struct.pack("<Q", size) + b"".join(frames) + end


def _framed(frame, raw, size=None):
    return _delta(_data(raw, len(frame), 1, frame), size=raw if size is None else size)


def _frames():
    """Of TEXT: a frame that is good, and others."""
    good = zstd_frame.write(TEXT)
    dictionary = good[:4] + bytes([good[4] | 1]) + good[5:6] + b"\0" + good[6:]
    magic, block = zstd_frame.MAGIC, struct.pack("<I", len(TEXT) << 3 | 3)[:3] + b"l"
    yield "zstd-frame", b"\0" + good[1:]
    yield "zstd-frame.cut-off", good[:-1]
    yield "zstd-frame.behind", good + b"\0"
    yield "zstd-frame.two", good + good
    yield "zstd-frame.block-type", good[:7] + b"\7" + good[8:]
    yield "zstd-blocks", magic + b"\x60" + struct.pack("<H", len(TEXT) - 256) + b"\5\0\0"
    yield "zstd-dictionary", dictionary
    yield "zstd-content-size", magic + b"\x00\x50" + block
    yield "zstd-content-size.other", zstd_frame.write(TEXT[:-1])
    yield "zstd-window", magic + b"\x80\x91" + struct.pack("<I", len(TEXT)) + block


def _deltas():
    ten = _copy(0, 10)
    yield "delta-magic", b"KKADELT2" + _delta(ten)[8:]
    yield "delta-magic.empty", b""
    yield "truncated", _delta(ten)[:87]
    yield "truncated.no-end", _delta(ten, end=b"")
    yield "truncated.copy", _delta(ten[:-1], end=b"")
    yield "truncated.data", _delta(_data(10, 10, 0, BASE[:9]), end=b"")
    yield "blob-size", _u64(_delta(ten), 72, 2**53)
    yield "blob-size.target", _u64(_delta(ten), 80, 2**53)
    yield "base", _put(_delta(ten), 8, bytes(32))
    yield "base.size", _u64(_delta(ten), 72, len(BASE) + 1)
    yield "target", _delta(_copy(1, 10))
    yield "target-size", _delta(_copy(0, 9))
    yield "target-size.copy", _delta(_copy(0, 11))
    yield "target-size.data", _delta(_data(11, 11, 0, BASE[:11]))
    yield "target-size.none", _delta()
    yield "frame-kind", _delta(ten, b"\3")
    yield "length", _delta(ten, _copy(0, 0))
    yield "length.data", _delta(ten, _data(0, 0, 0))
    yield "length.prefix", _delta(_data(10, 10, 2, bytes(16) + bytes(10)))
    yield "base-range", _delta(_copy(len(BASE) - 9, 10))
    yield "base-range.past", _delta(_copy(-1, 10))
    yield "base-range.overflow", _delta(_copy(10, -5))
    yield "base-range.prefix", _delta(
        _data(10, 10, 2, struct.pack("<QQ", 1, len(BASE)) + bytes(10)))  # fmt: skip
    yield "coding", _delta(_data(10, 10, 3, BASE[:10]))
    yield "raw-length", _delta(_data((1 << 20) + 1, 5, 1, bytes(5)), size=2 << 20)
    yield "raw-length.patch", _delta(_data((128 << 20) + 1, 5, 2, bytes(21)), size=1 << 30)
    yield "stored-length", _delta(_data(10, 9, 0, BASE[:9]))
    yield "stored-length.longer", _delta(_data(10, 11, 1, bytes(11)))
    yield "stored-length.none", _delta(_data(10, 0, 1))
    yield "behind-the-end", _delta(ten) + b"\0"
    for name, frame in _frames():
        yield name, _framed(frame, len(TEXT))


def _packs():
    hello = pack.member(b"hello")
    fields = pack.MEMBER.pack(b"n" * 32, 5, 0, 5)
    good = pack.join([hello])
    yield "pack-magic", b"KKAPACK2" + good[8:]
    yield "truncated", good[:-1]
    yield "truncated.empty", pack.MAGIC
    yield "truncated.fields", pack.MAGIC + fields[:-1]
    yield "truncated.member", pack.MAGIC + fields + b"hell"
    yield "coding", _put(good, 48, b"\2")
    yield "member-size", pack.join([pack.member(bytes(10_001))])
    yield "member-size.2-64", _u64(good, 40, -1)
    yield "member-count", pack.join([hello] * 4)
    yield "stored-length", _u64(good, 49, 4)
    yield "stored-length.longer", pack.join([pack.member(b"hello", 1)])
    yield "stored-length.none", _u64(_put(good[:57], 48, b"\1"), 49, 0) + pack.join([])[8:]
    yield "pack-count", _u64(good, len(good) - 8, 2)
    yield "behind-the-end", good + b"\0"


def transfer_cases():
    for name, data in _chunk_lists():
        yield "chunk-list", name, data, {}
    for name, data in _deltas():
        yield "delta", name, data, {"base": BASE.hex()}
    for name, data in _packs():
        yield "pack", name, data, LIMITS
