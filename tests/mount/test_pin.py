# SPDX-License-Identifier: MIT
"""Pinned versions: what belongs to them stays in the cache, across restarts and beside others."""

import hashlib
import os
import random

from mounts import eventually, forget_pages
from proxies import CountingProxy

MIB = 1 << 20


def version_of(mount, name):
    for version in mount.status()["versions"]:
        if f"{version['project']}/{version['app']}/{version['version']}" == name:
            return version
    return None


def is_complete(mount, name):
    return version_of(mount, name)["state"] == "complete"


def assert_reads(mount, name, files):
    for path, data in files.items():
        assert (mount / name / path).read_bytes() == data, path


def objects_of(files):
    return {hashlib.sha256(data).hexdigest() for data in files.values() if data}


def cached_objects(mount):
    return {path.name for path in (mount.cache / "obj").rglob("*") if path.is_file()}


def files_of(count, size):
    return {f"d{number % 3}/f{number}": os.urandom(size) for number in range(count)}


def test_pin_and_unpin(server, project, push, new_mount):
    name = f"{project}/app/v1"
    files = {**files_of(30, 20_000), "large": os.urandom(2 * MIB)}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights)
    assert f"{name} is pinned, " in mount.verb("pin", mount.path, name).expect(0).stdout
    assert version_of(mount, name)["pinned"] is True
    eventually(lambda: is_complete(mount, name))
    told = mount.verb("pin", mount.path, name).expect(0).stdout
    assert told == f"{name} is pinned, complete: 2.57 MiB\n"
    assert mount.verb("pin", mount.path, name, "--json").expect(0).json() == {
        "version": name, "complete": True, "cached_bytes": 2 * MIB + 600_000,
        "bytes": 2 * MIB + 600_000, "cached_files": 31, "files": 31}
    assert ", pinned" in mount.verb("status", mount.path).expect(0).stdout
    assert mount.verb("unpin", mount.path, name).expect(0).stdout == ""
    assert version_of(mount, name)["pinned"] is False
    assert "is not pinned" in mount.verb("unpin", mount.path, name).expect(5).stderr
    mount.verb("pin", mount.path, f"{project}/app/v9").expect(5)


def test_pins_survive(new_server, project, push, new_mount):
    """A restart, and one with the server away: pinned, and all of it there."""
    server = new_server()
    name = f"{project}/app/v1"
    files = {**files_of(20, 5_000), "large": os.urandom(MIB)}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights, deadline="3s")
    mount.verb("pin", mount.path, name).expect(0)
    eventually(lambda: is_complete(mount, name))
    mount.umount()
    mount.mount()
    assert version_of(mount, name)["pinned"] is True
    mount.umount()
    server.kill()
    mount.mount()
    assert mount.status()["online"] is False
    eventually(lambda: version_of(mount, name)["state"] == "complete")
    assert version_of(mount, name)["pinned"] is True
    forget_pages()
    assert_reads(mount, name, files)
    # It can be unpinned with nobody there, too.
    mount.verb("unpin", mount.path, name).expect(0)
    mount.umount()
    mount.mount()
    assert not (version_of(mount, name) or {"pinned": False})["pinned"]


def test_a_pin_is_completed_after_a_restart(new_server, project, push, new_mount):
    """What was not yet here when the mount ended comes when it begins again."""
    server = new_server()
    name = f"{project}/app/v1"
    files = {f"f{number}": os.urandom(600_000) for number in range(10)}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights, deadline="3s")
    mount.verb("pin", mount.path, name).expect(0)
    eventually(lambda: is_complete(mount, name))
    mount.umount()
    gone = sorted(path for path in (mount.cache / "obj").rglob("*") if path.is_file())[:4]
    for path in gone:
        path.unlink()
    mount.mount()
    eventually(lambda: is_complete(mount, name), within=20)


