# SPDX-License-Identifier: MIT
"""Trees that a careless program trips over, the same ones for the same seed."""

import hashlib
import random
from dataclasses import dataclass, field

from . import listing, merkle, meta, times, tree
from .entries import EMPTY_SHA256, Entry, order_key
from .names import MAX_INTEGER, RESERVED_AT_THE_TOP
from .record import Signature

# Siblings whose order by components differs from the order of the paths' bytes,
# and names that quoting, YAML, JSON, shells and terminals get wrong.
_NAMES = [
    b"a",
    b"a-b",
    b"a.b",
    b"a b",
    b"a0",
    b"A",
    b"b",
    b"ab",
    b"a\x01",
    b"a!",
    b"with space",
    b" leading",
    b"trailing ",
    b'quo"te',
    b"quo'te",
    b"back\\slash",
    b"new\nline",
    b"tab\tstop",
    b"\x1b[31mred",
    b"\x7f",
    b"\xff\xfe",
    b"caf\xe9",
    b"caf\xc3\xa9",
    b"\xc3\xa9",
    b"e\xcc\x81",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\xaf",
    b"\xc2\x85",
    b"\xc2\xa0",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbd",
    b"...",
    b".hidden",
    b"-rf",
    b"- item",
    b"key: value",
    b"#comment",
    b"&anchor",
    b"*alias",
    b"!tag",
    b"|",
    b">",
    b"%41",
    b"100%",
    b"?",
    b"[x]",
    b"{x}",
    b"~",
    b"null",
    b"true",
    b"0755",
    b"1e3",
    b"@",
    b"`",
    b"$HOME",
    b"con",
    b"nul.txt",
    b"latest",
    b"meta.yaml",
    b"\\n",
    b"'",
    b'"',
    b".kkartifactory",
    b".KKARTIFACT",
]
_SIZES = [0, 0, 1, 5, 4095, 4096, 4097, 8192, 524287, 524288, 524289]
_LARGE = 100_000  # bytes; such a file is rare, so that a tree stays small
_TARGETS = [
    b"a",
    b"../../../../etc/passwd",
    b"/usr/bin/python3",
    b"..",
    b".",
    b"/",
    b"a//b/",
    b"\n",
    b"\xff",
    b'"',
    b"\\",
    b"x" * 4095,
    b"\xc2\x85",
    b"#",
]
_TIMES = [0, 1, -1, 1_700_000_000, -(2**31) - 1, 2**32, MAX_INTEGER, -MAX_INTEGER]


@dataclass
class RandomTree:
    """A tree in every format. `data` holds the bytes of the files that have any."""

    entries: list
    times: list
    verities: list  # of files, in order
    data: dict  # path -> bytes
    record: dict = field(default_factory=dict)

    def __post_init__(self):
        self.listing = listing.write(self.entries)
        self.content = listing.content(self.listing)
        self.times_bytes = times.write(self.times)
        self.image = tree.write(self.entries, self.times, self.verities)
        self.image_digest = tree.digest(self.image)
        said = meta.describe(self.listing, self.times_bytes, self.image, self.image_digest)
        self.record = {**self.record, **said}
        self.meta = meta.write(self.record, self.entries, self.times, self.verities)


