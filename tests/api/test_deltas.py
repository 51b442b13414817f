# SPDX-License-Identifier: MIT
"""Chunk lists and deltas between blobs, as a client sees them."""

import hashlib
import http.client
import json
import pathlib
import random
import sys

import pytest

from pusher import File, Pusher, listing_of, times_of

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "formats"))

from kkformats import chunk_list, delta  # noqa: E402

APP = "/api/v1/projects/demo/apps/app"
DELTA = "application/vnd.kkartifact.delta"
PLAIN = "application/octet-stream"
ABSENT = "0" * 64

OLD = random.Random(1).randbytes(700_000)
IN_PLACE = OLD[:400_000] + b"changed" + OLD[400_007:]
INSERTED = b"inserted" + OLD
FOREIGN = OLD[:-1] + b"!"  # near enough for a delta, and of another project alone
TINY = b"tiny"


def sha(data):
    return hashlib.sha256(data).hexdigest()


def tree_of(data):
    return {"file": File(data), "tiny": File(TINY),
            **{f"f{i:03}": File(b"%d" % i) for i in range(100)}}


@pytest.fixture(scope="module")
def versions(server, admin):
    for name, data in (("old", OLD), ("in-place", IN_PLACE), ("inserted", INSERTED)):
        Pusher(server, admin, "demo", "app").push(tree_of(data), version=name)
    Pusher(server, admin, "other", "app").push(tree_of(FOREIGN), version="1")


@pytest.fixture()
def get(server, admin, versions):
    def ask(version, blob, base=None, token=admin, **more):
        query = f"?from={base}" if base is not None else ""
        return server.request("GET", f"{APP}/versions/{version}/blobs/{blob}{query}", token=token,
                              **more)
    return ask


def plain(answer):
    """What is not of this one answer alone."""
    ignored = ("date", "x-request-id")
    return (answer.status, answer.body,
            {name: value for name, value in answer.headers.items() if name not in ignored})


def test_chunk_list(get):
    answer = get("old", sha(OLD) + "/chunks")
    assert (answer.status, answer.headers["content-type"]) == (200, PLAIN)
    assert answer.body == chunk_list.build(OLD)
    assert answer.headers["etag"] == f'"{sha(OLD)}-chunks"'
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    part = get("old", sha(OLD) + "/chunks", headers={"Range": "bytes=256-299"})
    assert (part.status, part.body) == (206, answer.body[256:300])
    again = get("old", sha(OLD) + "/chunks", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status == 304


def test_chunk_lists_that_are_not(get):
    assert (get("old", sha(TINY) + "/chunks").status,
            get("old", sha(TINY) + "/chunks").code) == (404, "no-chunks")
    assert get("old", sha(INSERTED) + "/chunks").code == "not-found"
    assert get("nothing", sha(OLD) + "/chunks").code == "not-found"


@pytest.mark.parametrize("version, target, most", [("in-place", IN_PLACE, 8000),
                                                   ("inserted", INSERTED, 40000)])
def test_delta(get, version, target, most):
    for headers in ({}, {"Range": "bytes=5-9"}):
        answer = get(version, sha(target), sha(OLD), headers=headers)
        assert (answer.status, answer.headers["content-type"]) == (200, DELTA)
        assert answer.headers["accept-ranges"] == "none"
        assert answer.headers["cache-control"] == "no-store", "the next may be another"
        assert "etag" not in answer.headers
        assert "content-range" not in answer.headers
        assert len(answer.body) <= most
        assert delta.apply(answer.body, OLD) == target
    # and from any version, back
    answer = get("old", sha(OLD), sha(target))
    assert delta.apply(answer.body, target) == OLD


def test_delta_of_documents(get):
    old, new = listing_of(tree_of(OLD)), listing_of(tree_of(IN_PLACE))
    answer = get("in-place", sha(new), sha(old))
    assert answer.headers["content-type"] == DELTA
    assert delta.apply(answer.body, old) == new and len(answer.body) < 400
    times = times_of(tree_of(OLD))
    answer = get("in-place", sha(times), sha(old))
    assert answer.status == 200


@pytest.mark.parametrize("base", [ABSENT, "nonsense", "", "0" * 63, "G" * 64, sha(FOREIGN),
                                  sha(TINY)])
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=5-9"}, {"Range": "bytes=5-"},
                                     {"If-None-Match": f'"{sha(IN_PLACE)}"'}])
def test_other_bases_are_none(get, server, base, headers):
    """What the token may not pull, what does not exist, what is no digest and what is of no use:
    the answer is the one without `from`."""
    token = server.token("pull", project="demo")
    whole = get("in-place", sha(IN_PLACE), token=token, headers=headers)
    assert plain(get("in-place", sha(IN_PLACE), base, token=token, headers=headers)) == plain(whole)


def test_a_delta_that_others_had_is_no_right(get, server):
    """Made, and kept, for one who may pull both; nothing to one who may not."""
    assert get("old", sha(OLD), sha(FOREIGN)).headers["content-type"] == DELTA
    insider = server.token("pull", project="demo")
    whole = get("old", sha(OLD), token=insider)
    assert plain(get("old", sha(OLD), sha(FOREIGN), token=insider)) == plain(whole)
    assert whole.headers["content-type"] == PLAIN


def test_targets_are_looked_at_as_ever(get, server):
    assert get("in-place", ABSENT, sha(OLD)).code == "not-found"
    assert get("in-place", sha(INSERTED), sha(OLD)).code == "not-found"
    assert get("nothing", sha(OLD), sha(OLD)).code == "not-found"
    foreign = server.token("pull", project="other")
    assert get("in-place", sha(IN_PLACE), sha(OLD), token=foreign).code == "not-found"
    pusher = server.token("push", project="demo")
    assert get("in-place", sha(IN_PLACE), sha(OLD), token=pusher).code == "insufficient-scope"


