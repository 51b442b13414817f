# SPDX-License-Identifier: MIT
"""One version at one place: what is shown, and that it follows its channel without a gap."""

import itertools
import os
import pathlib
import subprocess

import pytest

from attaches import Attach, devices_at
from events import promote
from mounts import eventually


@pytest.fixture
def attach(tmp_path, keeper):
    """attach(server, "P/A...", *flags, attached=True, **options): gone at the end."""
    made, numbers = [], itertools.count()

    def make(server, what, *flags, attached=True, **options):
        one = Attach(tmp_path / f"attach-{next(numbers)}", server.url, server.all_rights, keeper,
                     what, flags=flags, **options)
        made.append(one)
        return one.mount() if attached else one

    yield make
    for one in reversed(made):
        one.drop()


@pytest.fixture
def releases(server, project, push):
    """Pushes versions "1" to "3" of an app, each of which says in two files what it is."""
    for version in "123":
        push(server, f"{project}/app/{version}",
             {"version": version.encode(), "dir/version": version.encode() * 100_000,
              f"only-{version}": b""})
    return f"{project}/app"


def shown(one):
    return (one.path / "version").read_text()


def await_version(one, version):
    eventually(lambda: one.attached()["version"] == version)
    assert shown(one) == version


# ------------------------------------------------------------------ what is shown

def test_one_version_is_at_the_place_itself(server, releases, attach):
    one = attach(server, f"{releases}/2")
    assert sorted(os.listdir(one.path)) == [".kkartifact", "dir", "meta.yaml", "only-2", "version"]
    assert shown(one) == "2"
    assert (one.path / "dir" / "version").read_bytes() == b"2" * 100_000
    assert b"version: " in (one.path / ".kkartifact" / "meta.yaml").read_bytes()
    assert (one.path / "meta.yaml").read_bytes() == \
        (one.path / ".kkartifact" / "meta.yaml").read_bytes()
    assert one.path.stat().st_ino == 1 and one.path.stat().st_mode & 0o777 == 0o755
    with os.scandir(one.path) as entries:
        inodes = {entry.name: entry.inode() for entry in entries}
    assert inodes["version"] == (one.path / "version").stat().st_ino
    with pytest.raises(OSError):
        (one.path / "new").touch()
    attached = one.attached()
    assert attached["project"] + "/" + attached["app"] == releases
    assert (attached["channel"], attached["version"], attached["previous"]) == (None, "2", None)
    text = one.verb("status", one.path).expect(0).stdout
    assert f"{releases} is 2" in text
    file = one.verb("stat", one.path / "version", "--json").expect(0).json()
    assert (file["version"], file["cached_bytes"]) == ("2", 1)
    promote(server, *releases.split("/"), "3")
    one.verb("detach", one.path).expect(0)
    one.await_end()
    assert not devices_at(one.path)


def test_it_follows_promotions_and_rollbacks(server, releases, attach):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases)
    assert shown(one) == "1" and one.attached()["channel"] == "live"
    for version, before in zip("2313", "1231"):
        promote(server, *releases.split("/"), version)
        await_version(one, version)
        assert one.attached()["previous"] == before
    assert len(devices_at(one.path)) == 1
    eventually(lambda: one.attached()["in_use"] == [])
    promote(server, *releases.split("/"), "2", channel="beta")
    other = attach(server, f"{releases}@beta")
    assert (shown(other), shown(one)) == ("2", "3")
