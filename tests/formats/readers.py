# SPDX-License-Identifier: MIT
"""Every kind of file with its Python reader and its job for the C program.

`extra` is what a reader is told beside the file: {"count"} for times,
{"data_size", "verity"} for a merkle object.
"""

import hashlib

from kkformats import listing, merkle, meta, record, times, tree_reader
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


_READERS = {
    "listing": _read_listing,
    "times": _read_times,
    "merkle": _read_merkle,
    "tree": _read_tree,
    "meta": _read_meta,
    "record": _read_record,
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
    return (kind, path)
