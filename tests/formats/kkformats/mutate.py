# SPDX-License-Identifier: MIT
"""Spoils valid files, the same way for the same seed.

Blind damage alone would stop at the first digest. So an image or a merkle tree
is often sealed again after it was spoilt: only the rule in question is broken.
"""

import hashlib
import random
import struct

from . import merkle, times
from .damage import INTEGERS, blind, spoil_integer, swap
from .listing import MAGIC as LISTING_MAGIC
from .mutate_transfer import mutate_chunk_list, mutate_delta, mutate_pack
from .tree import HEADER, PAGE, RECORD


def _split_entries(data):
    """The entries of a listing, each with its last NUL."""
    parts = data[len(LISTING_MAGIC) :].split(b"\0")
    entries = []
    at = 0
    while at < len(parts) - 1:
        size = 2 if parts[at][:1] == b"l" else 1
        entries.append(b"".join(part + b"\0" for part in parts[at : at + size]))
        at += size
    return entries


def _rewrite_field(rng, entry):
    """One field of an entry, put wrong or merely different."""
    fields = entry[:-1].split(b" ", 4 if entry[:1] == b"f" else 2 if entry[:1] == b"d" else 1)
    at = rng.randrange(len(fields))
    wrong = [
        b"", b"0", b"00", b"0644", b"1755", b"0888", b"755", b"-1", b"+1", b"01", b"..", b".",
        b"a//b",
        b"/a", b"a/", b"../a", b".kkartifact", b".kkartifact.yml", b".kkartifact/x", b"d", b"f",
        b"l",
        b"n" * 256, b"9007199254740992", b"9007199254740991", b"18446744073709551616", b"0x10",
        b"E" * 64, b"e" * 64, b"e" * 63, hashlib.sha256(b"").hexdigest().encode(),
    ]  # fmt: skip
    fields[at] = rng.choice(wrong)
    return b" ".join(fields) + b"\0"


def mutate_listing(rng, data):
    entries = _split_entries(data)
    how = rng.randrange(7)
    if how < 2 or not entries:
        return blind(rng, data)
    at = rng.randrange(len(entries))
    if how == 2:
        entries.insert(at, entries[at])
    elif how == 3:
        other = rng.randrange(len(entries))
        entries[at], entries[other] = entries[other], entries[at]
    elif how == 4:
        del entries[at]
    elif how == 5:
        # Sorted by the paths' bytes, as a program would that does not know components.
        entries.sort(key=lambda entry: entry.split(b" ")[-1])
    else:
        entries[at] = _rewrite_field(rng, entries[at])
    return LISTING_MAGIC + b"".join(entries)


def mutate_times(rng, data):
    count = (len(data) - len(times.MAGIC)) // 8
    if rng.random() < 0.5 or not count:
        return blind(rng, data)
    at = len(times.MAGIC) + 8 * rng.randrange(count)
    value = struct.pack("<Q", rng.choice([1, 2**64 - 1]) * rng.choice(INTEGERS) % 2**64)
    return data[:at] + value + data[at + 8 :]


def _lenient_paths(image, count):
    """(path, record index) in pre-order, as far as the records can be followed at all."""
    names = struct.unpack_from("<Q", image, 48)[0]
    out = []
    stack = [(0, b"")]
    while stack:
        index, above = stack.pop()
        fields = RECORD.unpack_from(image, PAGE + RECORD.size * index)
        start = names + fields[0]
        path = above
        if index:
            name = image[start : start + fields[1]]
            path = above + b"/" + name if above else name
            out.append((path, fields))
        if fields[2] >> 12 == 1:
            first, children = fields[3] & 2**32 - 1, fields[3] >> 32
            if children + len(stack) + len(out) > count:
                raise ValueError("more than there is")
            stack.extend((child, path) for child in reversed(range(first, first + children)))
    return out


