# SPDX-License-Identifier: MIT
"""What a version may be changed in, the trash, and who reads in it: LIFECYCLE "States", and the
explicit delete of "Who protects it"."""

import concurrent.futures
import contextlib
import datetime
import hashlib
import itertools
import sqlite3
import time

import pytest

from pusher import File, Pusher

API = "/api/v1"
DATA = b"bytes of a version"
BLOB = hashlib.sha256(DATA).hexdigest()
NUMBERS = itertools.count()
READS = ("", "/meta.yaml", "/tree", "/tree?part=names", "/tree/merkle", "/files", "/files/file",
         f"/blobs/{BLOB}")


class App:
    def __init__(self, server, token, name):
        self.server = server
        self.token = token
        self.name = name
        self.base = f"{API}/projects/bin/apps/{name}"

    def ask(self, method, path="", **more):
        return self.server.request(method, self.base + path, token=more.pop("token", self.token),
                                   **more)

    def push(self, version, data=DATA):
        return Pusher(self.server, self.token, "bin", self.name).push({"file": File(data)},
                                                                      version=version)

    def listed(self, query=""):
        return [item["version"] for item in self.ask("GET", f"/versions{query}").json()["items"]]

    def promote(self, version, **members):
        answer = self.ask("POST", "/promote", json_body={"version": version, **members})
        assert answer.status == 200, answer

    def sql(self, text, *values):
        with sqlite3.connect(self.server.data / "kkartifact.db", timeout=30) as database:
            database.execute(text, values)
        database.close()

    def lease(self, version, token, host, seconds=3600):
        """As PUT /hosts/{host}/leases leaves it."""
        now = int(time.time())
        self.sql("INSERT INTO leases SELECT ?, ?, '/srv', v.id, 'mount', 'complete', ?, ?, ?"
                 " FROM versions v JOIN apps a ON a.id = v.app_id WHERE a.name = ? AND v.name = ?",
                 token.split("_")[1], host, now, now, now + seconds, self.name, version)

    def purge(self, version):
        """As the collector leaves it."""
        self.sql("DELETE FROM version_blobs WHERE version_id IN (SELECT v.id FROM versions v JOIN"
                 " apps a ON a.id = v.app_id WHERE a.name = ? AND v.name = ?)", self.name, version)
        self.sql("UPDATE names SET purged_at = 1 WHERE app = ? AND version = ?", self.name, version)
        self.sql("DELETE FROM versions WHERE name = ? AND app_id IN (SELECT id FROM apps WHERE"
                 " name = ?)", version, self.name)


@pytest.fixture()
def app(server, admin):
    """An app of the case's own, with v1 and v2."""
    made = App(server, admin, f"app{next(NUMBERS)}")
    for version in ("v1", "v2"):
        made.push(version)
    return made


# ------------------------------------------------------------------ States

def test_ready_is_listed_resolves_and_serves(app):
    assert app.listed() == ["v2", "v1"]
    for path in READS:
        assert app.ask("GET", f"/versions/v1{path}").status == 200, path
    exists = Pusher(app.server, app.token, "bin", app.name).create(
        version="v1", content=app.ask("GET", "/versions/v1").json()["content"])
    assert (exists.status, exists.json()["state"]) == (200, "exists")
    other = Pusher(app.server, app.token, "bin", app.name).create(version="v1", content="0" * 64)
    assert (other.status, other.code) == (409, "version-exists")


def test_pushing_is_neither_listed_nor_resolved(app):
    pusher = Pusher(app.server, app.token, "bin", app.name)
    pusher.begin({"file": File(b"on its way")}, version="v3")
    assert app.listed() == ["v2", "v1"]
    assert app.ask("GET", "/versions/v3").status == 404
    assert app.ask("GET", "/versions/v3?trashed=1").status == 404
    refused = app.ask("POST", "/promote", json_body={"version": "v3"})
    assert refused.status == 404


