# SPDX-License-Identifier: MIT
"""Manifests and records as people write them: what is taken, what is refused.

A manifest that is taken comes with the entries that it must give, one that is
refused breaks the rule that stands in its name before the first dot.
"""

import base64
import hashlib

from kkformats.entries import Entry

_SHA = hashlib.sha256(b"hello").hexdigest()
_DIGEST = hashlib.sha256(b"hello").digest()
_EMPTY = hashlib.sha256(b"").hexdigest()
_HEAD = "format: 1\nproject: p\napp: a\nversion: v\n"
_FILE = f"    sha256: {_SHA}\n    size: 5\n"
_A = "files:\n  - path: a\n" + _FILE
_B = "  - path: b\n" + _FILE
_DIRECTORY = "  - path: d\n    dir: true\n"

_RECORD = (
    _HEAD
    + f"content: {_SHA}\ntimes: {_SHA}\ntree: {_SHA}\ntree_size: 8192\nfile_count: 0\nbytes: 0\n"
    + "created_at: 2026-01-02T03:04:05Z\n"
)
_KEY = base64.b64encode(bytes(32)).decode()
_SIG = base64.b64encode(bytes(64)).decode()


def _hidden(data):
    return base64.b64encode(data).decode()


_FILE_A = Entry.file(b"a", 5, _DIGEST)

# name -> (text, entries)
TAKEN = {
    "no-files": (_HEAD, []),
    "short-entry": (_HEAD + _A, [_FILE_A]),
    "no-last-line-feed": ((_HEAD + _A)[:-1], [_FILE_A]),
    "parents-made": (
        _HEAD + "files:\n  - path: x/y/z\n" + _FILE + "  - path: x/y-z\n" + _FILE,
        [
            Entry.directory(b"x"),
            Entry.directory(b"x/y"),
            Entry.file(b"x/y/z", 5, _DIGEST),
            Entry.file(b"x/y-z", 5, _DIGEST),
        ],
    ),
    "comments": ("# one\n\n  # two\n" + _HEAD + _A.replace("path: a", "path: a # x"), [_FILE_A]),
    "list-at-its-key": (
        _HEAD + "files:\n- path: a\n  sha256: " + _SHA + "\n  size: 5\n",
        [_FILE_A],
    ),
    "far-in": (
        _HEAD + f"files:\n      -   path: a\n          sha256: {_SHA}\n          size: 5\n",
        [_FILE_A],
    ),
    "dash-alone": (_HEAD + "files:\n  -\n    path: a\n" + _FILE, [_FILE_A]),
    "files-first": (_A + _HEAD, [_FILE_A]),
    "single-quotes": (
        _HEAD + _A.replace("path: a", "path: 'it''s \\n # \"'"),
        [Entry.file(b"it's \\n # \"", 5, _DIGEST)],
    ),
    "double-quotes": (
        _HEAD + _A.replace("path: a", '"path": "q\\"b\\\\ # x: y"'),
        [Entry.file(b'q"b\\ # x: y', 5, _DIGEST)],
    ),
    "plain-scalars": (
        _HEAD + _A.replace("path: a", "path: -x:y#z, [1] {2} &c *d !e"),
        [Entry.file(b"-x:y#z, [1] {2} &c *d !e", 5, _DIGEST)],
    ),
    "words-are-text": (
        _HEAD + f"files:\n  - path: null\n{_FILE}  - path: 'true'\n{_FILE}  - path: ~\n{_FILE}",
        [Entry.file(path, 5, _DIGEST) for path in (b"null", b"true", b"~")],
    ),
    "quoted-integers": (
        _HEAD.replace("1", '"1"')
        + _A.replace("size: 5", "size: '5'\n    mode: 0755\n    mtime: '-5'"),
        [Entry.file(b"a", 5, _DIGEST, 0o755)],
    ),
    "value-below-its-key": (_HEAD.replace("app: a", "app:\n  a") + _A, [_FILE_A]),
    "utf-8": (
        _HEAD + "files:\n  - path: caf\u00e9 \U0001f600\u00a0\n" + _FILE,
        [Entry.file("caf\u00e9 \U0001f600\u00a0".encode(), 5, _DIGEST)],
    ),
    "base64": (
        _HEAD + f"files:\n  - path_base64: {_hidden(b'a' + bytes([10]))}\n    link_base64: /w==\n",
        [Entry.link(b"a\n", b"\xff")],
    ),
    "directory-and-link": (
        _HEAD + "files:\n" + _DIRECTORY + '  - path: "d/l"\n    link: ../x\n',
        [Entry.directory(b"d"), Entry.link(b"d/l", b"../x")],
    ),
    "totals-agree": (
        _HEAD + "file_count: 1\nbytes: 5\n" + _A,
        [_FILE_A],
    ),
}