def reseal(image):
    """The image with content and times digest of what it now says, if that can be told."""
    try:
        # A spoilt count must not make this run for ever.
        count = min(struct.unpack_from("<I", image, 16)[0], len(image) // RECORD.size)
        targets, digests = (struct.unpack_from("<Q", image, at)[0] for at in (64, 80))
        text, clock = [LISTING_MAGIC], [times.MAGIC]
        for path, (_, _, mode, a, mtime, _, b) in _lenient_paths(image, count):
            kind, mode = mode >> 12, b"%04o" % (mode & 0xFFF)
            if kind == 1:
                text.append(b"d %s %s\0" % (mode, path))
            elif kind == 2:
                sha256 = image[digests + 64 * b :][:32].hex().encode()
                text.append(b"f %s %d %s %s\0" % (mode, a, sha256, path))
            else:
                target = image[targets + (a & 2**32 - 1) :][: a >> 32]
                text.append(b"l %s\0%s\0" % (path, target))
            clock.append(struct.pack("<q", mtime))
    except (struct.error, ValueError):
        return image
    sealed = b"".join(hashlib.sha256(b"".join(parts)).digest() for parts in (text, clock))
    return image[:112] + sealed + image[176:]


# Offset in a record, size in bytes.
_RECORD_FIELDS = [(0, 4), (4, 2), (6, 2), (8, 4), (8, 8), (12, 4), (16, 8), (24, 4), (28, 4)]


def _spoil_header(rng, image):
    size, at = rng.choice(
        [(4, 8), (4, 12), (4, 16), (4, 20), (8, 24)] + [(8, 32 + 8 * i) for i in range(10)]
    )
    return spoil_integer(rng, image, at, size)


def _spoil_record(rng, image):
    count = struct.unpack_from("<I", image, 16)[0]
    field, size = rng.choice(_RECORD_FIELDS)
    return spoil_integer(rng, image, PAGE + RECORD.size * rng.randrange(count) + field, size)


def _swap_in_section(rng, image):
    """Two records, two digests or two entries of by-digest change places."""
    fields = HEADER.unpack_from(image)
    records, files = fields[3], fields[4]
    start, size, count = rng.choice(
        [(fields[6], 32, records), (fields[12], 64, files), (fields[14], 4, files)]
    )
    return swap(rng, image, start, size, count)


def _spoil_section(rng, image):
    """A byte of names, targets, digests, by-digest or of the gap behind them."""
    fields = HEADER.unpack_from(image)
    start = fields[6 + 2 * rng.randrange(1, 5)]
    size = rng.choice([16, 256, PAGE])
    at = start + rng.randrange(size)
    if at >= len(image):
        at = rng.randrange(176, PAGE)
    value = rng.choice([0, 0x2F, 0x2E, image[at] ^ 1, rng.randrange(256)])
    return image[:at] + bytes([value]) + image[at + 1 :]


def mutate_tree(rng, data):
    how = rng.choice(
        [_spoil_header, _spoil_record, _spoil_record, _swap_in_section, _spoil_section]
    )
    if rng.random() < 0.15:
        return blind(rng, data)
    out = how(rng, data)
    return reseal(out) if rng.random() < 0.8 else out


_YAML_LINES = [
    "# a comment", "", "   # further in", "---", "...", "%YAML 1.1", "git_ref: &a x", "git_ref: *a",
    "git_ref: !!str x", "git_ref: plain", "git_ref: 'sin''gle'", "git_ref: [a, b]",
    "git_ref: {a: b}",
    "git_ref: |", "git_ref: >-", "git_ref:", "git_ref: x # comment", "git_ref: x#y",
    "git_ref: a: b",
    "git_ref: '", 'git_ref: "\\n"', 'git_ref: "\\x41"', 'git_ref: "\\""', "git_ref:\n  below",
    "? git_ref",
    "unknown: 1", "builder: -x", "builder: - x", "builder: ?x", "builder: @x", "builder: \"x\"y",
    'builder: "x" # y', "builder : x", "'builder': x", '"builder": x', "builder:x", "format: 1",
    "labels:",
    "labels: {}", "signatures: []", "build_time: 2024-02-29T00:00:00",
    "build_time: 2023-02-29T00:00:00Z",
    "build_time: '2024-01-01T24:00:00Z'", "build_time: 2024-01-01T00:00:00+02:00", "pushed_by: ''",
    "vcs_url: https://u:p@h/x", "vcs_url: https://h/x@y", "tree_size: 8191", "file_count: 01",
    "bytes: -0",
]  # fmt: skip
_YAML_VALUES = [
    '""', "''", "0", "-0", "+1", "01", "1.0", "true", "false", "~", "null", '"0644"', "0644",
    "644", "01755",
    "9007199254740991", "9007199254740992", "-9007199254740991", '"a/b"', "../x", ".kkartifact",
    '"YQ=="', "Cg==",
    "CgA", "Cg=", "Ch==", "/w==", "_w==", "\u00e9", "'it''s'", "[a]", "- x", "|", "&x y", "*x",
    "!x y", "%x", '"a\\tb"',
]  # fmt: skip


def _requote(rng, line):
    """The same value in another style, or in none of ours."""
    head, mark, value = line.partition(": ")
    if not mark:
        return line
    bare = value.strip('"')
    styles = [bare, f"'{bare}'", f'"{bare}"', value + " # x", " " + value, value + " ", value + "#"]
    return f"{head}: {rng.choice(styles)}"


def _mutate_line(rng, lines, at):
    how = rng.randrange(9)
    line = lines[at]
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(rng.randrange(len(lines) + 1), line)
    elif how == 2:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], line
    elif how == 3:
        lines[at] = rng.choice([" " + line, "  " + line, line[1:], line[2:]])
    elif how in (4, 5):
        lines[at] = line.partition(":")[0] + ": " + rng.choice(_YAML_VALUES)
    elif how == 6:
        lines[at] = line.replace("path:", "path_base64:").replace("link:", "link_base64:")
    else:
        lines[at] = _requote(rng, line)