def test_pushes_of_the_same_name_join_and_the_first_commit_wins(app):
    tree = {"file": File(b"of two pushes"), "second": File(b"of the first alone")}
    first, second, other = (Pusher(app.server, app.token, "bin", app.name) for _ in range(3))
    assert sorted(first.begin(tree, version="v3")) == ["file", "second"]
    for path in ("file", "second"):
        sent = first.patch(tree[path].sha256, tree[path].data, 0, len(tree[path].data))
        assert sent.status == 204, sent
    assert second.begin(tree, version="v3") == []  # what the first has sent is there
    changed = {"file": File(DATA)}
    assert other.begin(changed, version="v3") == []
    assert second.commit().json()["state"] == "created"
    late = first.commit()
    assert (late.status, late.json()["state"]) == (200, "exists")
    refused = other.commit()
    assert (refused.status, refused.code) == (409, "version-exists")


def test_trashed_is_in_the_trash_only(app):
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    answer = app.ask("DELETE", "/versions/v2")
    assert (answer.status, answer.json()["state"]) == (200, "trashed"), answer
    assert app.listed() == ["v1"]
    items = app.ask("GET", "/versions?state=trashed").json()["items"]
    assert [item["version"] for item in items] == ["v2"]
    item = items[0]
    assert (item["state"], item["trashed_by"], item["trash_reason"]) == \
        ("trashed", "admin", "deleted")
    at = datetime.datetime.fromisoformat(item["trashed_at"].replace("Z", "+00:00"))
    purge = datetime.datetime.fromisoformat(item["purge_at"].replace("Z", "+00:00"))
    assert at >= before and purge - at == datetime.timedelta(days=7)
    assert {key: item[key] for key in ("trashed_at", "purge_at")} == \
        {key: answer.json()[key] for key in ("trashed_at", "purge_at")}
    assert app.ask("GET").json()["version_count"] == 1
    assert app.listed("?state=ready") == ["v1"]
    assert app.ask("GET", "/versions?state=gone").status == 422


def test_the_trash_is_paged_trashed_last_first(app):
    for i in range(3, 8):
        app.push(f"v{i}")
    for i in range(1, 8):
        assert app.ask("DELETE", f"/versions/v{i}").status == 200
    seen, cursor = [], ""
    while True:
        page = app.ask("GET", f"/versions?state=trashed&limit=3{cursor}").json()
        seen += [item["version"] for item in page["items"]]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == 7 and len(set(seen)) == 7
    assert app.ask("GET", f"/versions?limit=3{cursor}").status == 422  # of another list


@pytest.mark.parametrize("path", READS)
def test_trashed_resolves_by_exact_name_to_who_asks(app, path):
    plus = "&" if "?" in path else "?"
    assert app.ask("GET", f"/versions/v2{path}").status == 200  # remembered from now on
    assert app.ask("DELETE", "/versions/v2").status == 200
    refused = app.ask("GET", f"/versions/v2{path}")
    assert (refused.status, refused.code) == (404, "not-found"), refused
    assert app.ask("GET", f"/versions/v2{path}{plus}trashed=1").status == 200
    assert app.ask("GET", f"/versions/v2{path}").status == 404  # nothing opened for others
    assert app.ask("GET", f"/versions/v2{path}{plus}trashed=0").status == 404
    assert app.ask("POST", "/versions/v2/restore").status == 200
    assert app.ask("GET", f"/versions/v2{path}").status == 200


def test_trashed_is_no_latest_and_on_no_channel(app):
    app.promote("v2")
    assert app.ask("DELETE", "/versions/v2?force=1").status == 200
    assert app.ask("GET", "/versions/latest").json()["version"] == "v1"
    assert app.ask("GET", "/versions/latest?trashed=1").json()["version"] == "v1"
    assert app.ask("GET", "/versions/@live?trashed=1").status == 404
    channel = app.ask("GET").json()["channels"][0]
    assert (channel["version"], channel["trashed"]) == ("v2", True)
    assert app.ask("POST", "/versions/v2/restore").status == 200
    assert app.ask("GET", "/versions/@live").json()["version"] == "v2"
    assert "trashed" not in app.ask("GET").json()["channels"][0]


@pytest.mark.parametrize("path", READS)
def test_trashed_resolves_to_a_token_with_a_lease(app, path):
    token, other = (app.server.token("pull", project="bin") for _ in range(2))
    app.lease("v2", token, "host-1")
    assert app.ask("DELETE", "/versions/v2?force=1").status == 200
    assert app.ask("GET", f"/versions/v2{path}", token=token).status == 200
    assert app.ask("GET", f"/versions/v2{path}", token=other).status == 404
    assert app.ask("GET", f"/versions/v2{path}").status == 404
    assert "v2" not in [item["version"] for item in
                        app.ask("GET", "/versions", token=token).json()["items"]]


