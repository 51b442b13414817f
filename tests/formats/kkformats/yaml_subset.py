# SPDX-License-Identifier: MIT
"""The YAML that our files are written in and that our readers take.

A document is a block map. Values are scalars of one line (plain, single-quoted
or double-quoted), block maps and block lists. Everything else that YAML has is
refused by name: anchors, aliases, tags, directives, document markers, block
scalars, flow collections, complex keys, duplicate keys.

parse() gives Scalar, Map and List; each knows the offset of its first byte.
"""

import re
from dataclasses import dataclass, field

from .refused import Refused, require

# What may not stand in text, and so neither in a file of text. LF ends lines.
UNPRINTABLE = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_MAX_NESTING = 16
_REFUSED_STARTS = {
    "&": "anchor",
    "*": "alias",
    "!": "tag",
    "|": "block-scalar",
    ">": "block-scalar",
    "[": "flow-list",
    "{": "flow-map",
    "%": "directive",
    "@": "indicator",
    "`": "indicator",
    ",": "indicator",
    "]": "indicator",
    "}": "indicator",
}


@dataclass
class Scalar:
    text: str
    at: int


@dataclass
class Map:
    at: int
    items: dict = field(default_factory=dict)  # key text -> (key Scalar, value)


@dataclass
class List:
    at: int
    items: list = field(default_factory=list)


@dataclass
class _Line:
    """A line with something on it: where it starts, its text, where the text begins."""

    at: int
    text: str
    column: int

    def offset(self, column):
        return self.at + len(self.text[:column].encode("utf-8"))


def is_plain_text(data):
    """True when the bytes can be written as text in a document."""
    try:
        return not UNPRINTABLE.search(data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def quote(text):
    """A double-quoted scalar."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _lines(data):
    at = 0
    for raw in data.split(b"\n"):
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(at + error.start, "utf-8") from None
        bad = UNPRINTABLE.search(text)
        if bad:
            raise Refused(at + len(text[: bad.start()].encode("utf-8")), "unprintable")
        column = len(text) - len(text.lstrip(" "))
        if column < len(text) and text[column] != "#":
            marker = re.match(r"(---|\.\.\.)( |\Z)", text)
            require(not marker, at, "document-marker")
            yield _Line(at, text, column)
        at += len(raw) + 1


def _scan_double(line, column):
    """The scalar whose opening quote is at `column`, and the column after it."""
    out = []
    at = column + 1
    while at < len(line.text):
        char = line.text[at]
        if char == '"':
            return "".join(out), at + 1
        if char == "\\":
            at += 1
            char = line.text[at : at + 1]
            require(char in ('"', "\\"), line.offset(at), "escape")
        out.append(char)
        at += 1
    raise Refused(line.offset(column), "scalar-not-closed")


def _scan_single(line, column):
    found = re.compile(r"'((?:[^']|'')*)'").match(line.text, column)
    require(found, line.offset(column), "scalar-not-closed")
    return found.group(1).replace("''", "'"), found.end()


def _scan_plain(line, column):
    """Ends before `: `, before ` #` and at the end of the line."""
    char, after = line.text[column], line.text[column + 1 : column + 2]
    require(char not in _REFUSED_STARTS, line.offset(column), _REFUSED_STARTS.get(char))
    if char in "-?:":
        rule = {"-": "list-here", "?": "complex-key", ":": "key-empty"}[char]
        require(after not in ("", " "), line.offset(column), rule)
    found = re.compile(r":(?= |\Z)| +#| +\Z").search(line.text, column)
    end = found.start() if found else len(line.text)
    return line.text[column:end].rstrip(" "), end


def _scan_scalar(line, column):
    """(Scalar, column after it) of the scalar that begins at `column`."""
    char = line.text[column]
    scan = {'"': _scan_double, "'": _scan_single}.get(char, _scan_plain)
    text, end = scan(line, column)
    return Scalar(text, line.offset(column)), end


def _skip_blanks(line, column):
    """The column of the next thing; a comment counts as the end of the line."""
    while column < len(line.text) and line.text[column] == " ":
        column += 1
    return len(line.text) if line.text[column : column + 1] == "#" else column


class _Parser:
    def __init__(self, data):
        self.lines = list(_lines(data))
        self.number = 0
        self.end = len(data)

    def line(self):
        return self.lines[self.number] if self.number < len(self.lines) else None

    def parse(self):
        require(self.lines, 0, "document-empty")
        value = self.block(self.lines[0].column, 0)
        if self.line():
            raise Refused(self.line().at, "indentation")
        return value

    def block(self, column, depth):
        """The value that begins at the current line's `column`."""
        line = self.line()
        require(depth < _MAX_NESTING, line.at, "nesting")
        if line.text[column] == "-" and line.text[column + 1 : column + 2] in ("", " "):
            return self.list(column, depth)
        scalar, end = _scan_scalar(line, column)
        end = _skip_blanks(line, end)
        if line.text[end : end + 1] == ":" and line.text[end + 1 : end + 2] in ("", " "):
            return self.map(column, depth)
        require(end == len(line.text), line.offset(end), "after-scalar")
        self.number += 1
        return scalar

    def list(self, column, depth):
        value = List(self.line().offset(column))
        while self.begins_item(column):
            line = self.line()
            inner = _skip_blanks(line, column + 1)
            if inner < len(line.text):
                # The rest of the line stands as if it began a line of its own.
                self.lines[self.number] = _Line(line.at, line.text, inner)
                value.items.append(self.block(inner, depth + 1))
            else:
                value.items.append(self.nested(column + 1, depth))
            self.check_dedent(column)
        return value

    def begins_item(self, column):
        line = self.line()
        if line is None or line.column != column or line.text[column] != "-":
            return False
        return line.text[column + 1 : column + 2] in ("", " ")

    def nested(self, least, depth):
        """The value on the lines below, at `least` or further in."""
        at = self.line().at
        self.number += 1
        line = self.line()
        require(line is not None and line.column >= least, at, "value-missing")
        return self.block(line.column, depth + 1)

    def map(self, column, depth):
        value = Map(self.line().offset(column))
        while self.line() is not None and self.line().column == column:
            if self.begins_item(column):
                break  # of a list in which this map stands, or an error that the caller sees
            key, item = self.pair(column, depth)
            require(key.text not in value.items, key.at, "key-duplicate")
            value.items[key.text] = (key, item)
            self.check_dedent(column)
        return value

    def check_dedent(self, column):
        line = self.line()
        require(line is None or line.column <= column, line.at if line else 0, "indentation")

    def pair(self, column, depth):
        line = self.line()
        key, end = _scan_scalar(line, column)
        end = _skip_blanks(line, end)
        colon = line.text[end : end + 1] == ":" and line.text[end + 1 : end + 2] in ("", " ")
        require(colon, line.offset(end), "colon-missing")
        start = _skip_blanks(line, end + 1)
        if start == len(line.text):
            return key, self.value_below(column, depth)
        scalar, end = _scan_scalar(line, start)
        end = _skip_blanks(line, end)
        require(end == len(line.text), line.offset(end), "after-scalar")
        self.number += 1
        return key, scalar

    def value_below(self, column, depth):
        """A list may stand at the column of its key, anything else stands further in."""
        at = self.line()
        self.number += 1
        indentless = self.begins_item(column)
        self.number -= 1
        assert at is self.line()
        return self.nested(column if indentless else column + 1, depth)


def parse(data):
    """The value of a document."""
    return _Parser(data).parse()
