# SPDX-License-Identifier: MIT
"""Leases: which version is in use on which host, and who has pulled what."""

import concurrent.futures
import json
import time
import urllib.parse

import pytest

from pusher import File, Pusher

API = "/api/v1"
HOUR = 3600


@pytest.fixture(scope="module")
def versions(server, admin, version):
    """demo/app/v1 and more of it, and one of another project."""
    Pusher(server, admin, "demo", "app").push({"x": File(b"2")}, version="v2")
    Pusher(server, admin, "demo", "ui").push({"x": File(b"3")}, version="v1")
    Pusher(server, admin, "other", "app").push({"x": File(b"4")}, version="v1")


def lease(place, version="v1", project="demo", app="app", mode="mount", state="complete", **more):
    return {"project": project, "app": app, "version": version, "place": place, "mode": mode,
            "state": state, **more}


@pytest.fixture()
def put(server, admin, versions):
    def ask(host, *leases, token=admin, **more):
        return server.request("PUT", f"{API}/hosts/{host}/leases", token=token,
                              json_body={"leases": list(leases), **more})
    return ask


@pytest.fixture()
def hosts(server, admin):
    def ask(token=admin, **query):
        answer = server.request("GET", f"{API}/hosts?{urllib.parse.urlencode(query)}", token=token)
        assert answer.status == 200, answer
        return answer.json()
    return ask


def of(page, host):
    return [item for item in page["items"] if item["host"] == host]


def test_a_lease_is_seen_by_who_asks(put, hosts):
    answer = put("seen1", lease("/srv/app", state="partial", since="2024-01-02T03:04:05Z"))
    assert answer.status == 200, answer
    assert answer.json()["renew_in_s"] == HOUR
    item, = of(hosts(), "seen1")
    assert item.pop("renewed_at") >= "2024"
    assert item.pop("expires_at") == answer.json()["expires_at"]
    assert item == lease("/srv/app", state="partial", since="2024-01-02T03:04:05Z", host="seen1",
                         stale=False, token="admin")


def test_several_leases_and_their_renewal_in_one_request(put, hosts):
    leases = [lease(f"/repos/{i}", version="v1" if i % 2 else "v2") for i in range(20)]
    assert put("several", *leases).status == 200
    before = of(hosts(), "several")
    assert len(before) == 20
    assert put("several", *leases, replace=True).status == 200
    after = of(hosts(), "several")
    assert [item["since"] for item in after] == [item["since"] for item in before]


def test_every_part_of_a_question_counts(put, hosts, server, admin):
    put("asked", *(lease(f"/asked/{i}", state="loading") for i in range(4)))
    query = {"project": "demo", "app": "app", "version": "v1", "state": "loading", "limit": 1}
    seen = []
    while True:
        page = hosts(**query)
        seen += [item["place"] for item in page["items"]]
        assert len(page["items"]) == 1 and len(seen) < 10
        if "next_cursor" not in page:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [f"/asked/{i}" for i in range(4)]


def test_the_whole_set_and_an_addition(put, hosts):
    def places():
        return [item["place"] for item in of(hosts(), "sets")]

    put("sets", lease("/a"), lease("/b"))
    put("sets", lease("/c"))
    assert places() == ["/a", "/b", "/c"]
    put("sets", lease("/b"), lease("/d"), replace=True)
    assert places() == ["/b", "/d"]
    put("sets", lease("/b/x", mode="attach"), lease("/b2"))
    put("sets", replace=True, within="/b")
    assert places() == ["/b2", "/d"]
    put("sets", replace=True)
    assert places() == []


def test_another_version_at_the_same_place(put, hosts):
    put("switch", lease("/srv", version="v1"))
    put("switch", lease("/srv", version="v2"))
    item, = of(hosts(), "switch")
    assert item["version"] == "v2"


def test_a_token_writes_only_its_own(server, put, hosts):
    token = server.token("pull", name="second")
    put("own", lease("/srv"))
    assert put("own", lease("/srv"), token=token).status == 200
    assert [item["token"] for item in of(hosts(), "own")] in (["admin", "second"],
                                                              ["second", "admin"])
    assert put("own", token=token, replace=True).status == 200
    assert [item["token"] for item in of(hosts(), "own")] == ["admin"]


