# SPDX-License-Identifier: MIT
"""Every kind of file with its Python reader and its job for the C program.

`extra` is what a reader is told beside the file: {"count"} for times, {"data_size", "verity"} for
a merkle object, {"base"} (hex) for a delta, {"member_size", "count"} (limits) for a pack.
"""

import hashlib

from kkformats import (
    chunk_list,
    delta,
    listing,
    merkle,
    meta,
    pack,
    record,
    times,
    tree_reader,
)
from kkformats.refused import Refused


def _read_listing(data, _extra):
    return [hashlib.sha256(data).hexdigest(), len(listing.parse(data))]


def _read_times(data, extra):
    times.parse(data, extra["count"])
    return [hashlib.sha256(data).hexdigest()]


def _read_merkle(data, extra):
    merkle.check(data, extra["data_size"], bytes.fromhex(extra["verity"]))
    return []


def _read_tree(data, _extra):
    return [tree_reader.read(data).content.hex()]


def _read_meta(data, _extra):
    made = meta.parse(data)
    return [made.content.hex(), len(made.entries)]


def _read_record(data, _extra):
    return [record.write(record.parse(data))]


def _read_chunk_list(data, _extra):
    made = chunk_list.parse(data)
    return [made.sha256.hex(), len(made.levels[0])]


def _read_delta(data, extra):
    target = delta.apply(data, bytes.fromhex(extra["base"]))
    return [hashlib.sha256(target).hexdigest(), len(target)]


def _read_pack(data, extra, forgiven=()):
    members = pack.parse(data, extra["member_size"], extra["count"])
    whole = [rule is None or rule in forgiven for _, _, rule in members]
    seen = b"".join(name + bytes([one]) for (name, _, _), one in zip(members, whole))
    return [len(members), whole.count(False), hashlib.sha256(seen).hexdigest()]


def read_by_library(kind, data, extra):
    """What may also be said, when an older zstd library takes a frame that ours refuses: then the
    bytes had the right digest. None: nothing else."""
    rule = rule_of(kind, data, extra)
    if kind == "pack" and rule is None:
        return _read_pack(data, extra, {"zstd-blocks"})
    if kind == "delta" and rule == "zstd-blocks":
        return [data[40:72].hex(), int.from_bytes(data[80:88], "little")]
    return None


_READERS = {
    "listing": _read_listing,
    "times": _read_times,
    "merkle": _read_merkle,
    "tree": _read_tree,
    "meta": _read_meta,
    "record": _read_record,
    "chunk-list": _read_chunk_list,
    "delta": _read_delta,
    "pack": _read_pack,
}


def read(kind, data, extra):
    """What the C program should say after "ok" (a record: what it should write)."""
    return _READERS[kind](data, extra)


def rule_of(kind, data, extra):
    """The rule that is broken, or None."""
    try:
        read(kind, data, extra)
    except Refused as refused:
        return refused.rule
    return None


def job(kind, path, extra, out):
    """The C program's job that reads the file at `path`."""
    if kind == "times":
        return ("times", path, extra["count"])
    if kind == "merkle":
        return ("merkle-check", path, extra["data_size"], extra["verity"])
    if kind == "record":
        return ("record", path, out)
    if kind == "chunk-list":
        return ("chunk-list-check", path)
    if kind == "delta":
        base = out.with_suffix(".base")
        base.write_bytes(bytes.fromhex(extra["base"]))
        return ("delta", base, path, out)
    if kind == "pack":
        return ("pack", path, extra["member_size"], extra["count"])
    return (kind, path)
