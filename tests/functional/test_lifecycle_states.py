# SPDX-License-Identifier: MIT
"""LIFECYCLE "States", and the explicit delete of "Who protects it", with the agent: each column of
each state."""

import json
import os
import sqlite3
import time

import pytest

import trees
from agent import Agent


class Life:
    """An app with a ready version v1, seen by an administrator and by a reader."""

    def __init__(self, server, names, tmp_path):
        self.server = server
        self.names = names
        self.tmp_path = tmp_path
        self.name = f"{names.project}/{names.app}"
        self.admin = Agent(tmp_path / "admin", server.url,
                           server.token("admin", project=names.project))
        self.reader_token = server.token("pull", project=names.project)
        self.reader = Agent(tmp_path / "reader", server.url, self.reader_token)
        self.tree = trees.small_tree(tmp_path / "tree")
        self.other = trees.small_tree(tmp_path / "other", seed=1)
        self.push("v1")

    def push(self, version, tree=None, code=0):
        return self.admin.push(tree or self.tree, self.names.project, self.names.app, version,
                               code=code)

    def run(self, verb, what="", *words, code=0, agent=None):
        return (agent or self.admin).run(verb, f"{self.name}{what}", *words).expect(code)

    def pull(self, version, code=0, agent=None):
        """Into a new directory, which is compared."""
        copy = self.tmp_path / f"copy-{time.monotonic_ns()}"
        done = (agent or self.reader).pull(copy, self.names.project, self.names.app, version,
                                           code=code)
        if code == 0:
            trees.assert_same(self.tree, copy, without=trees.SHOWN)
        else:
            assert not copy.exists() or set(os.listdir(copy)) <= {".kkartifact"}
        return done

    def listed(self, *words):
        return self.run("list", "", *words, agent=self.reader).stdout.split()

    def sql(self, text, *values):
        with sqlite3.connect(self.server.data / "kkartifact.db", timeout=30) as database:
            database.execute(text, values)
        database.close()

    def lease(self, token, host, seconds=3600):
        """As a host's report leaves it."""
        now = int(time.time())
        self.sql("INSERT INTO leases SELECT ?, ?, '/srv', v.id, 'mount', 'complete', ?, ?, ?"
                 " FROM versions v JOIN apps a ON a.id = v.app_id JOIN projects p ON p.id ="
                 " a.project_id WHERE p.name = ? AND v.name = 'v1'", token.split("_")[1], host, now,
                 now, now + seconds, self.names.project)

    def purge(self):
        """As the collector leaves it."""
        found = ("(SELECT v.id FROM versions v JOIN apps a ON a.id = v.app_id JOIN projects p ON"
                 " p.id = a.project_id WHERE p.name = ? AND v.name = 'v1')")
        self.sql(f"DELETE FROM version_blobs WHERE version_id IN {found}", self.names.project)
        self.sql(f"DELETE FROM versions WHERE id IN {found}", self.names.project)
        self.sql("UPDATE names SET purged_at = 1 WHERE project = ?", self.names.project)


@pytest.fixture
def life(server, names, tmp_path):
    return Life(server, names, tmp_path)


# ------------------------------------------------------------------ ready

def test_ready_is_listed_and_resolves(life):
    assert life.listed() == ["v1"]
    assert "\nstate: ready\n" in life.run("show", "/v1", agent=life.reader).stdout


def test_ready_serves_its_bytes(life):
    life.pull("v1")
    life.run("get", "/v1/README.md", life.tmp_path / "got", agent=life.reader)
    assert (life.tmp_path / "got").read_bytes() == (life.tree / "README.md").read_bytes()


def test_ready_and_the_same_content_exists(life):
    assert life.push("v1")["state"] == "exists"


def test_ready_and_other_content_is_a_conflict(life):
    assert "has other content" in life.push("v1", life.other, code=6).stderr
    life.pull("v1")


# ------------------------------------------------------------------ trashed

def test_delete_prints_the_version_and_one_object(life):
    assert life.run("delete", "/v1").stdout == f"{life.name}/v1\n"
    assert life.run("restore", "/v1").stdout == f"{life.name}/v1\n"
    for verb, state in (("delete", "trashed"), ("restore", "ready")):
        for _ in range(2):  # what is so already is so again
            assert life.run(verb, "/v1", "--json").json() == {
                "project": life.names.project, "app": life.names.app, "version": "v1",
                "state": state}


def test_trashed_is_listed_only_in_the_trash(life):
    life.run("delete", "/v1")
    assert life.listed() == []
    assert life.listed("--trashed") == ["v1"]
    item = life.run("list", "", "--trashed", "--json", agent=life.reader).json()["items"][0]
    assert item["state"] == "trashed"
    shown = life.run("show", "/v1", "--trashed", agent=life.reader).stdout
    assert "\nstate: trashed\n" in shown
    for word in ("trashed_at: ", "trashed_by: ", "trash_reason: ", "purge_at: "):
        assert f"\n{word}" in shown
    life.run("restore", "/v1")
    assert life.listed() == ["v1"] and life.listed("--trashed") == []


