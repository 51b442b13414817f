# SPDX-License-Identifier: MIT
"""Chunk lists, deltas and packs: the stored vectors, and both sides on random input."""

import hashlib
import json
import os
import random
import struct

import make_vectors
import pytest
import transfer_vectors
from format_tool import Jobs, says, writes
from kkformats import chunk_list, delta, pack, random_blob, random_transfer
from readers import read

START = int(os.environ.get("KKARTIFACT_FORMAT_SEED", "0"))
INPUTS, BATCHES = 210, 6
VECTORS = make_vectors.FOLDER
INDEX = json.loads((VECTORS / "index.json").read_text("utf-8"))["transfer"]


@pytest.fixture
def jobs(tool, tmp_path):
    return Jobs(tool, tmp_path)


def _report(complaints):
    if complaints:
        pytest.fail(f"{len(complaints)} disagreements\n" + "\n".join(complaints[:20]), False)


def _blob(said):
    if "seed" in said:
        return random_blob.make(said["seed"], said["size"])
    return bytes.fromhex(said["unit"]) * said["count"]


def _add_chunk_list(jobs, data, made):
    out = jobs.file()
    jobs.add("chunk-list", jobs.file(data), out, expect=writes(out, made, "ok"))
    said = says("ok", *read("chunk-list", made, {}))
    jobs.add("chunk-list-check", jobs.file(made), expect=said)


def _add_delta(jobs, base, target, made):
    out = jobs.file()
    wanted = writes(out, target, "ok", hashlib.sha256(target).hexdigest(), len(target))
    jobs.add("delta", jobs.file(base), jobs.file(made), out, expect=wanted)


def _add_made_delta(jobs, how, base, target):
    """C makes it, both read it."""
    out, again = jobs.file(), jobs.file()
    base_path, target_path = jobs.file(base), jobs.file(target)

    def readable(answer):
        complaint = says("ok")(answer)
        if complaint:
            return complaint
        made = out.read_bytes()
        if delta.apply(made, base) != target:
            return f"a delta by {how} makes something else"
        if len(made) > len(target) + len(target) // 1000 + 200:
            return f"a delta by {how} is longer than the target: {len(made)}"
        return None

    jobs.add("delta-make", how, base_path, target_path, out, expect=readable)
    wanted = writes(again, target, "ok", hashlib.sha256(target).hexdigest(), len(target))
    jobs.add("delta", base_path, out, again, expect=wanted)


def _add_packed(jobs, blobs):
    """C makes the pack, both read it."""
    out = jobs.file()
    given = b"".join(struct.pack("<Q", len(blob)) + blob for blob in blobs)

    def readable(answer):
        members = pack.parse(out.read_bytes())
        if [blob for _, blob, _ in members] != blobs:
            return "a pack of other blobs"
        return says("ok")(answer)

    jobs.add("pack-make", jobs.file(given), out, expect=readable)


def _add_pack(jobs, data):
    limits = {"member_size": 1 << 20, "count": 100}
    said = says("ok", *read("pack", data, limits))
    jobs.add("pack", jobs.file(data), *limits.values(), expect=said)


@pytest.mark.parametrize("name", INDEX["chunk_lists"])
def test_stored_chunk_lists(jobs, name):
    said = INDEX["chunk_lists"][name]
    data, stored = _blob(said), (VECTORS / "chunk-lists" / f"{name}.chunks").read_bytes()
    assert len(data) == said["size"]
    assert hashlib.sha256(data).hexdigest() == said["sha256"]
    made = chunk_list.parse(stored)
    assert [len(level) for level in reversed(made.levels)] == said["entries"]
    assert made.sha256.hex() == said["sha256"]
    _add_chunk_list(jobs, data, stored)
    _report(jobs.run())


def test_stored_deltas(jobs):
    base = _blob(INDEX["base"])
    assert base == (VECTORS / "deltas/base").read_bytes() == transfer_vectors.BASE
    for name in INDEX["deltas"]:
        made = (VECTORS / "deltas" / f"{name}.delta").read_bytes()
        target = (VECTORS / "deltas" / f"{name}.target").read_bytes()
        assert delta.apply(made, base) == target
        _add_delta(jobs, base, target, made)
    _report(jobs.run())


def test_stored_packs(jobs):
    for name, members in INDEX["packs"].items():
        data = (VECTORS / "packs" / f"{name}.pack").read_bytes()
        got = pack.parse(data)
        assert [[sha256.hex(), rule is None] for sha256, _, rule in got] == members
        _add_pack(jobs, data)
    _report(jobs.run())


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_chunk_lists(jobs, batch):
    for number in range(START + batch, START + INPUTS, BATCHES):
        rng = random.Random(f"chunked {number}")
        size = rng.choice([65536, 65537, rng.randrange(65536, 400_000)])
        data = random_blob.make(number, size)
        if number % 3 == 0:
            # Long runs and repeats: chunks of the largest and the smallest sizes.
            at = rng.randrange(size)
            data = data[:at] + bytes([number % 251]) * rng.randrange(200_000) + data[at:]
            data += data[: rng.randrange(size)]
        _add_chunk_list(jobs, data, chunk_list.build(data))
        made, _ = random_transfer.a_chunk_list(number)
        said = says("ok", *read("chunk-list", made, {}))
        jobs.add("chunk-list-check", jobs.file(made), expect=said)
    _report(jobs.run())


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_deltas(jobs, batch):
    for number in range(START + batch, START + INPUTS, BATCHES):
        (made, base), _ = random_transfer.a_delta(number)
        _add_delta(jobs, base, delta.apply(made, base), made)
        rng = random.Random(f"pair {number}")
        base = random_blob.make(f"pair {number}", rng.randrange(65536, 300_000))
        target = random_blob.changed(rng, base)
        hows = ["trees", "patch"]
        if len(target) >= 65536:
            hows.append("lists")
        for how in hows:
            _add_made_delta(jobs, how, base, target)
    _report(jobs.run())


def test_random_packs(jobs):
    for number in range(START, START + INPUTS):
        made, _ = random_transfer.a_pack(number)
        _add_pack(jobs, made)
        _add_packed(jobs, [blob for _, blob, _ in pack.parse(made)])
    _report(jobs.run())


def test_there_are_enough():
    assert INPUTS >= 200
