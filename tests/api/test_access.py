# SPDX-License-Identifier: MIT
"""Every route with every kind of token: the status is what the table of routes says it must be."""

import hashlib
import json
import socket
import subprocess
import time

import pytest

from pusher import File, Pusher
from sample import LARGE
from server import program

# What each kind of token is: permissions, scope. None: no valid token, 401 wherever one is needed.
KINDS = {
    "none": None,
    "garbage": None,
    "unknown": None,
    "wrong-secret": None,
    "expired": None,
    "revoked": None,
    "pull": ("pull", "", ""),
    "push": ("push", "", ""),
    "promote": ("promote", "", ""),
    "admin": ("admin", "", ""),
    "pull-project": ("pull", "demo", ""),
    "push-project": ("push", "demo", ""),
    "promote-project": ("promote", "demo", ""),
    "admin-project": ("admin", "demo", ""),
    "pull-app": ("pull", "demo", "app"),
    "push-app": ("push", "demo", "app"),
    "promote-app": ("promote", "demo", "app"),
    "admin-app": ("admin", "demo", "app"),
    "foreign-project": ("push,pull,promote,admin", "other", ""),
    "foreign-app": ("push,pull,promote,admin", "demo", "other"),
}
CODES = {"expired": "token-expired", "revoked": "token-revoked"}
ABSENT = "0" * 64
BLOB = hashlib.sha256(LARGE).hexdigest()


def routes():
    done = subprocess.run([program("kkartifact-server"), "routes", "--json"], check=True,
                          stdout=subprocess.PIPE, timeout=60)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tokens(server):
    made = {"none": None, "garbage": "x" * 70, "unknown": "kka_" + "A" * 12 + "_" + "B" * 43}
    for kind, what in KINDS.items():
        if what is not None:
            allow, project, app = what
            made[kind] = server.token(allow, project=project or None, app=app or None, name=kind)
    good = server.token("admin", name="twin")
    made["wrong-secret"] = good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB")
    made["revoked"] = server.token("admin", name="revoked")
    server.revoke(made["revoked"])
    made["expired"], seconds = server.expiring_token(allow="admin", name="expired")
    time.sleep(seconds + 1)
    return made


@pytest.fixture(scope="module")
def push_id(server, admin, version):
    Pusher(server, admin, "demo", "app").push({"doomed": File(b"doomed")}, version="doomed")
    pusher = Pusher(server, admin, "demo", "app")
    assert pusher.create().status == 201
    return pusher.id


@pytest.fixture(scope="module")
def lease(server, admin, version):
    """What the one token that may do that takes away."""
    lease = {"project": "demo", "app": "app", "version": "v1", "place": "/srv", "mode": "pull",
             "state": "complete"}
    assert server.request("PUT", "/api/v1/hosts/web1/leases", token=admin,
                          json_body={"leases": [lease]}).status == 200


@pytest.fixture(scope="module")
def pinned(server, admin, version):
    """What keeps the app and its project from being deleted by those who may: they get 409."""
    answer = server.request("PATCH", "/api/v1/projects/demo/apps/app/versions/v1", token=admin,
                            json_body={"pinned": True})
    assert answer.status == 200, answer


def expected(route, kind):
    """401, 403, 404 or None: the token is let in."""
    need = route["permission"]
    if need in ("open", "metrics"):
        return None
    what = KINDS[kind]
    if what is None:
        return 401
    allow, project, app = what
    path = route["path"]
    named_project, named_app = "{p}" in path, "{a}" in path
    # what the path names, against the scope
    if named_project and project not in ("", "demo"):
        return 404
    if named_app and app not in ("", "app"):
        return 404
    contained = (not project or named_project) and (not app or named_app)
    bits = set(allow.split(","))
    wanted = {"see": "pull", "see-push": "push", "see-admin": "admin"}.get(need, need)
    if not contained and not need.startswith("see"):
        # above its scope: what it may not have there does not exist, or is not for it
        return {403, 404}
    if wanted not in bits and "admin" not in bits:
        return 403
    return None


