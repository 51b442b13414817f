# SPDX-License-Identifier: MIT
"""Bytes that went bad on a disk: of the server's store, of the mount's cache."""

import hashlib
import os
import pathlib

import pytest

import trees
from agent import Agent
from damage import flip
from mounts import forget_pages

VICTIM = "victim"


def stored_at(directory, data):
    """The file of the store that holds these bytes."""
    for path in pathlib.Path(directory).rglob("*"):
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return path
    raise AssertionError("the blob is not in the store as it is")


@pytest.mark.parametrize("size", [3000, 300_000, 3_000_000])
@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "empty", "gone"])
def test_damaged_blob(damage, size, new_server, names, new_mount, tmp_path):
    """Exit 8 or 7 and an error of the mount; no wrong byte; the other files are not concerned."""
    server = new_server()
    source = tmp_path / "source"
    data = trees.random_bytes(size)
    trees.write(source, VICTIM, data)
    trees.write(source, "sound", b"sound\n")
    agent = Agent(tmp_path / "agent", server.url, server.all_rights, retries=1)
    agent.push(source, names.project, names.app, "v1")
    blob = stored_at(server.data / "blobs", data)
    if damage == "flipped":
        flip(blob)
    elif damage == "gone":
        blob.unlink()
    else:
        blob.chmod(0o600)
        blob.write_bytes({"cut": data[:-1], "longer": data + b"x", "empty": b""}[damage])
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1/files/{VICTIM}"
    if damage != "flipped":
        try:
            answer = server.request("GET", path, token=server.all_rights)
            assert answer.status >= 500 or (damage == "longer" and answer.body == data), answer
        except (ConnectionError, OSError) as cut:
            assert cut  # ended before its length: no answer either
    copy = tmp_path / "copy"
    done = agent.run("pull", copy, "--project", names.project, "--app", names.app, "--version",
                     "v1")
    if damage == "longer" and done.code == 0:
        trees.assert_same(source, copy)
    else:
        assert done.code == 8 if damage == "flipped" else done.code in (7, 8), done
        assert not (copy / VICTIM).exists()
    mount = new_mount(server.url, server.all_rights, deadline="5s")
    shown = mount / names.project / names.app / "v1"
    try:
        read = (shown / VICTIM).read_bytes()
    except OSError as refused:
        assert refused.errno in (5, 74), refused  # EIO, EBADMSG
    else:
        assert damage == "longer" and read == data, "wrong bytes"
    assert (shown / "sound").read_bytes() == b"sound\n"
    if damage == "flipped":
        assert mount.status()["integrity_failures"] > 0
        digest = hashlib.sha256(data).hexdigest()
        assert not list((mount.cache / "obj").rglob(digest)), "wrong bytes were kept"


def test_a_push_heals_nothing_that_is_right(new_server, names, tmp_path):
    """The same tree pushed under another name over a damaged blob: no wrong byte comes out."""
    server = new_server()
    source = tmp_path / "source"
    data = trees.random_bytes(100_000)
    trees.write(source, VICTIM, data)
    agent = Agent(tmp_path / "agent", server.url, server.all_rights, retries=1)
    agent.push(source, names.project, names.app, "v1")
    flip(stored_at(server.data / "blobs", data))
    agent.push(source, names.project, names.app, "v2")
    done = agent.run("pull", tmp_path / "copy", "--project", names.project, "--app", names.app,
                     "--version", "v2")
    assert done.code in (0, 8)
    if done.code == 0:
        trees.assert_same(source, tmp_path / "copy")


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone", "garbage"])
def test_damaged_cache(damage, server, agent, names, new_mount, tmp_path):
    """Whatever became of the cache while it was not in use: the bytes are right, fetched again."""
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    cache = tmp_path / "cache"
    with new_mount(server.url, server.all_rights, cache=cache) as mount:
        trees.assert_same(source, mount / names.project / names.app / "v1")
        mount.umount()
    touched = 0
    for path in sorted(cache.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.stat().st_size == 0:
            continue
        touched += 1
        if damage == "flipped":
            flip(path)
        elif damage == "gone":
            path.unlink()
        else:
            mode = path.stat().st_mode
            path.chmod(0o600)
            size = path.stat().st_size
            path.write_bytes({"cut": path.read_bytes()[:size // 2], "empty": b"",
                              "garbage": trees.random_bytes(size, str(path))}[damage])
            path.chmod(mode)
    assert touched >= 10, "the cache is not where it was looked for"
    forget_pages()
    with new_mount(server.url, server.all_rights, cache=cache) as mount:
        trees.assert_same(source, mount / names.project / names.app / "v1")
        mount.umount()
    forget_pages()
    with new_mount(server.url, server.all_rights, cache=cache) as mount:
        trees.assert_same(source, mount / names.project / names.app / "v1")
        assert mount.status()["fetched_bytes"] < 1 << 20, "what was fetched again is kept"


@pytest.mark.serial
def test_cache_damaged_below_a_running_mount(server, agent, names, new_mount, tmp_path):
    """Files of the cache are emptied or removed while the mount runs."""
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    mount = new_mount(server.url, server.all_rights)
    shown = mount / names.project / names.app / "v1"
    trees.assert_same(source, shown)
    for number, path in enumerate(sorted((mount.cache / "obj").rglob("*"))):
        if path.is_file() and number % 2:
            path.unlink()
        elif path.is_file():
            os.truncate(path, path.stat().st_size // 2)
    forget_pages()
    trees.assert_same(source, shown)