class _Maker:
    def __init__(self, rng, large):
        self.rng = rng
        self.large = large
        self.entries = {}
        self.data = {}
        self.verity = {EMPTY_SHA256: merkle.EMPTY_VERITY}
        self.left = MAX_INTEGER  # bytes that imagined files may still claim

    def name(self):
        kind = self.rng.randrange(20)
        if kind == 0:
            return bytes(self.rng.choice(b"xyz\xff") for _ in range(255))
        if kind < 4:
            size = self.rng.randint(1, 12)
            choice = bytes(self.rng.choice([*range(1, 47), *range(48, 256)]) for _ in range(size))
            return choice if choice not in (b".", b"..") else b"dots"
        return self.rng.choice(_NAMES)

    def file_bytes(self):
        size = self.rng.choice(_SIZES) if self.rng.random() < 0.4 else self.rng.randint(0, 60)
        if size > _LARGE and not self.large:
            size = self.rng.randint(1, 9000)
        return self.rng.randbytes(size)

    def add_file(self, path):
        mode = self.rng.choice([0o644, 0o755, 0o600, 0, 0o777, self.rng.randrange(0o1000)])
        files = [entry for entry in self.entries.values() if entry.kind == "f"]
        if files and self.rng.random() < 0.15:  # a second file of the same bytes
            twin = self.rng.choice(files)
            if twin.size <= self.left:
                self.left -= twin.size
                self.entries[path] = Entry.file(path, twin.size, twin.sha256, mode)
                if twin.path in self.data:
                    self.data[path] = self.data[twin.path]
                return
        if self.rng.random() < 0.1:  # an imagined file: of a size that no test can hold
            size = self.rng.choice([1, 2**32, 2**31, 2**52, self.rng.randint(1, 2**50)])
            if size < self.left:
                sha256 = self.rng.randbytes(32)
                self.verity[sha256] = self.rng.randbytes(32)
                self.entries[path] = Entry.file(path, size, sha256, mode)
                self.left -= size
                return
        data = self.file_bytes()
        sha256 = hashlib.sha256(data).digest()
        self.verity[sha256] = merkle.verity(data)
        self.data[path] = data
        self.entries[path] = Entry.file(path, len(data), sha256, mode)
        self.left -= len(data)

    def add(self, path):
        kind = self.rng.choice("dddffffll")
        if kind == "d":
            self.entries[path] = Entry.directory(path, self.rng.choice([0o755, 0o700, 0, 0o777]))
        elif kind == "f":
            self.add_file(path)
        else:
            target = self.rng.choice(_TARGETS)
            if self.rng.random() < 0.2:
                target = bytes(self.rng.randint(1, 255) for _ in range(self.rng.randint(1, 30)))
            self.entries[path] = Entry.link(path, target)

    def grow(self, count):
        for _ in range(count):
            parents = [entry.path for entry in self.entries.values() if entry.kind == "d"]
            parent = self.rng.choice([b""] + parents[-12:])
            name = self.name()
            if not parent and name in RESERVED_AT_THE_TOP:
                continue
            path = parent + b"/" + name if parent else name
            if path not in self.entries and len(path) <= 4096 and path.count(b"/") < 255:
                self.add(path)

    def deepen(self):
        """A chain to the limit of depth, and one to the limit of length."""
        path = b""
        for _ in range(255):
            path = path + b"/d" if path else b"deep"
            self.entries[path] = Entry.directory(path)
        path = b"long"
        self.entries[path] = Entry.directory(path)
        while len(path) < 4096:
            path += b"/" + b"n" * min(254, 4095 - len(path))
            self.entries[path] = Entry.directory(path)
        self.entries[path] = Entry.link(path, b"end")


def _random_record(rng):
    """The part of a record that does not follow from the tree."""
    texts = ["x", 'quo"te\\', "caf\u00e9 \U0001f600", "# no comment", "a: b", " padded ", "'", "-"]
    record = {
        "format": 1,
        "project": rng.choice(["p", "web-shop", "0.a_b", "P" * 63]),
        "app": rng.choice(["app", "x.y", "Z"]),
        "version": rng.choice(["v1.2.3+build.5", "a" * 128, "3f2a9c11d0be", "0"]),
        "created_at": "2026-02-28T23:59:59Z",
    }
    optional = {
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "git_ref": "refs/heads/main",
        "vcs_url": "https://git.example/team/web.git",
        "build_time": "2024-02-29T00:00:00Z",
        "builder": rng.choice(texts),
        "build_url": "https://ci.example/runs/7?a=b#c",
        "pushed_by": rng.choice(texts),
        "labels": {f"k{rng.randrange(99)}/x": rng.choice(texts) for _ in range(rng.randint(1, 4))},
        "signatures": [
            Signature(rng.randbytes(32), rng.choice([0, 1_700_000_000, -5]), rng.randbytes(64))
            for _ in range(rng.randint(1, 2))
        ],
    }
    record.update({key: value for key, value in optional.items() if rng.random() < 0.5})
    return record


def make(seed, large=True, count=None):
    """The tree of a seed. `large` allows files of more than 100 kB, `count` fixes the attempts."""
    rng = random.Random(f"tree {seed}")
    maker = _Maker(rng, large and rng.random() < 0.2)
    if count is None:
        count = rng.choice([0, 1, 2, 5, 12, 30, 80])
    maker.grow(count)
    if count == 80 and rng.random() < 0.3:
        maker.deepen()
    entries = sorted(maker.entries.values(), key=lambda entry: order_key(entry.path))
    mtimes = [0 if entry.kind == "l" else rng.choice(_TIMES) for entry in entries]
    verities = [maker.verity[entry.sha256] for entry in entries if entry.kind == "f"]
    return RandomTree(entries, mtimes, verities, maker.data, _random_record(rng))
