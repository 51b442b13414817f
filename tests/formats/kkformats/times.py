# SPDX-License-Identifier: MIT
"""The times: one signed 64-bit number per entry, in the listing's order.

times = "kkartifact-times-1" NUL *i64
"""

import struct

from .names import MAX_INTEGER
from .refused import require

MAGIC = b"kkartifact-times-1\0"


def parse(data, count, entries=None):
    """The times of `count` entries; with `entries`, also that links have none."""
    require(data[: len(MAGIC)] == MAGIC, 0, "times-magic")
    require(len(data) == len(MAGIC) + 8 * count, min(len(data), len(MAGIC)), "times-length")
    times = list(struct.unpack_from(f"<{count}q", data, len(MAGIC)))
    for index, time in enumerate(times):
        at = len(MAGIC) + 8 * index
        require(abs(time) <= MAX_INTEGER, at, "time-range")
        if entries is not None:
            require(entries[index].kind != "l" or time == 0, at, "link-time")
    return times


def write(times):
    for index, time in enumerate(times):
        require(abs(time) <= MAX_INTEGER, len(MAGIC) + 8 * index, "time-range")
    return MAGIC + struct.pack(f"<{len(times)}q", *times)
