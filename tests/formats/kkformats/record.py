# SPDX-License-Identifier: MIT
"""The version record: what the store keeps of a version beside listing and times.

A record is a dict from the keys of FIELDS to values: integers; bytes of 32 for
digests; str for names and text; a dict of str for labels; a list of Signature.
A key without a value is absent.
"""

import base64
import binascii
import datetime
import re
from dataclasses import dataclass

from . import yaml_subset
from .entries import MAX_ENTRIES
from .names import MAX_INTEGER, check_name, check_version
from .names import parse_digest as bytes_digest
from .names import parse_signed as bytes_signed
from .names import parse_unsigned as bytes_unsigned
from .refused import Refused, require
from .yaml_subset import List, Map, Scalar, quote

MAX_TEXT = 4096
MAX_LABELS = 64
MAX_LABEL_VALUE = 256
MAX_SIGNATURES = 64
_LABEL_KEY = re.compile(r"[a-z0-9][a-z0-9._/-]{0,62}\Z")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(Z?)\Z", re.ASCII)
_USER_INFO = re.compile(r"[^/?#]*@")


@dataclass(frozen=True)
class Signature:
    key: bytes  # 32
    time: int  # seconds since 1970
    sig: bytes  # 64


def scalar(value, at):
    """The Scalar, refusing what is none and what is empty."""
    require(isinstance(value, Scalar), at, "not-a-scalar")
    require(value.text != "", value.at, "value-empty")
    return value


def read_unsigned(value, at, limit=MAX_INTEGER):
    value = scalar(value, at)
    return bytes_unsigned(value.text.encode(), limit, value.at)


def read_signed(value, at):
    value = scalar(value, at)
    return bytes_signed(value.text.encode(), MAX_INTEGER, value.at)


def read_digest(value, at):
    value = scalar(value, at)
    return bytes_digest(value.text.encode(), value.at)


def read_text(value, at):
    value = scalar(value, at)
    require(len(value.text.encode()) <= MAX_TEXT, value.at, "text-too-long")
    return value.text


def read_base64(value, at):
    """RFC 4648 with padding; only the one spelling that a writer gives."""
    value = scalar(value, at)
    try:
        data = base64.b64decode(value.text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(value.at, "base64") from None
    require(base64.b64encode(data).decode() == value.text, value.at, "base64")
    return data


def _read_format(value, at):
    value = scalar(value, at)
    require(value.text == "1", value.at, "format")
    return 1


def _read_name(value, at):
    value = scalar(value, at)
    check_name(value.text.encode(), value.at)
    return value.text


def _read_version(value, at):
    value = scalar(value, at)
    check_version(value.text.encode(), value.at)
    return value.text


def _read_tree_size(value, at):
    size = read_unsigned(value, at)
    require(size >= 8192 and size % 4096 == 0, value.at, "tree-size")
    return size


def _read_file_count(value, at):
    return read_unsigned(value, at, MAX_ENTRIES)


def _read_url(value, at):
    text = read_text(value, at)
    _, scheme, rest = text.partition("://")
    require(not (scheme and _USER_INFO.match(rest)), value.at, "user-info")
    return text


def _read_time(value, at, zone_needed=True):
    value = scalar(value, at)
    found = _TIME.match(value.text)
    require(found and (found.group(7) or not zone_needed), value.at, "time-of-day")
    try:
        datetime.datetime(*(int(part) for part in found.groups()[:6]))
    except ValueError:
        raise Refused(value.at, "time-of-day") from None
    return value.text.removesuffix("Z") + "Z"


def _read_build_time(value, at):
    return _read_time(value, at, zone_needed=False)


def _read_labels(value, at):
    require(isinstance(value, Map), at, "not-a-map")
    require(len(value.items) <= MAX_LABELS, value.at, "too-many-labels")
    labels = {}
    for key, (key_scalar, item) in value.items.items():
        require(_LABEL_KEY.match(key), key_scalar.at, "label-key")
        require(isinstance(item, Scalar), key_scalar.at, "not-a-scalar")
        require(len(item.text.encode()) <= MAX_LABEL_VALUE, item.at, "label-too-long")
        labels[key] = item.text
    return labels


_SIGNATURE_KEYS = {"key": read_base64, "time": read_signed, "sig": read_base64}


def _read_signatures(value, at):
    require(isinstance(value, List), at, "not-a-list")
    require(len(value.items) <= MAX_SIGNATURES, value.at, "too-many-signatures")
    signatures = []
    for item in value.items:
        fields = read_fields(item, value.at, _SIGNATURE_KEYS)
        require(len(fields) == len(_SIGNATURE_KEYS), item.at, "key-missing")
        signature = Signature(**fields)
        require(len(signature.key) == 32, item.at, "signature-key")
        require(len(signature.sig) == 64, item.at, "signature-length")
        signatures.append(signature)
    return signatures


def read_fields(value, at, readers):
    """A map's values, each read by its key; keys that nobody knows are refused."""
    require(isinstance(value, Map), at, "not-a-map")
    fields = {}
    for key, (key_scalar, item) in value.items.items():
        require(key in readers, key_scalar.at, "key-unknown")
        fields[key] = readers[key](item, key_scalar.at)
    return fields


# In the order in which they are written.
FIELDS = {
    "format": _read_format,
    "project": _read_name,
    "app": _read_name,
    "version": _read_version,
    "content": read_digest,
    "times": read_digest,
    "tree": read_digest,
    "tree_size": _read_tree_size,
    "file_count": _read_file_count,
    "bytes": read_unsigned,
    "git_commit": read_text,
    "git_ref": read_text,
    "vcs_url": _read_url,
    "build_time": _read_build_time,
    "builder": read_text,
    "build_url": read_text,
    "labels": _read_labels,
    "created_at": _read_time,
    "pushed_by": read_text,
    "signatures": _read_signatures,
}
IDENTITY = ("format", "project", "app", "version")
REQUIRED = IDENTITY + (
    "content",
    "times",
    "tree",
    "tree_size",
    "file_count",
    "bytes",
    "created_at",
)


def parse(data):
    """The record that a document holds."""
    record = read_fields(yaml_subset.parse(data), 0, FIELDS)
    for key in REQUIRED:
        require(key in record, 0, "key-missing")
    return record


def _base64(data):
    return quote(base64.b64encode(data).decode())


def _write_value(key, value):
    if key == "labels":
        items = sorted(value.items(), key=lambda item: item[0].encode())
        return "\n" + "".join(f"  {quote(name)}: {quote(text)}\n" for name, text in items)
    if key == "signatures":
        return "\n" + "".join(
            f"  - key: {_base64(one.key)}\n    time: {one.time}\n    sig: {_base64(one.sig)}\n"
            for one in value
        )
    if isinstance(value, int):
        return f" {value}\n"
    return f" {quote(value.hex() if isinstance(value, bytes) else value)}\n"


def write(record):
    """The canonical bytes of a record."""
    parts = []
    for key in FIELDS:
        value = record.get(key)
        if value is not None and value not in ("", {}, []):
            parts.append(f"{key}:{_write_value(key, value)}")
    return "".join(parts).encode("utf-8")
