# SPDX-License-Identifier: MIT
"""Valid chunk lists, deltas and packs, the same ones for the same seed."""

import random

from . import chunk_list, delta, pack, random_blob

_BASES = [1, 40, 3000, 70_000]


def leaves(rng, count, sixteenths):
    """`sixteenths`: each group ends as early as it can."""
    made = []
    for _ in range(count):
        digest = rng.randbytes(16)
        made.append((rng.randint(4097, 65536), bytes([digest[0] & 0xC0]) + digest[1:])
                    if sixteenths else (rng.randint(4097, 65536), digest))
    return made[:-1] + [(rng.randint(1, 65536), made[-1][1])]


def a_chunk_list(seed):
    rng = random.Random(f"chunk list {seed}")
    count = [20, 40, 300, 700, 17 * 16, 258 * 16][seed % 6]
    return chunk_list.write(rng.randbytes(32), leaves(rng, count, seed % 6 > 3)), {}


def frames(rng, base, count):
    """Some of each kind."""
    made = []
    for _ in range(count):
        size = rng.choice([1, 7, 300, 5000])
        at = rng.randrange(len(base))
        length = rng.randint(1, len(base) - at)
        kind = rng.choice(["copy", "copy", "raw", "zstd", "patch"])
        text = b"".join(b"%d, " % number for number in range(size))[:size] + bytes(64)
        if kind == "copy":
            made.append(("copy", at, length))
        elif kind == "raw":
            made.append(("raw", rng.randbytes(size)))
        elif kind == "zstd":
            made.append(("zstd", text))
        else:
            old = base[at : at + length]
            made.append(("patch", old[: len(old) // 2] + text + old[len(old) // 2 :], at, length))
    return made


def a_delta(seed):
    """((delta, base), extra), as the mutator wants it."""
    rng = random.Random(f"delta {seed}")
    base = random_blob.make(f"base {seed}", _BASES[seed % 4])
    some = frames(rng, base, 1 + seed % 6)
    target = b"".join(delta.bytes_of(one, base) for one in some)
    return (delta.write(base, target, some), base), {"base": base.hex()}


def a_pack(seed):
    rng = random.Random(f"pack {seed}")
    blobs = []
    for _ in range(seed % 7):
        size = rng.choice([0, 1, 100, 4000, 20_000])
        blobs.append(rng.randbytes(size) if rng.random() < 0.5 else b"text " * (size // 5))
    return pack.write(blobs), {"member_size": 20_000, "count": 7}


MAKERS = {"chunk-list": a_chunk_list, "delta": a_delta, "pack": a_pack}
