# SPDX-License-Identifier: MIT
"""Our verity digests against those of fsverity-utils."""

import random
import shutil
import subprocess

import make_vectors
import pytest
from kkformats import merkle

SIZES = [0, 1, 4095, 4096, 4097, 8192, 524287, 524288, 524289, 1048576 + 3]


@pytest.fixture(scope="module")
def fsverity():
    found = shutil.which("fsverity")
    assert found, "the program fsverity is not installed (Debian package fsverity)"
    return found


def _digests(fsverity, paths):
    out = subprocess.run(
        [fsverity, "digest", "--compact", *paths], capture_output=True, check=True, text=True
    )
    return out.stdout.split()


def test_digests_of_random_bytes(fsverity, tmp_path):
    rng = random.Random("verity")
    paths, wanted = [], []
    for size in SIZES:
        data = rng.randbytes(size)
        path = tmp_path / str(size)
        path.write_bytes(data)
        paths.append(path)
        wanted.append(merkle.verity(data).hex())
    assert _digests(fsverity, paths) == wanted


def test_digests_of_the_vectors(fsverity, tmp_path):
    for name, (byte, count) in {**make_vectors.BLOBS, **make_vectors.DIGEST_ONLY}.items():
        path = tmp_path / name
        path.write_bytes(byte * count)
        assert _digests(fsverity, [path]) == [merkle.verity(byte * count).hex()], name
        path.unlink()


def test_merkle_object_against_fsverity(fsverity, tmp_path):
    data = random.Random("tree").randbytes(600_000)
    path, out = tmp_path / "data", tmp_path / "tree"
    path.write_bytes(data)
    subprocess.run(
        [fsverity, "digest", f"--out-merkle-tree={out}", path], capture_output=True, check=True
    )
    assert out.read_bytes() == merkle.build(data)[0]
