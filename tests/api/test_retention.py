# SPDX-License-Identifier: MIT
"""Retention over HTTP: what it would do, asking for it, the safety limit, and who may."""

import contextlib
import sqlite3
import time

import pytest

from pusher import File, Pusher

API = "/api/v1"


def sql(server, text, *values):
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=30)) as base:
        with base:
            base.execute(text, values)


def push(server, admin, project, app, count):
    """v0, the oldest, to v<count - 1>, all of the same bytes."""
    for number in range(count):
        Pusher(server, admin, project, app).push({"f": File(app.encode())}, version=f"v{number}")


@pytest.fixture(scope="module", autouse=True)
def no_min_age(server):
    sql(server, "INSERT INTO settings (name, value, updated_at) VALUES ('retain_min_age', '0', 0)")


def post(server, token, path, **members):
    return server.request("POST", API + path, token=token, json_body=members)


def ended(server, token, answer):
    """The job of an answer, when it has ended."""
    assert answer.status == 202, answer
    for _ in range(600):
        job = server.request("GET", f"{API}/jobs/{answer.json()['id']}", token=token).json()
        if job["state"] not in ("queued", "running"):
            return job
        time.sleep(0.1)
    raise AssertionError(job)


def ready(server, token, project, app):
    answer = server.request("GET", f"{API}/projects/{project}/apps/{app}/versions?limit=500",
                            token=token)
    return {item["version"] for item in answer.json()["items"]}


def test_a_preview_and_the_run_say_the_same(server, admin):
    push(server, admin, "p", "same", 13)
    sql(server, "UPDATE versions SET pinned = 1 WHERE name = 'v1' AND app_id ="
                " (SELECT id FROM apps WHERE name = 'same')")
    before = ready(server, admin, "p", "same")
    preview = post(server, admin, "/retention/preview", project="p", app="same").json()
    assert preview["trashed"] == 2
    assert preview["kept"] == {"newest": 10, "promoted": 0, "previous": 0, "pinned": 1,
                               "leased": 0, "min-age": 0}
    assert [(item["version"], item["action"], item["reason"]) for item in preview["items"]] == [
        ("v0", "trash", "beyond-newest"), ("v1", "keep", "pinned"),
        ("v2", "trash", "beyond-newest")]
    assert preview["items"][0]["place"] == 13
    assert preview["items"][0]["retain_versions"] == 10
    assert preview["items"][0]["unique_bytes"] == 0
    assert ready(server, admin, "p", "same") == before
    job = ended(server, admin, post(server, admin, "/retention/run", project="p", app="same"))
    assert job["state"] == "done"
    assert job["kind"] == "retention"
    assert job["result"] == {"trashed": 2, "bytes": 0, "kept": preview["kept"],
                             "versions": ["p/same/v0", "p/same/v2"]}
    assert ready(server, admin, "p", "same") == before - {"v0", "v2"}


def test_the_safety_limit(server, admin):
    push(server, admin, "p", "many", 16)
    answer = post(server, admin, "/retention/run", project="p")
    assert (answer.status, answer.code) == (409, "safety-limit")
    assert "p/many" in answer.json()["detail"]
    assert "p/many" in post(server, admin, "/retention/preview").json()["safety_limit"]
    answer = post(server, admin, "/projects/p/apps/many/cleanup")
    assert (answer.status, answer.code) == (409, "safety-limit")
    job = ended(server, admin, post(server, admin, "/retention/run", project="p", app="many",
                                    force=True))
    assert job["result"]["trashed"] == 6
    assert job["params"] == {"force": True}