def test_head_tells_of_the_blob(get, server, admin):
    answer = server.request("HEAD", f"{APP}/versions/in-place/blobs/{sha(IN_PLACE)}"
                                    f"?from={sha(OLD)}", token=admin)
    assert answer.status == 200
    assert answer.headers["content-length"] == str(len(IN_PLACE))


# ------------------------------------------------------------------ pushes

NEW = OLD[:100_000] + b"pushed as a delta" + OLD[100_017:]


class DeltaPusher(Pusher):
    """Sends what is wanted as deltas from `old`."""

    def put_delta(self, what, body, **headers):
        return self.request("PUT", f"/pushes/{self.id}/{what}", body=body,
                            headers={"Content-Type": DELTA, **headers})

    def put_blob(self, target, base, frames):
        return self.put_delta("blobs/" + sha(target), delta.write(base, target, frames))


def frames_of(target, base):
    """One change in place."""
    at = next(i for i, (one, other) in enumerate(zip(target, base)) if one != other)
    return [("copy", 0, at), ("raw", target[at:at + 100]),
            ("copy", at + 100, len(base) - at - 100)]


def wanting(server, token, number):
    """A push of a target that nobody has; the target."""
    target = NEW + b"%d" % number
    pusher = DeltaPusher(server, token, "demo", "app")
    assert pusher.begin(tree_of(target)) == ["file"]
    return pusher, target


def frames_for(target):
    return frames_of(NEW, OLD) + [("raw", target[len(NEW):])]


def test_everything_as_a_delta(server, admin, versions):
    old, new = tree_of(OLD), tree_of(NEW)
    pusher = DeltaPusher(server, admin, "demo", "app")
    assert pusher.create(version="as-deltas").status == 201
    for what, document in (("listing", listing_of), ("times", times_of)):
        base, target = document(old), document(new)
        frames = [("patch", target, 0, len(base))]
        assert pusher.put_delta(what, delta.write(base, target, frames)).status == 204
    assert pusher.missing(new) == ["file"]
    answer = pusher.put_blob(NEW, OLD, frames_of(NEW, OLD))
    assert (answer.status, answer.headers["upload-offset"]) == (204, str(len(NEW)))
    assert pusher.head(sha(NEW)).headers["upload-offset"] == str(len(NEW))
    assert pusher.put_blob(NEW, OLD, frames_of(NEW, OLD)).status == 204  # taken and dropped
    assert pusher.commit().status == 201
    answer = server.request("GET", f"{APP}/versions/as-deltas/files/file", token=admin)
    assert answer.body == NEW


def test_deltas_that_lie(server, admin, versions):
    pusher, target = wanting(server, admin, 1)
    lie = frames_for(target)[:-1] + [("raw", b"?")]
    answer = pusher.put_blob(target, OLD, lie)
    assert (answer.status, answer.code) == (422, "digest-mismatch")
    assert answer.json()["expected"] == sha(target)
    assert pusher.head(sha(target)).headers["upload-offset"] == "0"
    assert pusher.commit().code == "missing-blobs"
    good = delta.write(OLD, target, frames_for(target))
    for body in (b"", good[:87], good[:-1], good + b"\0", b"K" + good, target,
                 delta.write(OLD, OLD, [("copy", 0, len(OLD))])):
        answer = pusher.put_delta("blobs/" + sha(target), body)
        assert (answer.status, answer.code) == (422, "validation"), len(body)
    assert pusher.put_delta("blobs/" + sha(target), good).status == 204


def test_bodies_of_deltas(server, admin, versions):
    pusher, target = wanting(server, admin, 2)
    path = "blobs/" + sha(target)
    assert pusher.put(path, b"x").code == "unsupported-media-type"
    assert pusher.put_delta("listing", b"x", **{"Content-Encoding": "zstd"}
                            ).code == "unsupported-media-type"
    assert pusher.put_delta("blobs/" + ABSENT, b"x").code == "not-found"
    assert pusher.put_delta("blobs/nonsense", b"x").code == "not-found"
    # Judged by its head: no byte of the body is needed.
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    connection.putrequest("PUT", f"{pusher.base}/pushes/{pusher.id}/{path}")
    for name, value in (("Authorization", f"Bearer {admin}"), ("Content-Length", (16 << 20) + 1),
                        ("Content-Type", "application/vnd.kkartifact.delta")):
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["code"]) == (413, "too-large")
    connection.close()


def test_foreign_bases_are_absent_ones(server, versions):
    """There, and not there: one answer, to the byte but for the request's id."""
    token = server.token("push,pull", project="demo")
    pusher, target = wanting(server, token, 3)
    near = FOREIGN[:-1] + b"?"  # nobody has it
    answers = [pusher.put_blob(target, base, [("copy", 0, 99_000), ("raw", target[99_000:99_010])])
               for base in (FOREIGN, near)]
    assert [(one.status, one.code) for one in answers] == [(404, "not-found")] * 2
    bodies = [{**one.json(), "request_id": None} for one in answers]
    assert bodies[0] == bodies[1]
    assert pusher.put_blob(target, OLD, frames_for(target)).status == 204


def test_who_may_not_pull_has_no_base(server, versions):
    token = server.token("push", project="demo")
    pusher, target = wanting(server, token, 4)
    assert pusher.put_blob(target, OLD, frames_for(target)).code == "not-found"
    assert pusher.patch(sha(target), target, 0, len(target)).status == 204
