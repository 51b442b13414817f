# SPDX-License-Identifier: MIT
"""diff: what differs between two versions, by their verified trees."""

import os

import pytest

import trees
from agent import Agent
from proxies import LyingProxy


@pytest.fixture
def versions(agent, names, tmp_path):
    one, two = trees.small_tree(tmp_path / "one"), trees.small_tree(tmp_path / "two")
    trees.write(two, "README.md", b"other\n")
    trees.write(two, "bin/tool", b"#!/bin/sh\necho tool\n", 0o700)
    (two / "link").unlink()
    (two / "link").symlink_to("elsewhere")
    (two / "sizes/0").unlink()
    (two / "sizes/1").unlink()
    (two / "sizes/1").mkdir()
    trees.write(two, b"new/a\\b\xff\n", b"x")
    (two / "empty/inner").rmdir()
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    return f"{names.project}/{names.app}"


def test_each_difference(agent, versions):
    done = agent.run("diff", versions, "v1", "latest").expect(20)
    assert done.stdout.splitlines() == [
        "M\tREADME.md", "P\tbin/tool", "D\tempty/inner/", "M\tlink", "A\tnew/",
        "A\tnew/a\\134b\ufffd\\012", "D\tsizes/0", "T\tsizes/1/"]
    assert done.stderr == ""
    found = agent.run("diff", versions, "v1", "v2", "--json").expect(20).json()
    assert (found["from"], found["to"], found["state"]) == ("v1", "v2", "different")
    assert found["added"][0] == {"path": "new", "directory": True}
    assert list(found["added"][1]) == ["path_base64"]
    assert found["removed"] == [{"path": "empty/inner", "directory": True}, {"path": "sizes/0"}]
    assert {item["path"]: item["what"] for item in found["changed"]} == {
        "README.md": ["content"], "bin/tool": ["mode"], "link": ["target"], "sizes/1": ["type"]}


def test_no_difference(agent, versions):
    done = agent.run("diff", versions, "v2", "v2").expect(0)
    assert done.stdout == ""
    found = agent.run("diff", versions, "v2", "v2", "--json").expect(0).json()
    assert (found["state"], found["added"], found["removed"], found["changed"]) == ("same", [], [],
                                                                                    [])


def test_what_is_not_there(agent, versions):
    agent.run("diff", versions, "v1", "none").expect(5)
    agent.run("diff", versions + "-not", "v1", "v2").expect(5)
    agent.run("diff", versions + "/v1", "v1", "v2").expect(2)
    agent.run("diff", versions, "v1").expect(2)


def flip(reply):
    reply.body = reply.body[:5000] + bytes([reply.body[5000] ^ 1]) + reply.body[5001:]


def test_a_lie_is_seen_and_nothing_is_left(server, versions, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with LyingProxy(server) as proxy:
        agent = Agent(tmp_path / "lied-to", proxy.url, server.all_rights)
        agent.environment["TMPDIR"] = str(scratch)
        agent.run("diff", versions, "v1", "v2").expect(20)
        assert os.listdir(scratch) == []
        proxy.lie(r"/versions/v2/tree", flip)
        agent.run("diff", versions, "v1", "v2").expect(8)
    assert os.listdir(scratch) == []