def test_pinned_objects_stay(server, project, push, new_mount):
    """A cache that is much smaller than what is read through it: nothing of the pinned version is
    evicted, the quota holds, and every byte is right."""
    chance = random.Random(7)
    pinned = files_of(25, 30_000)
    others = {f"v{number}": files_of(20, 40_000) for number in range(2, 8)}
    push(server, f"{project}/app/v1", pinned)
    for version, files in others.items():
        push(server, f"{project}/app/{version}", files)
    mount = new_mount(server.url, server.all_rights, cache_size="2M", prefetch="none")
    mount.verb("pin", mount.path, f"{project}/app/v1").expect(0)
    eventually(lambda: is_complete(mount, f"{project}/app/v1"))
    for _ in range(250):
        version = chance.choice(sorted(others))
        path = chance.choice(sorted(others[version]))
        assert (mount / f"{project}/app/{version}" / path).read_bytes() == others[version][path]
        if chance.random() < 0.05:
            forget_pages()
            assert objects_of(pinned) <= cached_objects(mount)
            assert mount.status()["cache"]["bytes"] <= 2 * MIB
    assert mount.status()["cache"]["evicted"] > 50
    assert objects_of(pinned) <= cached_objects(mount)
    # Not pinned any more: it may go, and does.
    mount.verb("unpin", mount.path, f"{project}/app/v1").expect(0)
    for version, files in others.items():
        assert_reads(mount, f"{project}/app/{version}", files)
    assert not objects_of(pinned) <= cached_objects(mount)


def test_a_pin_larger_than_the_cache(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"large": os.urandom(3 * MIB)})
    push(server, f"{project}/app/v2", files_of(10, 120_000))
    push(server, f"{project}/app/v3", files_of(10, 120_000))
    mount = new_mount(server.url, server.all_rights, cache_size="2M")
    done = mount.verb("pin", mount.path, f"{project}/app/v1").expect(9)
    assert f"{project}/app/v1 has 3.0" in done.stderr and "cache_size" in done.stderr
    assert not version_of(mount, f"{project}/app/v1")["pinned"]
    mount.verb("pin", mount.path, f"{project}/app/v2").expect(0)
    done = mount.verb("pin", mount.path, f"{project}/app/v3").expect(9)
    assert "with what is pinned" in done.stderr
    # What another version has too counts once.
    push(server, f"{project}/app/v4", {"x": b"1"})
    mount.verb("pin", mount.path, f"{project}/app/v4").expect(0)


def test_two_mounts_of_one_cache(server, project, push, new_mount):
    """What one has brought the other has; what one has pinned the other does not evict; what the
    other unpins is not pinned any more."""
    name = f"{project}/app/v1"
    files = files_of(20, 30_000)
    push(server, name, files)
    push(server, f"{project}/app/v2", {f"g{number}": os.urandom(40_000) for number in range(60)})
    one = new_mount(server.url, server.all_rights)
    one.verb("pin", one.path, name).expect(0)
    eventually(lambda: is_complete(one, name))
    with CountingProxy(server.port) as proxy:
        other = new_mount(proxy.url, server.all_rights, cache=one.cache, cache_size="2M",
                          prefetch="none")
        assert version_of(other, name)["pinned"] is True
        before = proxy.down
        assert_reads(other, name, files)
        assert proxy.down - before < 100_000
        for number in range(60):
            (other / project / "app" / "v2" / f"g{number}").read_bytes()
        assert other.status()["cache"]["evicted"] > 10
        assert objects_of(files) <= cached_objects(one)
        other.verb("unpin", other.path, name).expect(0)
        eventually(lambda: not version_of(one, name)["pinned"])


def test_a_damaged_list_of_pins(server, project, push, new_mount):
    """Lines that are whole count, others do not, and new ones can be added."""
    push(server, f"{project}/app/v1", {"a": b"1"})
    push(server, f"{project}/app/v2", {"a": b"2"})
    mount = new_mount(server.url, server.all_rights)
    mount.verb("pin", mount.path, f"{project}/app/v1").expect(0)
    mount.verb("pin", mount.path, f"{project}/app/v2").expect(0)
    mount.umount()
    pins = mount.cache / "pins"
    text = bytearray(pins.read_bytes())
    text[text.index(b"v1")] ^= 1
    pins.write_bytes(bytes(text) + b"1 pin torn")
    mount.mount()
    assert not (version_of(mount, f"{project}/app/v1") or {"pinned": False})["pinned"]
    assert version_of(mount, f"{project}/app/v2")["pinned"]
    mount.verb("pin", mount.path, f"{project}/app/v1").expect(0)
    mount.umount()
    mount.mount()
    assert version_of(mount, f"{project}/app/v1")["pinned"]
