# SPDX-License-Identifier: MIT
"""cleanup against a real server: what it says it would take, takes, and does not take."""

import contextlib
import sqlite3

import pytest

from agent import Agent


def sql(server, text, *values):
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=30)) as base:
        with base:
            base.execute(text, values)


@pytest.fixture
def world(tmp_path, new_server):
    """p/a with v00, the oldest, to v11, all of the same bytes."""
    server = new_server()
    sql(server, "INSERT INTO settings (name, value, updated_at) VALUES ('retain_min_age', '0', 0)")
    agent = Agent(tmp_path / "agent", server.url, server.token("admin"))
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("the same")
    for number in range(12):
        agent.push(tree, "p", "a", f"v{number:02}")
    return server, agent


def listed(agent):
    return sorted(agent.run("list", "p/a").expect(0).stdout.split())


def test_what_goes_is_printed(world):
    server, agent = world
    before = listed(agent)
    would = agent.run("cleanup", "p/a", "--dry-run").expect(0)
    assert would.stdout == "p/a/v00\np/a/v01\n"
    assert listed(agent) == before
    assert agent.run("cleanup", "p/a").expect(0).stdout == would.stdout
    assert listed(agent) == before[2:]
    assert agent.run("cleanup", "p/a").expect(0).stdout == ""


def test_json(world):
    server, agent = world
    sql(server, "UPDATE versions SET pinned = 1 WHERE name = 'v00'")
    kept = {"newest": 10, "promoted": 0, "previous": 0, "pinned": 1, "leased": 0, "min-age": 0}
    told = {"project": "p", "app": "a", "trashed": 1, "bytes": 0, "kept": kept,
            "versions": ["v01"]}
    assert agent.run("cleanup", "p/a", "--dry-run", "--json").expect(0).json() == {
        **told, "state": "dry-run"}
    assert agent.run("cleanup", "p/a", "--json").expect(0).json() == {**told, "state": "done"}


def test_the_safety_limit_is_a_conflict(world):
    server, agent = world
    sql(server, "UPDATE apps SET retain_count = 2")
    before = listed(agent)
    refused = agent.run("cleanup", "p/a").expect(6)
    assert "10 of the 12 versions of p/a" in refused.stderr
    assert refused.stdout == ""
    would = agent.run("cleanup", "p/a", "--dry-run").expect(6)
    assert len(would.stdout.split()) == 10
    assert listed(agent) == before
    assert len(agent.run("cleanup", "p/a", "--force").expect(0).stdout.split()) == 10
    assert listed(agent) == before[10:]


def test_exit_codes(world, tmp_path):
    server, agent = world
    for words in (("p",), ("p/a/v00",), ("p/a@live",), ("",)):
        agent.run("cleanup", *words).expect(2)
    agent.run("cleanup", "p/none").expect(5)
    pusher = Agent(tmp_path / "pusher", server.url, server.token("push", project="p"))
    pusher.run("cleanup", "p/a", "--force").expect(4)
    pusher.run("cleanup", "p/a").expect(0)
    puller = Agent(tmp_path / "puller", server.url, server.token("pull"))
    puller.run("cleanup", "p/a").expect(4)
    away = Agent(tmp_path / "away", "http://127.0.0.1:9", server.all_rights)
    away.run("cleanup", "p/a", "--timeout", "1s").expect(7)
