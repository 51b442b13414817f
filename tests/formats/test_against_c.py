# SPDX-License-Identifier: MIT
"""The Python side and the C side must agree: on valid trees to the byte, on
spoilt files on whether they are refused.

KKARTIFACT_FORMAT_SEED (a number, 0 when absent) starts elsewhere, to search on.
What the two disagree about is kept, and its place and seed are reported.
"""

import hashlib
import json
import os
import pathlib
import tempfile

import make_vectors
import pytest
from format_tool import Jobs, refuses, says, writes
from kkformats import merkle, mutate, names, random_transfer, random_tree, record
from kkformats.refused import Refused
from readers import job, read, read_by_library

START = int(os.environ.get("KKARTIFACT_FORMAT_SEED", "0"))
TREES, BATCHES = 210, 6
MUTANTS = {
    "listing": 500,
    "times": 250,
    "tree": 600,
    "meta": 700,
    "record": 300,
    "merkle": 300,
    "chunk-list": 700,
    "delta": 800,
    "pack": 700,
}
VECTORS = make_vectors.FOLDER
INDEX = json.loads((VECTORS / "index.json").read_text("utf-8"))


@pytest.fixture
def jobs(tool, tmp_path):
    return Jobs(tool, tmp_path)


def _report(complaints):
    if complaints:
        pytest.fail(f"{len(complaints)} disagreements\n" + "\n".join(complaints[:20]), False)


def _add_tree(jobs, one):
    """All jobs for one tree: C reads what Python wrote, and writes what Python wrote."""
    parts = (one.listing, one.times_bytes, b"".join(one.verities), one.image, one.meta)
    paths = [jobs.file(part) for part in parts]
    the_listing, the_times, verities, image, manifest = paths
    content, count = one.content.hex(), len(one.entries)
    times_digest = hashlib.sha256(one.times_bytes).hexdigest()
    jobs.add("listing", the_listing, expect=says("ok", content, count))
    jobs.add("times", the_times, count, expect=says("ok", times_digest))
    out = jobs.file()
    made = writes(out, one.image, "ok", one.image_digest.hex(), len(one.image))
    jobs.add("tree-build", the_listing, the_times, verities, out, expect=made)
    jobs.add("tree", image, expect=says("ok", content))
    listing_out, times_out = jobs.file(), jobs.file()
    both = (writes(listing_out, one.listing, "ok"), writes(times_out, one.times_bytes, "ok"))
    jobs.add(
        "tree-listing", image, listing_out, times_out, expect=lambda a: both[0](a) or both[1](a)
    )
    jobs.add("meta", manifest, expect=says("ok", content, count))
    out = jobs.file()
    jobs.add("meta-write", manifest, image, out, expect=writes(out, one.meta, "ok"))
    text = record.write(one.record)
    out = jobs.file()
    jobs.add("record", jobs.file(text), out, expect=writes(out, text, "ok"))


def _add_blobs(jobs, blobs):
    for data in blobs:
        made, root = merkle.build(data)
        verity = merkle.verity_digest(len(data), root).hex()
        out = jobs.file()
        wanted = writes(out, made, "ok", root.hex(), verity)
        jobs.add("merkle", jobs.file(data), out, expect=wanted)
        jobs.add("merkle-check", jobs.file(made), len(data), verity, expect=says("ok"))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_trees(jobs, batch):
    for number in range(START + batch, START + TREES, BATCHES):
        one = random_tree.make(number)
        _add_tree(jobs, one)
        # All of the large files, a few of the small ones: these are all alike.
        blobs = sorted(set(one.data.values()), key=len, reverse=True)
        _add_blobs(jobs, blobs[:4])
    _report(jobs.run())


def _valid(kind, number):
    """(file, extra) to spoil; for a merkle object a triple."""
    if kind == "merkle":
        size = [0, 7, 4096, 4097, 8192, 524288, 524289, 600_000][number % 8]
        made, root = merkle.build(bytes([number % 251]) * size)
        return (made, size, merkle.verity_digest(size, root)), {}
    if kind in random_transfer.MAKERS:
        return random_transfer.MAKERS[kind](number)
    one = random_tree.make(f"small {number}", large=False, count=2 + number)
    if kind == "times":
        return one.times_bytes, {"count": len(one.entries)}
    files = {"listing": one.listing, "tree": one.image, "meta": one.meta}
    return files.get(kind) or record.write(one.record), {}


