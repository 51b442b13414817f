# SPDX-License-Identifier: MIT
"""The delete of apps and projects over HTTP: what is refused, what goes, what may come back."""

import contextlib
import itertools
import sqlite3
import time

import pytest

from pusher import File, Pusher

API = "/api/v1"
NUMBERS = itertools.count()
TREE = {"file": File(b"bytes of a version")}


class Place:
    """A project of the case's own, with the apps a (v1, v2) and b (v1)."""

    def __init__(self, server, token):
        self.server = server
        self.token = token
        self.project = f"place{next(NUMBERS)}"
        for app, version in (("a", "v1"), ("a", "v2"), ("b", "v1")):
            self.push(app, version)

    def path(self, app=None, rest=""):
        return f"/projects/{self.project}" + (f"/apps/{app}" if app else "") + rest

    def ask(self, method, path, **more):
        return self.server.request(method, API + path, token=more.pop("token", self.token), **more)

    def push(self, app, version, tree=None):
        return Pusher(self.server, self.token, self.project, app).push(tree or TREE,
                                                                       version=version)

    def sql(self, text, *values):
        base = sqlite3.connect(self.server.data / "kkartifact.db", timeout=30)
        with contextlib.closing(base), base:
            return base.execute(text, values).fetchall()

    def told(self, table, column, *names):
        marks = ",".join("?" * len(names))
        return [row[0] for row in self.sql(f"SELECT {column} FROM {table} WHERE project = ? AND"
                                           f" {column} IN ({marks}) ORDER BY id", self.project,
                                           *names)]

    def protect(self, how, version="v1"):
        if how == "promoted":
            answer = self.ask("POST", self.path("a", "/promote"), json_body={"version": version})
        elif how == "pinned":
            answer = self.ask("PATCH", self.path("a", f"/versions/{version}"),
                              json_body={"pinned": True})
        else:
            answer = self.ask("PUT", "/hosts/web1/leases", json_body={"leases": [
                {"project": self.project, "app": "a", "version": version, "place": "/srv",
                 "mode": "pull", "state": "complete"}], "replace": True})
        assert answer.status == 200, answer

    def ended(self, answer):
        """The job of an answer, when it has ended."""
        assert answer.status == 202, answer
        for _ in range(600):
            job = self.ask("GET", f"/jobs/{answer.json()['id']}").json()
            if job["state"] not in ("queued", "running"):
                return job
            time.sleep(0.1)
        raise AssertionError(job)

    def delete(self, app=None, query=""):
        job = self.ended(self.ask("DELETE", self.path(app) + query))
        assert job["state"] == "done", job
        return job

    @contextlib.contextmanager
    def deleting(self, app=None):
        """While it is being deleted: another server has a job of the lane, so the job waits."""
        self.sql("INSERT INTO jobs (id, kind, lane, state, holder, leased_until, created_at)"
                 " VALUES (?, 'gc', 'delete', 'running', 'another', ?, 0)", "f" * 32,
                 int(time.time()) + 100)
        try:
            answer = self.ask("DELETE", self.path(app))
            assert (answer.status, answer.json()["state"]) == (202, "queued"), answer
            yield answer
        finally:
            self.sql("DELETE FROM jobs WHERE holder = 'another'")


@pytest.fixture()
def place(server, admin):
    return Place(server, admin)


def items(answer, key):
    assert answer.status == 200, answer
    return [item[key] for item in answer.json()["items"]]


def test_an_app_is_gone_and_its_versions_are_in_the_trash(place):
    job = place.delete("a")
    assert (job["kind"], job["project"], job["app"]) == ("delete", place.project, "a")
    assert (job["actor"], job["params"]) == ("admin", {"force": False})
    assert job["result"] == {"trashed": 2, "apps": 1,
                             "versions": [f"{place.project}/a/v1", f"{place.project}/a/v2"]}
    for path in ("", "/versions", "/versions/v1", "/versions/latest", "/versions/v1/files/file"):
        answer = place.ask("GET", place.path("a", path))
        assert (answer.status, answer.code) == (404, "not-found"), path
    assert items(place.ask("GET", place.path(None, "/apps")), "app") == ["b"]
    assert place.ask("GET", place.path()).json()["app_count"] == 1
    trash = place.ask("GET", place.path("a", "/versions?state=trashed"))
    assert sorted(items(trash, "version")) == ["v1", "v2"]
    assert {item["trashed_by"] for item in trash.json()["items"]} == {"admin"}
    assert place.ask("GET", place.path("a", "/versions/v1/files/file?trashed=1")).body == \
        TREE["file"].data
    assert place.ask("DELETE", place.path("a")).status == 404
    assert place.ask("POST", place.path("a", "/cleanup"), json_body={}).status == 404