def test_trashed_does_not_resolve_to_who_does_not_ask(life):
    # The server knows it from now on. A pull would be a lease.
    life.run("get", "/v1/README.md", life.tmp_path / "known", agent=life.reader)
    life.run("delete", "/v1")
    refused = life.pull("v1", code=5)
    assert "in the trash" in refused.stderr
    life.run("show", "/v1", code=5, agent=life.reader)
    life.run("get", "/v1/README.md", life.tmp_path / "got", code=5, agent=life.reader)
    life.pull("latest", code=5)
    assert not (life.tmp_path / "got").exists()
    life.run("restore", "/v1")
    life.pull("v1")
    life.pull("latest")


def test_trashed_serves_its_bytes_to_a_host_with_a_lease(life):
    life.lease(life.reader_token, "host-1")
    life.run("delete", "/v1", "--force")
    life.pull("v1")
    assert "\nstate: trashed\n" in life.run("show", "/v1", agent=life.reader).stdout
    stranger = Agent(life.tmp_path / "stranger", life.server.url,
                     life.server.token("pull", project=life.names.project))
    life.pull("v1", code=5, agent=stranger)


def test_trashed_and_the_same_content_is_restored(life):
    life.run("delete", "/v1")
    assert life.push("v1")["state"] == "exists"
    assert life.listed() == ["v1"]
    life.pull("v1")


def test_trashed_and_other_content_is_a_conflict(life):
    life.run("delete", "/v1")
    assert "has other content" in life.push("v1", life.other, code=6).stderr
    assert life.listed() == [] and life.listed("--trashed") == ["v1"]


# ------------------------------------------------------------------ purged

def test_purged_is_gone_for_ever(life):
    life.run("delete", "/v1")
    life.purge()
    assert life.listed() == [] and life.listed("--trashed") == []
    for verb in ("show", "delete", "restore", "promote"):
        refused = life.run(verb, "/v1", code=5)
        assert "410 purged" in refused.stderr, verb
    assert "410 purged" in life.pull("v1", code=5).stderr
    life.run("show", "/v1", "--trashed", code=5)


def test_purged_and_other_content_is_a_conflict(life):
    life.run("delete", "/v1")
    life.purge()
    assert "has other content" in life.push("v1", life.other, code=6).stderr


def test_purged_and_the_same_content_is_a_new_version(life):
    life.run("delete", "/v1")
    life.purge()
    assert life.push("v1")["state"] == "created"
    assert life.listed() == ["v1"]
    life.pull("v1")


# ------------------------------------------------------------------ who protects it

def test_an_explicit_delete_of_a_promoted_one_is_refused(life):
    life.push("v2", life.other)
    life.run("promote", "/v1")
    life.run("promote", "/v2")
    for version in ("v2", "v1"):  # the one on the channel, and the one before
        refused = life.run("delete", f"/{version}", code=6)
        assert "409 promoted" in refused.stderr and "live" in refused.stderr
        assert "; --force " in refused.stderr
        assert refused.stdout == ""
    assert sorted(word for word in life.listed() if word[0] == "v") == ["v1", "v2"]
    life.run("delete", "/v2", "--force")
    assert life.listed("--trashed")[0] == "v2"


def test_an_explicit_delete_of_a_pinned_one_is_refused(life):
    path = f"/api/v1/projects/{life.names.project}/apps/{life.names.app}/versions/v1"
    token = life.server.token("admin")
    assert life.server.request("PATCH", path, token=token,
                               json_body={"pinned": True, "note": "for the auditors"}).status == 200
    shown = life.run("show", "/v1", agent=life.reader).stdout
    assert "\npinned: true\n" in shown and "for the auditors" in shown
    assert "409 pinned" in life.run("delete", "/v1", code=6).stderr
    life.pull("v1")
    life.run("delete", "/v1", "--force")
    assert life.listed("--trashed") == ["v1"]


def test_a_note_is_shown_as_one_text(life):
    """Whatever stands in it, show prints YAML."""
    path = f"/api/v1/projects/{life.names.project}/apps/{life.names.app}/versions/v1"
    note = 'see: "ticket 17" # - [x] \\'
    assert life.server.request("PATCH", path, token=life.server.token("admin"),
                               json_body={"note": note}).status == 200
    shown = life.run("show", "/v1", agent=life.reader).stdout.splitlines()
    [line] = [line for line in shown if line.startswith("note: ")]
    assert json.loads(line.removeprefix("note: ")) == note


def test_an_explicit_delete_of_a_leased_one_is_refused_with_the_hosts(life):
    life.lease(life.reader_token, "web-1.example")
    life.lease(life.reader_token, "web-2.example")
    life.lease(life.reader_token, "gone.example", seconds=-1)
    refused = life.run("delete", "/v1", code=6)
    assert "409 leased" in refused.stderr
    assert "web-1.example, web-2.example" in refused.stderr and "gone" not in refused.stderr
    life.pull("v1")
    life.run("delete", "/v1", "--force")
    assert life.listed("--trashed") == ["v1"]
