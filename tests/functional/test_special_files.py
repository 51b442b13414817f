# SPDX-License-Identifier: MIT
"""What cannot be pushed: devices, sockets, fifos, names out of bounds, files that change."""

import os
import shutil
import socket
import threading
import time

import pytest

import trees
from agent import Agent, run
from proxies import CountingProxy


def is_visible(server, names, version="v1"):
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/{version}"
    return server.request("GET", path, token=server.all_rights).status != 404


def make_special(kind, path):
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.getcwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(path.name)
        finally:
            os.chdir(here)
    else:
        os.mknod(path, 0o600 | {"character": 0o020000, "block": 0o060000}[kind], os.makedev(1, 3))


@pytest.mark.parametrize("kind", ["fifo", "socket", "character", "block"])
def test_special_file_is_refused_by_name(kind, agent, server, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    make_special(kind, source / "bin/special-thing")
    done = agent.push(source, names.project, names.app, "v1", code=9)
    assert "bin/special-thing" in done.stderr
    assert not is_visible(server, names)
    agent.push(source, names.project, names.app, "v1", "--ignore", "special-thing")
    assert is_visible(server, names)


@pytest.mark.plain_only
def test_unreadable_file(agent, server, names, tmp_path):
    """As a user who may not read it. (The test is root: it runs the agent as another.)"""
    source = trees.small_tree(tmp_path / "source")
    trees.write(source, "secret", b"x", 0o600)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    for path in (agent.directory, agent.home, agent.token_file, agent.config):
        os.chown(path, 65534, 65534)
    line = agent.line("push", source, "--project", names.project, "--app", names.app)
    copy = agent.directory / "kkartifact-agent"  # the build may lie below a home of root
    shutil.copy(line[0], copy)
    done = run([copy, *line[1:]], env=agent.environment, user=65534,
               group=65534, extra_groups=[], cwd=agent.directory)
    assert done.code == 9, done
    assert "secret" in done.stderr
    assert not is_visible(server, names)


def test_directory_that_is_none(agent, names, tmp_path):
    agent.push(tmp_path / "absent", names.project, names.app, "v1", code=9)
    (tmp_path / "file").write_bytes(b"x")
    agent.push(tmp_path / "file", names.project, names.app, "v1", code=9)


class Changer:
    """Rewrites a file for as long as it is entered."""

    def __init__(self, change):
        self.change = change
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        number = 0
        while not self.ended.is_set():
            self.change(number)
            number += 1
            time.sleep(0.001)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, kind, value, trace):
        self.ended.set()
        self.thread.join()


def test_file_that_never_rests(agent, server, names, tmp_path):
    """Refused by name, or pushed in one of its states; never a mixture under a digest."""
    source = trees.small_tree(tmp_path / "source")
    busy = source / "busy"
    size = 4 << 20

    def change(number):
        with open(busy, "r+b" if busy.exists() else "w+b") as file:
            file.write(bytes([number % 256]) * size)

    change(0)
    with Changer(change):
        done = agent.run("push", source, "--project", names.project, "--app", names.app,
                         "--version", "v1", "--json")
    assert done.code in (0, 9), done
    if done.code == 9:
        assert "busy" in done.stderr
        assert not is_visible(server, names)
        return
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")  # every digest is checked


def test_file_that_grows_while_it_is_sent(server, names, tmp_path):
    """It changes between its hash and the end of its upload: told apart by name or pushed anew."""
    source = tmp_path / "source"
    trees.write(source, "growing.log", trees.random_bytes(24 << 20, "growing"))
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)

        def grow():
            with open(source / "growing.log", "ab") as file:
                file.write(b"one more line\n")

        proxy.on_up = (4 << 20, grow)
        done = agent.run("push", source, "--project", names.project, "--app", names.app,
                         "--version", "v1", "--json")
        assert proxy.on_up is None
        assert done.code in (0, 9), done
        if done.code == 9:
            assert "growing.log" in done.stderr
            assert not is_visible(server, names)
        else:
            agent.pull(tmp_path / "copy", names.project, names.app, "v1")
            trees.assert_same(source, tmp_path / "copy")
        assert agent.push(source, names.project, names.app, "v2")["state"] == "created"


@pytest.mark.parametrize("how", ["removed", "cut", "replaced"])
def test_file_that_changes_while_it_is_sent(how, server, names, tmp_path):
    source = tmp_path / "source"
    victim = source / "victim"
    trees.write(source, "victim", trees.random_bytes(24 << 20, names.project))
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)

        def change():
            if how == "removed":
                victim.unlink()
            elif how == "cut":
                os.truncate(victim, 1000)
            else:
                trees.write(source, "other", trees.random_bytes(24 << 20, "other"))
                os.rename(source / "other", victim)

        proxy.on_up = (4 << 20, change)
        done = agent.run("push", source, "--project", names.project, "--app", names.app,
                         "--version", "v1", "--json")
    agent = Agent(tmp_path / "puller", server.url, server.all_rights)
    if done.code == 0 and how != "removed":
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
        trees.assert_same(source, tmp_path / "copy")
    elif done.code == 0:
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    else:
        assert done.code == 9 and "victim" in done.stderr, done
        assert not is_visible(server, names)


def test_directory_that_changes_while_it_is_pushed(server, names, tmp_path):
    """A file that comes while others are sent is in the version or named as the reason."""
    source = tmp_path / "source"
    for number in range(6):
        # Bytes that no other test has pushed: what the server has is not sent.
        trees.write(source, f"sub/{number}", trees.random_bytes(4 << 20, f"late {number}"))
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        proxy.on_up = (4 << 20, lambda: trees.write(source, "sub/late", b"late"))
        done = agent.run("push", source, "--project", names.project, "--app", names.app,
                         "--version", "v1", "--json")
    if done.code == 0:
        agent = Agent(tmp_path / "puller", server.url, server.all_rights)
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
        assert (tmp_path / "copy/sub/late").read_bytes() == b"late"
    else:
        assert done.code == 9 and "sub" in done.stderr, done
        assert not is_visible(server, names)
