# SPDX-License-Identifier: MIT
"""The stream of events: who is told what, and how a stream ends."""

import json
import re
import socket
import time

import pytest

from events import Listener, last_number, write_events
from server import Server

API = "/api/v1"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A server whose events are this file's alone, with short times."""
    environment = {"KKARTIFACT_EVENT_HEARTBEAT": "1s", "KKARTIFACT_IDLE_TIMEOUT": "2s",
                   "KKARTIFACT_EVENT_LISTENERS": "40", "KKARTIFACT_EVENT_LISTENERS_PER_TOKEN": "99"}
    with Server(tmp_path_factory.mktemp("events") / "data", environment=environment) as running:
        running.admin = running.token("admin", name="admin")
        yield running


def metric(server, name):
    text = server.request("GET", "/metrics").body.decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.MULTILINE)[1])


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def quiet(request):
    """Streams of the test before are counted until the server has seen their end."""
    if "own" in request.fixturenames:
        server = request.getfixturevalue("own")
        until(lambda: metric(server, "kkartifact_event_listeners") == 0)


def make_app(server, project, app):
    answer = server.request("PUT", f"{API}/projects/{project}/apps/{app}", token=server.admin)
    assert answer.status in (200, 201), answer


def test_headers_and_form(own):
    with Listener(own, own.admin) as listener:
        assert listener.status == 200
        assert listener.headers["content-type"] == "text/event-stream"
        assert listener.headers["cache-control"] == "no-store"
        assert listener.headers["x-accel-buffering"] == "no"
        assert "content-encoding" not in listener.headers
        assert listener.last_id == last_number(own)
        make_app(own, "form", "app")
        event = listener.next()
        while event.type != "app.created":
            event = listener.next()
        assert event.number == event.data["number"]
        assert set(event.data) == {"number", "type", "at", "project", "app", "version", "actor",
                                   "data"}
        assert (event.data["project"], event.data["app"]) == ("form", "app")
        assert event.data["version"] is None
        assert event.data["actor"] == "admin"
    head = own.request("HEAD", API + "/events", token=own.admin)
    assert (head.status, head.headers["content-type"]) == (200, "text/event-stream")


def test_all_are_told_the_same_in_order(own):
    """Written by another process, in bursts, while listeners come from behind."""
    begin = last_number(own)
    listeners = [Listener(own, own.admin, "?type=burst.*", last_id=begin) for _ in range(4)]
    listeners.append(Listener(own, own.admin, f"?type=burst.*&after={begin}"))
    for size in (1, 700, 30, 5000):
        write_events(own, "burst.one", "burst", "app", size)
    until(lambda: last_number(own) >= begin + 5731)
    late = Listener(own, own.admin, "?type=burst.*", last_id=begin)
    for listener in listeners + [late]:
        listener.wait_for_number(last_number(own))
        numbers = [event.number for event in listener.events]
        assert numbers == sorted(set(numbers))
        assert len(numbers) == 5731
        listener.close()


def test_scopes_and_filters(own):
    tokens = {
        "admin": own.admin,
        "pull": own.token("pull"),
        "project": own.token("pull", project="one"),
        "project-admin": own.token("admin", project="one"),
        "app": own.token("pull", project="one", app="a"),
    }
    listeners = {name: Listener(own, token) for name, token in tokens.items()}
    filtered = {query: Listener(own, own.admin, query) for query in (
        "?project=one", "?project=one&app=b", "?type=version.created,app.*",
        "?type=version.*&type=gc.run")}
    happened = [("version.created", "one", "a"), ("version.created", "one", "b"),
                ("app.created", "two", "a"), ("project.created", "one", None),
                ("token.created", "one", None), ("gc.run", None, None)]
    write_events(own, "mark", "one", "a")  # behind the tokens that were made here
    until(lambda: "mark" in [event.type for event in listeners["admin"].events])
    begin = [event.number for event in listeners["admin"].events if event.type == "mark"][0]
    for kind, project, app in happened:
        write_events(own, kind, project, app)
    write_events(own, "version.last", "one", "a")
    seen = {}
    until(lambda: "version.last" in [event.type for event in listeners["admin"].events])
    end = listeners["admin"].events[-1].number
    for name, listener in {**listeners, **filtered}.items():
        listener.wait_for_number(end)
        told = [(event.type, event.data["project"], event.data["app"])
                for event in listener.events if begin < event.number < end]
        seen[name] = [happened.index(one) for one in told]
        listener.close()
    assert seen == {"admin": [0, 1, 2, 3, 4, 5], "pull": [0, 1, 2, 3], "project": [0, 1, 3],
                    "project-admin": [0, 1, 3, 4], "app": [0],
                    "?project=one": [0, 1, 3, 4], "?project=one&app=b": [1],
                    "?type=version.created,app.*": [0, 1, 2],
                    "?type=version.*&type=gc.run": [0, 1, 5]}


@pytest.mark.parametrize("query", [
    "?app=a", "?project=%2F", "?project=", "?type=", "?type=A", "?type=a,,b", "?after=x",
    "?after=-1", "?after=99999999999999999999", "?type=" + ",".join(["a"] * 33)])
def test_bad_queries(own, query):
    answer = own.request("GET", API + "/events" + query, token=own.admin)
    assert (answer.status, answer.code) == (422, "validation"), answer


