# SPDX-License-Identifier: MIT
"""Promote, roll back and the history of both: LIFECYCLE "Promotion", row by row."""

import collections
import concurrent.futures
import itertools
import threading

import pytest

from pusher import File, Pusher

API = "/api/v1"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def versions(server, admin):
    """shop/api with v1 to v4."""
    pusher = Pusher(server, admin, "shop", "api")
    for i in range(1, 5):
        pusher.push({"file": File(b"%d" % i)}, version=f"v{i}")


class App:
    def __init__(self, server, token, app):
        self.server = server
        self.token = token
        self.base = f"{API}/projects/shop/apps/{app}"

    def ask(self, method, path="", **more):
        return self.server.request(method, self.base + path, token=more.pop("token", self.token),
                                   **more)

    def promote(self, version, **members):
        return self.ask("POST", "/promote", json_body={"version": version, **members})

    def rollback(self, **members):
        return self.ask("POST", "/rollback", json_body=members)

    def history(self, channel=None):
        path = "/promotions" + (f"?channel={channel}" if channel else "")
        return self.ask("GET", path).json()["items"]

    def channels(self):
        return {channel["name"]: channel for channel in self.ask("GET").json()["channels"]}


@pytest.fixture()
def app(server, admin):
    """An app of the case's own, with v1 to v4."""
    name = f"app{next(NUMBERS)}"
    for i in range(1, 5):
        Pusher(server, admin, "shop", name).push({"file": File(b"%d" % i)}, version=f"v{i}")
    return App(server, admin, name)


def test_a_channel_points_at_a_ready_version(app):
    assert app.channels() == {}
    answer = app.promote("v1")
    assert answer.status == 200, answer
    body = answer.json()
    assert (body["state"], body["channel"], body["version"]) == ("promoted", "live", "v1")
    assert "previous" not in body
    assert app.ask("GET", "/versions/@live").json()["version"] == "v1"
    assert app.ask("DELETE", "/versions/v2").status == 200
    refused = app.promote("v2")
    assert (refused.status, refused.code) == (404, "not-found")
    assert "trash" in refused.json()["detail"]
    assert app.promote("v9").code == "not-found"
    assert [row["version"] for row in app.history()] == ["v1"]


def test_the_default_channel_is_live_and_others_stand_beside_it(app):
    app.promote("v1")
    app.promote("v2", channel="beta", note="for some")
    channels = app.channels()
    assert list(channels) == ["beta", "live"]
    assert channels["live"]["version"] == "v1"
    assert channels["beta"]["version"] == "v2"
    assert channels["beta"]["updated_by"] == "admin"
    assert channels["beta"]["updated_at"].endswith("Z")
    assert app.ask("GET", "/versions/@beta").json()["version"] == "v2"
    assert app.ask("GET", "/versions/v2").json()["channels"] == ["beta"]
    app.promote("v2")
    assert app.ask("GET", "/versions/v2").json()["channels"] == ["beta", "live"]
    assert "channels" not in app.ask("GET", "/versions/v1").json()


def test_expect_that_differs_is_412(app):
    refused = app.promote("v1", expect="v2")
    assert (refused.status, refused.code, refused.json()["current"]) == \
        (412, "precondition-failed", "")
    assert app.promote("v1", expect="").status == 200
    refused = app.promote("v2", expect="")
    assert (refused.status, refused.json()["current"]) == (412, "v1")
    assert app.promote("v2", expect="v3").status == 412
    assert app.promote("v2", expect="v1").status == 200
    assert [row["version"] for row in app.history()] == ["v2", "v1"]
    assert app.channels()["live"]["version"] == "v2"


def test_what_stands_there_already_is_200_without_history(app):
    assert app.promote("v1").json()["state"] == "promoted"
    answer = app.promote("v1")
    assert (answer.status, answer.json()["state"]) == (200, "current")
    assert len(app.history()) == 1


def test_history_is_kept(app):
    for version in ("v1", "v2"):
        app.promote(version, note=f"why {version}")
    app.promote("v3", channel="beta")
    app.rollback(note="oops")
    rows = app.history()
    assert [(row["channel"], row["action"], row["version"], row.get("previous")) for row in rows] \
        == [("live", "rollback", "v1", "v2"), ("beta", "promote", "v3", None),
            ("live", "promote", "v2", "v1"), ("live", "promote", "v1", None)]
    assert [row.get("note") for row in rows] == ["oops", None, "why v2", "why v1"]
    assert {row["actor"] for row in rows} == {"admin"}
    assert [row["version"] for row in app.history("beta")] == ["v3"]
    assert app.history("none") == []
    assert app.ask("GET", "/promotions?channel=a%20b").status == 422


def test_history_is_paged_newest_first(app):
    for i in range(7):
        app.promote(f"v{i % 2 + 1}")
    seen, cursor = [], ""
    while True:
        page = app.ask("GET", f"/promotions?limit=3{cursor}").json()
        seen += page["items"]
        if "next_cursor" not in page:
            break
        assert len(page["items"]) == 3
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == 7
    assert [row["id"] for row in seen] == sorted((row["id"] for row in seen), reverse=True)
    assert app.ask("GET", "/promotions?cursor=03aa").status == 422


def test_rollback_goes_to_the_previous_one_and_a_second_comes_back(app):
    app.promote("v1")
    app.promote("v2")
    answer = app.rollback()
    assert answer.status == 200, answer
    assert answer.json()["state"] == "rolled-back"
    assert (answer.json()["version"], answer.json()["previous"]) == ("v1", "v2")
    assert app.rollback().json()["version"] == "v2"


