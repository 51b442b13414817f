# SPDX-License-Identifier: MIT
"""Inputs that must be refused, each made to break one rule and no other.

cases() gives (kind, name, bytes, extra): the rule is what stands in the name
before the first dot, `extra` what a reader of that kind is told beside the file.
"""

import hashlib
import struct

from kkformats import listing, merkle, times, tree
from kkformats.entries import Entry
from kkformats.mutate import reseal
from kkformats.tree import PAGE, RECORD

HELLO = b"hello"
SHA = hashlib.sha256(HELLO).hexdigest().encode()
EMPTY = hashlib.sha256(b"").hexdigest().encode()


def _file(path, mode=b"0644", size=b"5", sha256=SHA):
    return b"f %s %s %s %s\0" % (mode, size, sha256, path)


def _dir(path, mode=b"0755"):
    return b"d %s %s\0" % (mode, path)


def _link(path, target=b"x"):
    return b"l %s\0%s\0" % (path, target)


def _deep(depth):
    return [b"/".join([b"d"] * count) for count in range(1, depth + 1)]


_LISTINGS = {
    "listing-magic": b"kkartifact-listing-2\0",
    "listing-magic.empty": b"",
    "listing-magic.no-nul": b"kkartifact-listing-1",
    "entry-kind": [b"c 0644 x\0"],
    "entry-kind.upper": [b"D 0755 x\0"],
    "entry-kind.no-space": [b"d\t0755 x\0"],
    "truncated": [_file(b"x")[:-1]],
    "truncated.kind": [b"d"],
    "truncated.target": [b"l x\0y"],
    "field-too-long": [b"d 00755 x\0"],
    "field-too-long.path": [_dir(b"n" * 4097)],
    "field-too-long.target": [_link(b"x", b"t" * 4096)],
    "mode": [_dir(b"x", b"1755")],
    "mode.three-digits": [_dir(b"x", b"755")],
    "mode.not-octal": [_dir(b"x", b"0789")],
    "size": [_file(b"x", size=b"05")],
    "size.2-53": [_file(b"x", size=b"9007199254740992")],
    "size.negative": [_file(b"x", size=b"-5")],
    "size.plus": [_file(b"x", size=b"+5")],
    "size.none": [_file(b"x", size=b"")],
    "field-too-long.size-2-63": [_file(b"x", size=b"9223372036854775808")],
    "digest": [_file(b"x", sha256=SHA.upper())],
    "digest.short": [_file(b"x", sha256=SHA[:-1])],
    "empty-file-digest": [_file(b"x", size=b"0")],
    "empty-file-digest.size": [_file(b"x", size=b"1", sha256=EMPTY)],
    "path-empty": [_dir(b"")],
    "component-empty.absolute": [_dir(b"/x")],
    "component-empty": [_dir(b"x"), _dir(b"x//y")],
    "component-empty.end": [_dir(b"x"), _dir(b"x/")],
    "component-dots": [_dir(b"..")],
    "component-dots.dot": [_dir(b".")],
    "component-dots.inside": [_dir(b"x"), _file(b"x/../y")],
    "component-too-long": [_dir(b"n" * 256)],
    "path-too-deep": [_dir(path) for path in _deep(256)],
    "path-reserved": [_file(b".kkartifact.yml")],
    "path-reserved.directory": [_dir(b".kkartifact")],
    "path-reserved.inside": [_file(b".kkartifact/meta.yaml")],
    "entry-duplicate": [_dir(b"x"), _dir(b"x")],
    "entry-duplicate.file-and-directory": [_file(b"x"), _dir(b"x")],
    "entry-order": [_dir(b"b"), _dir(b"a")],
    "entry-order.plain-bytes": [_dir(b"a"), _file(b"a-b"), _file(b"a/b")],
    "entry-order.signed": [_dir(b"\xff"), _dir(b"a")],
    "parent-missing": [_file(b"x/y")],
    "parent-missing.file": [_file(b"x"), _file(b"x/y")],
    "parent-missing.link": [_link(b"x"), _file(b"x/y")],
    "parent-missing.prefix": [_dir(b"x"), _file(b"xy/z")],
    "target-empty": [_link(b"x", b"")],
    "bytes-too-large": [_file(b"x", size=b"9007199254740991"), _file(b"y", size=b"1")],
}


