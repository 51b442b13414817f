# SPDX-License-Identifier: MIT
"""What starts of a version read: told, merged, bounded, and inherited by the next version."""

import contextlib
import itertools
import json
import sqlite3

import pytest

from pusher import File, Pusher

API = "/api/v1"
NUMBERS = itertools.count()
PIECE = 512 * 1024


class App:
    """An app of the case's own."""

    def __init__(self, server, token):
        self.server = server
        self.token = token
        self.name = f"app{next(NUMBERS)}"
        self.base = f"/projects/reads/apps/{self.name}"

    def push(self, version, files):
        tree = {path: File(data) for path, data in files.items()}
        for path in files:
            while "/" in path:
                path = path.rpartition("/")[0]
                tree[path] = None
        return Pusher(self.server, self.token, "reads", self.name).push(tree, version=version)

    def ask(self, method, version, token=None, query="", **more):
        return self.server.request(method, f"{API}{self.base}/versions/{version}/reads{query}",
                                   token=token or self.token, **more)

    def put(self, version, *files, host="web1", token=None):
        """Paths, or whole files of the list."""
        reads = [{"path": file} if isinstance(file, str) else file for file in files]
        answer = self.ask("PUT", version, token, json_body={"host": host, "reads": reads})
        assert answer.status == 200, answer
        return answer.json()

    def get(self, version, **more):
        answer = self.ask("GET", version, **more)
        assert answer.status == 200, answer
        return answer.json()

    def paths(self, version):
        return [file["path"] for file in self.get(version)["reads"]]

    def rows(self):
        base = sqlite3.connect(self.server.data / "kkartifact.db", timeout=30)
        with contextlib.closing(base), base:
            return base.execute("SELECT r.host, r.at, length(r.list) FROM read_reports r"
                                " JOIN versions v ON v.id = r.version_id"
                                " JOIN apps a ON a.id = v.app_id WHERE a.name = ?"
                                " ORDER BY r.id", (self.name,)).fetchall()


@pytest.fixture
def app(server, admin):
    return App(server, admin)


def test_a_list_comes_back(app):
    app.push("v1", {"bin/app": b"1", "lib/big": bytes(3 * PIECE), "\udcff": b"3"})
    whole = app.get("v1")
    assert whole == {"project": "reads", "app": app.name, "version": "v1", "source": "none",
                     "reads": []}
    reads = [{"path": "lib/big", "ranges": [{"offset": 0, "length": PIECE},
                                            {"offset": 2 * PIECE, "length": PIECE}]},
             {"path_base64": "/w=="}, {"path": "bin/app"}]
    told = app.put("latest", *reads)
    assert told == {"project": "reads", "app": app.name, "version": "v1", "host": "web1",
                    "files": 3, "kept": True}
    assert app.get("latest") == {**whole, "source": "own", "reads": reads}


def test_only_what_the_version_has(app):
    app.push("v1", {"d/a": b"12345", "empty": b""})
    told = app.put("v1", "absent", "d", "empty", "d/a/b",
                   {"path": "d/a", "ranges": [{"offset": 3, "length": 100},
                                              {"offset": 50, "length": 1},
                                              {"offset": 2, "length": 1}]})
    assert told["files"] == 1
    assert app.get("v1")["reads"] == [{"path": "d/a", "ranges": [{"offset": 2, "length": 3}]}]
    told = app.put("v1", "absent", host="web2")
    assert (told["files"], told["kept"]) == (0, False)
    assert len(app.rows()) == 1


def test_hosts_are_one_list(app):
    app.push("v1", {name: name.encode() for name in "abcde"})
    app.put("v1", "a", "b", "c", host="web1")
    app.put("v1", "a", "d", host="web2")
    assert app.paths("v1") == ["a", "b", "d", "c"]
    app.put("v1", "e", host="web2")
    assert sorted(app.paths("v1")) == ["a", "b", "c", "e"]


def test_what_is_known_is_not_written(app):
    """A fleet that starts alike, and each of its hosts again and again."""
    app.push("v1", {name: name.encode() for name in "abc"})
    assert app.put("v1", "a", "b", host="web0")["kept"]
    rows = app.rows()
    for number in range(50):
        assert not app.put("v1", "a", "b", host=f"web{number % 20}")["kept"]
    assert app.rows() == rows