def mutate_meta(rng, data):
    """What the spoilt files would contradict is often taken out of the record first."""
    if rng.random() < 0.7:
        gone = (b"content:", b"file_count:", b"bytes:")
        data = b"\n".join(line for line in data.split(b"\n") if not line.startswith(gone))
    return mutate_yaml(rng, data)


def mutate_yaml(rng, data):
    lines = data.decode("utf-8").split("\n")
    how = rng.randrange(5)
    if how == 0:
        return blind(rng, data)
    if how == 1:
        tops = [at for at, line in enumerate(lines) if not line.startswith(" ")]
        lines.insert(rng.choice(tops), rng.choice(_YAML_LINES))
    elif how == 2:
        # Another indentation of the whole list: still the same document.
        by = rng.choice(["", " ", "   "])
        lines = [by + line[2:] if line.startswith("  ") else line for line in lines]
    else:
        for _ in range(rng.randint(1, 2)):
            _mutate_line(rng, lines, rng.randrange(len(lines)))
    return "\n".join(lines).encode("utf-8")


def mutate_merkle(rng, case):
    """`case` is (object, data size, verity digest), and so is the result."""
    data, size, digest = case
    how = rng.randrange(6)
    if how == 0:
        return data, size, blind(rng, digest)[:32].ljust(32, b"\0")
    if how == 1:
        return (
            data,
            rng.choice([0, 1, 4096, 4097, size + 1, max(size - 1, 0), size + 4096, 2**53, 2**63]),
            digest,
        )
    if how == 2:
        return blind(rng, data), size, digest
    if how == 3:
        return swap(rng, data, 0, 32, len(data) // 32), size, digest
    if not data:
        return data, size, digest
    # A hash or the padding of a level put wrong, and everything above made to agree.
    out = bytearray(data)
    out[rng.choice([rng.randrange(len(data)), len(data) - 1])] ^= 1
    return _agree_upwards(bytes(out), size)


def _agree_upwards(data, size):
    out = bytearray(data)
    starts = [0]
    for blocks in merkle.level_blocks(size):
        starts.append(starts[-1] + merkle.BLOCK * blocks)
    for level in range(len(starts) - 2, 0, -1):
        for number, at in enumerate(range(starts[level], starts[level + 1], merkle.BLOCK)):
            place = starts[level - 1] + 32 * number
            out[place : place + 32] = hashlib.sha256(out[at : at + merkle.BLOCK]).digest()
    root = hashlib.sha256(out[: merkle.BLOCK]).digest()
    return bytes(out), size, merkle.verity_digest(size, root)


MUTATORS = {
    "listing": mutate_listing,
    "times": mutate_times,
    "tree": mutate_tree,
    "meta": mutate_meta,
    "record": mutate_yaml,
    "merkle": mutate_merkle,
    "chunk-list": mutate_chunk_list,
    "delta": mutate_delta,
    "pack": mutate_pack,
}


def mutate(kind, seed, valid):
    """A spoilt copy of `valid` (bytes; for merkle a triple)."""
    return MUTATORS[kind](random.Random(f"{kind} {seed}"), valid)
