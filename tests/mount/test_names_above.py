# SPDX-License-Identifier: MIT
"""Projects, apps, versions: what is new is seen soon, what is known stays, what is not is not."""

import os

import pytest

from mounts import eventually


def test_a_new_version_is_listed_soon(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    assert os.listdir(mount / project / "app") == ["v1"]
    push(server, f"{project}/app/v2", {"a": b"2"})
    # By name at once, although no list has it yet.
    assert (mount / project / "app" / "v2" / "a").read_bytes() == b"2"
    eventually(lambda: sorted(os.listdir(mount / project / "app")) == ["v1", "v2"])
    push(server, f"{project}/other/v1", {"a": b"3"})
    assert (mount / project / "other" / "v1" / "a").read_bytes() == b"3"


def test_a_name_that_appears_after_it_was_asked_for(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    wanted = mount / project / "app" / "later"
    assert not wanted.exists()
    push(server, f"{project}/app/later", {"a": b"2"})
    eventually(wanted.exists)
    assert (wanted / "a").read_bytes() == b"2"


def test_listing_does_not_fetch_trees(server, project, push, new_mount):
    for number in range(5):
        push(server, f"{project}/app/v{number}", {"a": b"%d" % number})
    mount = new_mount(server.url, server.all_rights)
    with os.scandir(mount / project / "app") as entries:
        assert sorted((entry.name, entry.is_dir(), entry.stat().st_ino > 0)
                      for entry in entries) == [(f"v{n}", True, True) for n in range(5)]
    assert mount.status()["versions"] == []


@pytest.mark.parametrize("name", ["latest", "@stable", ".git", "-x", "a b", "x" * 200, "nope"])
def test_names_that_are_none(server, project, push, new_mount, name):
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    assert not (mount / project / "app" / name).exists()
    assert not (mount / project / name).exists()
    assert not (mount / name).exists()
    assert name not in os.listdir(mount / project / "app")


def test_a_walk_of_many_versions(server, project, push, new_mount):
    """More than one answer to the kernel, and more than one page."""
    data = {"a": b"1"}
    for number in range(60):
        push(server, f"{project}/app/{'v' * 60}{number:03}", data)
    mount = new_mount(server.url, server.all_rights)
    listed = os.listdir(mount / project / "app")
    assert sorted(listed) == [f"{'v' * 60}{n:03}" for n in range(60)]


def test_only(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1"})
    push(server, f"{project}/other/v1", {"a": b"1"})
    push(server, f"{project}x/app/v1", {"a": b"1"})
    one = new_mount(server.url, server.all_rights, only=project)
    assert os.listdir(one.path) == [project]
    assert sorted(os.listdir(one / project)) == ["app", "other"]
    assert not (one / f"{project}x").exists()
    two = new_mount(server.url, server.all_rights, only=f"{project}/app")
    assert os.listdir(two / project) == ["app"]
    assert not (two / project / "other").exists()
    assert (two / project / "app" / "v1" / "a").read_bytes() == b"1"
    absent = new_mount(server.url, server.all_rights, mounted=False, only=f"{project}/none")
    absent.try_mount().expect(5)


def test_a_token_sees_its_own_project_only(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1"})
    push(server, f"{project}x/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.token("pull", project=project))
    assert os.listdir(mount.path) == [project]
    assert not (mount / f"{project}x").exists()
    assert (mount / project / "app" / "v1" / "a").read_bytes() == b"1"


def test_inodes_stay(server, project, push, new_mount, tmp_path):
    push(server, f"{project}/app/v1", {"a/b": b"1", "c": b"2"})
    push(server, f"{project}/app/v2", {"a/b": b"1"})
    mount = new_mount(server.url, server.all_rights)

    def numbers():
        return {str(where): where.lstat().st_ino
                for where in sorted((mount / project / "app").rglob("*"))}

    first = numbers()
    assert len(set(first.values())) == len(first)
    mount.umount()
    mount.mount()
    list((mount / project / "app" / "v2").iterdir())
    assert numbers() == first
