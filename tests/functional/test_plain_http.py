# SPDX-License-Identifier: MIT
"""A token goes over plain HTTP to this host only, unless --insecure is said."""

import json
import os
import pathlib
import sys

import pytest

import other_host
import trees
from agent import clean_environment, run
from proxies import CountingProxy, LyingProxy

PORT = 8321
SCRIPT = pathlib.Path(other_host.__file__)
ELSEWHERE = f"http://{other_host.ADDRESS}:{PORT}"
TOKEN = "kka_000000000000_" + "A" * 43


def with_other_host(line, home):
    words = [os.fspath(word) for word in line]
    done = run(["unshare", "--net", "--mount", sys.executable, SCRIPT, str(PORT), *words],
               env=clean_environment(home), within=90)
    assert done.code == 0, done
    return json.loads(done.stdout)


def agent_line(agent, verb, tree):
    agent.settings.update(server=ELSEWHERE, project="p", app="a", retries=0)
    agent.write_config()
    agent.use_token(TOKEN)
    return agent.line(*{"push": ("push", tree), "pull": ("pull", tree / "copy", "--version", "v"),
                        "list": ("list",)}[verb])


@pytest.mark.parametrize("verb", ["push", "pull", "list"])
def test_agent_refuses_before_any_byte(verb, agent, tmp_path):
    tree = trees.small_tree(tmp_path / "source")
    seen = with_other_host(agent_line(agent, verb, tree), agent.home)
    assert seen["code"] == 3, seen
    assert "insecure" in seen["stderr"]
    assert (seen["connections"], seen["received"]) == (0, ""), seen
    assert TOKEN not in seen["stderr"] + seen["stdout"]


def test_agent_does_it_when_told(agent, tmp_path):
    tree = trees.small_tree(tmp_path / "source")
    seen = with_other_host([*agent_line(agent, "list", tree), "--insecure"], agent.home)
    assert TOKEN in seen["received"], seen
    assert seen["code"] == 7, seen


def test_mount_refuses_before_any_byte(server, new_mount):
    mount = new_mount(ELSEWHERE, TOKEN, mounted=False)
    seen = with_other_host(mount.line(), mount.home)
    assert seen["code"] == 2, seen
    assert "insecure" in seen["stderr"] and seen["connections"] == 0, seen


def test_mount_does_it_when_told(server, new_mount):
    mount = new_mount(ELSEWHERE, TOKEN, mounted=False, insecure=True, deadline="2s")
    seen = with_other_host(mount.line(), mount.home)
    assert TOKEN in seen["received"], seen
    assert seen["code"] == 7, seen


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "[::1]"])
def test_this_host_is_allowed(host, agent):
    """Loopback needs no flag: not reached (7), not refused (3)."""
    agent.settings.update(server=f"http://{host}:9", retries=0)
    agent.write_config()
    assert agent.run("list").code == 7


@pytest.mark.parametrize("url", [
    "http://localhost.example.com:9", "http://127.0.0.1.example.com", "http://127.0.0.1@10.0.0.1",
    "http://10.0.0.1#@127.0.0.1", "http://2130706433.example.com", "http://[::ffff:10.0.0.1]",
    "http://0x7f.1.example.com", "ftp://127.0.0.1", "file:///etc/passwd", "http://", "127.0.0.1:1",
    "gopher://127.0.0.1"])
def test_names_that_only_look_like_this_host(url, agent):
    agent.settings.update(server=url, retries=0)
    agent.write_config()
    done = agent.run("list")
    assert done.code in (2, 3), done


def test_redirect_does_not_carry_the_token_elsewhere(agent, server, tmp_path):
    """A server that says 302 gets no token sent to where it points."""
    with LyingProxy(server) as origin, CountingProxy(server.port) as elsewhere:
        def redirect(reply):
            reply.status, reply.body = 302, b""
            reply.headers = [("Location", f"{elsewhere.url}/api/v1/projects"),
                             ("Content-Length", "0")]
        origin.lie("/", redirect)
        agent.settings.update(server=origin.url, retries=0)
        agent.write_config()
        assert agent.run("list").code != 0
        assert elsewhere.connections == 0
