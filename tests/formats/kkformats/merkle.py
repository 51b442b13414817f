# SPDX-License-Identifier: MIT
"""The merkle tree of a blob, as Linux fs-verity makes it, and the verity digest.

A level is the SHA-256s of the 4096-byte blocks below it, 128 to a block; the
object holds the levels from the top (one block) down to the one over the data.
"""

import hashlib
import struct

from .names import MAX_INTEGER
from .refused import require

BLOCK = 4096
HASH = 32
FANOUT = BLOCK // HASH
NO_ROOT = bytes(HASH)


def _sha256(data):
    return hashlib.sha256(data).digest()


def _pad(data):
    return data + bytes(-len(data) % BLOCK)


def level_blocks(size):
    """How many blocks each level of a blob has, top first; nothing up to one block."""
    counts = []
    blocks = -(-size // BLOCK)
    while blocks > 1:
        blocks = -(-blocks // FANOUT)
        counts.insert(0, blocks)
    return counts


def object_size(size):
    return BLOCK * sum(level_blocks(size))


def _hash_blocks(data):
    return b"".join(_sha256(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK))


def build(data):
    """(merkle object, root hash) of the bytes of a blob."""
    if not data:
        return b"", NO_ROOT
    below = _pad(data)
    levels = []
    while len(below) > BLOCK:
        below = _pad(_hash_blocks(below))
        levels.insert(0, below)
    return b"".join(levels), _sha256(below)


def verity_digest(size, root):
    """The fs-verity file digest: SHA-256 of the descriptor."""
    descriptor = struct.pack("<BBBBIQ32s208x", 1, 1, 12, 0, 0, size, root)
    return _sha256(descriptor)


def verity(data):
    return verity_digest(len(data), build(data)[1])


EMPTY_VERITY = verity_digest(0, NO_ROOT)


def check(merkle, size, digest):
    """Checks a merkle object from the verity digest downwards, without the data."""
    require(0 <= size <= MAX_INTEGER, 0, "data-size")
    counts = level_blocks(size)
    require(len(merkle) == BLOCK * sum(counts), 0, "merkle-length")
    if not counts:
        require(size or digest == EMPTY_VERITY, 0, "merkle-root")
        return
    require(verity_digest(size, _sha256(merkle[:BLOCK])) == digest, 0, "merkle-root")
    at = 0
    below = counts[1:] + [-(-size // BLOCK)]
    for index, blocks in enumerate(counts):
        level = merkle[at : at + BLOCK * blocks]
        used = HASH * below[index]
        require(not any(level[used:]), at + used, "merkle-padding")
        if index + 1 < len(counts):
            _check_children(merkle, level, at + len(level), below[index])
        at += len(level)


def _check_children(merkle, level, start, count):
    for child in range(count):
        at = start + BLOCK * child
        expected = level[HASH * child : HASH * (child + 1)]
        require(_sha256(merkle[at : at + BLOCK]) == expected, at, "merkle-hash")
