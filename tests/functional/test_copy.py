# SPDX-License-Identifier: MIT
"""copy: the same tree as a version elsewhere, without bytes, and with a life of its own."""

import contextlib
import sqlite3

import pytest

import trees
from agent import Agent


def database(server, text):
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=30)) as base:
        return base.execute(text).fetchall()


@pytest.fixture
def source(server, names, tmp_path):
    """app/v1 with a label and a pin; a token that may do all in the project."""
    token = server.token("admin", project=names.project)
    agent = Agent(tmp_path / "admin", server.url, token)
    tree = tmp_path / "tree"
    trees.write(tree, "d/file", b"what is copied" * 100_000)
    trees.write(tree, "small", b"x")
    agent.run("push", tree, "--project", names.project, "--app", names.app, "--version", "v1",
              "--label", "stage=ci").expect(0)
    agent.run("promote", f"{names.project}/{names.app}/v1").expect(0)
    return agent, tree


def test_a_copy_is_the_same_tree(source, server, names, tmp_path):
    agent, tree = source
    blobs = database(server, "SELECT count(*) FROM blobs")
    there = f"{names.project}/{names.app}"
    assert agent.run("copy", f"{there}/v1", f"{names.project}/other/v2").expect(0).stdout == \
        f"{names.project}/other/v2\n"
    assert database(server, "SELECT count(*) FROM blobs") == blobs
    copy = tmp_path / "copy"
    agent.run("pull", copy, "--project", names.project, "--app", "other", "--version",
              "v2").expect(0)
    trees.assert_same(tree, copy, without=trees.SHOWN)
    shown = agent.run("show", f"{names.project}/other/v2", "--json").expect(0).json()
    first = agent.run("show", f"{there}/v1", "--json").expect(0).json()
    assert shown["content"] == first["content"] and shown["labels"] == {"stage": "ci"}
    # It is on no channel, and is not pinned.
    assert "channels" not in shown and not shown["pinned"]


def test_without_a_name_and_again(source, names):
    agent, _ = source
    there = f"{names.project}/{names.app}"
    first = agent.run("copy", f"{there}@live", f"{names.project}/again", "--json").expect(0).json()
    assert first == {"project": names.project, "app": "again", "version": "v1",
                     "state": "created"}
    again = agent.run("copy", f"{there}/latest", f"{names.project}/again", "--json").expect(0)
    assert again.json()["state"] == "exists"


def test_a_name_that_is_spent(source, names, tmp_path):
    agent, _ = source
    other = tmp_path / "other"
    trees.write(other, "file", b"other")
    agent.run("push", other, "--project", names.project, "--app", "taken", "--version",
              "v1").expect(0)
    refused = agent.run("copy", f"{names.project}/{names.app}/v1", f"{names.project}/taken")
    assert refused.expect(6).stdout == ""


def test_what_may_not_be_copied(source, server, names, tmp_path):
    agent, _ = source
    there = f"{names.project}/{names.app}/v1"
    agent.run("copy", f"{names.project}/{names.app}/none", f"{names.project}/x").expect(5)
    agent.run("copy", there, "elsewhere/x").expect(5)  # not its project
    reader = Agent(tmp_path / "reader", server.url, server.token("pull", project=names.project))
    reader.run("copy", there, f"{names.project}/x").expect(4)
    pusher = Agent(tmp_path / "pusher", server.url, server.token("push", project=names.project))
    pusher.run("copy", there, f"{names.project}/x").expect(4)
    agent.run("copy", there, names.project).expect(2)
    agent.run("copy", names.project, f"{names.project}/x").expect(2)
    assert database(server, "SELECT count(*) FROM apps WHERE name = 'x'") == [(0,)]


def test_a_refused_target_is_named(source, server, names, tmp_path):
    """Not what is copied, which is there."""
    there = f"{names.project}/{names.app}/v1"
    agent = Agent(tmp_path / "narrow", server.url,
                  server.token("pull,push", project=names.project, app=names.app))
    done = agent.run("copy", there, f"{names.project}/other").expect(5)
    assert f"to {names.project}/other: not found" in done.stderr
    agent = Agent(tmp_path / "reader", server.url, server.token("pull", project=names.project))
    done = agent.run("copy", there, f"{names.project}/other").expect(4)
    assert f"to {names.project}/other: the token lacks" in done.stderr


def test_each_has_its_own_life(source, server, names, tmp_path):
    """What is left when the first is deleted and purged is whole."""
    agent, tree = source
    there = f"{names.project}/{names.app}"
    agent.run("copy", f"{there}/v1", f"{names.project}/heir").expect(0)
    agent.run("delete", f"{there}/v1", "--force").expect(0)
    agent.run("copy", f"{there}/v1", f"{names.project}/late").expect(5)  # in the trash
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=30)) as base:
        with base:
            base.execute("UPDATE versions SET trashed_at = 0 WHERE state = 'trashed'")
    assert server.command("gc").returncode == 0
    agent.run("pull", tmp_path / "gone", "--project", names.project, "--app", names.app,
              "--version", "v1").expect(5)
    copy = tmp_path / "copy"
    agent.run("pull", copy, "--project", names.project, "--app", "heir").expect(0)
    trees.assert_same(tree, copy, without=trees.SHOWN)
    events = database(server, "SELECT data FROM events WHERE type = 'version.created' AND"
                              f" project = '{names.project}' AND app = 'heir'")
    assert f'"copied_from":"{there}/v1"' in events[0][0]
    acts = database(server, "SELECT actor, token_id IS NOT NULL, request_id IS NOT NULL FROM audit"
                            f" WHERE operation = 'version.copy' AND project = '{names.project}'")
    assert acts == [("test", 1, 1)]
