# SPDX-License-Identifier: MIT
"""One zstd frame (RFC 8878) as deltas and packs carry it.

The frame's own rules are checked here; what its blocks may be, the library says (`zstd-blocks`),
and older libraries overlook bits that newer ones refuse. The digest of what comes out decides.
"""

import zstandard

from .refused import Refused, require

MAGIC = b"\x28\xb5\x2f\xfd"
LARGEST_WINDOW = 1 << 28


def write(data, prefix=b"", level=3):
    dictionary = None
    if prefix:
        dictionary = zstandard.ZstdCompressionDict(
            prefix, dict_type=zstandard.DICT_TYPE_RAWCONTENT
        )
    maker = zstandard.ZstdCompressor(
        level=level, dict_data=dictionary, write_dict_id=False, write_content_size=True
    )
    return maker.compress(data)


def check(frame, size, at):
    """The rules that the frame's first bytes show."""
    require(frame[:4] == MAGIC and len(frame) > 4, at, "zstd-frame")
    flags = frame[4]
    single = flags & 0x20
    window_size = 0 if single else 1
    dictionary_size = (0, 1, 2, 4)[flags & 3]
    content_size = (1 if single else 0, 2, 4, 8)[flags >> 6]
    end = 5 + window_size + dictionary_size + content_size
    require(len(frame) >= end, at, "zstd-frame")
    require(not dictionary_size, at, "zstd-dictionary")
    require(content_size, at, "zstd-content-size")
    content = int.from_bytes(frame[end - content_size : end], "little")
    content += 256 if content_size == 2 else 0
    require(content == size, at, "zstd-content-size")
    window = content
    if not single:
        base = 1 << 10 + (frame[5] >> 3)
        window = base + base // 8 * (frame[5] & 7)
    require(window <= LARGEST_WINDOW, at, "zstd-window")
    require(_length(frame, end) == len(frame), at, "zstd-frame")


def _length(frame, at):
    """Where the frame ends, going from block to block; -1: it does not."""
    while at + 3 <= len(frame):
        head = int.from_bytes(frame[at : at + 3], "little")
        kind, size = head >> 1 & 3, head >> 3
        at += 3 + (1 if kind == 1 else size)
        if kind == 3:
            return -1
        if head & 1:
            return at + (4 if frame[4] & 4 else 0)
    return -1


def read(frame, size, at, prefix=b""):
    """What it unpacks to; `at` is where it stands, for what is refused."""
    check(frame, size, at)
    dictionary = None
    if prefix:
        dictionary = zstandard.ZstdCompressionDict(
            prefix, dict_type=zstandard.DICT_TYPE_RAWCONTENT
        )
    reader = zstandard.ZstdDecompressor(dict_data=dictionary)
    try:
        data = reader.decompress(frame, max_output_size=size)
    except zstandard.ZstdError as error:
        raise Refused(at, "zstd-blocks") from error
    require(len(data) == size, at, "zstd-blocks")
    return data