REFUSED = {
    "document-empty": "",
    "document-empty.comment": "# nothing\n",
    "not-a-map": "- a\n",
    "not-a-map.scalar": "text\n",
    "utf-8": _HEAD.encode() + b"git_ref: \xff\n",
    "utf-8.surrogate": _HEAD.encode() + b"git_ref: \xed\xa0\x80\n",
    "utf-8.overlong": _HEAD.encode() + b"git_ref: \xc0\xaf\n",
    "unprintable.nul": _HEAD + "git_ref: x\0\n",
    "unprintable.tab": _HEAD + "git_ref:\tx\n",
    "unprintable": _HEAD.replace("\n", "\r\n"),
    "unprintable.byte-order-mark": "\ufeff" + _HEAD,
    "unprintable.next-line": _HEAD + "# \x85\n",
    "unprintable.line-separator": _HEAD + "git_ref: 'a\u2028b'\n",
    "document-marker": "---\n" + _HEAD,
    "document-marker.end": _HEAD + "...\n",
    "directive": "%YAML 1.1\n" + _HEAD,
    "anchor": _HEAD + "git_ref: &a x\n",
    "alias": _HEAD + "git_ref: *a\n",
    "anchor.bomb": _HEAD + "a: &a [x, x]\nb: [*a, *a]\n",
    "tag": _HEAD + "git_ref: !!str x\n",
    "block-scalar": _HEAD + "git_ref: |\n  x\n",
    "block-scalar.folded": _HEAD + "git_ref: >-\n  x\n",
    "flow-list": _HEAD + "git_ref: [x]\n",
    "flow-list.files": _HEAD + "files: []\n",
    "flow-map": _HEAD + "labels: {}\n",
    "complex-key": "? format\n: 1\n",
    "scalar-not-closed": _HEAD + 'git_ref: "x\n  y"\n',
    "scalar-not-closed.single": _HEAD + "git_ref: 'x\n",
    "indentation": _HEAD + "git_ref: x\n  y\n",
    "indentation.entry": _HEAD + _A.replace("    size", "     size"),
    "escape": _HEAD + 'git_ref: "a\\nb"\n',
    "escape.hex": _HEAD + 'git_ref: "\\x41"\n',
    "after-scalar": _HEAD + 'git_ref: "a" b\n',
    "after-scalar.map": _HEAD + "git_ref: a: b\n",
    "colon-missing": _HEAD + "git_ref\n",
    "value-missing": _HEAD + "git_ref:\n",
    "value-missing.files": _HEAD + "files:\n",
    "value-missing.item": _HEAD + _A + "  -\n",
    "value-empty": _HEAD + 'git_ref: ""\n',
    "value-empty.path": _HEAD + "files:\n  - path: ''\n" + _FILE,
    "key-duplicate": _HEAD + "format: 1\n",
    "key-duplicate.entry": _HEAD + _A + "    path: b\n",
    "key-duplicate.files": _HEAD + _A + _A,
    "key-unknown": _HEAD + "owner: root\n",
    "key-unknown.entry": _HEAD + _A + "    uid: 0\n",
    "key-missing": _HEAD.replace("app: a\n", ""),
    "key-missing.path": _HEAD + "files:\n  - sha256: " + _SHA + "\n    size: 5\n",
    "key-missing.size": _HEAD + "files:\n  - path: a\n    sha256: " + _SHA + "\n",
    "not-a-scalar": _HEAD + "git_ref:\n  a: b\n",
    "not-a-list": _HEAD + "files: x\n",
    "format": _HEAD.replace("1", "2"),
    "name": _HEAD.replace("project: p", "project: ../p"),
    "name.too-long": _HEAD.replace("app: a", "app: " + "a" * 64),
    "name-reserved": _HEAD.replace("version: v", "version: latest"),
    "version": _HEAD.replace("version: v", "version: a/b"),
    "integer": _HEAD + _A.replace("size: 5", "size: 05"),
    "integer.2-53": _HEAD + _A.replace("size: 5", "size: 9007199254740992"),
    "integer.minus-zero": _HEAD + _A + "    mtime: -0\n",
    "integer.negative": _HEAD + _A.replace("size: 5", "size: -5"),
    "digest": _HEAD + _A.replace(_SHA, _SHA.upper()),
    "mode": _HEAD + _A + "    mode: 04755\n",
    "dir": _HEAD + "files:\n  - path: d\n    dir: false\n",
    "entry-keys": _HEAD + "files:\n" + _DIRECTORY + "    size: 0\n",
    "entry-keys.link": _HEAD + "files:\n  - path: l\n    link: x\n    mtime: 0\n",
    "base64": _HEAD + "files:\n  - path_base64: /w=\n    link: x\n",
    "base64.unused-bits": _HEAD + "files:\n  - path_base64: /x==\n    link: x\n",
    "base64.url-alphabet": _HEAD + "files:\n  - path_base64: _w==\n    link: x\n",
    "base64-needless": _HEAD + "files:\n  - path_base64: YQ==\n    link: x\n",
    "key-twice": _HEAD + "files:\n  - path: a\n    path_base64: /w==\n    link: x\n",
    "component-dots": _HEAD + "files:\n  - path: ../a\n" + _FILE,
    "component-empty": _HEAD + "files:\n  - path: /a\n" + _FILE,
    "component-nul": _HEAD + f"files:\n  - path_base64: {_hidden(b'a' + bytes(1))}\n    link: x\n",
    "target-nul": _HEAD + f"files:\n  - path: l\n    link_base64: {_hidden(b'a' + bytes(1))}\n",
    "path-reserved": _HEAD + "files:\n  - path: .kkartifact.yml\n" + _FILE,
    "entry-duplicate": _HEAD + _A + _A[7:],
    "entry-duplicate.file-and-directory": _HEAD + _A + "  - path: a\n    dir: true\n",
    "entry-order": _HEAD + "files:\n" + _B + _A[7:],
    "entry-order.late-parent": _HEAD + "files:\n  - path: d/x\n" + _FILE + _DIRECTORY,
    "entry-duplicate.parent-is-a-file": _HEAD + _A + "  - path: a/b\n" + _FILE,
    "empty-file-digest": _HEAD + _A.replace("size: 5", "size: 0"),
    "empty-file-digest.size": _HEAD + _A.replace(_SHA, _EMPTY),
    "content": _HEAD + f"content: {_SHA}\n" + _A,
    "file-count": _HEAD + "file_count: 2\n" + _A,
    "bytes": _HEAD + "bytes: 4\n" + _A,
}