def test_trashed_does_not_resolve_to_a_lease_that_is_over(app):
    token = app.server.token("pull", project="bin")
    app.lease("v2", token, "host-1", seconds=-1)
    assert app.ask("DELETE", "/versions/v2").status == 200
    assert app.ask("GET", "/versions/v2", token=token).status == 404


def test_trashed_and_the_same_content_pushed_is_restored(app):
    content = app.ask("GET", "/versions/v2").json()["content"]
    assert app.ask("DELETE", "/versions/v2").status == 200
    exists = Pusher(app.server, app.token, "bin", app.name).create(version="v2", content=content)
    assert (exists.status, exists.json()["state"]) == (200, "exists")
    assert exists.json()["version"]["state"] == "ready"
    assert app.listed() == ["v2", "v1"]
    assert app.ask("GET", f"/versions/v2/blobs/{BLOB}").body == DATA
    assert app.ask("GET", "/versions?state=trashed").json()["items"] == []


def test_trashed_and_the_same_content_committed_is_restored(app):
    """A push that did not say its content at the start finds out at the commit."""
    pusher = Pusher(app.server, app.token, "bin", app.name)
    pusher.begin({"file": File(DATA)}, version="v2")
    assert app.ask("DELETE", "/versions/v2").status == 200
    assert app.ask("GET", "/versions/v2/files/file").status == 404
    answer = pusher.commit()
    assert (answer.status, answer.json()["state"]) == (200, "exists"), answer
    assert app.ask("GET", "/versions/v2/files/file").body == DATA


def test_trashed_and_other_content_is_409(app):
    assert app.ask("DELETE", "/versions/v2").status == 200
    other = Pusher(app.server, app.token, "bin", app.name).create(version="v2", content="0" * 64)
    assert (other.status, other.code) == (409, "version-exists")
    assert app.listed() == ["v1"]


def test_purged_is_410_and_its_name_spent(app):
    content = app.ask("GET", "/versions/v2").json()["content"]
    assert app.ask("DELETE", "/versions/v2").status == 200
    app.purge("v2")
    for method, path in (("GET", ""), ("GET", "?trashed=1"), ("GET", "/files/file"),
                         ("DELETE", ""), ("POST", "/restore"), ("PATCH", "")):
        more = {"json_body": {"pinned": True}} if method == "PATCH" else {}
        answer = app.ask(method, f"/versions/v2{path}", **more)
        assert (answer.status, answer.code) == (410, "purged"), (method, path, answer)
    answer = app.ask("POST", "/promote", json_body={"version": "v2"})
    assert (answer.status, answer.code) == (410, "purged")
    assert app.listed("?state=trashed") == []
    other = Pusher(app.server, app.token, "bin", app.name).create(version="v2", content="0" * 64)
    assert (other.status, other.code) == (409, "version-exists")
    app.push("v2")
    assert app.ask("GET", "/versions/v2").json()["content"] == content


# ------------------------------------------------------------------ Who protects it

def test_an_explicit_delete_of_a_promoted_one_is_409(app):
    app.push("v3")
    app.promote("v1")
    app.promote("v2")
    app.promote("v2", channel="beta")
    for version, channels in (("v2", ["beta", "live"]), ("v1", ["live"])):  # also the one before
        refused = app.ask("DELETE", f"/versions/{version}")
        assert (refused.status, refused.code) == (409, "promoted"), refused
        assert refused.json()["channels"] == channels
        assert app.ask("GET", f"/versions/{version}").json()["state"] == "ready"
    assert app.ask("DELETE", "/versions/v3").status == 200


def test_an_explicit_delete_of_a_pinned_one_is_409(app):
    assert app.ask("PATCH", "/versions/v1", json_body={"pinned": True}).status == 200
    refused = app.ask("DELETE", "/versions/v1")
    assert (refused.status, refused.code) == (409, "pinned")
    assert app.ask("PATCH", "/versions/v1", json_body={"pinned": False}).status == 200
    assert app.ask("DELETE", "/versions/v1").status == 200


