# SPDX-License-Identifier: MIT
"""A delta: how to make one blob out of another.

Frames are tuples: ("copy", offset, length), ("raw", bytes), ("zstd", bytes),
("patch", bytes, prefix offset, prefix length).
"""

import hashlib
import struct

from . import zstd_frame
from .names import MAX_INTEGER
from .refused import require

MEDIA_TYPE = "application/vnd.kkartifact.delta"
MAGIC = b"KKADELT1"
HEADER = struct.Struct("<8s32s32sQQ")
LARGEST_RAW = 1 << 20
LARGEST_PATCH = 128 << 20
_COPY = struct.Struct("<BQQ")
_DATA = struct.Struct("<BIIB")
_RANGE = struct.Struct("<QQ")


def header(base, target):
    digests = hashlib.sha256(base).digest(), hashlib.sha256(target).digest()
    return HEADER.pack(MAGIC, *digests, len(base), len(target))


def write_frame(frame, base):
    kind = frame[0]
    if kind == "copy":
        return _COPY.pack(1, frame[1], frame[2])
    data = frame[1]
    if kind == "raw":
        return _DATA.pack(2, len(data), len(data), 0) + data
    if kind == "zstd":
        stored = zstd_frame.write(data)
        return _DATA.pack(2, len(data), len(stored), 1) + stored
    offset, length = frame[2:]
    stored = zstd_frame.write(data, base[offset : offset + length])
    return _DATA.pack(2, len(data), len(stored), 2) + _RANGE.pack(offset, length) + stored


def write(base, target, frames):
    return header(base, target) + b"".join(write_frame(one, base) for one in frames) + b"\0"


def bytes_of(frame, base):
    """What a frame makes."""
    return base[frame[1] : frame[1] + frame[2]] if frame[0] == "copy" else frame[1]


class _Reader:
    def __init__(self, data, base):
        self.data = data
        self.base = base
        self.at = 0
        self.out = []
        self.made = 0

    def take(self, layout):
        require(self.at + layout.size <= len(self.data), len(self.data), "truncated")
        fields = layout.unpack_from(self.data, self.at)
        self.at += layout.size
        return fields

    def take_range(self):
        at = self.at
        offset, length = self.take(_RANGE)
        require(length, at + 8, "length")
        require(offset + length <= len(self.base), at, "base-range")
        return at, offset, length

    def give(self, data):
        self.out.append(data)
        self.made += len(data)

    def header(self):
        require(self.data[: len(MAGIC)] == MAGIC, 0, "delta-magic")
        _, base, _, base_size, self.size = self.take(HEADER)
        require(base_size <= MAX_INTEGER, 72, "blob-size")
        require(self.size <= MAX_INTEGER, 80, "blob-size")
        require(base == hashlib.sha256(self.base).digest(), 8, "base")
        require(base_size == len(self.base), 72, "base")

    def copy(self):
        at, offset, length = self.take_range()
        require(length <= self.size - self.made, at + 8, "target-size")
        self.give(self.base[offset : offset + length])

    def data_frame(self):
        at = self.at
        raw, stored, coding = self.take(struct.Struct("<IIB"))
        require(coding <= 2, at + 8, "coding")
        require(raw, at, "length")
        require(raw <= (LARGEST_PATCH if coding == 2 else LARGEST_RAW), at, "raw-length")
        require(raw <= self.size - self.made, at, "target-size")
        require(stored == raw if coding == 0 else 1 <= stored <= raw, at + 4, "stored-length")
        prefix = b""
        if coding == 2:
            at, offset, length = self.take_range()
            require(length <= LARGEST_PATCH, at + 8, "prefix-length")
            prefix = self.base[offset : offset + length]
        body = self.data[self.at : self.at + stored]
        require(len(body) == stored, len(self.data), "truncated")
        self.give(body if coding == 0 else zstd_frame.read(body, raw, self.at, prefix))
        self.at += stored

    def frames(self):
        while True:
            kind = self.take(struct.Struct("<B"))[0]
            require(kind <= 2, self.at - 1, "frame-kind")
            if kind == 0:
                break
            if kind == 1:
                self.copy()
            else:
                self.data_frame()
        require(self.made == self.size, self.at - 1, "target-size")
        require(self.at == len(self.data), self.at, "behind-the-end")


def make(data, base):
    """What the frames make, whatever digest the header names."""
    reader = _Reader(data, base)
    reader.header()
    reader.frames()
    return b"".join(reader.out)


def apply(data, base):
    """The target. That it has its digest is checked, as every receiver does."""
    target = make(data, base)
    require(hashlib.sha256(target).digest() == data[40:72], 40, "target")
    return target
