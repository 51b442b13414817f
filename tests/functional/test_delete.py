# SPDX-License-Identifier: MIT
"""delete of apps and projects against a real server: by the agent, over a kill, to the end of the
trash, and in a database made again from the store."""

import contextlib
import json
import sqlite3
import time

import pytest

from agent import Agent

MANY = 3000


def sql(server, text, *values):
    base = sqlite3.connect(server.data / "kkartifact.db", timeout=30)
    with contextlib.closing(base), base:
        return base.execute(text, values).fetchall()


@pytest.fixture
def world(tmp_path, new_server):
    """p/a with v1 and v2, p/b with v1; an administrator's agent."""
    server = new_server()
    agent = Agent(tmp_path / "agent", server.url, server.token("admin", name="boss"))
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("the same")
    for app, version in (("a", "v1"), ("a", "v2"), ("b", "v1")):
        agent.push(tree, "p", app, version)
    return server, agent, tree


def listed(agent, *words):
    """The first word of each line: a name."""
    return sorted(line.split()[0] for line in
                  agent.run("list", *words).expect(0).stdout.splitlines())


def many_versions(server):
    """Rows as pushes leave them: m00001 to m03000, with the bytes of v1."""
    sql(server, "INSERT INTO versions (app_id, name, state, content, times, tree, tree_size,"
                " file_count, bytes, listing_blob_id, times_blob_id, tree_blob_id, created_at)"
                " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                " SELECT v.app_id, printf('m%05d', i), 'ready', content, times, tree, tree_size,"
                " file_count, bytes, listing_blob_id, times_blob_id, tree_blob_id, v.created_at"
                " FROM n, versions v JOIN apps a ON a.id = v.app_id"
                " WHERE a.name = 'a' AND v.name = 'v1'", MANY)
    sql(server, "INSERT INTO version_blobs SELECT m.id, e.blob_id, e.app_id FROM versions m"
                " JOIN versions v ON v.app_id = m.app_id AND v.name = 'v1' JOIN version_blobs e"
                " ON e.version_id = v.id WHERE m.name LIKE 'm%'")
    sql(server, "INSERT INTO names SELECT 'p', 'a', name, content, 1, NULL FROM versions"
                " WHERE name LIKE 'm%'")


# ------------------------------------------------------------------ the agent

def test_an_app(world):
    server, agent, _ = world
    refused = agent.run("delete", "p/a").expect(2)
    assert "--recursive" in refused.stderr
    assert listed(agent, "p/a") == ["v1", "v2"]
    done = agent.run("delete", "--recursive", "p/a").expect(0)
    assert done.stdout == "p/a/v1\np/a/v2\np/a\n"
    assert listed(agent, "p") == ["b"]
    agent.run("show", "p/a/v1").expect(5)
    agent.run("delete", "--recursive", "p/a").expect(5)
    assert listed(agent, "p/a", "--trashed") == ["v1", "v2"]
    agent.run("restore", "p/a/v2").expect(0)
    assert listed(agent, "p/a") == ["v2"]
    assert listed(agent, "p") == ["a", "b"]


def test_a_project_as_json(world):
    _, agent, _ = world
    assert agent.run("delete", "--recursive", "p", "--json").expect(0).json() == {
        "project": "p", "state": "trashed", "trashed": 3, "apps": 2,
        "versions": ["p/a/v1", "p/a/v2", "p/b/v1"]}
    assert listed(agent) == []


@pytest.mark.parametrize("words", [
    ("p",), ("p/a",), ("--recursive", "p/a/v1"), ("--recursive", "p/a/"), ("--recursive", "p/"),
    ("--recursive", "p/a@live"), ("--recursive", "p/a/latest"), ("--recursive", "p/a/v1/file"),
    ("--recursive", ""), ("--recursive",)], ids=" ".join)
def test_what_could_be_a_mistake_is_refused(world, words):
    """A version's name that a script left empty deletes no app, whatever else it says."""
    _, agent, _ = world
    agent.run("delete", *words).expect(2)
    assert listed(agent, "p") == ["a", "b"] and listed(agent, "p/a") == ["v1", "v2"]


@pytest.mark.parametrize("place", ["p/a", "p"])
def test_what_protects_is_a_conflict(world, place):
    _, agent, _ = world
    agent.run("promote", "p/a/v1").expect(0)
    refused = agent.run("delete", "--recursive", place).expect(6)
    assert "live" in refused.stderr and "p/a/v1" in refused.stderr
    assert listed(agent, "p/a") == ["v1", "v2"]
    agent.run("delete", "--recursive", "--force", place).expect(0)
    agent.run("show", "p/a/v1").expect(5)