def test_an_explicit_delete_of_a_leased_one_is_409_with_the_hosts(app):
    one, two = (app.server.token("pull", project="bin") for _ in range(2))
    app.lease("v1", one, "host-b")
    app.lease("v1", two, "host-b")
    app.lease("v1", one, "host-a")
    app.lease("v1", one, "host-of-old", seconds=-1)
    refused = app.ask("DELETE", "/versions/v1")
    assert (refused.status, refused.code) == (409, "leased"), refused
    assert refused.json()["hosts"] == ["host-a", "host-b"]
    app.sql("UPDATE leases SET expires_at = 1 WHERE host <> 'host-1'")
    assert app.ask("DELETE", "/versions/v1").status == 200


@pytest.mark.parametrize("what", ["promoted", "pinned", "leased"])
def test_with_force_it_goes_to_the_trash_all_the_same(app, what):
    if what == "promoted":
        app.promote("v1")
    elif what == "pinned":
        app.ask("PATCH", "/versions/v1", json_body={"pinned": True})
    else:
        app.lease("v1", app.server.token("pull", project="bin"), "host")
    assert app.ask("DELETE", "/versions/v1").code == what
    assert app.ask("DELETE", "/versions/v1?force=0").code == what
    answer = app.ask("DELETE", "/versions/v1?force=1")
    assert (answer.status, answer.json()["state"]) == (200, "trashed")
    assert app.listed("?state=trashed") == ["v1"]
    assert app.ask("POST", "/versions/v1/restore").json()["state"] == "ready"


def test_delete_and_restore_may_be_repeated(app):
    for _ in range(2):
        assert app.ask("DELETE", "/versions/v1").status == 200
    for _ in range(2):
        assert app.ask("POST", "/versions/v1/restore").status == 200
    for method, path in (("DELETE", ""), ("POST", "/restore")):
        for reference in ("latest", "@live"):
            assert app.ask(method, f"/versions/{reference}{path}").status == 422
        assert app.ask(method, f"/versions/absent{path}").status == 404


def test_a_database_that_is_locked_is_503_and_no_loss(app):
    """Another process has it for longer than anybody waits: what that means of the version is not
    known, and least of all that it was purged."""
    assert app.ask("DELETE", "/versions/v1").status == 200
    with contextlib.closing(sqlite3.connect(app.server.data / "kkartifact.db", timeout=30,
                                            isolation_level=None)) as database:
        database.execute("BEGIN IMMEDIATE")
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(app.ask, "POST", "/versions/v1/restore"),
                     pool.submit(app.ask, "DELETE", "/versions/v1"),
                     pool.submit(app.ask, "PATCH", "/versions/v1", json_body={"note": "n"})]
            answers = [one.result() for one in asked]
        database.execute("ROLLBACK")
    assert [answer.status for answer in answers] == [503, 503, 404]  # it is in the trash
    assert int(answers[0].headers["retry-after"]) > 0
    assert app.ask("POST", "/versions/v1/restore").status == 200


def test_only_an_administrator_throws_away(app):
    token = app.server.token("pull,push,promote", project="bin")
    for method, path in (("DELETE", ""), ("DELETE", "?force=1"), ("POST", "/restore"),
                         ("PATCH", "")):
        more = {"json_body": {"pinned": True}} if method == "PATCH" else {}
        assert app.ask(method, f"/versions/v1{path}", token=token, **more).status == 403


# ------------------------------------------------------------------ what may be changed

def test_what_may_be_changed(app):
    before = app.ask("GET", "/versions/v1").json()
    answer = app.ask("PATCH", "/versions/v1", json_body={
        "pinned": True, "labels": {"team": "web", "a": ""}, "note": "kept for ever"})
    assert answer.status == 200, answer
    assert answer.json() == {**before, "pinned": True, "labels": {"team": "web", "a": ""},
                             "note": "kept for ever"}
    assert app.ask("GET", "/versions/v1").json() == answer.json()
    assert "team" in app.ask("GET", "/versions/v1/meta.yaml").body.decode()
    answer = app.ask("PATCH", "/versions/v1", json_body={"labels": {"b": "c"}, "note": ""})
    assert answer.json() == {**before, "pinned": True, "labels": {"b": "c"}}
    answer = app.ask("PATCH", "/versions/v1", json_body={"labels": None, "note": None,
                                                          "pinned": False})
    assert answer.json() == before
    assert app.ask("PATCH", "/versions/v1", json_body={}).json() == before


