# SPDX-License-Identifier: MIT
"""The scrubber: what lies in the cache is hashed again and again, slowly, without being asked."""

import hashlib
import os
import time

from damage import flip, object_of
from mounts import eventually, forget_pages

MIB = 1 << 20


def scrub(mount):
    return mount.status()["scrub"]


def test_a_flipped_bit_is_found(server, project, push, new_mount):
    """Also of what was read, and is open; and it is fetched again."""
    name = f"{project}/app/v1"
    files = {"small": os.urandom(5_000), "large": os.urandom(2 * MIB)}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights, scrub_every="1s", scrub_rate="1G")
    mount.verb("prefetch", mount.path, name).expect(0)
    for path, data in files.items():
        assert (mount / name / path).read_bytes() == data
    passes = scrub(mount)["passes"]
    eventually(lambda: scrub(mount)["passes"] > passes)
    assert scrub(mount)["wrong"] == 0
    for path, data in files.items():
        before = mount.status()["cache"]["quarantined"]
        flip(object_of(mount.cache, data), 1000)
        eventually(lambda: mount.status()["cache"]["quarantined"] == before + 1)
        eventually(lambda: object_of(mount.cache, data).exists())
        assert object_of(mount.cache, data).read_bytes() == data
        assert (mount.cache / "bad" / hashlib.sha256(data).hexdigest()).exists()
        forget_pages()
        assert (mount / name / path).read_bytes() == data
    assert mount.status()["integrity_failures"] >= 2


def test_what_is_pinned_is_made_whole(server, project, push, new_mount):
    """A pinned version that nobody has open."""
    name = f"{project}/app/v1"
    data = os.urandom(300_000)
    push(server, name, {"a": data, "b": os.urandom(100)})
    mount = new_mount(server.url, server.all_rights)
    mount.verb("pin", mount.path, name).expect(0)
    eventually(object_of(mount.cache, data).exists)
    mount.umount()
    mount.options.update(scrub_every="1s", scrub_rate="1G")
    mount.mount()
    flip(object_of(mount.cache, data))
    eventually(lambda: mount.status()["cache"]["damaged"] > 0, within=15)
    eventually(lambda: object_of(mount.cache, data).exists() and
               object_of(mount.cache, data).read_bytes() == data, within=15)


def test_it_is_slow_and_goes_on_where_it_was(server, project, push, new_mount):
    name = f"{project}/app/v1"
    push(server, name, {f"f{number}": os.urandom(100_000) for number in range(40)})
    mount = new_mount(server.url, server.all_rights, scrub_every="1h", scrub_rate="400K")
    mount.verb("prefetch", mount.path, name).expect(0)
    eventually(lambda: scrub(mount)["objects"] >= 3, within=20)
    began, status = time.monotonic(), scrub(mount)
    time.sleep(3)
    later = scrub(mount)
    assert later["state"] == status["state"] == "running"
    rate = (later["bytes"] - status["bytes"]) / (time.monotonic() - began)
    assert rate < 600_000
    mount.umount()
    mount.mount()
    eventually(lambda: scrub(mount)["objects"] > later["objects"], within=20)
    again = scrub(mount)
    assert again["started_at"] == status["started_at"] and again["passes"] == 0
    mount.umount()
    mount.options.update(scrub_rate="1G")
    mount.mount()
    eventually(lambda: scrub(mount)["passes"] == 1, within=20)
    done = scrub(mount)
    # Every object once: those that were there when the pass came by.
    assert done["state"] == "waiting" and done["percent"] == 100 and 30 <= done["objects"] <= 42
    time.sleep(2)
    assert scrub(mount)["passes"] == 1, "the next pass is due in an hour"


def test_one_of_two_mounts_does_it(server, project, push, new_mount):
    """And the other learns of what it finds."""
    name = f"{project}/app/v1"
    data = os.urandom(40_000)
    push(server, name, {"a": data})
    one = new_mount(server.url, server.all_rights, scrub_every="1s", scrub_rate="1G")
    one.verb("prefetch", one.path, name).expect(0)
    eventually(lambda: scrub(one)["passes"] > 0)
    other = new_mount(server.url, server.all_rights, cache=one.cache, scrub_every="1s")
    assert (other / name / "a").read_bytes() == data
    eventually(lambda: scrub(other)["state"] == "elsewhere")
    assert "by another mount" in other.verb("status", other.path).expect(0).stdout
    flip(object_of(one.cache, data))
    eventually(lambda: one.status()["cache"]["quarantined"] == 1)
    forget_pages()
    assert (other / name / "a").read_bytes() == data
    one.umount()
    eventually(lambda: scrub(other)["state"] != "elsewhere")


def test_a_damaged_place(server, project, push, new_mount):
    """DIR/scrub is no more than a hint."""
    name = f"{project}/app/v1"
    push(server, name, {"a": os.urandom(1000)})
    mount = new_mount(server.url, server.all_rights)
    mount.verb("prefetch", mount.path, name).expect(0)
    eventually(lambda: scrub(mount)["passes"] == 1)
    mount.umount()
    (mount.cache / "scrub").write_bytes(os.urandom(300))
    mount.mount()
    eventually(lambda: scrub(mount)["passes"] == 1)
    assert scrub(mount)["wrong"] == 0