def _mutants(kind):
    """(seed, file, extra)"""
    valid = [_valid(kind, number) for number in range(24)]
    for seed in range(START, START + MUTANTS[kind]):
        source, extra = valid[seed % len(valid)]
        spoilt = mutate.mutate(kind, seed, source)
        if kind == "merkle":
            spoilt, size, verity = spoilt
            extra = {"data_size": size, "verity": verity.hex()}
        yield seed, spoilt, extra


def _agrees(kind, seed, data, extra, out):
    """An expectation: the C program says of `data` what Python says of it."""
    try:
        said, rule = read(kind, data, extra), None
    except Refused as refused:
        said, rule = None, str(refused)
    also = read_by_library(kind, data, extra)

    def check(answer):
        complaint = None
        if also is not None and says("ok", *also)(answer) is None:
            return None
        if rule is not None:
            if answer[0] != "refused":
                complaint = f"C takes it, Python: {rule}"
        elif answer[0] == "refused":
            complaint = f"Python takes it, C: {' '.join(answer)}"
        elif kind == "record":
            complaint = writes(out, said[0], "ok")(answer)
        else:
            complaint = says("ok", *said)(answer)
        return f"seed {seed}, {complaint}, kept as {_keep(kind, seed, data)}" if complaint else None

    return check


def _keep(kind, seed, data):
    folder = pathlib.Path(tempfile.gettempdir()) / "kkartifact-disagreements"
    folder.mkdir(exist_ok=True)
    path = folder / f"{kind}-{seed}"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("kind", MUTANTS)
def test_mutants(jobs, kind):
    for seed, data, extra in _mutants(kind):
        out = jobs.file()
        expect = _agrees(kind, seed, data, extra, out)
        jobs.add(*job(kind, jobs.file(data), extra, out), expect=expect)
    _report(jobs.run())


def test_there_are_enough():
    assert TREES >= 200
    assert sum(MUTANTS.values()) >= 2000


def test_stored_trees(jobs):
    for one in make_vectors.trees().values():
        _add_tree(jobs, one)
    _report(jobs.run())


def test_stored_blobs(jobs):
    _add_blobs(jobs, [unit * count for unit, count in make_vectors.BLOBS.values()])
    _report(jobs.run())


def test_stored_refusals(jobs):
    for case, extra in INDEX["refused"].items():
        kind = case.partition("/")[0]
        path = VECTORS / "refused" / f"{case}.bin"
        jobs.add(*job(kind, path, extra, jobs.file()), expect=refuses)
    _report(jobs.run())


def test_stored_manifests(jobs):
    for name, said in INDEX["taken"].items():
        wanted = says("ok", said["content"], said["entries"])
        jobs.add("meta", VECTORS / "taken" / f"{name}.yaml", expect=wanted)
    for name in INDEX["rewritten"]:
        given = VECTORS / "rewritten" / f"{name}.in.yaml"
        wanted = (VECTORS / "rewritten" / f"{name}.out.yaml").read_bytes()
        out = jobs.file()
        jobs.add("record", given, out, expect=writes(out, wanted, "ok"))
    _report(jobs.run())


def test_names(jobs):
    for kind, text, valid in INDEX["names"]:
        # A job cannot say the empty name: no bytes are no field of a line.
        if text:
            jobs.add("name", kind, text, expect=says("ok") if valid else refuses)
    _report(jobs.run())


def test_spoilt_names(jobs):
    kinds = list(names.CHECKS)
    texts = [bytes.fromhex(text) for _, text, _ in INDEX["names"]]
    for seed in range(START, START + 500):
        rng = mutate.random.Random(f"name {seed}")
        kind, text = rng.choice(kinds), mutate.blind(rng, rng.choice(texts)) or b"\0"
        wanted = says("ok") if names.is_valid(kind, text) else refuses
        jobs.add("name", kind, text.hex(), expect=wanted)
    _report(jobs.run())
