# SPDX-License-Identifier: MIT
"""Reads a tree image and believes none of it.

The image is a function of its input, so every byte of it is checked: what is
not read is recomputed or must be zero. The order of the checks is the order in
which a reader in C could afford them: header, sections, records, names, the
tree they make, and last the two digests.
"""

import hashlib
import struct
from dataclasses import dataclass

from . import listing, times
from .entries import EMPTY_SHA256, MAX_ENTRIES, MAX_TARGETS, Entry
from .merkle import EMPTY_VERITY
from .names import (
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_PATH,
    MAX_TARGET,
    RESERVED_AT_THE_TOP,
    check_component,
)
from .refused import require
from .tree import DIGESTS, HEADER, MAGIC, PAGE, RECORD, section_table

_SECTIONS = ("records", "names", "targets", "digests", "by-digest")
_LOW = 2**32 - 1


@dataclass
class Record:
    """One record, taken apart."""

    at: int  # its offset in the image
    name_offset: int
    name_length: int
    kind: int
    mode: int
    a: int
    mtime: int
    parent: int
    b: int
    name: bytes = b""
    target: bytes = b""
    path_length: int = 0
    depth: int = 0


@dataclass
class Image:
    """What a whole and correct image says. Lists are in the listing's order."""

    entries: list
    times: list
    verities: list  # of files
    content: bytes
    times_digest: bytes
    file_count: int
    bytes: int


