# SPDX-License-Identifier: MIT
"""What each route answers: bodies, headers, ranges, and what it says to bad input."""

import gzip
import hashlib
import http.client
import re
import socket
import time

import pytest
import yaml
import zstandard

from pusher import File, Pusher, in_order, listing_of, repr_digest, times_of
from sample import LARGE, TREE
from server import Server

API = "/api/v1"
APP = API + "/projects/demo/apps/app"
V1 = APP + "/versions/v1"


@pytest.fixture()
def get(server, admin, version):
    def ask(path, method="GET", **more):
        return server.request(method, path, token=admin, **more)
    return ask


def sha(data):
    return hashlib.sha256(data).hexdigest()


# ------------------------------------------------------------------ projects, apps, versions

def test_version_of_the_server(server):
    body = server.request("GET", API + "/version").json()
    assert body["name"] == "kkartifact-server" and body["api"] == 1
    answer = server.request("GET", API + "/version")
    assert answer.headers["x-kkartifact-store"] == body["store"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_version_object(get, version):
    answer = get(V1)
    assert answer.status == 200
    assert answer.json() == version
    files = [entry for entry in TREE.values() if isinstance(entry, File)]
    assert version["content"] == sha(listing_of(TREE))
    assert version["times"] == sha(times_of(TREE))
    assert version["file_count"] == len(files)
    assert version["bytes"] == sum(len(entry.data) for entry in files)
    assert (version["state"], version["pinned"]) == ("ready", False)
    assert get(APP + "/versions/latest").json() == version
    assert [item["version"] for item in get(APP + "/versions").json()["items"]] == ["v1"]
    app = get(APP).json()
    assert (app["latest"], app["version_count"]) == ("v1", 1)
    assert "live" not in app
    assert get(APP + "/versions/@live").code == "not-found"


def test_put_makes_once(server, admin):
    for path in ("/projects/made", "/projects/made/apps/one"):
        assert server.request("PUT", API + path, token=admin).status == 201
        assert server.request("PUT", API + path, token=admin).status == 200
        assert server.request("GET", API + path, token=admin).status == 200


@pytest.mark.parametrize("name", ["latest", ".hidden", "a b", "%C3%A4", "-x", "a" * 64])
def test_put_refuses_bad_names(server, admin, name):
    name = name.replace(" ", "%20")
    answer = server.request("PUT", f"{API}/projects/{name}", token=admin)
    assert answer.status in (404, 422), answer
    assert server.request("GET", f"{API}/projects/{name}", token=admin).status == 404


def test_pages(server, admin):
    names = [f"p{i:02}" for i in range(7)]
    for name in names:
        assert server.request("PUT", f"{API}/projects/paged/apps/{name}", token=admin).status == 201
    seen, cursor = [], ""
    while True:
        answer = server.request("GET", f"{API}/projects/paged/apps?limit=3&unknown=1{cursor}",
                                token=admin)
        body = answer.json()
        assert len(body["items"]) <= 3
        seen += [item["app"] for item in body["items"]]
        if "next_cursor" not in body:
            break
        cursor = "&cursor=" + body["next_cursor"]
    assert seen == names
    for query in ("limit=0", "limit=501", "limit=x", "limit=", "cursor=garbage"):
        answer = server.request("GET", f"{API}/projects/paged/apps?{query}", token=admin)
        assert answer.status == 422, query
        assert answer.json()["errors"][0]["detail"]


# ------------------------------------------------------------------ bytes

def test_files_by_path(get):
    for path, entry in TREE.items():
        quoted = "/".join("".join(f"%{byte:02x}" for byte in part.encode())
                          for part in path.split("/"))
        answer = get(f"{V1}/files/{quoted}")
        if isinstance(entry, File):
            assert answer.status == 200 and answer.body == entry.data
            assert answer.headers["etag"] == f'"{entry.sha256}"'
            assert answer.headers["content-type"] == "application/octet-stream"
            assert answer.headers["cache-control"].startswith("private")
        else:
            assert answer.code == "not-found"


def test_blobs(get, version):
    wanted = {entry.sha256: entry.data for entry in TREE.values() if isinstance(entry, File)}
    wanted[version["content"]] = listing_of(TREE)
    wanted[version["times"]] = times_of(TREE)
    for digest, data in wanted.items():
        for _ in range(2):  # cold, then from memory
            answer = get(f"{V1}/blobs/{digest}")
            assert answer.status == 200 and answer.body == data
            assert answer.headers["etag"] == f'"{digest}"'
            assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        head = get(f"{V1}/blobs/{digest}", "HEAD")
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-length"] == str(len(data))
    for digest in ("0" * 64, "x", sha(LARGE).upper(), sha(LARGE)[:-1]):
        assert get(f"{V1}/blobs/{digest}").code == "not-found"


@pytest.mark.parametrize("header, part", [
    ("bytes=0-0", slice(0, 1)), ("bytes=100-199", slice(100, 200)),
    ("bytes=299999-", slice(299999, None)), ("bytes=-1", slice(-1, None)),
    ("bytes=-999999999", slice(0, None)), ("bytes=5-999999999", slice(5, None)),
])
def test_ranges(get, header, part):
    for path in (f"{V1}/blobs/{sha(LARGE)}", f"{V1}/files/bin/app"):
        answer = get(path, headers={"Range": header})
        assert answer.status == 206 and answer.body == LARGE[part]
        first = range(len(LARGE))[part][0]
        assert answer.headers["content-range"] == \
            f"bytes {first}-{first + len(answer.body) - 1}/{len(LARGE)}"


def test_range_conditions(get):
    path, etag = f"{V1}/blobs/{sha(LARGE)}", f'"{sha(LARGE)}"'
    answer = get(path, headers={"Range": "bytes=300000-"})
    assert (answer.status, answer.code) == (416, "range")
    assert answer.headers["content-range"] == "bytes */300000"
    assert get(path, headers={"Range": "bytes=0-1,4-5"}).status == 200
    assert get(path, headers={"Range": "bytes=0-1", "If-Range": etag}).status == 206
    assert get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'}).status == 200
    for header in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = get(path, headers={"If-None-Match": header})
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"] == etag
    assert get(path, headers={"If-None-Match": '"other"'}).status == 200


def test_tree_names_and_merkle(get, version):
    image = get(f"{V1}/tree")
    assert image.status == 200 and len(image.body) == version["tree_size"]
    assert image.headers["content-type"] == "application/vnd.kkartifact.tree"
    assert image.headers["etag"] == f'"{version["tree"]}"'
    assert image.body[:8] == b"KKATREE1"
    part = get(f"{V1}/tree", headers={"Range": "bytes=4096-8191"})
    assert part.status == 206 and part.body == image.body[4096:8192]
    names = get(f"{V1}/tree?part=names")
    assert names.headers["content-type"] == "application/zstd"
    plain = zstandard.ZstdDecompressor().decompress(names.body, max_output_size=1 << 20)
    end = sum(int.from_bytes(image.body[at:at + 8], "little") for at in (64, 72))
    assert plain == image.body[:end]
    assert get(f"{V1}/tree?part=other").status == 422
    assert get(f"{V1}/tree/merkle").status == 200
    merkle = get(f"{V1}/blobs/{sha(LARGE)}/merkle")
    assert merkle.status == 200 and len(merkle.body) % 4096 == 0 and merkle.body
    assert get(f"{V1}/blobs/{sha(b'hello')}/merkle").code == "no-merkle"


def test_listing_of_files(get):
    items, cursor = [], ""
    while True:
        body = get(f"{V1}/files?limit=2{cursor}").json()
        items += body["items"]
        if "next_cursor" not in body:
            break
        cursor = "&cursor=" + body["next_cursor"]
    paths = [item.get("path") for item in items]
    assert len(items) == len(TREE)
    by_path = dict(zip(paths, items))
    assert by_path["hello"] == {"path": "hello", "kind": "file", "size": 5, "mode": "0644",
                                "sha256": sha(b"hello"), "mtime": 1_700_000_000}
    assert by_path["bin/link"]["kind"] == "link" and by_path["bin/link"]["link"] == "app"
    assert by_path["empty"]["kind"] == "directory"
    assert None in paths  # the name with a line feed comes as path_base64
    below = get(f"{V1}/files?prefix=bin").json()["items"]
    assert [item["path"] for item in below] == ["bin/app", "bin/link"]
    assert get(f"{V1}/files?prefix=nothing").json()["items"] == []


def test_gzip_of_lists_only(get):
    answer = get(f"{API}/openapi.yaml", headers={"Accept-Encoding": "gzip;q=0.5"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["vary"]
    assert gzip.decompress(answer.body) == get(f"{API}/openapi.yaml").body
    answer = get(f"{V1}/blobs/{sha(LARGE)}", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers


def test_meta_yaml(get, version):
    answer = get(f"{V1}/meta.yaml")
    assert answer.status == 200 and answer.headers["content-type"] == "application/yaml"
    meta = yaml.safe_load(answer.body)
    assert meta["content"] == version["content"] and len(meta["files"]) == len(TREE)


# ------------------------------------------------------------------ URLs

@pytest.mark.parametrize("path", [
    "/projects/a%2Fb", "/projects/a%00b", "/projects/..", "/projects/%2e%2e",
    "/projects/%2e%2e%2fx",
    "/projects//apps", "/projects/" + "a" * 200, "/projects/demo/apps/a%2fb",
    "/projects/demo/apps/app/versions/..", "/projects/demo/apps/app/versions/a%2fb",
    "/projects/demo/apps/app/versions/%00", "/projects/demo/apps/app/versions/v1/files/..",
    "/projects/demo/apps/app/versions/v1/files/bin/../hello",
    "/projects/demo/apps/app/versions/v1/files/bin%2Fapp",
    "/projects/demo/apps/app/versions/v1/files/%2e%2e/%2e%2e/etc/passwd",
    "/projects/demo/apps/app/versions/v1/files/hello%00",
    "/projects/demo/apps/app/versions/v1/files/",
    "/projects/demo/apps/app/versions/v1/files//hello",
    "/projects/demo/apps/app/versions/v1/files/hello/",
    "/projects/demo/apps/app/versions/v1/files/bin",
    "/projects/demo/apps/app/versions/v1/blobs/../x",
    "/projects/demo/apps/app/pushes/..%2f..", "/nothing", "/projects/demo/nothing",
])
def test_strange_paths_are_not_found(get, path):
    answer = get(API + path)
    assert (answer.status, answer.code) == (404, "not-found")


@pytest.mark.parametrize("path", [
    "/hosts?project=%00", "/hosts?version=v1%00", "/projects/demo/apps/app/promotions?channel=%00",
    "/projects/demo/apps/app/versions?state=%00", "/projects?limit=1%00", "/projects?cursor=%00",
    "/projects/demo/apps/app/versions/v1/files?prefix=%00", "/events?project=%00",
])
def test_a_question_that_cannot_be_one_is_refused(get, path):
    answer = get(API + path)
    assert (answer.status, answer.code) == (422, "validation")


def test_methods(get):
    answer = get(f"{API}/projects/demo", "PATCH")
    assert (answer.status, answer.code) == (405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PUT", "DELETE"}
    assert get(f"{API}/projects/demo", "HEAD").status == 200
    assert get("/%zz").code == "bad-request"


# ------------------------------------------------------------------ pushes

@pytest.fixture()
def pusher(server, admin):
    return Pusher(server, admin, "demo", "pushed")


SMALL = {"d": None, "d/one": File(b"1" * 5000), "two": File(b"2")}


def test_push_object(pusher):
    tree = {"x": File(b"push object")}
    answer = pusher.create(version="object-1", content=sha(listing_of(tree)),
                           metadata={"git_commit": "abc", "labels": {"team": "x"}})
    body = answer.json()
    assert body["state"] == "open" and body["wanted"] == ["listing", "times"]
    assert 65536 <= body["part_size"] <= 64 << 20
    assert pusher.request("GET", f"/pushes/{pusher.id}").json()["id"] == body["id"]
    assert pusher.request("DELETE", f"/pushes/{pusher.id}").status == 204
    assert pusher.request("GET", f"/pushes/{pusher.id}").code == "not-found"


def test_push_twice(pusher, server, admin):
    version = pusher.push(SMALL, version="twice", metadata={"builder": "ci", "labels": {"a": "b"}})
    assert version["builder"] == "ci" and version["labels"] == {"a": "b"}
    again = pusher.create(version="twice", content=version["content"])
    assert again.status == 200 and again.json() == {"state": "exists", "version": version}
    other = pusher.create(version="twice", content="0" * 64)
    assert (other.status, other.code) == (409, "version-exists")
    assert other.json()["existing_content"] == version["content"]
    # told at the commit only
    changed = {**SMALL, "two": File(b"3")}
    for path in pusher.begin(changed, version="twice"):
        assert pusher.patch(changed[path].sha256, changed[path].data, 0,
                            len(changed[path].data)).status == 204
    answer = pusher.commit()
    assert (answer.status, answer.code) == (409, "version-exists")
    assert pusher.request("GET", "/versions/twice").json() == version


def test_version_named_by_content(pusher):
    tree = {"named": File(b"by content")}
    version = pusher.push(tree, content=sha(listing_of(tree)))
    assert version["version"] == version["content"][:12]


def test_compressed_listing(pusher):
    tree = {"z": File(b"zstd")}
    assert pusher.create(version="zstd").status == 201
    packed = zstandard.ZstdCompressor().compress(listing_of(tree))
    assert pusher.put("listing", packed, Content_Encoding="zstd").status == 204
    assert pusher.put("listing", packed, Content_Encoding="br").code == "unsupported-media-type"
    assert pusher.put("times", zstandard.ZstdCompressor().compress(times_of(tree)),
                      Content_Encoding="zstd").status == 204
    assert pusher.put("listing", b"not zstd", Content_Encoding="zstd").status == 422


@pytest.mark.parametrize("listing", [
    b"", b"nonsense", b"kkartifact-listing-1\0f 0644 1 x\0",
    b"kkartifact-listing-1\0d 0755 a\0d 0755 a\0",
    b"kkartifact-listing-1\0d 0755 b\0d 0755 a\0",
    b"kkartifact-listing-1\0d 0755 a/b\0",
    b"kkartifact-listing-1\0d 0755 ../a\0",
    b"kkartifact-listing-1\0d 0755 /a\0",
    b"kkartifact-listing-1\0f 0644 18446744073709551616 " + b"0" * 64 + b" a\0",
    b"kkartifact-listing-1\0d 0755 a",
])
def test_refused_listings(pusher, listing):
    assert pusher.create().status == 201
    answer = pusher.put("listing", listing)
    assert (answer.status, answer.code) == (422, "validation"), answer
    assert answer.json()["errors"][0]["detail"]
    assert pusher.request("GET", f"/pushes/{pusher.id}/missing").status == 409


def test_times_of_links_are_refused_at_their_put(pusher):
    tree = {"a": File(b"a"), "b": "a"}
    assert pusher.create().status == 201
    assert pusher.put("listing", listing_of(tree)).status == 204
    bad = times_of(tree)[:-8] + (1).to_bytes(8, "little")
    answer = pusher.put("times", bad)
    assert (answer.status, answer.code) == (422, "validation"), answer
    assert "a link's time is 0" in answer.json()["errors"][0]["detail"]
    assert pusher.put("times", times_of(tree)).status == 204


def test_listing_against_content(pusher):
    tree = {"a": File(b"a")}
    assert pusher.create(content="1" * 64).status == 201
    answer = pusher.put("listing", listing_of(tree))
    assert (answer.status, answer.code) == (422, "digest-mismatch")
    assert answer.json()["expected"] == "1" * 64
    assert answer.json()["actual"] == sha(listing_of(tree))


def test_parts(pusher):
    data = bytes(range(256)) * 1000
    tree = {"parts": File(data)}
    digest = tree["parts"].sha256
    assert pusher.begin(tree, version="parts") == ["parts"]
    head = pusher.head(digest)
    assert (head.headers["upload-offset"], head.headers["upload-length"]) == ("0", str(len(data)))
    assert pusher.patch(digest, data[:100_000], 0, len(data)).headers["upload-offset"] == "100000"
    answer = pusher.patch(digest, data[:100_000], 0, len(data))
    assert (answer.status, answer.code) == (409, "offset-mismatch")
    assert answer.json()["expected_offset"] == 100_000
    assert answer.headers["upload-offset"] == "100000"
    assert pusher.head(digest).headers["upload-offset"] == "100000"
    early = pusher.commit()
    assert (early.status, early.code, early.json()["missing"]) == (409, "missing-blobs", 1)
    assert pusher.patch(digest, data[100_000:], 100_000, len(data)).status == 204
    assert pusher.missing(tree) == []
    repeated = pusher.patch(digest, data[100_000:], 100_000, len(data))
    assert repeated.status == 204 and repeated.headers["upload-offset"] == str(len(data))
    assert pusher.commit(content=sha(listing_of(tree))).status == 201


def test_wrong_bytes(pusher):
    tree = {"wrong": File(b"right" * 2000)}
    digest, size = tree["wrong"].sha256, 10_000
    assert pusher.begin(tree, version="wrong") == ["wrong"]
    answer = pusher.patch(digest, b"w" * size, 0, size)
    assert (answer.status, answer.code) == (422, "digest-mismatch")
    assert answer.json()["expected"] == digest
    assert pusher.head(digest).headers["upload-offset"] == "0"
    assert pusher.patch(digest, b"w", 0, size - 1).status == 422
    assert pusher.patch("0" * 64, b"w", 0, 1).code == "not-found"
    assert pusher.patch(digest, b"w", 0, size, **{"Upload-Offset": "x"}).code == "validation"
    assert pusher.commit().code == "missing-blobs"


def test_blobs_that_come_before_their_digest(pusher):
    data = bytes(range(256)) * 1000
    tree = {"known": File(b"k" * 5000), "unknown": File(data)}
    assert pusher.create(version="new-n").json()["wanted"] == ["listing", "times"]
    assert pusher.head("new-7").status == 404
    assert pusher.patch("new-7", data[:100_000], 0, len(data)).headers["upload-offset"] == "100000"
    head = pusher.head("new-7").headers
    assert (head["upload-offset"], head["upload-length"]) == ("100000", str(len(data)))
    answer = pusher.patch("new-7", data[:100_000], 0, len(data))
    assert (answer.status, answer.code) == (409, "offset-mismatch")
    assert answer.json()["expected_offset"] == 100_000
    rest, at = data[100_000:], 100_000
    assert pusher.patch("new-7", rest, at, len(data)).code == "validation"
    answer = pusher.patch("new-7", rest, at, len(data), **{"Repr-Digest": "sha-256=:x:"})
    assert answer.code == "validation"
    answer = pusher.patch("new-7", rest, at, len(data), **{"Repr-Digest": repr_digest(b"")})
    assert (answer.status, answer.code) == (422, "digest-mismatch")
    assert answer.json()["actual"] == sha(data)
    assert pusher.head("new-7").headers["upload-offset"] == "0"
    assert pusher.patch("new-7", data[:at], 0, len(data)).status == 204
    for _ in range(2):  # an answer that was lost
        done = pusher.patch("new-7", rest, at, len(data), **{"Repr-Digest": repr_digest(data)})
        assert done.status == 204 and done.headers["upload-offset"] == str(len(data))
    assert pusher.head(sha(data)).headers["upload-offset"] == str(len(data))
    for name in ("new-", "new-07", "new-x", "new-65536", "new-99999999999"):
        assert pusher.patch(name, b"x", 0, 1, **{"Repr-Digest": repr_digest(b"x")}).status == 404
    assert pusher.request("PUT", f"/pushes/{pusher.id}/blobs/new-7", body=b"x", headers={
        "Content-Type": "application/vnd.kkartifact.delta"}).status == 404
    assert pusher.patch("new-8", b"never finished", 0, 1000).status == 204
    assert pusher.put("listing", listing_of(tree)).status == 204
    assert pusher.put("times", times_of(tree)).status == 204
    assert pusher.missing(tree) == ["known"]
    assert pusher.patch(tree["known"].sha256, b"k" * 5000, 0, 5000).status == 204
    assert pusher.commit(content=sha(listing_of(tree))).status == 201


def raw(server, request, *, shutdown=False):
    """Sends bytes and reads the first answer; None when there is none."""
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(request)
        if shutdown:
            connection.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
        except (http.client.HTTPException, ConnectionError):
            return None
        return answer.status


def patch_head(pusher, digest, size, extra=""):
    return (f"PATCH {pusher.base}/pushes/{pusher.id}/blobs/{digest} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {pusher.token}\r\nUpload-Offset: 0\r\n"
            f"Upload-Length: {size}\r\n{extra}").encode()


def test_bodies_that_are_not_what_they_promise(pusher, server):
    tree = {"promise": File(b"p" * 20_000)}
    digest = tree["promise"].sha256
    assert pusher.begin(tree, version="promise") == ["promise"]
    head = patch_head(pusher, digest, 20_000)
    # shorter: the client ends in the middle, nothing is visible
    half = b"Content-Length: 20000\r\n\r\n" + b"p" * 10_000
    assert raw(server, head + half, shutdown=True) is None
    # without a length, and longer than a part may be: refused before the body
    assert raw(server, head + b"Transfer-Encoding: chunked\r\n\r\n") == 411
    assert raw(server, head + b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n") == 413
    # longer than the blob: refused before the body
    assert raw(server, head + b"Content-Length: 20001\r\nExpect: 100-continue\r\n\r\n") == 422
    assert pusher.commit().code == "missing-blobs"
    offset = int(idle_head(pusher, digest).headers["upload-offset"])
    assert pusher.patch(digest, b"p" * (20_000 - offset), offset, 20_000).status == 204
    assert pusher.commit().status == 201


def idle_head(pusher, digest):
    """When the server is done with what broke off: until then the answer is 409."""
    deadline = time.monotonic() + 60
    while (answer := pusher.head(digest)).status == 409 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert answer.status == 200, answer
    return answer


def test_pushes_belong_to_their_token(pusher, server):
    assert pusher.create().status == 201
    other = Pusher(server, server.token("admin"), "demo", "pushed")
    other.id = pusher.id
    for answer in (other.request("GET", f"/pushes/{pusher.id}"),
                   other.request("DELETE", f"/pushes/{pusher.id}"), other.commit(),
                   other.put("listing", listing_of({})), other.patch("0" * 64, b"", 0, 0)):
        assert answer.code == "not-found"
    elsewhere = Pusher(server, pusher.token, "demo", "elsewhere")
    elsewhere.id = pusher.id
    assert elsewhere.request("GET", f"/pushes/{pusher.id}").code == "not-found"


@pytest.mark.parametrize("body, status, pointer", [
    (b"{", 400, None), (b"[" * 100_000, 400, None), (b'{"version":1}', 422, "/version"),
    (b"[]", 422, ""), (b'"x"', 422, ""), (b'{"content":"x"}', 422, "/content"),
    (b'{"version":"latest"}', 422, "/version"), (b'{"version":"a/b"}', 422, "/version"),
    (b'{"version":"a","version":"b"}', 400, None),
    (b'{"metadata":{"labels":{"A":"b"}}}', 422, None), (b'{"metadata":{"x":"y"}}', 422, None),
    (b'{"metadata":7}', 422, None), (b"\xff", 400, None), (b"{}x", 400, None),
])
def test_refused_json(pusher, body, status, pointer):
    answer = pusher.request("POST", "/pushes", body=body,
                            headers={"Content-Type": "application/json"})
    assert answer.status == status, answer
    if status == 400:
        assert answer.code == "malformed-json"
    elif pointer is not None:
        assert answer.json()["errors"][0]["pointer"] == pointer


def test_json_limits(pusher):
    answer = pusher.request("POST", "/pushes", body=b" " * (1 << 20) + b"{}",
                            headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (413, "too-large")
    answer = pusher.request("POST", "/pushes", body=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status, answer.code) == (415, "unsupported-media-type")


def test_empty_tree_and_empty_file(pusher):
    assert pusher.push({}, version="empty")["file_count"] == 0
    tree = {"nothing": File(b"")}
    assert pusher.push(tree, version="empty-file")["bytes"] == 0
    answer = pusher.request("GET", "/versions/empty-file/files/nothing")
    assert (answer.status, answer.body) == (200, b"")
    answer = pusher.request("GET", "/versions/empty-file/files/nothing",
                            headers={"Range": "bytes=0-"})
    assert answer.status == 416


def test_order_of_the_sample():
    assert in_order(TREE)[:3] == ["a-b", "bin", "bin/app"]


def requests_in_flight(server):
    text = server.request("GET", "/metrics").body.decode()
    return int(re.search(r"^http_requests_in_flight (\d+)$", text, re.MULTILINE)[1])


def test_a_thousand_query_keys_are_answered_and_leave_nothing_behind(tmp_path):
    with Server(tmp_path / "data") as fresh:
        for count in (10, 1500, 12_000):
            query = b"a&" * count
            status = raw(fresh, b"GET /healthz?" + query + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            assert status in (200, 400, 414, 431), count
        assert fresh.request("GET", "/healthz").status == 200
        # Ended by the library soon after the answer, also the request that asked before; the one
        # that asks is counted.
        until = time.monotonic() + 60
        while (in_flight := requests_in_flight(fresh)) > 1 and time.monotonic() < until:
            time.sleep(0.05)
        assert in_flight == 1
