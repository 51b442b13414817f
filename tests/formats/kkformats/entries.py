# SPDX-License-Identifier: MIT
"""The entries of a tree, and the rules that bind them to each other."""

import hashlib
from dataclasses import dataclass

from .names import MAX_INTEGER, check_path, check_target
from .refused import require

MAX_ENTRIES = 16_777_216
MAX_TARGETS = 2**32 - 1
EMPTY_SHA256 = hashlib.sha256(b"").digest()


@dataclass(frozen=True)
class Entry:
    """One entry. What a kind does not have stays at its default."""

    kind: str  # "d", "f" or "l"
    path: bytes
    mode: int = 0  # d, f: permission bits
    size: int = 0  # f: bytes
    sha256: bytes = b""  # f: 32 bytes
    target: bytes = b""  # l: as it was read

    @staticmethod
    def directory(path, mode=0o755):
        return Entry("d", path, mode=mode)

    @staticmethod
    def file(path, size, sha256, mode=0o644):
        return Entry("f", path, mode=mode, size=size, sha256=sha256)

    @staticmethod
    def link(path, target):
        return Entry("l", path, target=target)


def order_key(path):
    """Sorts component by component, bytes unsigned: Python compares lists of bytes so."""
    return path.split(b"/")


class Walk:
    """Takes the entries in their order and checks everything that spans several.

    The directories above the last entry are all that it remembers.
    """

    def __init__(self):
        self.count = 0
        self.file_count = 0
        self.bytes = 0
        self.targets = 0
        self._last = None
        self._open = []  # directories of which the last entry is a part, outermost first

    def add(self, entry, at=0):
        check_path(entry.path, at)
        parts = order_key(entry.path)
        require(self._last is None or parts != self._last, at, "entry-duplicate")
        require(self._last is None or parts > self._last, at, "entry-order")
        while self._open and self._open[-1] != parts[: len(self._open[-1])]:
            self._open.pop()
        above = self._open[-1] if self._open else []
        require(len(parts) == len(above) + 1, at, "parent-missing")
        self._last = parts
        self.count += 1
        require(self.count <= MAX_ENTRIES, at, "too-many-entries")
        if entry.kind == "d":
            self._open.append(parts)
        elif entry.kind == "f":
            self._add_file(entry, at)
        else:
            check_target(entry.target, at)
            self.targets += len(entry.target)
            require(self.targets <= MAX_TARGETS, at, "targets-too-long")

    def _add_file(self, entry, at):
        require(entry.size <= MAX_INTEGER, at, "size")
        require((entry.size == 0) == (entry.sha256 == EMPTY_SHA256), at, "empty-file-digest")
        self.file_count += 1
        self.bytes += entry.size
        require(self.bytes <= MAX_INTEGER, at, "bytes-too-large")

    def has_parent_of(self, path):
        """True when the directory of `path` is open, so that `path` could come next."""
        above = order_key(path)[:-1]
        return not above or any(parts == above for parts in self._open)