def test_no_host_takes_every_place(app, server):
    other = server.token("pull", name="other")
    app.push("v1", {f"f{number}": b"%d" % number for number in range(20)})
    for number in range(9):
        assert app.put("v1", f"f{number}", host=f"a{number}")["kept"] == (number < 4)
    for number in range(9):
        kept = app.put("v1", f"f{number + 10}", host=f"b{number}", token=other)["kept"]
        assert kept == (number < 4)
    assert app.paths("v1") == sorted(app.paths("v1"))
    assert set(app.paths("v1")) == {"f0", "f1", "f2", "f3", "f10", "f11", "f12", "f13"}


def test_the_next_version_inherits(app):
    files = {"bin/app": b"the program", "lib/moved": b"a library", "conf": b"as it was",
             "gone": b"will be gone"}
    app.push("v1", files)
    app.put("v1", "bin/app", "lib/moved", "gone", "conf")
    app.push("v2", {"bin/app": b"the program, changed", "lib/new/place": b"a library",
                    "conf": b"as it was", "more": b"more"})
    found = app.get("v2")
    assert (found["source"], found["from"]) == ("inherited", "v1")
    assert [file["path"] for file in found["reads"]] == ["bin/app", "lib/new/place", "conf"]
    app.push("v3", {"lib/new/place": b"a library"})
    assert app.get("v3")["from"] == "v1", "one that only inherits gives nothing on"
    app.put("v2", "more")
    assert (app.get("v2")["source"], app.paths("v2")) == ("own", ["more"])
    assert app.get("v3")["source"] == "none", "nothing of it is there"


def test_trash_and_copy(app, server, admin):
    app.push("v1", {"a": b"1", "b": b"2"})
    app.put("v1", "b")
    version = f"{API}{app.base}/versions/v1"
    copy = {"project": "reads", "app": app.name, "version": "copy"}
    assert server.request("POST", f"{version}/copy", token=admin, json_body=copy).status == 201
    assert app.get("copy")["source"] == "own"
    assert server.request("DELETE", version, token=admin).status == 200
    assert app.ask("GET", "v1").status == 404
    assert app.ask("PUT", "v1", json_body={"host": "h", "reads": []}).status == 404
    assert app.get("v1", query="?trashed=1")["source"] == "own"
    app.push("v2", {"a": b"1", "b": b"2", "c": b"3"})
    assert app.get("v2")["from"] == "copy", "the trash is passed over"
    assert server.request("POST", f"{version}/restore", token=admin).status == 200
    assert app.paths("v1") == ["b"]


@pytest.mark.parametrize("body,pointer", [
    ({"reads": []}, "/host"),
    ({"host": "no host", "reads": []}, "/host"),
    ({"host": 7, "reads": []}, "/host"),
    ({"host": "h"}, "/reads"),
    ({"host": "h", "reads": {}}, "/reads"),
    ({"host": "h", "reads": [{}]}, "/reads/0"),
    ({"host": "h", "reads": [{"path": "a"}, {"path": "../a"}]}, "/reads/1/path"),
    ({"host": "h", "reads": [{"path": "a", "ranges": []}]}, "/reads/0/ranges"),
    ({"host": "h", "reads": [{"path": "a", "ranges": [{"offset": -1, "length": 1}]}]},
     "/reads/0/ranges/0"),
    ({"host": "h", "reads": [{"path": "a"}] * 4097}, "/reads"),
    ([], ""),
])
def test_what_is_refused(app, body, pointer):
    app.push("v1", {"a": b"1"})
    answer = app.ask("PUT", "v1", json_body=body)
    assert answer.status == 422, answer
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert app.rows() == []


def test_bounds_of_a_body(app):
    """4,096 long paths are taken; more than the bound of them is not, nor more than a MiB."""
    app.push("v1", {"a": b"1"})
    reads = [{"path": f"{number:060}"} for number in range(4095)] + [{"path": "a"}]
    assert app.put("v1", *reads)["files"] == 1
    answer = app.ask("PUT", "v1", json_body={"host": "h", "reads": [
        {"path": "p" * 255 + "/" + "q" * 200} for _ in range(600)]})
    assert answer.status == 422
    answer = app.ask("PUT", "v1", headers={"Content-Type": "application/json"},
                     body=json.dumps({"host": "h", "more": "x" * (1 << 20)}).encode())
    assert answer.status == 413


def test_versions_that_are_not_there(app, server):
    app.push("v1", {"a": b"1"})
    foreign = server.token("pull", project="another")
    for version, token in (("v9", None), ("@none", None), ("v1", foreign)):
        for method, body in (("GET", None), ("PUT", {"host": "h", "reads": [{"path": "a"}]})):
            more = {} if body is None else {"json_body": body}
            assert app.ask(method, version, token, **more).status == 404, (version, method)