def send(server, route, token, push_id, version):
    path = (route["path"].replace("{p}", "demo").replace("{a}", "app").replace("{v}", "v1")
            .replace("{id}", push_id).replace("{path...}", "hello"))
    path = path.replace("{job}", "0" * 32)
    path = path.replace("{host}", "web1").replace("{place}", "%2Fsrv")
    path = path.replace("{d}", ABSENT if "/pushes/" in path else BLOB)
    headers, body = {}, None
    if route["body"] == "json":
        headers["Content-Type"], body = "application/json", b"[]"  # let in, it is refused with 422
    elif route["body"] == "stream":
        headers.update({"Upload-Offset": "0", "Upload-Length": "1",
                        "Content-Type": "application/octet-stream"})
        body = b"x"
    if route["path"].endswith("/events"):
        path += "?after=none"  # let in, it is refused with 422: the answer has no end
    if route["method"] == "DELETE":
        path = path.replace(push_id, "0" * 32).replace("versions/v1", "versions/doomed")
    return server.request(route["method"], path, token=token, headers=headers, body=body)


@pytest.mark.parametrize("route", routes(), ids=lambda route: f"{route['method']} {route['path']}")
def test_route(route, server, tokens, push_id, version, lease, pinned):
    for kind in KINDS:
        answer = send(server, route, tokens[kind], push_id, version)
        want = expected(route, kind)
        told = f"{kind}: {answer}"
        assert answer.headers["x-request-id"], told
        if want is None:
            # a push is its maker's alone, a job of everything nobody's with a narrower scope: 404
            assert answer.status not in (401, 403), told
            if "/pushes/{id}" not in route["path"] and "{job}" not in route["path"]:
                assert answer.status != 404, told
        elif isinstance(want, set):
            assert answer.status in want, told
        else:
            assert answer.status == want, told
        if answer.status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer"), told
            if route["method"] != "HEAD":
                assert answer.code == CODES.get(kind, "unauthenticated"), told
        if answer.status == 403 and route["method"] != "HEAD":
            assert answer.code == "insufficient-scope", told


def test_foreign_things_cannot_be_told_from_absent_ones(server, tokens, version):
    """The body of a 404 is the same whether the thing is there or not, but for the request's id."""
    def normal(answer):
        body = answer.json()
        body.pop("request_id")
        return answer.status, body

    for there, absent in (("/projects/demo", "/projects/nothing"),
                          ("/projects/demo/apps/app", "/projects/demo/apps/nothing"),
                          ("/projects/demo/apps/app/versions/v1",
                           "/projects/demo/apps/nothing/versions/v1")):
        for kind in ("foreign-project", "foreign-app"):
            if kind == "foreign-app" and there == "/projects/demo":
                continue
            first = server.request("GET", "/api/v1" + there, token=tokens[kind])
            second = server.request("GET", "/api/v1" + absent, token=tokens[kind])
            assert first.status == 404
            assert normal(first) == normal(second), (kind, there)


def test_lists_hold_only_what_the_token_sees(server, admin, tokens, version):
    for project, app in (("other", "thing"), ("demo", "other")):
        assert server.request("PUT", f"/api/v1/projects/{project}/apps/{app}",
                              token=admin).status in (200, 201)

    def names(path, kind, key):
        answer = server.request("GET", "/api/v1" + path, token=tokens[kind])
        assert answer.status == 200, (kind, answer)
        return [item[key] for item in answer.json()["items"]]

    assert names("/projects", "pull", "project") == ["demo", "other"]
    assert names("/projects", "pull-project", "project") == ["demo"]
    assert names("/projects", "pull-app", "project") == ["demo"]
    assert names("/projects", "foreign-project", "project") == ["other"]
    assert names("/projects/demo/apps", "pull", "app") == ["app", "other"]
    assert names("/projects/demo/apps", "pull-app", "app") == ["app"]
    assert names("/projects/demo/apps", "foreign-app", "app") == ["other"]


