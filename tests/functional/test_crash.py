# SPDX-License-Identifier: MIT
"""Programs that are killed in the middle: what is half done is not to be seen."""

import os
import signal
import subprocess
import time

import pytest

import trees
from agent import Agent
from keeper import is_mounted
from proxies import CountingProxy

MIB = 1 << 20


def big_tree(root, seed=""):
    """On a shared server with a seed of one's own: it is not sent what it has."""
    for number in range(10):
        trees.write(root, f"{number}", trees.random_bytes(4 * MIB, f"{seed}/{number}"))
    return root


def status_of(server, names, version):
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/{version}"
    return server.request("GET", path, token=server.all_rights).status


def versions_of(server, names):
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions"
    answer = server.request("GET", path, token=server.all_rights)
    return [item["version"] for item in answer.json()["items"]] if answer.status == 200 else []


@pytest.mark.parametrize("after", [1, 9 * MIB, 30 * MIB])
def test_server_killed_in_the_middle_of_a_push(after, new_server, names, tmp_path):
    server = new_server()
    first = trees.small_tree(tmp_path / "first")
    source = big_tree(tmp_path / "source")
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights, retries=0)
        agent.push(first, names.project, names.app, "v1")
        proxy.on_up = (proxy.up + after, lambda: server.process.kill())
        agent.push(source, names.project, names.app, "v2", code=7)
        assert proxy.on_up is None
        server.kill()
        server.start()
        proxy.port = server.port
        assert status_of(server, names, "v2") == 404
        assert versions_of(server, names) == ["v1"]
        agent.pull(tmp_path / "copy1", names.project, names.app, "v1")
        trees.assert_same(first, tmp_path / "copy1")
        assert agent.push(source, names.project, names.app, "v2")["state"] == "created"
        agent.pull(tmp_path / "copy2", names.project, names.app, "v2")
        trees.assert_same(source, tmp_path / "copy2")
        assert versions_of(server, names) == ["v2", "v1"]


def test_server_killed_and_started_while_the_agent_waits(new_server, names, tmp_path):
    """The agent's retries outlive a restart of the server that takes its time."""
    server = new_server()
    source = big_tree(tmp_path / "source")
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        proxy.on_up = (9 * MIB, lambda: server.process.kill())
        with agent.start("push", source, "--project", names.project, "--app", names.app,
                         "--version", "v1") as pushing:
            try:
                server.process.wait(60)
                server.kill()
                time.sleep(4)  # the time that it takes
                assert pushing.poll() is None
                server.start()
                proxy.port = server.port
                assert pushing.wait(120) == 0, pushing.stderr.read()
            finally:
                pushing.kill()
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
        trees.assert_same(source, tmp_path / "copy")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_agent_killed_in_the_middle_of_a_push(signal_number, server, names, tmp_path):
    source = big_tree(tmp_path / "source", names.project)
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        with agent.start("push", source, "--project", names.project, "--app", names.app,
                         "--version", "v1") as pushing:
            proxy.on_up = (9 * MIB, lambda: pushing.send_signal(signal_number))
            code = pushing.wait(60)
            assert proxy.on_up is None
            assert code == (130 if signal_number == signal.SIGINT else -9)
        assert status_of(server, names, "v1") == 404
        assert agent.push(source, names.project, names.app, "v1")["state"] == "created"
        agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(source, tmp_path / "copy")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGINT])
def test_agent_killed_in_the_middle_of_a_pull(signal_number, server, names, tmp_path):
    """The destination is the old version still; the next pull completes."""
    first = trees.small_tree(tmp_path / "first")
    source = big_tree(tmp_path / "source", names.project)
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        agent.push(first, names.project, names.app, "v1")
        agent.push(source, names.project, names.app, "v2")
        copy = tmp_path / "copy"
        agent.pull(copy, names.project, names.app, "v1")
        start = proxy.down
        with agent.start("pull", copy, "--project", names.project, "--app", names.app,
                         "--version", "v2") as pulling:
            until = time.monotonic() + 60
            while proxy.down < start + 8 * MIB and pulling.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.0005)
            pulling.send_signal(signal_number)
            code = pulling.wait(60)
        if code != 0:  # else it was quicker than we
            assert code == (130 if signal_number == signal.SIGINT else -9)
            trees.assert_same(first, copy)
        agent.pull(copy, names.project, names.app, "v2")
        trees.assert_same(source, copy)


def test_mount_daemon_killed(server, agent, names, new_mount, tmp_path):
    """The dead mount can be taken away, and a new one on the same cache is right."""
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    cache = tmp_path / "cache"
    mount = new_mount(server.url, server.all_rights, cache=cache)
    trees.assert_same(source, mount / names.project / names.app / "v1")
    mount.kill()
    mount.verb("umount", mount.path, "--lazy").expect(0)
    again = new_mount(server.url, server.all_rights, cache=cache)
    trees.assert_same(source, again / names.project / names.app / "v1")


def test_mount_ends_on_sigterm(server, agent, names, new_mount, tmp_path):
    mount = new_mount(server.url, server.all_rights)
    os.kill(mount.daemon[0], signal.SIGTERM)
    mount.await_end()
    assert not is_mounted(mount.path)


def test_reader_of_a_stalled_server_can_be_killed(new_server, names, new_mount, tmp_path):
    """The server is stopped, not dead: a reader that waits dies at once when it is killed."""
    server = new_server()
    source = trees.small_tree(tmp_path / "source")
    Agent(tmp_path / "agent", server.url, server.all_rights).push(source, names.project,
                                                                  names.app, "v1")
    mount = new_mount(server.url, server.all_rights, deadline="200s")
    shown = mount / names.project / names.app / "v1"
    assert (shown / "sizes").is_dir()
    server.process.send_signal(signal.SIGSTOP)
    try:
        with subprocess.Popen(["cat", shown / "sizes/65536"], stdout=subprocess.DEVNULL) as reader:
            time.sleep(0.3)
            assert reader.poll() is None
            reader.kill()
            assert reader.wait(60) == -9
    finally:
        server.process.send_signal(signal.SIGCONT)
    trees.assert_same(source, shown)