class _Checker:
    def __init__(self, data):
        self.data = data
        self.records = []
        self.names_end = 0
        self.targets_end = 0
        self.file_count_seen = 0
        self.bytes_seen = 0
        self.next_child = 1

    def check(self):
        self.check_header()
        self.check_gaps()
        for index in range(self.count):
            self.records.append(self.read_record(index))
        for index, record in enumerate(self.records):
            self.check_record(index, record)
        require(self.next_child == self.count, 16, "record-unreached")
        self.check_sums()
        self.check_digests()
        return self.check_identity()

    def check_header(self):
        data = self.data
        require(len(data) >= PAGE, len(data), "truncated")
        fields = HEADER.unpack_from(data)
        magic, header_size, flags, self.count, self.files, self.bytes = fields[:6]
        require(magic == MAGIC, 0, "tree-magic")
        require(header_size == PAGE, 8, "header-size")
        require(flags == 0, 12, "flags")
        require(1 <= self.count <= MAX_ENTRIES + 1, 16, "record-count")
        require(self.files < self.count, 20, "file-count")
        require(self.bytes <= MAX_INTEGER, 24, "bytes-too-large")
        self.content, self.times_digest = fields[16:18]
        self.check_sections(list(zip(fields[6:16:2], fields[7:16:2])))

    def check_sections(self, given):
        sizes = [size for _, size in given]
        fixed = {0: RECORD.size * self.count, 3: DIGESTS * self.files, 4: 4 * self.files}
        for number, size in fixed.items():
            require(sizes[number] == size, 40 + 16 * number, "section-size")
        # Neither names nor targets may pass what a u32 offset reaches.
        require(sizes[1] <= MAX_TARGETS, 56, "section-size")
        require(sizes[2] <= MAX_TARGETS, 72, "section-size")
        table, end = section_table(sizes)
        for number, (offset, _) in enumerate(table):
            require(given[number][0] == offset, 32 + 16 * number, "section-offset")
        require(len(self.data) == end, min(len(self.data), end), "tree-length")
        self.sections = dict(zip(_SECTIONS, table))

    def check_gaps(self):
        ends = [HEADER.size] + [offset + size for offset, size in self.sections.values()]
        for end in ends:
            gap = self.data[end : end + -end % PAGE]
            require(not any(gap), end, "gap-not-zero")

    def read_record(self, index):
        at = self.sections["records"][0] + RECORD.size * index
        name_offset, name_length, mode, a, mtime, parent, b = RECORD.unpack_from(self.data, at)
        return Record(at, name_offset, name_length, mode >> 12, mode & 0xFFF, a, mtime, parent, b)

    def check_record(self, index, record):
        if index == 0:
            root = (record.name_offset, record.name_length, record.kind, record.mode)
            require(root == (0, 0, 1, 0o755), record.at, "root")
            require((record.mtime, record.parent) == (0, 0), record.at, "root")
        else:
            self.check_name(index, record)
        require(record.kind in (1, 2, 3), record.at + 6, "kind")
        require(record.mode <= 0o777, record.at + 6, "mode")
        require(abs(record.mtime) <= MAX_INTEGER, record.at + 16, "time-range")
        (self.check_directory, self.check_file, self.check_link)[record.kind - 1](index, record)

    def check_name(self, index, record):
        require(record.name_offset == self.names_end, record.at, "name-offset")
        start, size = self.sections["names"]
        self.names_end += record.name_length
        require(self.names_end <= size, record.at + 4, "name-length")
        at = start + record.name_offset
        record.name = self.data[at : at + record.name_length]
        check_component(record.name, at)
        # The run of its directory has been checked already: a parent comes first.
        above = self.records[record.parent] if record.parent < index else None
        require(above is not None and above.kind == 1, record.at + 24, "parent")
        require(record.parent or record.name not in RESERVED_AT_THE_TOP, at, "path-reserved")
        record.depth = above.depth + 1
        record.path_length = above.path_length + len(record.name) + (above.depth > 0)
        require(record.depth <= MAX_DEPTH, record.at, "path-too-deep")
        require(record.path_length <= MAX_PATH, record.at, "path-too-long")
        before = self.records[index - 1]
        if before.parent == record.parent and index > 1:
            require(before.name != record.name, at, "entry-duplicate")
            require(before.name < record.name, at, "entry-order")

    def check_directory(self, index, record):
        require(record.b == 0, record.at + 28, "unused-field")
        first, count = record.a & _LOW, record.a >> 32
        require(count or not first, record.at + 8, "children-of-none")
        if not count:
            return
        require(first == self.next_child, record.at + 8, "first-child")
        require(count <= self.count - first, record.at + 12, "child-count")
        self.next_child += count
        for child in self.records[first : first + count]:
            require(child.parent == index, child.at + 24, "parent")

    def check_file(self, _index, record):
        require(record.a <= MAX_INTEGER, record.at + 8, "size")
        require(record.b == self.file_count_seen, record.at + 28, "digest-index")
        self.file_count_seen += 1
        require(self.file_count_seen <= self.files, 20, "file-count")
        self.bytes_seen += record.a
        require(self.bytes_seen <= self.bytes, 24, "bytes")
        at = self.sections["digests"][0] + DIGESTS * record.b
        empty = record.a == 0
        require((self.data[at : at + 32] == EMPTY_SHA256) == empty, at, "empty-file-digest")
        at += 32
        require((self.data[at : at + 32] == EMPTY_VERITY) == empty, at, "empty-file-verity")

    def check_link(self, _index, record):
        require(record.mode == 0, record.at + 6, "link-mode")
        require(record.mtime == 0, record.at + 16, "link-time")
        require(record.b == 0, record.at + 28, "unused-field")
        offset, length = record.a & _LOW, record.a >> 32
        require(offset == self.targets_end, record.at + 8, "target-offset")
        require(1 <= length <= MAX_TARGET, record.at + 12, "target-length")
        start, size = self.sections["targets"]
        self.targets_end += length
        require(self.targets_end <= size, record.at + 12, "target-length")
        record.target = self.data[start + offset : start + offset + length]
        require(b"\0" not in record.target, start + offset, "target-nul")

    def check_sums(self):
        require(self.names_end == self.sections["names"][1], 56, "names-size")
        require(self.targets_end == self.sections["targets"][1], 72, "targets-size")
        require(self.file_count_seen == self.files, 20, "file-count")
        require(self.bytes_seen == self.bytes, 24, "bytes")

    def check_digests(self):
        """Sorted and below the count means that each index stands there once."""
        digests = self.sections["digests"][0]
        start = self.sections["by-digest"][0]
        sizes = [record.a for record in self.records if record.kind == 2]
        last = None
        for number, index in enumerate(struct.unpack_from(f"<{self.files}I", self.data, start)):
            at = start + 4 * number
            require(index < self.files, at, "by-digest-index")
            place = digests + DIGESTS * index
            sha256, verity = self.data[place : place + 32], self.data[place + 32 : place + 64]
            if last is not None:
                require((last[0], last[1]) < (sha256, index), at, "by-digest-order")
                if last[0] == sha256:
                    require(last[2:] == (verity, sizes[index]), at, "digest-conflict")
            last = (sha256, index, verity, sizes[index])

    def check_identity(self):
        image = Image([], [], [], self.content, self.times_digest, self.files, self.bytes)
        stack = [(0, b"")]
        while stack:
            index, above = stack.pop()
            record = self.records[index]
            path = above + b"/" + record.name if above else record.name
            if index:
                self.add_entry(image, record, path)
            if record.kind == 1:
                first, count = record.a & _LOW, record.a >> 32
                stack.extend((child, path) for child in reversed(range(first, first + count)))
        require(listing.content(listing.write(image.entries)) == self.content, 112, "content")
        digest = hashlib.sha256(times.write(image.times)).digest()
        require(digest == self.times_digest, 144, "times")
        return image

    def add_entry(self, image, record, path):
        image.times.append(record.mtime)
        if record.kind == 1:
            image.entries.append(Entry.directory(path, record.mode))
        elif record.kind == 3:
            image.entries.append(Entry.link(path, record.target))
        else:
            at = self.sections["digests"][0] + DIGESTS * record.b
            sha256 = self.data[at : at + 32]
            image.entries.append(Entry.file(path, record.a, sha256, record.mode))
            image.verities.append(self.data[at + 32 : at + 64])


def read(data):
    """Checks a whole image and gives what it holds."""
    return _Checker(data).check()
