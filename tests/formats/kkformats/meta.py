# SPDX-License-Identifier: MIT
"""meta.yaml: a record and, last, `files`, made from the tree."""

import base64
import hashlib

from . import listing, record, yaml_subset
from .entries import Entry, Walk
from .names import check_path, parse_mode
from .record import read_base64, read_digest, read_fields, read_signed, read_unsigned, scalar
from .refused import require
from .yaml_subset import List, is_plain_text, quote


def _read_bytes(value, at):
    return scalar(value, at).text.encode("utf-8")


def _read_hidden(value, at):
    """Bytes in base64, which only those may be that cannot be written as text."""
    data = read_base64(value, at)
    require(not is_plain_text(data), value.at, "base64-needless")
    return data


def _read_mode(value, at):
    return parse_mode(_read_bytes(value, at), value.at)


def _read_true(value, at):
    require(scalar(value, at).text == "true", value.at, "dir")
    return True


_ENTRY_KEYS = {
    "path": _read_bytes,
    "path_base64": _read_hidden,
    "sha256": read_digest,
    "size": read_unsigned,
    "mode": _read_mode,
    "mtime": read_signed,
    "verity": read_digest,
    "dir": _read_true,
    "link": _read_bytes,
    "link_base64": _read_hidden,
}
_KIND_KEYS = {
    "d": {"path", "dir", "mode", "mtime"},
    "f": {"path", "sha256", "size", "mode", "mtime", "verity"},
    "l": {"path", "link"},
}


def _unhide(fields, key, at):
    """One of `key` and `key_base64`, under the plain key."""
    hidden = fields.pop(key + "_base64", None)
    require(hidden is None or key not in fields, at, "key-twice")
    if hidden is not None:
        fields[key] = hidden


def _read_entry(value, at):
    """(Entry, mtime, verity or None) of one item of `files`."""
    fields = read_fields(value, at, _ENTRY_KEYS)
    at = value.at
    _unhide(fields, "path", at)
    _unhide(fields, "link", at)
    require("path" in fields, at, "key-missing")
    kind = "d" if "dir" in fields else "l" if "link" in fields else "f"
    require(set(fields) <= _KIND_KEYS[kind], at, "entry-keys")
    path, mtime = fields["path"], fields.get("mtime", 0)
    if kind == "d":
        return Entry.directory(path, fields.get("mode", 0o755)), mtime, None
    if kind == "l":
        return Entry.link(path, fields["link"]), 0, None
    require("sha256" in fields and "size" in fields, at, "key-missing")
    mode = fields.get("mode", 0o644)
    entry = Entry.file(path, fields["size"], fields["sha256"], mode)
    return entry, mtime, fields.get("verity")


class Meta:
    """A record (perhaps without digests) and the entries of its tree, in order."""

    def __init__(self, fields):
        self.record = fields
        self.entries = []
        self.times = []
        self.verities = []  # of files; None where the manifest says none
        self._walk = Walk()

    def add(self, entry, time, verity, at):
        # Directories that a short manifest leaves out stand before what is in them.
        check_path(entry.path, at)
        parts = entry.path.split(b"/")
        for depth in range(1, len(parts)):
            parent = b"/".join(parts[:depth])
            if not self._walk.has_parent_of(parent + b"/x"):
                self._append(Entry.directory(parent), 0, at)
        self._append(entry, time, at)
        if entry.kind == "f":
            self.verities.append(verity)

    def _append(self, entry, time, at):
        self._walk.add(entry, at)
        self.entries.append(entry)
        self.times.append(time)

    def check_totals(self):
        content = listing.content(listing.write(self.entries))
        said = self.record
        require(said.get("content", content) == content, 0, "content")
        count, total = self._walk.file_count, self._walk.bytes
        require(said.get("file_count", count) == count, 0, "file-count")
        require(said.get("bytes", total) == total, 0, "bytes")
        self.content = content


def parse(data):
    """The Meta of a document; what it says of itself agrees with its files."""
    document = yaml_subset.parse(data)
    require(isinstance(document, yaml_subset.Map), 0, "not-a-map")
    key, files = document.items.pop("files", (None, None))
    fields = read_fields(document, 0, record.FIELDS)
    for name in record.IDENTITY:
        require(name in fields, 0, "key-missing")
    meta = Meta(fields)
    if key is not None:
        require(isinstance(files, List), key.at, "not-a-list")
        for item in files.items:
            meta.add(*_read_entry(item, files.at), item.at)
    meta.check_totals()
    return meta


def _write_bytes(key, data):
    if is_plain_text(data):
        return f"{key}: {quote(data.decode('utf-8'))}\n"
    return f"{key}_base64: {quote(base64.b64encode(data).decode())}\n"


def _write_entry(entry, time, verity):
    lines = "  - " + _write_bytes("path", entry.path)
    if entry.kind == "l":
        return lines + "    " + _write_bytes("link", entry.target)
    if entry.kind == "d":
        lines += "    dir: true\n"
    else:
        lines += f'    sha256: "{entry.sha256.hex()}"\n    size: {entry.size}\n'
    lines += f'    mode: "{entry.mode:04o}"\n    mtime: {time}\n'
    if entry.kind == "f":
        lines += f'    verity: "{verity.hex()}"\n'
    return lines


def write(fields, entries, times, verities):
    """The canonical bytes of meta.yaml."""
    parts = [record.write(fields).decode("utf-8")]
    left = iter(verities)
    if entries:
        parts.append("files:\n")
    for entry, time in zip(entries, times, strict=True):
        parts.append(_write_entry(entry, time, next(left) if entry.kind == "f" else None))
    return "".join(parts).encode("utf-8")


def describe(listing_bytes, times_bytes, image, image_digest):
    """The fields of a record that follow from a tree."""
    entries = listing.parse(listing_bytes)
    return {
        "content": listing.content(listing_bytes),
        "times": hashlib.sha256(times_bytes).digest(),
        "tree": image_digest,
        "tree_size": len(image),
        "file_count": sum(entry.kind == "f" for entry in entries),
        "bytes": sum(entry.size for entry in entries),
    }
