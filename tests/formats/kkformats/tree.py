# SPDX-License-Identifier: MIT
"""Writes the tree image: listing, times and verity digests as one index.

The layout, shared with tree_reader:

    header    4096 bytes: magic, sizes, five sections, content, SHA-256 of the times
    records   32 bytes each, the root first, then breadth first
    names, targets, digests (64 bytes a file), by-digest (u32 a file)

Each section starts on a multiple of 4096, and the image ends on one.
"""

import hashlib
import struct

from . import listing, merkle, times
from .entries import order_key

MAGIC = b"KKATREE1"
PAGE = 4096
HEADER = struct.Struct("<8sIIIIQ10Q32s32s")
RECORD = struct.Struct("<IHHQqII")
DIGESTS = 64
KINDS = {"d": 1, "f": 2, "l": 3}
MEDIA_TYPE = "application/vnd.kkartifact.tree"


def align(offset):
    return offset + -offset % PAGE


def section_table(sizes):
    """[(offset, size)] of the five sections, and the size of the image."""
    table = []
    offset = PAGE
    for size in sizes:
        table.append((offset, size))
        offset = align(offset + size)
    return table, offset


def _breadth_first(entries):
    """(order, parent, first child) by record number; order holds listing places."""
    places = {entry.path: place for place, entry in enumerate(entries)}
    children = [[] for _ in entries]
    top = []
    for place, entry in enumerate(entries):
        above, slash, _ = entry.path.rpartition(b"/")
        (children[places[above]] if slash else top).append(place)
    order = [-1]
    parents = [0]
    firsts = []
    record = 0
    while record < len(order):
        run = top if record == 0 else children[order[record]]
        firsts.append((len(order) if run else 0, len(run)))
        order.extend(run)
        parents.extend([record] * len(run))
        record += 1
    return order, parents, firsts


def _by_digest(digests):
    """The digest indices, sorted by (sha256, index)."""
    count = len(digests) // DIGESTS
    rank = sorted(range(count), key=lambda i: (digests[DIGESTS * i : DIGESTS * i + 32], i))
    return struct.pack(f"<{count}I", *rank)


def write(entries, entry_times, verities):
    """The image; `verities` has one digest per file, in the listing's order."""
    order, parents, firsts = _breadth_first(entries)
    files = [place for place, entry in enumerate(entries) if entry.kind == "f"]
    verity_of = dict(zip(files, verities, strict=True))
    names, targets, digests, records = bytearray(), bytearray(), bytearray(), bytearray()
    for record, place in enumerate(order):
        first, count = firsts[record]
        if place < 0:
            records += RECORD.pack(0, 0, KINDS["d"] << 12 | 0o755, first | count << 32, 0, 0, 0)
            continue
        entry = entries[place]
        name = order_key(entry.path)[-1]
        if entry.kind == "d":
            a, b = first | count << 32, 0
        elif entry.kind == "f":
            a, b = entry.size, len(digests) // DIGESTS
            digests += entry.sha256 + verity_of[place]
        else:
            a, b = len(targets) | len(entry.target) << 32, 0
            targets += entry.target
        mode = KINDS[entry.kind] << 12 | entry.mode
        records += RECORD.pack(
            len(names), len(name), mode, a, entry_times[place], parents[record], b
        )
        names += name
    sections = [records, names, targets, digests, _by_digest(digests)]
    return _assemble(sections, entries, entry_times)


def _assemble(sections, entries, entry_times):
    table, end = section_table([len(section) for section in sections])
    header = HEADER.pack(
        MAGIC,
        PAGE,
        0,
        len(entries) + 1,
        sum(entry.kind == "f" for entry in entries),
        sum(entry.size for entry in entries),
        *[number for pair in table for number in pair],
        listing.content(listing.write(entries)),
        hashlib.sha256(times.write(entry_times)).digest(),
    )
    image = bytearray(end)
    image[: len(header)] = header
    for (offset, size), section in zip(table, sections):
        image[offset : offset + size] = section
    return bytes(image)


def build(listing_bytes, times_bytes, verities):
    """The image from the three things of which it is a function, each checked."""
    entries = listing.parse(listing_bytes)
    entry_times = times.parse(times_bytes, len(entries), entries)
    return write(entries, entry_times, verities)


def digest(image):
    """The verity digest by which a record names the image."""
    return merkle.verity(image)
