# SPDX-License-Identifier: MIT
"""Spoils chunk lists, deltas and packs: blindly, one field of one record, or one record, and often
so that the digests around it agree again."""

import hashlib
import struct

from . import chunk_list, delta, pack
from .damage import blind, spoil_integer, swap
from .refused import Refused

_LIST_FIELDS = [(8, 4), (12, 4), (48, 8), (56, 4), (60, 4), (64, 4), (68, 4), (72, 8), (80, 8),
                (88, 8), (96, 8), (104, 8), (112, 8)]  # fmt: skip


def _spoil_leaves(rng, leaves):
    """Other leaves, from which a list is made that is sound but for them, if they are not."""
    at = rng.randrange(len(leaves))
    length, digest = leaves[at]
    how = rng.randrange(5)
    if how == 0:
        length = rng.choice([0, 1, 4096, 4097, 65536, 65537, 2**32 - 1])
    elif how == 1:
        digest = bytes([digest[0] & 0xC0]) + digest[1:]
    elif how == 2:
        leaves = leaves[:at] + leaves[at + 1 :]
    elif how == 3:
        leaves = leaves[:at] + leaves[at:][::-1]
    if how < 2:
        leaves = leaves[:at] + [(length, digest)] + leaves[at + 1 :]
    return leaves


def _regroup(rng, levels):
    """Two groups as one, or one as two, with hashes that agree."""
    level = rng.randrange(1, len(levels))
    groups, below, at = list(levels[level]), levels[level - 1], 0
    number = rng.randrange(len(groups))
    for _, entries, _ in groups[:number]:
        at += entries
    entries = groups[number][1]
    if number + 1 < len(groups) and rng.random() < 0.5:
        entries += groups.pop(number + 1)[1]
        parts = [entries]
    else:
        parts = [rng.randint(1, entries), 0]
        parts[1] = entries - parts[0]
    made = []
    for count in parts:
        records = below[at : at + count]
        size = sum(record[0] for record in records)
        layout = chunk_list.LEAF if level == 1 else chunk_list.GROUP
        packed = b"".join(layout.pack(*record) for record in records)
        made += [(size, count, chunk_list.hash_of(packed))] if count else []
        at += count
    return levels[:level] + [groups[:number] + made + groups[number + 1 :]] + levels[level + 1 :]


def _levels_again(levels, level):
    """The levels above one that was changed, made again."""
    levels = levels[: level + 1]
    while len(levels) < 2 or len(levels[-1]) > chunk_list.TOP_MOST:
        levels.append(chunk_list.group(len(levels) - 1, levels[-1]))
    return levels


def mutate_chunk_list(rng, data):
    how = rng.randrange(6)
    if how == 0:
        return blind(rng, data)
    if how == 1:
        at, size = rng.choice(_LIST_FIELDS)
        return spoil_integer(rng, data, at, size)
    made = chunk_list.parse(data)
    if how == 2:
        leaves = _spoil_leaves(rng, made.levels[0])
        size = made.size if rng.random() < 0.5 else sum(length for length, _ in leaves)
        leaves = leaves or [(1, bytes(16))]
        return chunk_list.join(made.sha256, size, chunk_list.levels_of(leaves))
    if how == 3:
        levels = _regroup(rng, made.levels)
        return chunk_list.join(made.sha256, made.size, levels)
    if how == 4:
        levels = _regroup(rng, made.levels[:2])
        return chunk_list.join(made.sha256, made.size, _levels_again(levels, 1))
    if len(made.levels) > 2 and rng.random() < 0.5:
        return chunk_list.join(made.sha256, made.size, made.levels[:-1])
    return chunk_list.join(
        made.sha256, made.size, made.levels + [chunk_list.group(2, made.levels[-1])]
    )


def _delta_frames(data):
    """(offset, size, fields as (offset, size)) of each frame of a valid delta."""
    frames, at = [], delta.HEADER.size
    while data[at]:
        if data[at] == 1:
            size, fields = 17, [(1, 8), (9, 8)]
        else:
            stored, coding = struct.unpack_from("<IB", data, at + 5)
            size, fields = 10 + stored, [(1, 4), (5, 4), (9, 1)]
            if coding == 2:
                size, fields = size + 16, fields + [(10, 8), (18, 8)]
        frames.append((at, size, [(at + where, width) for where, width in fields]))
        at += size
    return frames


def _retarget(data, base):
    """With the size and the digest of what it makes, if it makes something."""
    frames, made = _delta_frames(data), 0
    for at, _, _ in frames:
        made += struct.unpack_from("<Q", data, at + 9)[0] if data[at] == 1 else (
            struct.unpack_from("<I", data, at + 1)[0]
        )
    data = data[:80] + struct.pack("<Q", made % 2**64) + data[88:]
    try:
        target = delta.make(data, base)
    except Refused:
        return data
    return data[:40] + hashlib.sha256(target).digest() + data[72:]


def mutate_delta(rng, case):
    """`case` is (delta, base)."""
    data, base = case
    frames = _delta_frames(data)
    how = rng.randrange(7)
    if how == 0 or not frames:
        return blind(rng, data)
    at, size, fields = rng.choice(frames)
    if how == 1:
        return spoil_integer(rng, data, *rng.choice([(72, 8), (80, 8), (at, 1)]))
    if how == 2:
        body = at + 10 + rng.randrange(max(size - 10, 1))
        spoilt = bytearray(data)
        spoilt[min(body, len(data) - 2)] ^= 1 << rng.randrange(8)
        return bytes(spoilt)
    if how == 3:
        data = data[:at] + data[at + size :]
    elif how == 4:
        data = data[:at] + data[at : at + size] + data[at:]
    else:
        data = spoil_integer(rng, data, *rng.choice(fields))
        if how == 5:
            return data
    try:
        return _retarget(data, base)
    except (struct.error, IndexError):
        return data


def _pack_members(data):
    """(offset, size) of each member of a valid pack."""
    members, at = [], len(pack.MAGIC)
    while data[at : at + 32] != pack.END:
        stored = struct.unpack_from("<Q", data, at + 41)[0]
        members.append((at, pack.MEMBER.size + stored))
        at += members[-1][1]
    return members


def mutate_pack(rng, data):
    members = _pack_members(data)
    how = rng.randrange(7)
    if how == 0 or not members:
        return blind(rng, data)
    at, size = rng.choice(members)
    if how == 1:
        return spoil_integer(rng, data, *rng.choice([(at + 32, 8), (at + 40, 1), (at + 41, 8)]))
    if how == 2:
        return spoil_integer(rng, data, len(data) - 8, 8)
    if how == 3:
        # Damage inside a member: it alone is lost.
        spoilt = bytearray(data)
        spoilt[rng.choice([at, at + size - 1, at + min(53, size - 1)])] ^= 1 << rng.randrange(8)
        return bytes(spoilt)
    parts = [data[start : start + length] for start, length in members]
    if how == 4:
        parts.remove(data[at : at + size])
    elif how == 5:
        parts.append(data[at : at + size])
    else:
        return swap(rng, data, at, 1, size)
    return pack.join(parts) if rng.random() < 0.7 else (
        pack.MAGIC + b"".join(parts) + pack.END + struct.pack("<Q", len(members))
    )