def test_a_token_sees_and_leases_what_it_may_pull(server, put, hosts):
    demo = server.token("pull", project="demo", name="demo")
    of_ui = server.token("pull", project="demo", app="ui", name="ui")
    put("scopes", lease("/a"), lease("/b", app="ui"), lease("/c", project="other"))
    assert [item["place"] for item in of(hosts(token=demo), "scopes")] == ["/a", "/b"]
    assert [item["place"] for item in of(hosts(token=of_ui), "scopes")] == ["/b"]
    assert hosts(token=of_ui, project="other")["items"] == []
    answer = put("scopes", lease("/a"), lease("/c", project="other"), token=demo)
    assert (answer.status, answer.code) == (404, "not-found")
    assert answer.json()["errors"] == [{"pointer": "/leases/1",
                                        "detail": "no version other/app/v1"}]
    absent = put("scopes", lease("/c", project="other", version="none"), token=demo)
    assert absent.status == 404
    assert [item["token"] for item in of(hosts(), "scopes")] == ["admin"] * 3


def test_filters_and_pages(put, hosts):
    put("pages", *(lease(f"/p{i}", version="v2", state="remote") for i in range(5)))
    put("pages", lease("/q", app="ui"))
    assert {item["version"] for item in hosts(project="demo", app="app", version="v2")["items"]} \
        == {"v2"}
    assert hosts(project="demo", app="app", version="none")["items"] == []
    assert {item["app"] for item in hosts(project="demo", app="ui")["items"]} == {"ui"}
    assert [item["place"] for item in hosts(state="remote")["items"]] \
        == [f"/p{i}" for i in range(5)]
    found, cursor = [], None
    while True:
        page = hosts(limit=2, state="remote", **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 2
        found += [item["place"] for item in page["items"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert found == [f"/p{i}" for i in range(5)]


def test_a_cursor_of_the_longest_names(put, hosts, server, admin):
    host, places = "h" * 128, ["a" * 1024, "b" * 1024]
    assert put(host, *(lease(place, state="long") for place in places)).status == 200
    first = hosts(limit=1, state="long")
    second = hosts(limit=1, state="long", cursor=first["next_cursor"])
    assert [page["items"][0]["place"] for page in (first, second)] == places
    assert put("h" * 129, lease("/a")).status in (404, 422)
    bad = server.request("GET", f"{API}/hosts?cursor=06zz", token=admin)
    assert (bad.status, bad.code) == (422, "validation")


@pytest.mark.parametrize("place", ["/srv/app", "a b", "//", "100%", "ü/ä", "%2F", "a" * 1024,
                                   "/" * 1024])
def test_an_administrator_removes_any_place(server, admin, put, hosts, place):
    assert put("removed", lease(place)).status == 200
    path = f"{API}/hosts/removed/leases/{urllib.parse.quote(place, safe='')}"
    assert server.request("DELETE", path, token=admin).status == 204
    assert of(hosts(), "removed") == []
    answer = server.request("DELETE", path, token=admin)
    assert (answer.status, answer.code) == (404, "not-found")


@pytest.mark.parametrize("body, pointer", [
    ({}, "/leases"),
    ({"leases": {}}, "/leases"),
    ({"leases": [1]}, "/leases/0"),
    ({"leases": [lease("/a"), lease("/a")]}, "/leases/1/place"),
    ({"leases": [lease("")]}, "/leases/0/place"),
    ({"leases": [lease("a" * 1025)]}, "/leases/0/place"),
    ({"leases": [lease(7)]}, "/leases/0/place"),
    ({"leases": [lease("/a", mode="copy")]}, "/leases/0/mode"),
    ({"leases": [lease("/a", state="A")]}, "/leases/0/state"),
    ({"leases": [lease("/a", state=None)]}, "/leases/0/state"),
    ({"leases": [lease("/a", version="latest")]}, "/leases/0/version"),
    ({"leases": [lease("/a", version="@live")]}, "/leases/0/version"),
    ({"leases": [lease("/a", since="yesterday")]}, "/leases/0/since"),
    ({"leases": [], "replace": "yes"}, "/replace"),
    ({"leases": [], "within": "/a"}, "/within"),
    ({"leases": [lease("/b")], "within": "/a", "replace": True}, "/leases/0/place"),
    ({"leases": [lease(f"/{i}") for i in range(1001)]}, "/leases"),
])
def test_what_is_no_lease_is_refused(server, admin, versions, hosts, body, pointer):
    answer = server.request("PUT", f"{API}/hosts/refused/leases", token=admin, json_body=body)
    assert (answer.status, answer.code) == (422, "validation"), answer
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert of(hosts(), "refused") == []


@pytest.mark.parametrize("query", ["version=latest", "project=%FF", "app=a%2Fb", "state=A",
                                   "cursor=06ff00740061", "limit=0", "limit=501"])
def test_what_filters_nothing_is_refused(server, admin, query):
    answer = server.request("GET", f"{API}/hosts?{query}", token=admin)
    assert (answer.status, answer.code) == (422, "validation"), answer


def test_places_that_can_be_none_hold_nothing(server, admin):
    for path in ("web1/leases/%FF", "web1/leases/%00", "a%2Fb/leases/x", "%FF/leases/x",
                 "web1/leases/" + "a" * 1025):
        assert server.request("DELETE", f"{API}/hosts/{path}", token=admin).status == 404, path


def test_a_host_has_a_name(put):
    for host in ("-web", "a%20b", "a%2Fb", "%00"):
        assert put(host, lease("/a")).status in (404, 422), host


def test_a_thousand_are_renewed_in_one_request(put, hosts):
    leases = [lease(f"/repos/demo/app/{i}") for i in range(1000)]
    assert put("many", *leases, replace=True).status == 200
    assert put("many", *leases, replace=True).status == 200
    assert len(of(hosts(limit=500, state="complete"), "many")) > 0
    assert put("many", replace=True).status == 200
    assert of(hosts(limit=500), "many") == []


def test_two_say_the_same_at_once(put, hosts):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda i: put("races", lease("/srv", version=f"v{1 + i % 2}")),
                                range(20)))
    assert [answer.status for answer in answers] == [200] * 20
    assert len(of(hosts(), "races")) == 1


def test_metrics_count_them(server, put, hosts):
    put("metrics", lease("/srv"))
    text = server.request("GET", "/metrics").body.decode()
    numbers = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#")
    items = hosts(limit=500)["items"]
    assert int(numbers["kkartifact_leases"]) == len(items)
    assert int(numbers["kkartifact_hosts"]) == len({item["host"] for item in items})
    assert int(numbers["kkartifact_leases_stale"]) == 0


def pulled(server, token, version, body, app="app"):
    return server.request("POST", f"{API}/projects/demo/apps/{app}/versions/{version}/pulls",
                          token=token, json_body=body)


def test_a_pull_is_counted_once_for_each_host_and_version(server, admin, versions):
    other = server.token("pull", project="demo", name="puller")
    first = pulled(server, admin, "v2", {"host": "web1"})
    assert first.status == 201, first
    assert first.json() == {"project": "demo", "app": "app", "version": "v2", "host": "web1",
                            "counted": True}
    again = pulled(server, other, "v2", {"host": "web1"})
    assert (again.status, again.json()["counted"]) == (200, False)
    assert pulled(server, other, "v2", {"host": "web2"}).status == 201
    assert pulled(server, other, "v1", {"host": "web1"}).status == 201
    assert pulled(server, other, "latest", {"host": "web1"}).json()["version"] == "v2"
    assert pulled(server, other, "none", {"host": "web1"}).status == 404


@pytest.mark.parametrize("body", [{}, {"host": ""}, {"host": 7}, {"host": "a b"},
                                  {"host": "a" * 129}])
def test_a_pull_has_a_host(server, admin, versions, body):
    answer = pulled(server, admin, "v1", body)
    assert (answer.status, answer.code) == (422, "validation")
    assert answer.json()["errors"][0]["pointer"] == "/host"


def test_the_body_is_json(server, admin, versions):
    answer = server.request("PUT", f"{API}/hosts/web1/leases", token=admin, body=b"{",
                            headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "malformed-json")
    large = json.dumps({"leases": [], "x": "y" * (1 << 20)}).encode()
    answer = server.request("PUT", f"{API}/hosts/web1/leases", token=admin, body=large,
                            headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (413, "too-large")


def test_one_that_flaps_is_told_when_to_come_again(server, put, hosts):
    """What it holds stays, and is renewed; others are not hindered."""
    token = server.token("pull", name="flapping")
    many = [lease(f"/flap/{i}") for i in range(1000)]
    for _ in range(10):
        assert put("flap", *many, token=token).status == 200
        assert put("flap", token=token, replace=True).status == 200
    few = [lease(f"/few/{i}") for i in range(3)]
    answer = put("flap", *many, token=token)
    assert (answer.status, answer.code) == (429, "rate-limited"), answer
    assert 300 < int(answer.headers["retry-after"]) <= 500
    deadline = time.monotonic() + 60
    while (answer := put("flap", *few, token=token)).status == 429:
        assert int(answer.headers["retry-after"]) <= 2
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.status == 200
    assert put("flap", *few, token=token, replace=True).status == 200
    assert len(of(hosts(token=token), "flap")) == 3
    assert put("flap", lease("/flap/1")).status == 200
