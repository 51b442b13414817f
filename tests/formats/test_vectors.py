# SPDX-License-Identifier: MIT
"""The Python side against the specification's vectors and the stored ones."""

import hashlib
import json

import make_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from kkformats import listing, merkle, meta, names, record, times, tree, tree_reader
from kkformats.entries import Entry
from readers import rule_of

VECTORS = make_vectors.FOLDER
INDEX = json.loads((VECTORS / "index.json").read_text("utf-8"))

# As the specification states them.
STATED_CONTENT = {
    "empty": "a1aa3d004c0f2d83fb2591895121f21663f5ad5f9d1447720e862b8bde88d1de",
    "hello": "c8f1c94965368960f777f3dbbbaa475939c188deded27657ed7edecd354366fa",
    "page": "59b70a67ee19d6c1dc5b623ea2ad961d83798c9950d60058626132d02b09fbd8",
}
STATED_EMPTY_TIMES = "7820ab155394e8480296dc24f7235bc2187838a26f980fdf0e9855eadb812e77"
STATED_VERITY = {
    "hello": "555b589c26ee43b7a2510e6c67ced9fb3190b6da6e9e683984551f5d77a763de",
    "zeros-1-mib": "feb19a23e72cb1b8f935d668a09ecaad0bf7c5b9cdfa6dbba7c88a9998ed2b87",
    "a-4097": "18b155c0b6e054f3f7d22488ed15340e74dc161ce2d123e13eb685c3ce565f70",
    "empty": "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95",
}


@pytest.fixture(scope="module")
def made():
    return make_vectors.files()


def test_the_folder_is_what_the_script_makes(made):
    present = {
        str(path.relative_to(VECTORS)): path.read_bytes()
        for path in VECTORS.rglob("*")
        if path.is_file()
    }
    for name in make_vectors.NOT_MADE:
        present.pop(name, None)
    assert sorted(present) == sorted(made)
    assert [name for name in made if present[name] != made[name]] == []


def test_the_folder_is_small(made):
    assert sum(len(data) for data in made.values()) < 1_800_000


@pytest.mark.parametrize("name", STATED_CONTENT)
def test_stated_content(name):
    data = (VECTORS / "trees" / name / "listing").read_bytes()
    assert hashlib.sha256(data).hexdigest() == STATED_CONTENT[name]
    assert listing.write(listing.parse(data)) == data


def test_the_stated_tree_is_the_one_of_the_page():
    sha256 = hashlib.sha256(b"hello").digest()
    expected = [
        Entry.directory(b"a", 0o755),
        Entry.file(b"a/b", 5, sha256),
        Entry.link(b"a/l", b"../a-b"),
        Entry.file(b"a-b", 0, hashlib.sha256(b"").digest(), 0o755),
        Entry.file(b"n\nl", 5, sha256),
    ]
    assert listing.parse((VECTORS / "trees/page/listing").read_bytes()) == expected


def test_stated_empty_times():
    assert hashlib.sha256(times.write([])).hexdigest() == STATED_EMPTY_TIMES


@pytest.mark.parametrize("name", STATED_VERITY)
def test_stated_verity(name):
    assert INDEX["blobs"][name]["verity"] == STATED_VERITY[name]


@pytest.mark.parametrize("name", make_vectors.BLOBS)
def test_merkle_objects(name):
    said = INDEX["blobs"][name]
    stored = (VECTORS / "merkle" / f"{name}.merkle").read_bytes()
    assert len(stored) == said["merkle_size"] == merkle.object_size(said["size"])
    merkle.check(stored, said["size"], bytes.fromhex(said["verity"]))


@pytest.mark.parametrize("name", INDEX["trees"])
def test_trees(name):
    folder = VECTORS / "trees" / name
    said = INDEX["trees"][name]
    stored = {path.name: path.read_bytes() for path in folder.iterdir()}
    verities = [stored["verities"][at : at + 32] for at in range(0, len(stored["verities"]), 32)]
    assert tree.build(stored["listing"], stored["times"], verities) == stored["tree"]
    image = tree_reader.read(stored["tree"])
    assert listing.write(image.entries) == stored["listing"]
    assert times.write(image.times) == stored["times"]
    assert image.verities == verities
    assert tree.digest(stored["tree"]).hex() == said["tree"]
    made = meta.parse(stored["meta.yaml"])
    assert (made.entries, made.times, made.verities) == (image.entries, image.times, verities)
    assert made.content.hex() == said["content"]
    assert meta.write(made.record, made.entries, made.times, made.verities) == stored["meta.yaml"]
    assert record.write(record.parse(stored["record.yaml"])) == stored["record.yaml"]
    assert stored["meta.yaml"].startswith(stored["record.yaml"])


@pytest.mark.parametrize("case", INDEX["refused"])
def test_refused(case):
    kind, _, name = case.partition("/")
    data = (VECTORS / "refused" / kind / f"{name}.bin").read_bytes()
    assert rule_of(kind, data, INDEX["refused"][case]) == name.partition(".")[0]


@pytest.mark.parametrize("name", INDEX["taken"])
def test_taken(name):
    made = meta.parse((VECTORS / "taken" / f"{name}.yaml").read_bytes())
    assert made.content.hex() == INDEX["taken"][name]["content"]
    assert len(made.entries) == INDEX["taken"][name]["entries"]


@pytest.mark.parametrize("name", INDEX["rewritten"])
def test_rewritten(name):
    given = (VECTORS / "rewritten" / f"{name}.in.yaml").read_bytes()
    wanted = (VECTORS / "rewritten" / f"{name}.out.yaml").read_bytes()
    assert record.write(record.parse(given)) == wanted
    assert record.write(record.parse(wanted)) == wanted


def test_names():
    wrong = [
        (kind, text, valid)
        for kind, text, valid in INDEX["names"]
        if names.is_valid(kind, bytes.fromhex(text)) != valid
    ]
    assert wrong == []


def test_signature():
    said = INDEX["signature"]
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(said["key"]))
    key.verify(bytes.fromhex(said["sig"]), bytes.fromhex(said["message"]))