def test_a_project_goes_with_its_apps(place):
    result = place.delete()["result"]
    assert (result["trashed"], result["apps"]) == (3, 2)
    assert place.ask("GET", place.path()).status == 404
    assert place.ask("GET", place.path(None, "/apps")).status == 404
    assert place.project not in items(place.ask("GET", "/projects?limit=500"), "project")
    assert place.told("events", "type", "app.deleted", "project.deleted") == \
        ["app.deleted", "app.deleted", "project.deleted"]


def test_events_and_audit_tell_who_and_by_which_job(place):
    answer = place.ask("DELETE", place.path("a"), headers={"X-Request-Id": "the-request"})
    job = place.ended(answer)
    assert place.told("events", "type", "job.queued", "version.trashed", "app.deleted",
                      "job.finished") == ["job.queued", "version.trashed", "version.trashed",
                                          "app.deleted", "job.finished"]
    rows = place.sql("SELECT operation, actor, token_id, address, request_id, data FROM audit"
                     " WHERE project = ? AND operation IN ('delete.run', 'version.trash',"
                     " 'app.delete') ORDER BY id", place.project)
    assert [row[0] for row in rows] == ["delete.run", "version.trash", "version.trash",
                                        "app.delete"]
    asked = rows[0]
    assert asked[1:3] == ("admin", place.token.split("_")[1]) and asked[3]
    assert asked[4] == answer.headers["x-request-id"]
    for row in rows:
        assert row[1] == "admin" and job["id"] in row[5], row


@pytest.mark.parametrize("of_project", [False, True], ids=["app", "project"])
@pytest.mark.parametrize("how", ["promoted", "pinned", "leased"])
def test_what_protects_a_version(place, how, of_project):
    app = None if of_project else "a"
    place.protect(how)
    before = place.sql("SELECT count(*) FROM jobs")
    answer = place.ask("DELETE", place.path(app))
    assert (answer.status, answer.code) == (409, how), answer
    told = answer.json()
    assert told["versions"] == [f"{place.project}/a/v1"]
    assert told.get("channels") == (["live"] if how == "promoted" else None)
    assert told.get("hosts") == (["web1"] if how == "leased" else None)
    assert f"{place.project}/a/v1" in told["detail"]
    assert place.sql("SELECT count(*) FROM jobs") == before
    assert place.ask("GET", place.path("a")).json()["version_count"] == 2
    assert items(place.ask("GET", place.path("a", "/versions?state=trashed")), "version") == []
    job = place.delete(app, "?force=1")
    assert job["params"] == {"force": True}
    assert place.ask("GET", place.path("a")).status == 404
    # held by a host it is read on, and goes no further than the trash
    if how == "leased":
        assert place.ask("GET", place.path("a", "/versions/v1/files/file")).body == \
            TREE["file"].data
        assert place.ask("GET", place.path("a", "/versions/v2")).status == 404


def test_the_one_before_protects_too(place):
    place.protect("promoted", "v1")
    place.protect("promoted", "v2")
    answer = place.ask("DELETE", place.path("a"))
    assert answer.json()["versions"] == [f"{place.project}/a/v1", f"{place.project}/a/v2"]


def refused(answer):
    assert (answer.status, answer.code) == (409, "being-deleted"), answer
    assert "being deleted" in answer.json()["detail"]