def test_revocation_counts_at_once(server, version):
    """Also for a token that the server has in its memory, and when another process revokes it."""
    token = server.token("pull", name="short-lived")
    path = "/api/v1/projects/demo/apps/app/versions/v1/blobs/" + version["content"]
    for _ in range(3):
        assert server.request("GET", path, token=token).status == 200
    server.revoke(token)
    answer = server.request("GET", path, token=token)
    assert (answer.status, answer.code) == (401, "token-revoked")


def begin(server, head):
    """A connection on which a request was sent, and nothing was read."""
    connection = socket.create_connection((server.host, server.port))
    connection.settimeout(50)  # less than a line may be idle
    connection.sendall(head.encode())
    return connection


def rest(connection):
    """How many bytes still come before the server closes or resets."""
    size = 0
    with connection:
        try:
            while data := connection.recv(1 << 20):
                size += len(data)
        except ConnectionResetError:
            pass
    return size


def test_revocation_ends_open_streams(server, admin):
    data = bytes(48_000_000)  # more than the sockets of both sides hold
    sha256 = hashlib.sha256(data).hexdigest()
    maker = Pusher(server, admin, "stream", "app")
    maker.begin({"big": File(data)}, version="v1")
    for offset in range(0, len(data), 8_000_000):
        part = maker.patch(sha256, data[offset:offset + 8_000_000], offset, len(data))
        assert part.status == 204, part
    assert maker.commit().status == 201
    token = server.token("pull,push", project="stream")
    pusher = Pusher(server, token, "stream", "app")
    pusher.begin({"other": File(b"x" * 1_000_000)}, version="v2")
    other = hashlib.sha256(b"x" * 1_000_000).hexdigest()
    common = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
    path = f"/api/v1/projects/stream/apps/app/versions/v1/blobs/{sha256}"
    read = begin(server, f"GET {path} HTTP/1.1\r\n{common}\r\n")
    kept = begin(server, f"GET {path} HTTP/1.1\r\n{common.replace(token, admin)}\r\n")
    path = f"{pusher.base}/pushes/{pusher.id}/blobs/{other}"
    sent = begin(server, f"PATCH {path} HTTP/1.1\r\n{common}"
                         "Upload-Offset: 0\r\nUpload-Length: 1000000\r\n"
                         "Content-Length: 1000000\r\n\r\nxxxx")
    assert read.recv(1) and kept.recv(1)
    server.revoke(token)
    started = time.monotonic()
    assert rest(sent) == 0  # without an answer
    time.sleep(max(0, started + 1.5 - time.monotonic()))  # a slow reader comes back
    assert rest(read) < len(data)
    with kept:
        size = 1
        while size < len(data):
            got = len(kept.recv(1 << 20))
            assert got > 0, size
            size += got


def test_expiry_counts_in_memory(server, version):
    path = "/api/v1/projects/demo/apps/app/versions/v1/blobs/" + version["content"]

    def use(token):
        return token if server.request("GET", path, token=token).status == 200 else None

    token, seconds = server.expiring_token(use)
    time.sleep(seconds + 0.5)
    answer = server.request("GET", path, token=token)
    assert (answer.status, answer.code) == (401, "token-expired")


def test_secrets_are_not_logged(server, tokens):
    for kind, token in tokens.items():
        server.request("GET", "/api/v1/projects", token=token, headers={"X-Request-Id": kind})
        server.wait_for_log(f"request_id={kind}")
    log = "\n".join(server.log)
    for kind, token in tokens.items():
        if token is not None and kind != "garbage":
            assert token.split("_", 2)[2] not in log, kind


def test_other_forms_of_authorization(server, admin):
    for header in ("", "Bearer", "Bearer ", f"Basic {admin}", admin, f"Token {admin}",
                   f"Bearer {admin} x", "Bearer " + "a" * 5000):
        answer = server.request("GET", "/api/v1/projects", headers={"Authorization": header})
        assert answer.status == 401, header
    assert server.request("GET", "/api/v1/projects",
                          headers={"Authorization": f"bearer  {admin}"}).status == 200