@pytest.mark.parametrize("body,pointer", [
    ({"content": "0" * 64}, "/content"), ({"state": "ready"}, "/state"),
    ({"pinned": "yes"}, "/pinned"), ({"pinned": None}, "/pinned"), ({"labels": []}, "/labels"),
    ({"labels": {"A": "b"}}, "/labels"), ({"labels": {"a": 1}}, "/labels"),
    ({"labels": {"a": "x" * 257}}, "/labels"),
    ({"labels": {f"k{i}": "" for i in range(65)}}, "/labels"), ({"note": 1}, "/note"),
    ({"note": "x" * 1001}, "/note"), ({"note": "a\tb"}, "/note"), ({"a/b": 1}, ""),
    ({"x" * 100: 1}, ""), ([], ""), ({"pinned": True, "unknown": 1}, "/unknown"),
])
def test_what_may_not_be_changed(server, admin, version, body, pointer):
    path = f"{API}/projects/demo/apps/app/versions/v1"
    answer = server.request("PATCH", path, token=admin, json_body=body)
    assert (answer.status, answer.code) == (422, "validation"), answer
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert server.request("GET", path, token=admin).json() == version


def test_in_the_trash_nothing_is_changed(app):
    assert app.ask("DELETE", "/versions/v1").status == 200
    assert app.ask("PATCH", "/versions/v1", json_body={"pinned": True}).status == 404
    assert app.ask("PATCH", "/versions/latest", json_body={"pinned": True}).status == 422


# ------------------------------------------------------------------ acts, other processes

def test_every_act_is_told_and_written_down(app):
    app.promote("v1", note="first")
    app.promote("v1")  # nothing
    app.promote("v2")
    app.ask("POST", "/rollback", json_body={})
    app.ask("DELETE", "/versions/v2?force=1")
    app.ask("DELETE", "/versions/v2")  # nothing
    app.ask("POST", "/versions/v2/restore")
    app.ask("PATCH", "/versions/v2", json_body={"pinned": True})
    app.ask("PATCH", "/versions/v2", json_body={"pinned": True})  # nothing
    told = [("version.promoted", "version.promote", "v1"),
            ("version.promoted", "version.promote", "v2"),
            ("version.rolled-back", "version.rollback", "v1"),
            ("version.trashed", "version.trash", "v2"),
            ("version.restored", "version.restore", "v2"),
            ("version.changed", "version.change", "v2")]
    with sqlite3.connect(app.server.data / "kkartifact.db", timeout=30) as database:
        events = database.execute(
            "SELECT type, version FROM events WHERE app = ? AND type NOT IN ('version.created',"
            " 'app.created') ORDER BY id", (app.name,)).fetchall()
        audit = database.execute(
            "SELECT operation, version, actor, token_id, address FROM audit WHERE app = ? AND"
            " operation NOT IN ('version.create', 'app.create') ORDER BY id",
            (app.name,)).fetchall()
    database.close()
    assert events == [(event, version) for event, _, version in told]
    assert [row[:2] for row in audit] == [(operation, version) for _, operation, version in told]
    for row in audit:
        assert row[2] == "admin" and row[3] == app.token.split("_")[1] and row[4], row


def test_reads_of_blobs_ask_no_database(app):
    """With the table of versions gone, a server that knows them reads on."""
    with_lease = app.server.token("pull", project="bin")
    app.lease("v2", with_lease, "host")
    assert app.ask("DELETE", "/versions/v2?force=1").status == 200
    for version, token in (("v1", app.token), ("v2", with_lease)):
        assert app.ask("GET", f"/versions/{version}/files/file", token=token).status == 200
    app.sql("ALTER TABLE versions RENAME TO hidden")
    try:
        for version, token in (("v1", app.token), ("v2", with_lease)):
            for path in ("/files/file", f"/blobs/{BLOB}"):
                assert app.ask("GET", f"/versions/{version}{path}", token=token).body == DATA
        assert app.ask("GET", "/versions/v1").status == 500
    finally:
        app.sql("ALTER TABLE hidden RENAME TO versions")