def test_what_a_token_cannot_see_it_cannot_wait_for(own):
    token = own.token("pull", project="one", app="a")
    for query in ("?project=two", "?project=one&app=b"):
        assert own.request("GET", API + "/events" + query, token=token).code == "not-found"
    push = own.token("push", project="one")
    assert own.request("GET", API + "/events", token=push).status == 403


def test_gone(own):
    with Listener(own, own.admin, "?type=after.*", last_id=last_number(own) + 1000) as listener:
        event = listener.next()
        assert event.type == "gone"
        assert event.number == event.data["number"] == listener.last_id
        write_events(own, "after.gone", "p", "a")
        assert listener.next().type == "after.gone"


def test_signs_of_life(own):
    """They carry the number it has come to, past what was not for it."""
    with Listener(own, own.admin, "?type=never") as listener:
        write_events(own, "some.thing", "p", "a", 3)
        until(lambda: last_number(own) >= listener.last_id + 3 or listener.beats > 2)
        listener.wait_for_number(last_number(own))
        listener.wait(lambda: listener.beats >= 3)
        assert listener.events == []


def test_limits(own):
    """A token has three quarters of the 40 places, and the others two each of the last ten."""
    tokens = [own.token("pull", name=name) for name in ("one", "two", "three", "four", "five",
                                                        "six")]
    until(lambda: metric(own, "kkartifact_event_listeners") == 0)
    open_ones = [Listener(own, tokens[0]) for _ in range(30)]
    answer = own.request("GET", API + "/events", token=tokens[0])
    assert (answer.status, answer.code) == (429, "rate-limited"), answer
    assert int(answer.headers["retry-after"]) > 0
    open_ones += [Listener(own, token) for token in tokens[1:] for _ in range(2)]
    assert metric(own, "kkartifact_event_listeners") == 40
    answer = own.request("GET", API + "/events", token=own.admin)
    assert (answer.status, answer.code) == (503, "not-ready"), answer
    assert int(answer.headers["retry-after"]) > 0
    for listener in open_ones:
        listener.close()
    until(lambda: metric(own, "kkartifact_event_listeners") == 0)
    with Listener(own, tokens[0]) as listener:
        assert listener.status == 200


def test_one_that_was_closed_leaves_its_place(tmp_path):
    """At once, not when there is something to tell it at last."""
    environment = {"KKARTIFACT_EVENT_HEARTBEAT": "40s", "KKARTIFACT_EVENT_LISTENERS": "4"}
    with Server(tmp_path / "data", environment=environment) as server:
        token = server.token("pull")
        began = time.monotonic()
        for _ in range(5):
            until(lambda: metric(server, "kkartifact_event_listeners") == 0)
            listener = Listener(server, token)
            assert listener.status == 200
            listener.close()
        assert time.monotonic() - began < 40


def test_revoked_and_expired_tokens_end_their_streams(own):
    revoked, other = own.token("pull"), own.token("pull")

    def listen(token):
        listener = Listener(own, token)
        return listener if listener.status == 200 else listener.close()

    with Listener(own, revoked) as one, Listener(own, other) as two, \
            own.expiring_token(listen)[0] as three:
        own.revoke(revoked)
        one.wait_for_end()
        three.wait_for_end()
        assert not two.ended
        assert own.request("GET", API + "/events", token=revoked).code == "token-revoked"
        write_events(own, "still.told", "p", "a")
        while two.next().type != "still.told":
            pass
    until(lambda: metric(own, "kkartifact_event_listeners") == 0)


def test_one_that_does_not_read_is_closed(own):
    """Nothing is kept for it: what it does not take stays in the table until it is closed."""
    before = metric(own, "kkartifact_event_listeners")
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((own.host, own.port))
    begin = last_number(own)
    slow.sendall((f"GET {API}/events?after={begin} HTTP/1.1\r\nHost: x\r\n"
                  f"Authorization: Bearer {own.admin}\r\n\r\n").encode())
    until(lambda: metric(own, "kkartifact_event_listeners") == before + 1)
    big = json.dumps({"text": "x" * 20000})
    with Listener(own, own.admin, last_id=begin) as other:
        write_events(own, "big.one", "p", "a", 200, big)
        until(lambda: len([event for event in other.events if event.type == "big.one"]) == 200)
        until(lambda: metric(own, "kkartifact_event_listeners") == before + 1)  # the other
    slow.close()


def test_stop_ends_streams_at_once(tmp_path):
    server = Server(tmp_path / "data", environment={"KKARTIFACT_STOP_TIMEOUT": "600s"}).start()
    token = server.token("admin")
    listeners = [Listener(server, token) for _ in range(20)]
    assert server.stop(timeout=60) == 0
    for listener in listeners:
        listener.wait_for_end()
        assert listener.whole
        listener.close()


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_none_is_lost_or_doubled_over_a_restart(tmp_path, how):
    server = Server(tmp_path / "data")
    server.start()
    token = server.token("admin")
    told = []
    listener = Listener(server, token, "?type=some.*")
    begin = listener.last_id
    for round_number in range(4):
        write_events(server, "some.thing", "p", "a", 50)
        if round_number % 2 == 0:
            listener.next()
        getattr(server, how)()
        listener.wait_for_end()
        told += [event.number for event in listener.events]
        last_id = listener.last_id
        listener.close()
        write_events(server, "some.thing", "p", "a", 50)
        server.start()
        listener = Listener(server, token, "?type=some.*", last_id=last_id)
    until(lambda: len(told) + len(listener.events) >= 400)
    listener.close()
    told += [event.number for event in listener.events]
    assert told == list(range(begin + 1, begin + 401))
    assert server.stop() == 0