REFUSED_RECORDS = {
    "key-missing": _RECORD.replace("tree_size: 8192\n", ""),
    "key-missing.created-at": _RECORD[: _RECORD.index("created_at")],
    "key-unknown": _RECORD + _A,
    "tree-size": _RECORD.replace("8192", "8193"),
    "tree-size.small": _RECORD.replace("8192", "4096"),
    "integer": _RECORD.replace("file_count: 0", "file_count: 16777217"),
    "user-info": _RECORD + "vcs_url: https://user:secret@git.example/x\n",
    "user-info.name": _RECORD + "vcs_url: ssh://git@git.example/x\n",
    "text-too-long": _RECORD + "builder: " + "b" * 4097 + "\n",
    "time-of-day": _RECORD.replace("05Z", "05"),
    "time-of-day.zone": _RECORD + "build_time: 2026-01-02T03:04:05+01:00\n",
    "time-of-day.no-leap-year": _RECORD + "build_time: 2023-02-29T00:00:00Z\n",
    "time-of-day.leap-second": _RECORD + "build_time: 2016-12-31T23:59:60Z\n",
    "time-of-day.fraction": _RECORD + "build_time: 2026-01-02T03:04:05.5Z\n",
    "label-key": _RECORD + "labels:\n  Team: x\n",
    "label-key.too-long": _RECORD + "labels:\n  " + "k" * 64 + ": x\n",
    "label-too-long": _RECORD + "labels:\n  k: " + "v" * 257 + "\n",
    "value-missing": _RECORD + "labels:\n  k:\n",
    "key-duplicate": _RECORD + "labels:\n  k: x\n  'k': y\n",
    "too-many-labels": _RECORD + "labels:\n" + "".join(f"  k{n}: x\n" for n in range(65)),
    "not-a-map": _RECORD + "labels: x\n",
    "not-a-list": _RECORD + "signatures: x\n",
    "signature-key": _RECORD + f"signatures:\n  - key: {_SIG}\n    time: 1\n    sig: {_SIG}\n",
    "signature-length": _RECORD + f"signatures:\n  - key: {_KEY}\n    time: 1\n    sig: {_KEY}\n",
    "base64": _RECORD + f"signatures:\n  - key: {_KEY[:-1]}\n    time: 1\n    sig: {_SIG}\n",
    "too-many-signatures": _RECORD
    + "signatures:\n"
    + f"  - key: {_KEY}\n    time: 1\n    sig: {_SIG}\n" * 65,
}

# Records that are not canonical, and what a reader writes back.
REWRITTEN_RECORDS = {
    "plain": _RECORD,
    "build-time-without-zone": _RECORD + "build_time: 2024-02-29T23:59:59\n",
    "labels-not-sorted": _RECORD + "labels:\n  b: '1'\n  a/c: x # y\n  a-c: \"\"\n",
    "signatures": _RECORD + f"signatures:\n- sig: {_SIG}\n  key: '{_KEY}'\n  time: -1\n",
    "keys-in-another-order": "pushed_by: ci # a token's name\n" + _RECORD,
    "url-with-an-at": _RECORD + "vcs_url: https://git.example/x@y\nbuild_url: a@b\n",
}


def refused():
    """(kind, name, bytes, extra) as spoilt_vectors gives them."""
    for kind, table in (("meta", REFUSED), ("record", REFUSED_RECORDS)):
        for name, text in table.items():
            yield kind, name, text if isinstance(text, bytes) else text.encode("utf-8"), {}
