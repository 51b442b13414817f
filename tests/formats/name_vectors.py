# SPDX-License-Identifier: MIT
"""Names and paths, with what is to be said of each."""

_GOOD_NAMES = ["a", "A", "0", "web-shop", "x.y_z", "a" * 63, "Latest", "latest1"]
_BAD_NAMES = [
    "", ".", "..", ".a", "-a", "_a", "a" * 64, "a/b", "a b", "a+b", "a\0", "a\n", "\u00e9",
    "latest", "a%2e",
]  # fmt: skip
_GOOD_VERSIONS = ["1.0", "v1+build.7", "a" * 128, "3f2a9c11d0be", "0"]
_BAD_VERSIONS = ["", "+1", ".1", "a" * 129, "latest", "1/2", "1 2", "1\n", "~1"]
_GOOD_PATHS = [
    b"a", b"a/b", b"...", b".hidden", b"a/.kkartifact", b"a/.kkartifact.yml", b".kkartifacts",
    b".KKARTIFACT",
    b"\xff", b"new\nline", b" ", b"a\\b",
    b"n" * 255, b"/".join([b"d"] * 255), b"/".join([b"n" * 255] * 16),
]  # fmt: skip
_BAD_PATHS = [
    b"", b"/", b"/a", b"a/", b"a//b", b".", b"..", b"./a", b"a/.", b"a/../b", b"../a", b"a\0b",
    b"n" * 256,
    b"/".join([b"d"] * 256), b"/".join([b"n" * 255] * 16) + b"/",
    b"/".join([b"n" * 255] * 16) + b"/a",
    b".kkartifact", b".kkartifact.yml", b".kkartifact/meta.yaml", b".kkartifact.yml/x",
]  # fmt: skip


def cases():
    """(kind, bytes, valid)"""
    for kind in ("project", "app", "channel"):
        yield from ((kind, name.encode(), True) for name in _GOOD_NAMES)
        yield from ((kind, name.encode(), False) for name in _BAD_NAMES)
    yield from (("version", name.encode(), True) for name in _GOOD_VERSIONS)
    yield from (("version", name.encode(), False) for name in _BAD_VERSIONS)
    yield from (("path", path, True) for path in _GOOD_PATHS)
    yield from (("path", path, False) for path in _BAD_PATHS)