def _listings():
    for name, parts in _LISTINGS.items():
        whole = isinstance(parts, bytes)
        yield "listing", name, parts if whole else listing.MAGIC + b"".join(parts), {}


def _times():
    def of(*numbers):
        return times.MAGIC + struct.pack(f"<{len(numbers)}q", *numbers)

    cases = {
        "times-magic": b"kkartifact-times-2\0" + bytes(16),
        "times-magic.empty": b"",
        "times-length": of(1),
        "times-length.more": of(1, 2, 3),
        "times-length.half": of(1, 2)[:-1],
        "time-range": of(1, 2**53),
        "time-range.negative": of(-(2**53), 1),
        "time-range.lowest": of(1, -(2**63)),
    }
    for name, data in cases.items():
        yield "times", name, data, {"count": 2}


def _merkles():
    size = 524_289
    data = b"m" * size
    good, root = merkle.build(data)
    digest = merkle.verity_digest(size, root)

    def sealed(spoilt):
        return spoilt, merkle.verity_digest(size, hashlib.sha256(spoilt[:4096]).digest())

    padding = bytearray(good)
    padding[4095] = 1
    below = bytearray(good)
    below[2 * 4096 + 32] = 1  # behind the one hash of the second block of the lower level
    below[32:64] = hashlib.sha256(below[8192:12288]).digest()
    wrong = bytearray(good)
    wrong[4096] ^= 1
    cases = {
        "merkle-length": (good[:-4096], size, digest),
        "merkle-length.more": (good + bytes(4096), size, digest),
        "merkle-length.one-block": (bytes(4096), 4096, merkle.verity(b"m" * 4096)),
        "merkle-root": (good, size, bytes(32)),
        "merkle-root.size": (good, size + 1, digest),
        "merkle-root.empty": (b"", 0, digest),
        "merkle-padding": (bytes(padding), size, sealed(bytes(padding))[1]),
        "merkle-padding.lower": (bytes(below), size, sealed(bytes(below))[1]),
        "merkle-hash": (bytes(wrong), size, digest),
        "data-size": (b"", 2**53, digest),
    }
    for name, (spoilt, said, verity) in cases.items():
        yield "merkle", name, spoilt, {"data_size": said, "verity": verity.hex()}


class _Images:
    """Small images, and ways to put single fields of them wrong."""

    def __init__(self):
        sha256, verity = hashlib.sha256(HELLO).digest(), merkle.verity(HELLO)
        # Records: 0 root, 1 d "a", 2 f "b", 3 f "c", 4 d "a/x", 5 d "a/y".
        entries = [Entry.directory(path) for path in (b"a", b"a/x", b"a/y")]
        entries += [Entry.file(path, 5, sha256) for path in (b"b", b"c")]
        self.base = tree.write(entries, [1, 2, 3, 4, 5], [verity] * 2)
        links = [Entry.link(b"l", b"one"), Entry.link(b"m", b"two")]
        self.links = tree.write(links, [0, 0], [])
        self.empty = tree.write([], [], [])
        flat = [Entry.directory(path) for path in (b"a", b"b")]
        self.flat = tree.write(flat, [1, 2], [])
        nothing = hashlib.sha256(b"").digest()
        files = [Entry.file(b"e", 0, nothing), Entry.file(b"f", 5, sha256)]
        self.files = tree.write(files, [1, 1], [merkle.EMPTY_VERITY, verity])

    @staticmethod
    def put(image, at, data, seal=True):
        out = image[:at] + data + image[at + len(data) :]
        return reseal(out) if seal else out

    def number(self, image, at, size, value, seal=True):
        return self.put(image, at, value.to_bytes(size, "little"), seal)

    def record(self, image, index, field, size, value):
        return self.number(image, PAGE + RECORD.size * index + field, size, value)