def test_nothing_is_made_where_something_is_being_deleted(place):
    late = Pusher(place.server, place.token, place.project, "a")
    late.begin({"file": File(b"bytes of a version")}, version="v3")
    assert place.ask("DELETE", place.path("a", "/versions/v2")).status == 200
    with place.deleting("a"):
        refused(Pusher(place.server, place.token, place.project, "a").create(version="v9"))
        refused(late.commit())
        refused(place.ask("POST", place.path("a", "/versions/v2/restore")))
        refused(place.ask("POST", place.path("a", "/promote"), json_body={"version": "v1"}))
        refused(place.ask("POST", place.path("a", "/rollback"), json_body={"to": "v1"}))
        refused(place.ask("PUT", place.path("a"), json_body={"retain_versions": 3}))
        refused(place.ask("POST", place.path("b", "/versions/v1/copy"),
                          json_body={"project": place.project, "app": "a", "version": "c"}))
        # what is still there is read, and may be copied elsewhere
        assert place.ask("GET", place.path("a", "/versions/v1/files/file")).status == 200
        copied = place.ask("POST", place.path("a", "/versions/v1/copy"),
                           json_body={"project": place.project, "app": "b", "version": "c"})
        assert copied.status == 201, copied
        assert place.ask("PUT", place.path("b")).status == 200
    with_project = Place(place.server, place.token)
    with with_project.deleting():
        refused(Pusher(place.server, place.token, with_project.project, "new").create())
        refused(place.ask("PUT", with_project.path()))
        refused(place.ask("DELETE", with_project.path("a")))


def test_two_at_once_are_one(place):
    with place.deleting("a") as first:
        second = place.ask("DELETE", place.path("a") + "?force=1")
        assert (second.status, second.json()["id"]) == (202, first.json()["id"])
    assert place.ended(first)["state"] == "done"


def test_cancelled_it_lets_go(place):
    pusher = place.server.token("push,pull,promote", project=place.project)
    with place.deleting("a") as asked:
        path = f"/jobs/{asked.json()['id']}"
        answer = place.ask("DELETE", path, token=pusher)
        assert (answer.status, answer.code) == (403, "insufficient-scope")
        assert place.ask("DELETE", path).json()["state"] == "cancelled"
        place.protect("promoted")
    assert place.ask("GET", place.path("a")).json()["live"] == "v1"


def test_a_version_restored_brings_app_and_project_back(place):
    place.protect("promoted", "v1")
    assert place.ask("PUT", place.path("a"), json_body={"retain_versions": 7}).status == 200
    place.delete(None, "?force=1")
    assert place.ask("POST", place.path("a", "/versions/v1/restore")).status == 200
    app = place.ask("GET", place.path("a")).json()
    assert (app["version_count"], app["live"], app["retain_versions"]) == (1, "v1", 7)
    assert items(place.ask("GET", place.path(None, "/apps")), "app") == ["a"]
    assert place.told("events", "type", "project.restored", "app.restored") == \
        ["project.restored", "app.restored"]


def test_pushed_again_it_is_there_again(place):
    place.delete()
    other = Pusher(place.server, place.token, place.project, "a")
    taken = other.create(version="v1", content="0" * 64)
    assert (taken.status, taken.code) == (409, "version-exists")
    assert place.ask("GET", place.path()).status == 404  # that made nothing
    place.push("a", "v9")
    assert items(place.ask("GET", place.path("a", "/versions")), "version") == ["v9"]
    assert sorted(items(place.ask("GET", place.path("a", "/versions?state=trashed")),
                        "version")) == ["v1", "v2"]


def test_made_again_it_is_created(place):
    place.delete()
    answer = place.ask("PUT", place.path("a"))
    assert (answer.status, answer.json()["version_count"]) == (201, 0)
    assert place.ask("PUT", place.path("a")).status == 200
    assert place.ask("PUT", place.path()).status == 200


@pytest.mark.parametrize("allow, app, of_project, status", [
    ("admin", None, True, 202), ("admin", "a", False, 202), ("admin", "a", True, (403, 404)),
    ("admin", "b", False, 404), ("push,pull,promote", None, True, 403),
    ("push,pull,promote", "a", False, 403)])
def test_who_may(place, allow, app, of_project, status):
    token = place.server.token(allow, project=place.project, app=app)
    answer = place.ask("DELETE", place.path(None if of_project else "a"), token=token)
    assert answer.status in (status if isinstance(status, tuple) else (status,)), answer
    if answer.status == 202:
        assert place.ended(answer)["state"] == "done"
