# SPDX-License-Identifier: MIT
"""The chunk list of a blob: FastCDC leaves, and groups above them.

A leaf is (length, hash), a group (bytes covered, entries below, hash); hashes are
the 16 bytes as they are written.
"""

import hashlib
import struct
from dataclasses import dataclass

import xxhash

from .refused import require

MAGIC = b"KKACHNK1"
HEADER_SIZE = 256
SMALLEST, NORMAL, LARGEST = 4096, 16384, 65536
SMALLEST_BLOB, LARGEST_BLOB = 64 << 10, 64 << 30
MOST_LEVELS = 5
TOP_MOST = 256
LEAF = struct.Struct("<I16s")
GROUP = struct.Struct("<QI16s")
_HEAD = struct.Struct("<8sII32sQIIII")

GEAR = [
    int.from_bytes(hashlib.sha256(b"kkartifact-gear-1" + bytes([b])).digest()[:8], "little")
    for b in range(256)
]


def hash_of(data):
    number = xxhash.xxh3_128_intdigest(data)
    return struct.pack("<QQ", number & 2**64 - 1, number >> 64)


def cut(data, start):
    """Where the chunk that starts there ends."""
    left = len(data) - start
    if left <= SMALLEST:
        return start + left
    gear, h = GEAR, 0
    end = min(left, LARGEST)
    for i in range(SMALLEST, end):
        h = (h << 1) + gear[data[start + i]] & 0xFFFFFFFFFFFFFFFF
        if h & (0xFFFF000000000000 if i < NORMAL else 0xFFF0000000000000) == 0:
            return start + i + 1
    return start + end


def leaves_of(data):
    leaves, start = [], 0
    while start < len(data):
        end = cut(data, start)
        leaves.append((end - start, hash_of(data[start:end])))
        start = end
    return leaves


def _ends_group(count, record):
    low = int.from_bytes(record[-1][:8], "little")
    return count == 256 or count >= 16 and low & 63 == 0


def _pack(level, records):
    layout = LEAF if level == 0 else GROUP
    return b"".join(layout.pack(*record) for record in records)


def _group_of(level, records):
    return sum(record[0] for record in records), len(records), hash_of(_pack(level, records))


def group(level, records):
    """The groups over the records of a level."""
    groups, run = [], []
    for record in records:
        run.append(record)
        if _ends_group(len(run), record):
            groups.append(_group_of(level, run))
            run = []
    return groups + ([_group_of(level, run)] if run else [])


def levels_of(leaves):
    """All levels, the leaves first."""
    levels = [leaves, group(0, leaves)]
    while len(levels[-1]) > TOP_MOST:
        levels.append(group(len(levels) - 1, levels[-1]))
    return levels


def join(sha256, size, levels):
    """The object of these levels, whatever they are."""
    bodies = [_pack(level, records) for level, records in enumerate(levels)]
    at, places = HEADER_SIZE, b""
    for level in reversed(range(len(levels))):
        places += struct.pack("<QQ", at, len(levels[level]))
        at += len(bodies[level])
    head = _HEAD.pack(MAGIC, HEADER_SIZE, len(levels), sha256, size, SMALLEST, NORMAL, LARGEST, 0)
    return (head + places).ljust(HEADER_SIZE, b"\0") + b"".join(reversed(bodies))


def write(sha256, leaves):
    return join(sha256, sum(length for length, _ in leaves), levels_of(leaves))


def build(data):
    return write(hashlib.sha256(data).digest(), leaves_of(data))


@dataclass
class ChunkList:
    sha256: bytes
    size: int
    levels: list  # the leaves first


def parse(data):
    require(len(data) >= HEADER_SIZE, len(data), "truncated")
    magic, header, count, sha256, size, *parameters = _HEAD.unpack_from(data)
    require(magic == MAGIC, 0, "chunk-list-magic")
    require(header == HEADER_SIZE, 8, "header-size")
    require(parameters == [SMALLEST, NORMAL, LARGEST, 0], 56, "chunk-parameters")
    require(2 <= count <= MOST_LEVELS, 12, "level-count")
    require(SMALLEST_BLOB <= size <= LARGEST_BLOB, 48, "blob-size")
    end = _HEAD.size + 16 * count
    places = [struct.unpack_from("<QQ", data, at) for at in range(_HEAD.size, end, 16)]
    require(not any(data[end:HEADER_SIZE]), end, "gap-not-zero")
    at, levels = HEADER_SIZE, []
    for number, (offset, entries) in enumerate(places):
        place = _HEAD.size + 16 * number
        layout = LEAF if number == count - 1 else GROUP
        require(offset == at, place, "level-offset")
        require(at + layout.size * entries <= len(data), place + 8, "level-entries")
        body = data[at : at + layout.size * entries]
        levels.insert(0, list(layout.iter_unpack(body)))
        at += len(body)
    require(at == len(data), at, "list-length")
    _check_levels(levels, places, size)
    return ChunkList(sha256, size, levels)


def _check_levels(levels, places, size):
    starts = [offset for offset, _ in reversed(places)]
    at, last = starts[0], len(levels[0]) - 1
    for number, (length, _) in enumerate(levels[0]):
        least = 1 if number == last else SMALLEST + 1
        require(least <= length <= LARGEST, at + LEAF.size * number, "chunk-length")
    require(sum(length for length, _ in levels[0]) == size, at, "chunk-sum")
    for level in range(1, len(levels)):
        require(level == 1 or len(levels[level - 1]) > TOP_MOST, starts[level], "level-entries")
        _check_groups(level - 1, levels[level - 1], levels[level], starts[level])
    require(len(levels[-1]) <= TOP_MOST, starts[-1], "level-entries")


def _check_groups(level, records, groups, start):
    wanted = group(level, records)
    for number, made in enumerate(groups):
        at = start + GROUP.size * number
        require(number < len(wanted), at, "level-entries")
        require(made[1] == wanted[number][1], at + 8, "group-entries")
        require(made[0] == wanted[number][0], at, "group-bytes")
        require(made[2] == wanted[number][2], at + 12, "group-hash")
    require(len(groups) == len(wanted), start, "level-entries")
