# SPDX-License-Identifier: MIT
"""A pack: many small blobs in one body."""

import hashlib
import struct

from . import zstd_frame
from .names import MAX_INTEGER
from .refused import Refused, require

MEDIA_TYPE = "application/vnd.kkartifact.pack"
MAGIC = b"KKAPACK1"
MEMBER = struct.Struct("<32sQBQ")
END = bytes(32)


def member(data, coding=0):
    stored = zstd_frame.write(data) if coding else data
    return MEMBER.pack(hashlib.sha256(data).digest(), len(data), coding, len(stored)) + stored


def join(members):
    return MAGIC + b"".join(members) + END + struct.pack("<Q", len(members))


def write(blobs):
    """zstd where it makes a blob smaller."""
    return join([min(member(data), member(data, 1), key=len) for data in blobs])


def _unpack(name, size, coding, stored, at):
    """(blob, None), or of a damaged member (None, rule)."""
    try:
        data = zstd_frame.read(stored, size, at) if coding else stored
    except Refused as refused:
        return None, refused.rule
    return (data, None) if hashlib.sha256(data).digest() == name else (None, "member")


def parse(data, member_size=MAX_INTEGER, count=2**64):
    """[(sha256, blob, None)], of a damaged member (sha256, None, rule); only a broken structure is
    refused."""
    require(data[: len(MAGIC)] == MAGIC, 0, "pack-magic")
    at, members = len(MAGIC), []
    while True:
        require(at + 32 <= len(data), len(data), "truncated")
        if data[at : at + 32] == END:
            break
        require(len(members) < count, at, "member-count")
        require(at + MEMBER.size <= len(data), len(data), "truncated")
        name, size, coding, stored = MEMBER.unpack_from(data, at)
        require(coding <= 1, at + 40, "coding")
        require(size <= min(member_size, MAX_INTEGER), at + 32, "member-size")
        require(1 <= stored <= size if coding else stored == size, at + 41, "stored-length")
        at += MEMBER.size
        require(at + stored <= len(data), len(data), "truncated")
        members.append((name, *_unpack(name, size, coding, data[at : at + stored], at)))
        at += stored
    require(at + 40 <= len(data), len(data), "truncated")
    require(struct.unpack_from("<Q", data, at + 32)[0] == len(members), at + 32, "pack-count")
    require(at + 40 == len(data), at + 40, "behind-the-end")
    return members
