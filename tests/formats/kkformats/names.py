# SPDX-License-Identifier: MIT
"""What may be called what: projects, apps, channels, versions, paths, modes, targets.

All functions take bytes, return nothing and raise Refused. `at` is added to the
offset that is reported, so that a caller can point into its own object.
"""

import re

from .refused import Refused, require

MAX_INTEGER = 2**53 - 1
MAX_PATH = 4096
MAX_DEPTH = 255
MAX_COMPONENT = 255
MAX_TARGET = 4095
RESERVED_AT_THE_TOP = (b".kkartifact", b".kkartifact.yml")

_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_VERSION = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}\Z")
_MODE = re.compile(rb"0[0-7]{3}\Z")
_UNSIGNED = re.compile(rb"(?:0|[1-9][0-9]*)\Z")
_SIGNED = re.compile(rb"(?:0|-?[1-9][0-9]*)\Z")
_HEX = re.compile(rb"[0-9a-f]{64}\Z")


def check_name(name, at=0):
    """A project, an app or a channel."""
    require(_NAME.match(name), at, "name")
    require(name != b"latest", at, "name-reserved")


def check_version(name, at=0):
    require(_VERSION.match(name), at, "version")
    require(name != b"latest", at, "name-reserved")


def check_component(component, at=0):
    require(component, at, "component-empty")
    require(len(component) <= MAX_COMPONENT, at, "component-too-long")
    require(component not in (b".", b".."), at, "component-dots")
    require(b"\0" not in component, at, "component-nul")
    require(b"/" not in component, at, "component-slash")


def check_path(path, at=0):
    """A whole path of an entry, including what may stand at the top."""
    require(path, at, "path-empty")
    require(len(path) <= MAX_PATH, at, "path-too-long")
    components = path.split(b"/")
    require(len(components) <= MAX_DEPTH, at, "path-too-deep")
    for component in components:
        check_component(component, at)
    require(components[0] not in RESERVED_AT_THE_TOP, at, "path-reserved")


def check_target(target, at=0):
    require(target, at, "target-empty")
    require(len(target) <= MAX_TARGET, at, "target-too-long")
    require(b"\0" not in target, at, "target-nul")


def parse_mode(text, at=0):
    """Four octal digits of st_mode & 0777."""
    require(_MODE.match(text), at, "mode")
    return int(text, 8)


def parse_unsigned(text, limit=MAX_INTEGER, at=0, rule="integer"):
    """A decimal number without leading zeros, 0 .. limit."""
    # The length is judged first: a number of a million digits is not worth converting.
    require(_UNSIGNED.match(text) and len(text) <= 20, at, rule)
    value = int(text)
    require(value <= limit, at, rule)
    return value


def parse_signed(text, limit=MAX_INTEGER, at=0, rule="integer"):
    """The same with an optional minus sign, never `-0`."""
    require(_SIGNED.match(text) and len(text) <= 20, at, rule)
    value = int(text)
    require(abs(value) <= limit, at, rule)
    return value


def parse_digest(text, at=0, rule="digest"):
    """64 lower-case hex digits, as 32 bytes."""
    require(_HEX.match(text), at, rule)
    return bytes.fromhex(text.decode("ascii"))


CHECKS = {
    "project": check_name,
    "app": check_name,
    "channel": check_name,
    "version": check_version,
    "path": check_path,
}


def is_valid(kind, name):
    """True when `name` may be used as a `kind`."""
    try:
        CHECKS[kind](name)
    except Refused:
        return False
    return True
