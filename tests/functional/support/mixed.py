# SPDX-License-Identifier: MIT
"""mixed - a tree with some of everything that a transfer treats in a way of its own: many small
files (packs), a few of 1 to 20 MiB (parts), one of them text (parts in zstd), one of 60 MiB of
which some blocks differ from version to version (deltas), links, modes, an empty directory."""

import os
import random
import shutil

import trees

MIB = 1 << 20
SMALL = 300
BIG = 60 * MIB
BIG_BLOCK, BIG_CHANGES = 4096, 40
TEXT = 18 * MIB  # three parts


def tree(root, seed, *, large=(1, 3, 20), big=BIG):
    """The same for the same seed; what it held before goes. `large` are MiB. Tests that share a
    server need seeds of their own: it is not sent what it has."""
    shutil.rmtree(root, ignore_errors=True)
    chance = random.Random(f"tree {seed}")
    for number in range(SMALL):
        trees.write(root, f"many/{number % 20}/{number}", chance.randbytes(chance.randrange(12000)),
                    0o755 if number % 7 == 0 else 0o644)
    for size in large:
        trees.write(root, f"large/{size}", chance.randbytes(size * MIB))
    words = [chance.randbytes(8).hex() for _ in range(3000)]
    trees.write(root, "large/text", " ".join(chance.choices(words, k=TEXT // 17)).encode())
    if big:
        data = bytearray(random.Random("big").randbytes(big))
        for _ in range(BIG_CHANGES):
            at = chance.randrange(big // BIG_BLOCK) * BIG_BLOCK
            data[at:at + BIG_BLOCK] = chance.randbytes(BIG_BLOCK)
        trees.write(root, "big", data, 0o640)
    os.makedirs(os.path.join(root, "empty/inner"))
    os.symlink(f"many/{seed}", os.path.join(root, "link"))
    os.symlink("../large", os.path.join(root, "many/link"))
    os.chmod(os.path.join(root, "many/3"), 0o700)
    return root


def assert_each_whole(copy, olds):
    """Whatever stands in the copy is as one of the trees has it, byte for byte."""
    known = {}
    for old in olds:
        for path, what in trees.describe(old).items():
            known.setdefault(path, set()).add(bytes_of(what))
    for path, what in trees.describe(copy, without=(b".kkartifact", b".kkartifact.yml")).items():
        assert path in known, f"{path!r} is in no version"
        assert bytes_of(what) in known[path], f"{path!r} is neither old nor new: {what}"


def bytes_of(what):
    """Without modes and times: those follow."""
    return what[:1] + what[3:] if what[0] == "f" else what if what[0] == "l" else what[:1]
