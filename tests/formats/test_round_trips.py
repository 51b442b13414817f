# SPDX-License-Identifier: MIT
"""The Python side alone: what it writes it reads, and what it takes it writes again."""

import random

import pytest
from kkformats import listing, meta, mutate, random_tree, record, times, tree, tree_reader
from kkformats.refused import Refused
from readers import rule_of

TREES = 60
MUTANTS = 300


@pytest.mark.parametrize("seed", range(TREES))
def test_a_tree_in_every_format(seed):
    one = random_tree.make(f"alone {seed}")
    assert listing.parse(one.listing) == one.entries
    assert times.parse(one.times_bytes, len(one.entries), one.entries) == one.times
    assert tree.build(one.listing, one.times_bytes, one.verities) == one.image
    image = tree_reader.read(one.image)
    assert (image.entries, image.times, image.verities) == (one.entries, one.times, one.verities)
    assert image.content == one.content
    made = meta.parse(one.meta)
    assert (made.entries, made.times, made.verities) == (one.entries, one.times, one.verities)
    assert made.record == one.record == record.parse(record.write(one.record))


def test_the_same_seed_gives_the_same_tree():
    assert random_tree.make(7).meta == random_tree.make(7).meta
    assert random_tree.make(7).meta != random_tree.make(8).meta


def test_the_trees_are_nasty():
    """What the generator promises must really come up."""
    entries = [entry for seed in range(TREES) for entry in random_tree.make(seed, False).entries]
    paths = {entry.path for entry in entries}
    assert any(b"\n" in path for path in paths)
    assert any(b'"' in path for path in paths)
    assert any(b"\xff" in path for path in paths)
    assert any(len(part) == 255 for path in paths for part in path.split(b"/"))
    assert any(path.count(b"/") >= 4 for path in paths)
    assert any(entry.kind == "f" and entry.size == 0 for entry in entries)
    assert any(entry.kind == "f" and entry.size > 2**40 for entry in entries)
    assert any(entry.target.startswith(b"/") for entry in entries)
    assert any(entry.target.startswith(b"../") for entry in entries)
    assert any(sorted(some) != sorted(some, key=lambda path: path.split(b"/")) for some in
               [[entry.path for entry in random_tree.make(seed, False).entries]
                for seed in range(TREES)])  # fmt: skip


@pytest.mark.parametrize("kind", ["listing", "tree"])
def test_a_mutant_that_is_taken_is_canonical(kind):
    """Whatever bytes these readers take, the writer makes the same bytes of them."""
    taken = 0
    for seed in range(MUTANTS):
        one = random_tree.make(f"small {seed % 10}", large=False, count=10)
        spoilt = mutate.mutate(kind, seed, one.listing if kind == "listing" else one.image)
        try:
            if kind == "listing":
                assert listing.write(listing.parse(spoilt)) == spoilt
            else:
                image = tree_reader.read(spoilt)
                assert tree.write(image.entries, image.times, image.verities) == spoilt
            taken += 1
        except Refused:
            pass
    assert 0 < taken < MUTANTS


def test_every_bit_of_an_image_counts():
    """One bit anywhere: refused, because content or a stricter rule sees it.

    Only a verity digest may change: the image is its only witness, and the
    digest of the image itself changes with it.
    """
    one = random_tree.make("every bit", large=False, count=8)
    digests = int.from_bytes(one.image[80:88], "little")
    verities = {
        digests + 64 * number + at for number in range(len(one.verities)) for at in range(32, 64)
    }
    rng = random.Random("every bit")
    for at in [*range(400), *range(4096, 4096 + 300), *rng.sample(range(len(one.image)), 1000)]:
        if at in verities:
            continue
        spoilt = bytearray(one.image)
        spoilt[at] ^= 1 << rng.randrange(8)
        assert rule_of("tree", bytes(spoilt), {}), f"byte {at}"