def test_rollback_to_a_version(app):
    for version in ("v1", "v2", "v3"):
        app.promote(version)
    assert app.rollback(to="v1").json()["version"] == "v1"
    again = app.rollback(to="v1")
    assert (again.status, again.json()["state"]) == (200, "current")
    assert app.rollback(to="v9").status == 404
    assert app.history()[0]["action"] == "rollback"


def test_rollback_without_a_previous_one_is_409(app):
    refused = app.rollback()
    assert (refused.status, refused.code) == (409, "no-previous")
    app.promote("v1")
    assert app.rollback().code == "no-previous"
    assert app.rollback(channel="beta").code == "no-previous"
    assert len(app.history()) == 1


def test_latest_is_what_is_live_else_the_newest_ready(app):
    assert app.ask("GET", "/versions/latest").json()["version"] == "v4"
    assert app.ask("DELETE", "/versions/v4").status == 200
    assert app.ask("GET", "/versions/latest").json()["version"] == "v3"
    app.promote("v2", channel="beta")
    assert app.ask("GET", "/versions/latest").json()["version"] == "v3"
    app.promote("v1")
    assert app.ask("GET", "/versions/latest").json()["version"] == "v1"
    assert app.ask("GET").json()["latest"] == "v1"


def test_what_stands_on_another_channel_is_promoted(app):
    app.promote("v2", channel="beta")
    assert app.promote("@beta").json()["version"] == "v2"
    assert app.promote("@none").code == "not-found"


@pytest.mark.parametrize("body,pointer", [
    ({}, "/version"), ({"version": 1}, "/version"), ({"version": "latest"}, "/version"),
    ({"version": "a/b"}, "/version"), ({"version": "v1", "channel": "latest"}, "/channel"),
    ({"version": "v1", "channel": ""}, "/channel"),
    ({"version": "v1", "channel": "@x"}, "/channel"),
    ({"version": "v1", "channel": "x" * 64}, "/channel"),
    ({"version": "v1", "channel": []}, "/channel"),
    ({"version": "v1", "expect": "a b"}, "/expect"), ({"version": "v1", "expect": {}}, "/expect"),
    ({"version": "v1", "note": "x" * 1001}, "/note"), ({"version": "v1", "note": "a\nb"}, "/note"),
    ({"version": "v1", "note": 1}, "/note"), ([], ""),
])
def test_refused_bodies(server, admin, versions, body, pointer):
    answer = server.request("POST", f"{API}/projects/shop/apps/api/promote", token=admin,
                            json_body=body)
    assert (answer.status, answer.code) == (422, "validation"), answer
    assert answer.json()["errors"][0]["pointer"] == pointer
    if pointer == "/version":
        return
    answer = server.request("POST", f"{API}/projects/shop/apps/api/rollback", token=admin,
                            json_body=body)
    assert (answer.status, answer.code) == (422, "validation"), answer


def test_a_token_of_promotions_moves_channels_and_nothing_else(server, app):
    token = server.token("promote", project="shop")
    assert app.ask("POST", "/promote", json_body={"version": "v1"}, token=token).status == 200
    for method, path in (("GET", "/promotions"), ("GET", ""), ("DELETE", "/versions/v2"),
                         ("PATCH", "/versions/v2"), ("POST", "/versions/v2/restore")):
        more = {"json_body": {}} if method == "PATCH" else {}
        assert app.ask(method, path, token=token, **more).status == 403, (method, path)
    pull = server.token("pull,push", project="shop")
    for path in ("/promote", "/rollback"):
        assert app.ask("POST", path, json_body={"version": "v2"}, token=pull).status == 403
    assert len(app.history()) == 1


def test_two_promotions_at_once_are_both_in_the_history_and_the_later_stands(app):
    """Sixteen of them, for as long as it takes until each has moved the channel a few times."""
    clients, rounds = 16, 8
    gate = threading.Barrier(clients)

    def client(number):
        moved = []
        gate.wait()
        for i in range(rounds):
            answer = app.promote(f"v{(number + i) % 4 + 1}", note=f"{number}.{i}")
            assert answer.status == 200, answer
            if answer.json()["state"] == "promoted":
                moved.append(f"{number}.{i}")
        return moved

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        done = [moved for moves in pool.map(client, range(clients)) for moved in moves]
    rows, cursor = [], ""
    while True:
        page = app.ask("GET", f"/promotions?limit=500{cursor}").json()
        rows += page["items"]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    # every answer has its row, and every row an answer
    assert collections.Counter(row["note"] for row in rows) == collections.Counter(done)
    assert len(rows) > clients
    # each starts from what the one before left
    for later, earlier in zip(rows, rows[1:]):
        assert later["previous"] == earlier["version"]
    live = app.channels()["live"]
    assert (live["version"], live["previous"]) == (rows[0]["version"], rows[0]["previous"])
    assert app.ask("GET", "/versions/@live").json()["version"] == rows[0]["version"]


def test_of_many_that_expect_the_same_one_wins(app):
    clients = 16
    app.promote("v1")
    gate = threading.Barrier(clients)

    def client(number):
        gate.wait()
        return app.promote(f"v{number % 3 + 2}", expect="v1").status

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(client, range(clients)))
    assert sorted(answers) == [200] + [412] * (clients - 1)
    assert len(app.history()) == 2
