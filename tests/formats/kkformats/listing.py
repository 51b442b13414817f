# SPDX-License-Identifier: MIT
"""The listing, canonical text of a tree, and `content`, its SHA-256.

listing = "kkartifact-listing-1" NUL *entry
entry   = "d" SP mode SP path NUL
        / "f" SP mode SP size SP sha256 SP path NUL
        / "l" SP path NUL target NUL
"""

import hashlib

from .entries import Entry, Walk
from .names import parse_digest, parse_mode, parse_unsigned
from .refused import Refused, require

MAGIC = b"kkartifact-listing-1\0"
MAX_LISTING = 2**32


class _Reader:
    """A cursor whose every step says where it was when it says no."""

    def __init__(self, data, offset):
        self.data = data
        self.offset = offset

    def until(self, stop, limit):
        """The bytes up to `stop`, which must come within `limit` + 1 bytes."""
        end = self.data.find(stop, self.offset, self.offset + limit + 1)
        if end < 0:
            whole = len(self.data) - self.offset > limit
            raise Refused(self.offset, "field-too-long" if whole else "truncated")
        field = self.data[self.offset : end]
        self.offset = end + 1
        return field


def _parse_entry(reader):
    start = reader.offset
    tag = reader.data[start : start + 2]
    require(len(tag) == 2, start, "truncated")
    require(tag in (b"d ", b"f ", b"l "), start, "entry-kind")
    reader.offset += 2
    kind = tag[:1].decode("ascii")
    if kind == "l":
        path = reader.until(b"\0", 4096)
        return Entry.link(path, reader.until(b"\0", 4095))
    at = reader.offset
    mode = parse_mode(reader.until(b" ", 4), at)
    if kind == "d":
        return Entry.directory(reader.until(b"\0", 4096), mode)
    at = reader.offset
    size = parse_unsigned(reader.until(b" ", 16), at=at, rule="size")
    at = reader.offset
    sha256 = parse_digest(reader.until(b" ", 64), at)
    return Entry.file(reader.until(b"\0", 4096), size, sha256, mode)


def parse(data):
    """The entries of a listing, in order."""
    require(len(data) <= MAX_LISTING, MAX_LISTING, "listing-too-long")
    require(data[: len(MAGIC)] == MAGIC, 0, "listing-magic")
    reader = _Reader(data, len(MAGIC))
    walk = Walk()
    entries = []
    while reader.offset < len(data):
        start = reader.offset
        entry = _parse_entry(reader)
        walk.add(entry, start)
        entries.append(entry)
    return entries


def _write_entry(entry):
    if entry.kind == "l":
        return b"l " + entry.path + b"\0" + entry.target + b"\0"
    head = b"%s %04o " % (entry.kind.encode("ascii"), entry.mode)
    if entry.kind == "f":
        head += b"%d %s " % (entry.size, entry.sha256.hex().encode("ascii"))
    return head + entry.path + b"\0"


def write(entries):
    """The listing of entries that are in order."""
    walk = Walk()
    parts = [MAGIC]
    for entry in entries:
        walk.add(entry)
        parts.append(_write_entry(entry))
    data = b"".join(parts)
    require(len(data) <= MAX_LISTING, MAX_LISTING, "listing-too-long")
    return data


def content(data):
    """The identity of the tree of which `data` is the listing: 32 bytes."""
    return hashlib.sha256(data).digest()
