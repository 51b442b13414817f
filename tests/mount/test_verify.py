# SPDX-License-Identifier: MIT
"""verify: what is in the cache held against its names; what is wrong is set aside and replaced."""

import hashlib
import os

import pytest

from damage import flip, object_of
from mounts import eventually, forget_pages

MIB = 1 << 20


@pytest.fixture
def filled(server, project, push, new_mount):
    """A mount with all of two versions in its cache."""
    files = {"small": os.urandom(5_000), "d/large": os.urandom(2 * MIB + 7), "same": b"s" * 100}
    others = {"other": os.urandom(9_000), "same": b"s" * 100}
    push(server, f"{project}/app/v1", files)
    push(server, f"{project}/app/v2", others)
    mount = new_mount(server.url, server.all_rights)
    for version in ("v1", "v2"):
        mount.verb("prefetch", mount.path, f"{project}/app/{version}").expect(0)
    mount.files, mount.others, mount.name = files, others, f"{project}/app/v1"
    return mount


def assert_right(mount):
    forget_pages()
    for path, data in mount.files.items():
        assert (mount / mount.name / path).read_bytes() == data


def test_what_is_right(filled):
    assert filled.verb("verify", filled.path).expect(0).stdout.endswith(" 0 wrong\n")
    told = filled.verb("verify", filled.path, filled.name, "--json").expect(0).json()
    assert told == {"wrong": [], "objects": 3, "wrong_count": 0}
    assert filled.verb("verify", "--cache", filled.cache).expect(0).stdout == \
        "6 objects hashed, 0 wrong\n"
    told = filled.verb("verify", "--cache", filled.cache, filled.name, "--json").expect(0).json()
    assert told == {"wrong": [], "objects": 4, "wrong_count": 0}
    assert filled.status()["cache"]["quarantined"] == 0


@pytest.mark.parametrize("path", ["small", "d/large"])
@pytest.mark.parametrize("whole", [False, True])
def test_with_a_mount(filled, path, whole):
    """Named, set aside, fetched again, counted; and never given to anybody."""
    data = filled.files[path]
    assert_right(filled)
    flip(object_of(filled.cache, data), len(data) // 2)
    words = [] if whole else [filled.name]
    done = filled.verb("verify", filled.path, *words).expect(8)
    name = hashlib.sha256(data).hexdigest()
    assert (name if whole else f"{filled.name}/{path}") in done.stdout
    assert "set aside, and fetched again" in done.stdout
    eventually(object_of(filled.cache, data).exists)  # a large one gets its name behind
    assert object_of(filled.cache, data).read_bytes() == data
    assert (filled.cache / "bad" / name).exists()
    status = filled.status()
    assert status["cache"]["quarantined"] == 1 and status["integrity_failures"] >= 1
    assert "set aside: 1" in filled.verb("status", filled.path).expect(0).stdout
    assert_right(filled)
    filled.verb("verify", filled.path, *words).expect(0)


def test_a_tree(filled):
    flipped, *_ = (filled.cache / "idx").iterdir()
    flip(flipped)
    done = filled.verb("verify", filled.path).expect(8)
    assert f"idx/{flipped.name}" in done.stdout
    filled.verb("verify", filled.path).expect(0)
    assert_right(filled)


def test_with_the_server_away(new_server, project, push, new_mount):
    server = new_server()
    data = os.urandom(50_000)
    push(server, f"{project}/app/v1", {"a": data, "b": b"right"})
    mount = new_mount(server.url, server.all_rights, deadline="2s")
    mount.verb("prefetch", mount.path, f"{project}/app/v1").expect(0)
    flip(object_of(mount.cache, data))
    server.kill()
    done = mount.verb("verify", mount.path, f"{project}/app/v1").expect(8)
    assert "it is fetched when it is read" in done.stdout
    forget_pages()
    with pytest.raises(OSError):
        (mount / project / "app" / "v1" / "a").read_bytes()
    assert (mount / project / "app" / "v1" / "b").read_bytes() == b"right"


@pytest.mark.parametrize("mounted", [True, False])
def test_of_a_cache(filled, mounted):
    """Without asking the mount; one that runs does not go on believing what was set aside."""
    data = filled.files["small"]
    assert_right(filled)
    if not mounted:
        filled.umount()
    flip(object_of(filled.cache, data))
    done = filled.verb("verify", "--cache", filled.cache).expect(8)
    assert hashlib.sha256(data).hexdigest() in done.stdout
    assert not object_of(filled.cache, data).exists()
    owners = {path.lstat().st_uid for path in (filled.cache, *filled.cache.rglob("*"))}
    assert len(owners) == 1, "root has made what a worker cannot write"
    filled.verb("verify", "--cache", filled.cache).expect(0)
    if not mounted:
        filled.mount()
    assert_right(filled)


def test_of_a_version_in_a_cache(filled):
    filled.umount()
    flip(object_of(filled.cache, filled.files["d/large"]), MIB)
    flip(object_of(filled.cache, filled.others["other"]))
    done = filled.verb("verify", "--cache", filled.cache, filled.name).expect(8)
    assert f"wrong: {filled.name}/d/large (" in done.stdout and "1 wrong" in done.stdout
    filled.verb("verify", "--cache", filled.cache, filled.name).expect(0)
    done = filled.verb("verify", "--cache", filled.cache).expect(8)
    assert done.stdout.count("wrong: ") == 1


def test_parts(server, project, push, new_mount):
    """Pieces of an object that is not complete are hashed, too."""
    data = os.urandom(6 * MIB)
    name = f"{project}/app/v1"
    push(server, name, {"large": data})
    mount = new_mount(server.url, server.all_rights, prefetch="none")
    with open(mount / name / "large", "rb") as file:
        assert os.pread(file.fileno(), 4096, 0) == data[:4096]
        assert os.pread(file.fileno(), 4096, 3 * MIB) == data[3 * MIB:3 * MIB + 4096]
    part = mount.cache / "part" / hashlib.sha256(data).hexdigest()
    # What few bytes are read of comes behind.
    eventually(lambda: part.exists() and part.stat().st_size > 3 * MIB)
    mount.verb("verify", mount.path, name).expect(0)
    with open(part, "r+b") as file:
        file.seek(3 * MIB + 9)
        file.write(bytes([data[3 * MIB + 9] ^ 1]))
    assert f"{name}/large" in mount.verb("verify", mount.path, name).expect(8).stdout
    forget_pages()
    assert (mount / name / "large").read_bytes() == data


def test_usage(filled, tmp_path):
    filled.verb("verify").expect(2)
    filled.verb("verify", "--cache", filled.cache, filled.name, "more").expect(2)
    filled.verb("verify", "--cache", tmp_path / "nothing").expect(9)
    filled.verb("verify", "--cache", filled.cache, "p/a/never").expect(5)
    filled.verb("verify", "--cache", filled.cache, "nonsense").expect(2)
    filled.verb("verify", filled.path, "p/a/never").expect(5)
    assert not (tmp_path / "nothing").exists()
