# SPDX-License-Identifier: MIT
"""Bytes without a pattern, the same for the same seed, in any language: SHA-256 of
"SEED 0", of "SEED 1", ... one behind the other, cut at the size."""

import hashlib


def make(seed, size):
    parts = [hashlib.sha256(b"%s %d" % (str(seed).encode(), at)).digest()
             for at in range(-(-size // 32))]
    return b"".join(parts)[:size]


def changed(rng, data):
    """A later version of it: pieces changed in place, put in, taken out, moved."""
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(data)), rng.choice([1, 10, 1000, 5000, 40_000])
        new = make(rng.random(), size)
        how = rng.randrange(5)
        if how == 0:
            data = data[:at] + new[: len(data) - at] + data[at + size :]
        elif how == 1:
            data = data[:at] + new + data[at:]
        elif how == 2 and len(data) > size + 1:
            data = data[:at] + data[at + size :]
        elif how == 3:
            data = data[at:] + data[:at]
        else:
            data = data + bytes(size)
    return data