def test_exit_codes(world, tmp_path):
    server, agent, tree = world
    agent.run("delete", "--recursive", "p/none").expect(5)
    agent.run("delete", "--recursive", "none").expect(5)
    pusher = Agent(tmp_path / "pusher", server.url, server.token("push,pull,promote", project="p"))
    pusher.run("delete", "--recursive", "p/a").expect(4)
    away = Agent(tmp_path / "away", "http://127.0.0.1:9", server.all_rights)
    away.run("delete", "--recursive", "p/a", "--timeout", "1s").expect(7)
    # while it is being deleted, a push is a conflict
    sql(server, "INSERT INTO jobs (id, kind, lane, state, holder, leased_until, created_at)"
                " VALUES (?, 'gc', 'delete', 'running', 'another', ?, 0)", "f" * 32,
                int(time.time()) + 100)
    waiting = agent.start("delete", "--recursive", "p/a")
    while not sql(server, "SELECT 1 FROM jobs WHERE kind = 'delete'"):
        time.sleep(0.05)
    late = agent.push(tree, "p", "a", "v3", code=6)
    assert "being deleted" in late.stderr
    sql(server, "DELETE FROM jobs WHERE holder = 'another'")
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, out


# ------------------------------------------------------------------ a server that dies

@pytest.mark.parametrize("whole", [False, True], ids=["app", "project"])
def test_killed_in_the_middle_it_goes_on(world, whole):
    server, agent, _ = world
    many_versions(server)
    path = "/api/v1/projects/p" + ("" if whole else "/apps/a")
    boss = server.token("admin")
    answer = server.request("DELETE", path, token=boss)
    assert answer.status == 202, answer
    job = answer.json()["id"]
    while True:
        [(gone,)] = sql(server, "SELECT count(*) FROM versions WHERE state = 'trashed'")
        if gone > 0:
            break
    server.kill()
    [(gone,)] = sql(server, "SELECT count(*) FROM versions WHERE state = 'trashed'")
    assert 0 < gone < MANY, "it was killed too late to tell anything"
    # nobody else's app is half there: every one that went was told
    assert sql(server, "SELECT count(*) FROM events WHERE type = 'version.trashed'") == [(gone,)]
    # who takes it over need not wait for the lease of the dead
    sql(server, "UPDATE jobs SET leased_until = 0 WHERE state = 'running'")
    server.start()
    deadline = time.monotonic() + 120
    while True:
        told = server.request("GET", f"/api/v1/jobs/{job}", token=boss).json()
        if told["state"] not in ("queued", "running"):
            break
        assert time.monotonic() < deadline, told
        time.sleep(0.1)
    all_of_them = MANY + (3 if whole else 2)
    assert told["state"] == "done", told
    assert told["result"]["trashed"] == all_of_them - gone
    assert sql(server, "SELECT count(*) FROM versions WHERE state = 'trashed'") == [(all_of_them,)]
    assert sql(server, "SELECT count(*) FROM events WHERE type = 'version.trashed'") == \
        [(all_of_them,)]
    assert sql(server, "SELECT count(*) FROM events WHERE type = 'app.deleted'") == \
        [(2 if whole else 1,)]
    assert server.request("GET", path, token=boss).status == 404


# ------------------------------------------------------------------ the end of it

def collect(server):
    for name in ("trash_age", "collect_grace"):
        sql(server, "INSERT OR REPLACE INTO settings (name, value, updated_at) VALUES (?, '0', 0)",
            name)
    done = server.command("gc", "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)


def test_purged_it_is_gone_and_its_names_stay_spent(world):
    server, agent, tree = world
    agent.run("promote", "p/a/v1").expect(0)
    agent.run("delete", "--recursive", "--force", "p/a").expect(0)
    assert collect(server)["purged_versions"] == 2
    agent.run("list", "p/a", "--trashed").expect(5)
    agent.run("restore", "p/a/v1").expect(5)
    (tree / "file").write_text("other")
    agent.push(tree, "p", "a", "v1", code=6)
    assert listed(agent, "p") == ["b"]
    (tree / "file").write_text("the same")
    agent.push(tree, "p", "a", "v1")
    app = server.request("GET", "/api/v1/projects/p/apps/a", token=server.all_rights).json()
    assert app["version_count"] == 1 and app["channels"] == [] and "live" not in app
    history = server.request("GET", "/api/v1/projects/p/apps/a/promotions",
                             token=server.all_rights).json()
    assert [item["version"] for item in history["items"]] == ["v1"]


def test_a_database_made_again_does_not_bring_it_back(world):
    """Deleted and purged, neither app nor project returns; what was only in the trash does."""
    server, agent, tree = world
    agent.push(tree, "q", "gone", "v1")
    agent.run("delete", "--recursive", "q").expect(0)
    agent.run("delete", "--recursive", "p/a").expect(0)
    assert collect(server)["purged_versions"] == 3
    agent.run("delete", "--recursive", "p/b").expect(0)
    server.stop()
    for path in server.data.glob("kkartifact.db*"):
        path.unlink()
    done = server.command("rebuild")
    assert done.returncode == 0, done
    server.start()
    agent = Agent(agent.directory, server.url, server.token("admin"))
    names = {item["project"]: item["app_count"] for item in server.request(
        "GET", "/api/v1/projects", token=server.token("admin")).json()["items"]}
    assert names == {"p": 1}
    assert listed(agent, "p/b") == ["v1"]
    (tree / "file").write_text("other")
    agent.push(tree, "q", "gone", "v1", code=6)