def test_cleanup_is_for_those_who_push(server, admin):
    push(server, admin, "p", "mine", 12)
    pusher = server.token("push", project="p", app="mine")
    puller = server.token("pull", project="p", app="mine")
    path = "/projects/p/apps/mine/cleanup"
    assert post(server, puller, path).status == 403
    assert post(server, pusher, "/projects/p/apps/same/cleanup").status == 404
    assert post(server, pusher, "/retention/run").status == 403
    assert post(server, pusher, path, force=True).status == 403
    preview = post(server, pusher, path, dry_run=True)
    assert preview.status == 200
    assert preview.json()["trashed"] == 2
    job = ended(server, pusher, post(server, pusher, path))
    assert (job["project"], job["app"]) == ("p", "mine")
    assert job["result"]["versions"] == ["p/mine/v0", "p/mine/v1"]


def test_an_administrator_of_a_project_stays_in_it(server, admin):
    push(server, admin, "inside", "a", 11)
    push(server, admin, "outside", "a", 11)
    token = server.token("admin", project="inside")
    preview = post(server, token, "/retention/preview").json()
    assert {item["project"] for item in preview["items"]} == {"inside"}
    assert post(server, token, "/retention/preview", project="outside").status == 404
    assert post(server, token, "/retention/run", project="outside", app="a").status == 404
    job = ended(server, token, post(server, token, "/retention/run"))
    assert (job["project"], job["result"]["versions"]) == ("inside", ["inside/a/v0"])
    assert len(ready(server, admin, "outside", "a")) == 11


def test_pages(server, admin):
    push(server, admin, "pages", "a", 15)
    seen, cursor = [], ""
    while cursor is not None:
        answer = server.request("POST", f"{API}/retention/preview?limit=2"
                                + (f"&cursor={cursor}" if cursor else ""), token=admin,
                                json_body={"project": "pages"})
        assert answer.status == 200, answer
        seen += [item["version"] for item in answer.json()["items"]]
        cursor = answer.json().get("next_cursor")
    assert seen == ["v0", "v1", "v2", "v3", "v4"]


@pytest.mark.parametrize("members, pointer", [
    ({"project": 1}, "/project"), ({"app": "a"}, "/app"), ({"project": "p", "force": 1}, "/force"),
])
def test_what_is_refused(server, admin, members, pointer):
    answer = post(server, admin, "/retention/run", **members)
    assert (answer.status, answer.code) == (422, "validation")
    assert answer.json()["errors"][0]["pointer"] == pointer


def test_places_that_are_not_there(server, admin):
    for members in ({"project": "none"}, {"project": "p", "app": "none"}, {"project": "x" * 500}):
        assert post(server, admin, "/retention/run", **members).status == 404


def put(server, token, path, **members):
    return server.request("PUT", API + path, token=token, json_body=members)


def test_an_app_and_a_project_say_how_many_stay(server, admin):
    push(server, admin, "kept", "a", 12)

    def goes():
        return post(server, admin, "/retention/preview", project="kept").json()["trashed"]

    assert "retain_versions" not in server.request("GET", f"{API}/projects/kept",
                                                   token=admin).json()
    answer = put(server, admin, "/projects/kept", retain_versions=11)
    assert (answer.status, answer.json()["retain_versions"]) == (200, 11)
    assert goes() == 1
    assert put(server, admin, "/projects/kept/apps/a", retain_versions=9).status == 200
    assert goes() == 3
    shown = server.request("GET", f"{API}/projects/kept/apps/a", token=admin).json()
    assert shown["retain_versions"] == 9
    assert put(server, admin, "/projects/kept/apps/a").json()["retain_versions"] == 9
    answer = put(server, admin, "/projects/kept/apps/a", retain_versions=None)
    assert "retain_versions" not in answer.json()
    assert goes() == 1
    for wrong in (-1, 1_000_001, "3", 1.5, []):
        answer = put(server, admin, "/projects/kept/apps/a", retain_versions=wrong)
        assert (answer.status, answer.code) == (422, "validation"), wrong
        assert answer.json()["errors"][0]["pointer"] == "/retain_versions"
    token = server.token("push", project="kept")
    assert put(server, token, "/projects/kept/apps/a", retain_versions=1).status == 403
