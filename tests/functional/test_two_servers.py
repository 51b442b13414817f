# SPDX-License-Identifier: MIT
"""Two servers of one database and one store, each with a data directory of its own: what one was
told, the other knows."""

import contextlib
import sqlite3

import pytest

import trees
from agent import Agent
from events import Listener
from mounts import eventually
from pushes import Push

HALF = 64 << 10


class Two:
    def __init__(self, tmp_path, new_server):
        self.tmp_path = tmp_path
        self.shared = tmp_path / "shared"
        self.shared.mkdir()
        environment = {"KKARTIFACT_DATABASE": f"sqlite:{self.shared / 'kk.db'}",
                       "KKARTIFACT_STORAGE": f"file:{self.shared / 'blobs'}"}
        self.one, self.other = (new_server(tmp_path / name, environment=environment)
                                for name in ("one", "other"))
        self.admin = self.one.token("push,pull,promote,admin")
        self.tree = trees.small_tree(tmp_path / "tree")

    def push(self, version):
        agent = Agent(self.tmp_path / "agent", self.one.url, self.admin)
        return agent.push(self.tree, "p", "a", version)

    def status(self, server, path, token=None, method="GET", **options):
        return server.request(method, f"/api/v1/projects/p/apps/a{path}",
                              token=token or self.admin, **options).status

    def job(self, server, number):
        return server.request("GET", f"/api/v1/jobs/{number}", token=self.admin).json()


@pytest.fixture
def two(tmp_path, new_server):
    return Two(tmp_path, new_server)


def test_a_revoked_token_is_refused_by_the_other(two):
    """On a connection that the other has known it on, and without a moment in between: nobody asks
    a clock."""
    two.push("v1")
    token = two.one.token("pull")
    connection = two.other.connect()
    try:
        for _ in range(2):  # looked up, then remembered
            answer = two.other.request("GET", "/api/v1/projects/p/apps/a/versions/v1", token=token,
                                       connection=connection)
            assert answer.status == 200, answer
        two.one.revoke(token)
        answer = two.other.request("GET", "/api/v1/projects/p/apps/a/versions/v1", token=token,
                                   connection=connection)
        assert (answer.status, answer.code) == (401, "token-revoked"), answer
    finally:
        connection.close()


def test_streams_of_a_revoked_token_end_at_the_other(two):
    two.push("v1")
    token, kept = two.one.token("pull"), two.one.token("pull")
    with Listener(two.other, token) as listener, Listener(two.other, kept) as still:
        two.one.revoke(token)
        listener.wait_for_end()
        two.push("v2")
        assert still.next().data["version"] == "v2"


def test_the_trash_is_the_same_at_both(two):
    two.push("v1")
    for path in ("/versions/v1", "/versions/v1/files/README.md"):
        assert two.status(two.other, path) == 200  # it knows the version
    assert two.status(two.one, "/versions/v1", method="DELETE") == 200
    for path in ("/versions/v1", "/versions/v1/files/README.md"):
        assert two.status(two.other, path) == 404
        assert two.status(two.other, path + "?trashed=1") == 200
    assert two.status(two.one, "/versions/v1/restore", method="POST") == 200
    for path in ("/versions/v1", "/versions/v1/files/README.md"):
        assert two.status(two.other, path) == 200


def test_events_of_one_are_told_by_the_other(two):
    two.push("v1")
    with Listener(two.one, two.admin) as here, Listener(two.other, two.admin) as there:
        two.push("v2")
        promoted = two.one.request("POST", "/api/v1/projects/p/apps/a/promote", token=two.admin,
                                   json_body={"version": "v2"})
        assert promoted.status == 200, promoted
        for listener in (here, there):
            listener.wait(lambda seen=listener: "version.promoted" in
                          [event.type for event in seen.events])
        assert [(event.number, event.type) for event in here.events] == \
            [(event.number, event.type) for event in there.events]


def test_a_push_goes_on_at_the_other(two, names):
    """Begun at one, with half of a file; the rest, the commit and the reading are the other's."""
    push = Push(two.one, names, token=two.admin)
    push.describe((b"f", push.data))
    assert push.send(0, HALF).status == 204
    push.server = two.other
    assert push.offset() == HALF
    assert push.send(HALF).status == 204
    assert push.commit().status == 201
    push.server = two.one
    assert push.bytes_of("f").body == push.data


def test_one_collects_beside_the_other(two):
    """While both serve: what was thrown away at one goes, what the other serves stays."""
    two.push("v1")
    trees.write(two.tree, "more", trees.random_bytes(300_000, "more"))
    two.push("v2")
    assert two.status(two.other, "/versions/v2/files/more") == 200
    assert two.status(two.other, "/versions/v2", method="DELETE") == 200
    with contextlib.closing(sqlite3.connect(two.shared / "kk.db", timeout=30)) as base, base:
        base.execute("INSERT INTO settings (name, value, updated_at) VALUES ('trash_age', '0', 0),"
                     " ('collect_grace', '0', 0)")
    asked = two.one.request("POST", "/api/v1/gc/run", token=two.admin)
    assert asked.status == 202, asked
    eventually(lambda: "finished_at" in two.job(two.other, asked.json()["id"]), within=60)
    job = two.job(two.other, asked.json()["id"])
    assert job["state"] == "done" and job["result"]["purged_versions"] == 1, job
    assert job["result"]["deleted_blobs"] > 0, job
    for path in ("/versions/v2", "/versions/v2/files/more"):
        assert two.status(two.other, path) == 410
    assert two.status(two.other, "/versions/v1/files/README.md") == 200
    assert two.other.command("fsck", "--full").returncode == 0