def _header_cases(images):
    base, number = images.base, images.number
    yield "tree-magic", images.put(images.empty, 0, b"KKATREE2")
    yield "truncated", images.empty[:4095]
    yield "truncated.nothing", b""
    yield "header-size", number(images.empty, 8, 4, 8192)
    yield "flags", number(images.empty, 12, 4, 1)
    yield "record-count", number(images.empty, 16, 4, 0)
    yield "record-count.many", number(images.empty, 16, 4, 2**24 + 2)
    yield "file-count", number(images.empty, 20, 4, 1)
    yield "bytes", number(base, 24, 8, 11)
    yield "bytes.fewer", number(base, 24, 8, 9)
    yield "bytes-too-large", number(images.empty, 24, 8, 2**53)
    yield "section-size", number(images.empty, 40, 8, 64)
    yield "section-size.digests", number(images.empty, 88, 8, 64)
    yield "section-offset", number(images.empty, 48, 8, 12288)
    yield "section-offset.2-64", number(images.empty, 64, 8, 2**64 - 4096)
    yield "tree-length", images.empty + bytes(4096)
    yield "tree-length.byte", images.empty[:-1]
    yield "gap-not-zero", images.put(images.empty, 4095, b"\1")
    yield "gap-not-zero.header", images.put(images.empty, 176, b"\1")
    yield "gap-not-zero.records", images.put(images.empty, 8191, b"\1")


def _record_cases(images):
    base, flat, links, record = images.base, images.flat, images.links, images.record
    yield "root", record(images.empty, 0, 6, 2, 1 << 12 | 0o700)
    yield "root.time", record(images.empty, 0, 16, 8, 1)
    yield "root.parent", record(images.empty, 0, 24, 4, 1)
    yield "kind", record(flat, 2, 6, 2, 0o755)
    yield "kind.device", record(flat, 2, 6, 2, 4 << 12 | 0o755)
    yield "mode", record(flat, 2, 6, 2, 1 << 12 | 0o1755)
    yield "time-range", record(flat, 2, 16, 8, 2**53)
    yield "name-offset", record(flat, 2, 0, 4, 0)
    yield "name-length", record(flat, 2, 4, 2, 2)
    yield "component-empty", images.record(flat, 2, 4, 2, 0)
    yield "unused-field", record(flat, 2, 28, 4, 1)
    yield "children-of-none", record(flat, 2, 8, 8, 3)
    yield "first-child", record(flat, 0, 8, 4, 2)
    yield "child-count", record(flat, 0, 12, 4, 3)
    yield "record-unreached", record(flat, 0, 12, 4, 1)
    yield "parent", record(base, 4, 24, 4, 0)
    yield "parent.file", record(base, 4, 24, 4, 2)
    yield "parent.itself", record(base, 4, 24, 4, 4)
    yield "size", record(images.files, 2, 8, 8, 2**53)
    yield "digest-index", record(images.files, 2, 28, 4, 0)
    yield "link-mode", record(links, 2, 6, 2, 3 << 12 | 0o777)
    yield "link-time", record(links, 2, 16, 8, 1)
    yield "target-offset", record(links, 2, 8, 4, 0)
    yield "target-length", record(links, 2, 12, 4, 0)
    yield "target-length.past", record(links, 2, 12, 4, 4)


def _section_cases(images):
    flat, links, files, put = images.flat, images.links, images.files, images.put
    names, targets = 8192, 12288
    digests, by_digest = 12288, 16384  # of `files`, which has no targets
    yield "component-slash", put(flat, names, b"/")
    yield "component-nul", put(flat, names, b"\0")
    yield "component-dots", put(flat, names, b".")
    yield "entry-order", put(flat, names, b"ba")
    yield "entry-duplicate", put(flat, names, b"aa")
    yield "target-nul", put(links, targets, b"\0")
    yield "names-size", images.number(flat, 56, 8, 3)
    yield "targets-size", images.number(links, 72, 8, 7)
    yield "empty-file-digest", put(files, digests, b"\0")
    yield "empty-file-verity", put(files, digests + 32, b"\0")
    yield "by-digest-order", put(files, by_digest, files[by_digest : by_digest + 4] * 2)
    yield "by-digest-index", put(files, by_digest, b"\2")
    yield "digest-conflict", put(images.base, 12288 + 32, b"\0")
    yield "content", put(flat, 112, bytes(32), seal=False)
    yield "times", put(flat, 144, bytes(32), seal=False)
    reserved = tree.write([Entry.directory(b"kkkartifact")], [0], [])
    yield "path-reserved", put(reserved, names, b".")


def _trees():
    images = _Images()
    for make in (_header_cases, _record_cases, _section_cases):
        for name, data in make(images):
            yield "tree", name, data, {}


def cases():
    for make in (_listings, _times, _merkles, _trees):
        yield from make()
