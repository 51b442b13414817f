# SPDX-License-Identifier: MIT
"""A power cut under a mount: what its worker did to the cache is recorded, call by call, and disks
are made that lack what was not synced (tests/power_cut). On each a new mount shows right bytes.

tests/power_cut/test_power_cut.c does the same with the rooms alone, at every change; here a few
states have the whole program on them.
"""

import os
import random
import subprocess

import pytest

from mounts import eventually, forget_pages
from server import build_directory

MIB = 1 << 20
KINDS = 7  # of enum cut_kind in tests/power_cut/disk.h
LOSES_ALL, ANY = 1, 5  # of them
SEED = 20260


def power_cut(*words):
    [program] = build_directory().glob("**/power_cut/power_cut")
    return [str(word) for word in (program, *words)]


class Recorder:
    """The changes that a process makes below a directory, until it ends."""

    def __init__(self, pid, directory, journal):
        self.journal = journal
        self.process = subprocess.Popen(power_cut("record", pid, directory, journal),
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "recording\n"

    def end(self):
        """(where the changes begin, where they end); all of them can be replayed."""
        assert self.process.wait(60) == 0
        told = subprocess.run(power_cut("tell", self.journal), capture_output=True, text=True,
                              check=True).stdout.splitlines()
        assert told[1:] == []
        return tuple(map(int, told[0].split()))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def trees(shared):
    random.seed(SEED)
    one = {f"d{number % 4}/f{number}": random.randbytes(1 + number * 700) for number in range(40)}
    one.update({"large": random.randbytes(2 * MIB + 7), "other": random.randbytes(700_000)})
    two = {"large": shared, "same": one["large"], "small": random.randbytes(100)}
    return {"v1": one, "v2": two}


def assert_shows(mount, project, versions):
    for version, files in versions.items():
        for path, data in files.items():
            shown = (mount / project / "app" / version / path).read_bytes()
            assert shown == data, f"{version}/{path}"


def fill(mount, project, versions, journal):
    """What a mount does with its cache, and all of it is recorded."""
    with Recorder(mount.worker(), mount.cache, journal) as recorder:
        mount.verb("pin", mount.path, f"{project}/app/v1").expect(0)
        with open(mount / project / "app" / "v2" / "large", "rb") as file:
            assert os.pread(file.fileno(), 1000, MIB) == versions["v2"]["large"][MIB:MIB + 1000]
        mount.verb("prefetch", mount.path, f"{project}/app/v2").expect(0)
        assert_shows(mount, project, versions)
        eventually(lambda: mount.status()["scrub"]["passes"] > 0)
        mount.verb("verify", mount.path, f"{project}/app/v2").expect(0)
        mount.umount()
        return recorder.end()


@pytest.fixture
def recorded(server, project, push, new_mount, tmp_path):
    versions = trees(b"" .join([os.urandom(MIB), bytes(MIB), os.urandom(500_000)]))
    for version, files in versions.items():
        push(server, f"{project}/app/{version}", files)
    mount = new_mount(server.url, server.all_rights, scrub_every="1s", scrub_rate="1G")
    journal = tmp_path / "journal"
    return versions, journal, fill(mount, project, versions, journal)


def try_cut(server, project, new_mount, tmp_path, versions, journal, cut):
    at, kind, seed, is_over = cut
    cache = tmp_path / f"cache-{at}-{kind}-{seed}"
    cache.mkdir(0o700)
    subprocess.run(power_cut("make", journal, at, kind, seed, cache), check=True)
    mount = new_mount(server.url, server.all_rights, cache=cache)
    forget_pages()
    assert_shows(mount, project, versions)
    status = mount.status()
    if is_over:  # the pin was told as durable
        assert [version["version"] for version in status["versions"] if version["pinned"]] == ["v1"]
    mount.verb("pin", mount.path, f"{project}/app/v2").expect(0)
    mount.verb("prefetch", mount.path, f"{project}/app/v1").expect(0)
    mount.verb("prefetch", mount.path, f"{project}/app/v2").expect(0)
    assert mount.status()["cache"]["degraded"] is False
    mount.umount()
    # All is there now, and so it is for the next one.
    mount.mount()
    forget_pages()
    before = mount.status()["fetched_bytes"]
    assert_shows(mount, project, versions)
    assert mount.status()["fetched_bytes"] == before
    mount.umount()


def cuts(base, count, wanted):
    """Evenly over the changes and kinds, and at the very end."""
    chosen = [(count, kind, SEED, True) for kind in (LOSES_ALL, ANY)]
    for number in range(wanted):
        at = base + (count - base) * number // wanted
        chosen.append((at, number % KINDS, SEED + number, False))
    return chosen


def test_a_power_cut_under_a_mount(server, project, new_mount, tmp_path, recorded):
    versions, journal, (base, count) = recorded
    assert count - base > 100
    for cut in cuts(base, count, 6):
        try_cut(server, project, new_mount, tmp_path, versions, journal, cut)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_power_cuts_all_over(server, project, new_mount, tmp_path, recorded):
    versions, journal, (base, count) = recorded
    for cut in cuts(base, count, 200):
        try_cut(server, project, new_mount, tmp_path, versions, journal, cut)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_states_of_the_rooms_alone():
    [program] = build_directory().glob("**/test_power_cut")
    done = subprocess.run([program], env={**os.environ, "POWER_CUT_STATES": "40000"},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
