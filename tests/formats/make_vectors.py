#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/vectors from nothing: python3 tests/formats/make_vectors.py [FOLDER]

Run it again after a change; the result is the same bytes as long as the formats
are. test_vectors.py holds the files against what this script makes.
"""

import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kkformats import listing, merkle, random_tree, record, signature, times, tree
from kkformats.entries import Entry, order_key
from kkformats.random_tree import RandomTree
from kkformats.record import Signature
from name_vectors import cases as name_cases
from spoilt_transfer import transfer_cases
from spoilt_vectors import cases
from transfer_vectors import transfer_files
from yaml_vectors import REWRITTEN_RECORDS, TAKEN, refused

NOT_MADE = {"README.md", ".gitattributes"}
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "vectors"

# Blobs are a few bytes, repeated; the first four are those of the specification.
BLOBS = {
    "hello": (b"hello", 1),
    "zeros-1-mib": (b"\0", 1 << 20),
    "a-4097": (b"a", 4097),
    "empty": (b"", 0),
    "one-block": (b"b", 4096),
    "one-byte-less": (b"b", 4095),
    "one-piece": (b"p", 524288),
    "one-piece-and-a-byte": (b"p", 524289),
}

# 67,108,865 bytes need three levels: too many to store, so only the digests are kept.
DIGEST_ONLY = {"three-levels": (b"t", 67_108_865)}

_SEED = bytes(range(32))
_RECORD = {
    "format": 1,
    "project": "web",
    "app": "shop",
    "version": "1.4.0+build.7",
    "created_at": "2026-01-02T03:04:05Z",
}
_FULL_RECORD = {
    **_RECORD,
    "git_commit": "0123456789abcdef0123456789abcdef01234567",
    "git_ref": "refs/heads/main",
    "vcs_url": "https://git.example/web/shop.git",
    "build_time": "2026-01-02T03:00:00Z",
    "builder": 'runner "7" \\ caf\u00e9',
    "build_url": "https://ci.example/runs/7",
    "labels": {"team": "web", "a/b": "", "a-b": "# not a comment"},
    "pushed_by": "ci",
}


def _file(path, data, mode=0o644):
    return Entry.file(path, len(data), hashlib.sha256(data).digest(), mode), data


def _named_trees():
    """name -> (entries with their bytes, times, the record's own part)."""
    hello = b"hello"
    page = [
        (Entry.directory(b"a"), None),
        _file(b"a/b", hello),
        (Entry.link(b"a/l", b"../a-b"), None),
        _file(b"a-b", b"", 0o755),
        _file(b"n\nl", hello),
    ]
    order = [(Entry.directory(path), None) for path in (b"a", b"a/b", b"a/b/c", b"a.b", b"\xff")]
    order += [_file(path, path) for path in (b"a/b-c", b"a/b/c/d", b"a ", b"a-b", b"a0", b"A")]
    links = [
        (Entry.link(b"absolute", b"/usr/bin/python3"), None),
        (Entry.link(b"escaping", b"../../.."), None),
        (Entry.link(b"hidden", b"\xff\n"), None),
        (Entry.link(b"long", b"t" * 4095), None),
    ]
    sizes = [_file(b"s%06d" % (unit * count), unit * count * b"s") for unit, count in
             ((4095, 1), (4096, 1), (4097, 1), (524287, 1), (524288, 1), (524289, 1))]  # fmt: skip
    return {
        "empty": ([], [], _RECORD),
        "hello": ([_file(b"f", hello)], [1_700_000_000], _RECORD),
        "page": (page, [1, 2, 0, -4, 2**53 - 1], _FULL_RECORD),
        "order": (order, None, _RECORD),
        "links": (links, None, _RECORD),
        "sizes": (sizes, None, _FULL_RECORD),
    }


def trees():
    """name -> RandomTree of every tree of the folder."""
    made = {}
    for name, (pairs, mtimes, fields) in _named_trees().items():
        pairs.sort(key=lambda pair: order_key(pair[0].path))
        entries = [entry for entry, _ in pairs]
        if mtimes is None:
            mtimes = [0 if entry.kind == "l" else -at for at, entry in enumerate(entries)]
        verities = [merkle.verity(data) for entry, data in pairs if entry.kind == "f"]
        data = {entry.path: data for entry, data in pairs if entry.kind == "f"}
        made[name] = RandomTree(entries, mtimes, verities, data, fields)
    made["page"] = _signed(made["page"])
    made["nasty"] = random_tree.make("vector", large=False, count=90)
    return made


def _message(one, time):
    said = one.record
    names = (said[key].encode() for key in ("project", "app", "version"))
    return signature.message(*names, said["content"], said["tree"], said["tree_size"], time)


def _signed(one):
    key = Ed25519PrivateKey.from_private_bytes(_SEED)
    time = 1_767_323_045
    public = key.public_key().public_bytes_raw()
    fields = {**one.record, "signatures": [Signature(public, time, key.sign(_message(one, time)))]}
    return RandomTree(one.entries, one.times, one.verities, one.data, fields)


def _tree_files(name, one):
    yield f"trees/{name}/listing", one.listing
    yield f"trees/{name}/times", one.times_bytes
    yield f"trees/{name}/verities", b"".join(one.verities)
    yield f"trees/{name}/tree", one.image
    yield f"trees/{name}/record.yaml", record.write(one.record)
    yield f"trees/{name}/meta.yaml", one.meta


def _tree_index(one):
    return {
        "entries": len(one.entries),
        "content": one.content.hex(),
        "times": hashlib.sha256(one.times_bytes).hexdigest(),
        "tree": one.image_digest.hex(),
        "tree_size": len(one.image),
        "meta_sha256": hashlib.sha256(one.meta).hexdigest(),
    }


def _blob_index(unit, count):
    data = unit * count
    made, root = merkle.build(data)
    return {
        "unit": unit.hex(),
        "count": count,
        "size": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "root": root.hex(),
        "verity": merkle.verity_digest(len(data), root).hex(),
        "merkle_size": len(made),
    }


def files():
    """path -> bytes of everything in the folder."""
    out = {}
    index = {"blobs": {}, "trees": {}, "refused": {}, "taken": {}, "rewritten": []}
    made = trees()
    for name, one in made.items():
        out.update(_tree_files(name, one))
        index["trees"][name] = _tree_index(one)
    time = made["page"].record["signatures"][0].time
    index["signature"] = {
        "seed": _SEED.hex(),
        "tree": "page",
        "message": _message(made["page"], time).hex(),
        "key": made["page"].record["signatures"][0].key.hex(),
        "sig": made["page"].record["signatures"][0].sig.hex(),
    }
    for name, (byte, count) in {**BLOBS, **DIGEST_ONLY}.items():
        index["blobs"][name] = _blob_index(byte, count)
        if name in BLOBS:
            out[f"merkle/{name}.merkle"] = merkle.build(byte * count)[0]
    for source in (cases(), refused(), transfer_cases()):
        for kind, name, data, extra in source:
            out[f"refused/{kind}/{name}.bin"] = data
            index["refused"][f"{kind}/{name}"] = extra
    transfer, index["transfer"] = transfer_files()
    out.update(transfer)
    for name, (text, entries) in TAKEN.items():
        out[f"taken/{name}.yaml"] = text.encode("utf-8")
        content = listing.content(listing.write(entries)).hex()
        index["taken"][name] = {"entries": len(entries), "content": content}
    for name, text in REWRITTEN_RECORDS.items():
        data = text.encode("utf-8")
        out[f"rewritten/{name}.in.yaml"] = data
        out[f"rewritten/{name}.out.yaml"] = record.write(record.parse(data))
        index["rewritten"].append(name)
    index["names"] = [[kind, name.hex(), valid] for kind, name, valid in name_cases()]
    index["constants"] = {
        "empty_listing": listing.content(listing.write([])).hex(),
        "empty_times": hashlib.sha256(times.write([])).hexdigest(),
        "empty_verity": merkle.EMPTY_VERITY.hex(),
        "tree_media_type": tree.MEDIA_TYPE,
    }
    out["index.json"] = (json.dumps(index, indent=1, sort_keys=True) + "\n").encode()
    return out


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    made = files()
    for path, data in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    present = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    for path in sorted(present - set(made) - NOT_MADE):
        print(f"not made here: {path}", file=sys.stderr)
    print(f"{len(made)} files, {sum(map(len, made.values()))} bytes")


if __name__ == "__main__":
    main()
