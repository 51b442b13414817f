# SPDX-License-Identifier: MIT
"""The golden vectors of chunk lists, deltas and packs."""

import hashlib

from kkformats import chunk_list, delta, pack, random_blob

BASE_SEED, BASE_SIZE = "base", 5000
BASE = random_blob.make(BASE_SEED, BASE_SIZE)
TEXT = b"".join(b"line %d\n" % number for number in range(100))


def smallest_group():
    """A chunk, little over 4096 bytes, whose hash ends a group at the 16th."""
    for number in range(2000):
        tail = random_blob.make(f"tail {number}", 256)
        end = chunk_list.cut(bytes(4096) + tail + bytes(65536), 0)
        if end <= 4096 + len(tail):
            break
    for number in range(10_000):
        chunk = number.to_bytes(8, "little") + bytes(4088) + tail[: end - 4096]
        if chunk_list.hash_of(chunk)[0] & 63 == 0:
            return chunk
    raise AssertionError("there is one")


def chunked():
    """name -> (what the index says of the blob, the blob)."""
    blobs = {}
    for name, size in (("smallest", 65536), ("a-byte-more", 65537), ("1-mib", 1 << 20)):
        blobs[name] = {"seed": name, "size": size}, random_blob.make(name, size)
    unit = smallest_group()
    for name, part, count in (("zeros", b"\0", (1 << 20) + 1), ("three-levels", unit, 257 * 16)):
        blobs[name] = {"unit": part.hex(), "count": count, "size": len(part) * count}, part * count
    return blobs


def frames():
    """name -> frames"""
    changed = BASE[:1000] + b"changed" + BASE[1007:2000]
    return {
        "copy": [("copy", 4000, 1000), ("copy", 0, 10)],
        "copies-that-touch": [("copy", 0, 10), ("copy", 10, 20)],
        "raw": [("raw", b"hello")],
        "zstd": [("zstd", TEXT)],
        "patch": [("patch", changed, 0, 2000)],
        "empty": [],
        "all": [("copy", 1, 4999), ("raw", b"!"), ("zstd", TEXT), ("patch", changed, 0, 5000),
                ("raw", b"?"), ("copy", 0, 5000)],
    }  # fmt: skip


def _damaged(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def packs():
    """name -> pack"""
    hello, text = pack.member(b"hello"), pack.member(TEXT, 1)
    return {
        "empty": pack.join([]),
        "small": pack.join([hello, pack.member(b""), text]),
        "twice": pack.join([hello, hello]),
        "damaged": pack.join(
            [hello, _damaged(hello, len(hello) - 1), text, _damaged(text, pack.MEMBER.size),
             _damaged(text, 0), hello]),
    }  # fmt: skip


def transfer_files():
    """(path -> bytes, index)"""
    out = {"deltas/base": BASE}
    index = {
        "chunk_lists": {}, "deltas": {}, "packs": {},
        "base": {"seed": BASE_SEED, "size": BASE_SIZE},
        "media_types": [delta.MEDIA_TYPE, pack.MEDIA_TYPE],
    }  # fmt: skip
    for name, (said, data) in chunked().items():
        made = chunk_list.build(data)
        levels = chunk_list.parse(made).levels
        out[f"chunk-lists/{name}.chunks"] = made
        index["chunk_lists"][name] = {
            **said,
            "sha256": hashlib.sha256(data).hexdigest(),
            "entries": [len(level) for level in reversed(levels)],
        }
    for name, some in frames().items():
        target = b"".join(delta.bytes_of(one, BASE) for one in some)
        out[f"deltas/{name}.target"] = target
        out[f"deltas/{name}.delta"] = delta.write(BASE, target, some)
        index["deltas"][name] = [one[0] for one in some]
    for name, data in packs().items():
        out[f"packs/{name}.pack"] = data
        members = pack.parse(data)
        index["packs"][name] = [[sha256.hex(), rule is None] for sha256, _, rule in members]
    return out, index
