# SPDX-License-Identifier: MIT
"""A bit that flips in any kind of file of a cache: while it is mounted, and while it is not.

No wrong byte is given, no name is shown that was never pushed, nothing is refused for good; what is
damaged is fetched again, or begun anew.
"""

import os
import random

import pytest

from damage import flip
from mounts import eventually, forget_pages

MIB = 1 << 20

# The kinds of file, by where they are below the directory of a cache.
KINDS = {
    "object": "obj/*/*",
    "image": "idx/*",
    "part": "part/" + "[0-9a-f]" * 64,
    "map": "part/*.m",
    "levels": "mk/*/*",
    "record": "records/*",
    "ids": "ids/*",
    "known": "known/versions-*",
    "stores": "known/stores",
    "pins": "pins",
    "scrub": "scrub",
}
FLIPS = 3  # in each file, over its length


@pytest.fixture
def world(server, project, push, new_mount):
    """A cache with a file of every kind; mounted, with the versions that can be read."""
    random.seed(5)
    versions = {
        "v1": {"large": random.randbytes(2 * MIB + 9), "a/small": random.randbytes(7_000),
               "a/other": random.randbytes(300)},
        "v2": {"partial": random.randbytes(6 * MIB), "text": b"text"},
    }
    for version, files in versions.items():
        push(server, f"{project}/app/{version}", files)
    mount = new_mount(server.url, server.all_rights, scrub_every="1s", scrub_rate="1G",
                      prefetch="none")
    mount.versions, mount.name = versions, project
    mount.verb("pin", mount.path, f"{project}/app/v1").expect(0)
    mount.verb("prefetch", mount.path, f"{project}/app/v1").expect(0)
    with open(mount / project / "app" / "v2" / "partial", "rb") as file:
        os.pread(file.fileno(), 4096, 0)
        os.pread(file.fileno(), 4096, 4 * MIB)
    for version in versions:
        assert (mount / project / "app" / version / "meta.yaml").read_bytes()
    eventually(lambda: mount.status()["scrub"]["passes"] > 0)
    # What follows is found by whoever reads, not by the scrubber.
    mount.umount()
    mount.options.update(scrub_every="1h")
    mount.mount()
    return mount


def files_of(mount, kind):
    found = [path for path in mount.cache.glob(KINDS[kind]) if path.is_file()]
    assert found, f"the cache has no {kind}"
    return found


def damage(mount, kind, number):
    """One bit of each such file, at another place each time."""
    for path in files_of(mount, kind):
        size = path.stat().st_size
        flip(path, (size - 1) * number // (FLIPS - 1))


def assert_right(mount):
    forget_pages()
    app = mount / mount.name / "app"
    assert sorted(os.listdir(app)) == sorted(mount.versions)
    for version, files in mount.versions.items():
        shown = {str(path.relative_to(app / version)) for path in (app / version).rglob("*")
                 if path.is_file()}
        assert shown - {"meta.yaml", ".kkartifact/meta.yaml"} == set(files)
        assert f'version: "{version}"' in (app / version / "meta.yaml").read_text()
        for path, data in files.items():
            assert (app / version / path).read_bytes() == data, f"{version}/{path}"
    # The mount works on.
    assert mount.status()["cache"]["degraded"] is False
    mount.verb("pin", mount.path, f"{mount.name}/app/v2").expect(0)
    mount.verb("unpin", mount.path, f"{mount.name}/app/v2").expect(0)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_while_it_is_not_mounted(kind, world):
    for number in range(FLIPS):
        world.umount()
        damage(world, kind, number)
        world.mount()
        assert_right(world)
        # There again for the next round.
        world.verb("pin", world.path, f"{world.name}/app/v1").expect(0)
        if kind in ("part", "map"):
            return  # the part is complete now


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_while_it_is_mounted(kind, world):
    for number in range(FLIPS):
        damage(world, kind, number)
        assert_right(world)
        if kind in ("part", "map"):
            return
