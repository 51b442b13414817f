# SPDX-License-Identifier: MIT
"""origin - a server for the agent's tests: the few routes that push and pull need, in memory, and
ready to fail or to lie on request.

    with Origin() as origin:
        origin.state.fail = lambda request: 503 if ... else None
        origin.state.spoil = lambda name, data: data         # what leaves as blob or tree
        origin.state.spoil_delta = lambda name, delta: delta # None: the blob leaves whole
        origin.state.spoil_hint = lambda what, name, data: data # chunk lists and merkle trees

It is made from the pages on formats and wire alone, with the tests' own reader and writer.
"""

import functools
import hashlib
import http.server
import json
import re
import threading
import urllib.parse

import zstandard

from kkformats import chunk_list, delta, listing, merkle, pack, times, tree

STORE = "5f1c1a52-0000-4000-8000-000000000001"
TOKEN = "kka_aaaaaaaaaaaa_" + "s" * 43
BASE = "/api/v1"
PART_SIZE = 1 << 20
CODES = {401: "unauthenticated", 403: "insufficient-scope", 404: "not-found", 409: "version-exists"}


def hexdigest(data):
    return hashlib.sha256(data).hexdigest()


@functools.lru_cache
def chunks_of(data):
    return chunk_list.build(data)


@functools.lru_cache
def tree_of(data):
    return merkle.build(data)[0]


def make_delta(base, target):
    """One change in the middle: what both begin and end with is copied."""
    most = min(len(base), len(target))
    front = next((i for i in range(most) if base[i] != target[i]), most)
    most -= front
    back = next((i for i in range(most) if base[-1 - i] != target[-1 - i]), most)
    middle = target[front:len(target) - back]
    frames = [("copy", 0, front)] if front else []
    frames += [("raw", middle[at:at + delta.LARGEST_RAW])
               for at in range(0, len(middle), delta.LARGEST_RAW)]
    frames += [("copy", len(base) - back, back)] if back else []
    return delta.write(base, target, frames)


class Push:
    def __init__(self, number, project, app, said):
        self.id = f"push-{number}"
        self.project, self.app, self.said = project, app, said
        self.listing = self.times = None
        self.parts = {}


class State:
    def __init__(self):
        self.lock = threading.RLock()
        self.blobs = {}
        self.versions = {}
        self.pushes = {}
        self.requests = []
        self.fail = lambda request: None
        self.spoil = lambda name, data: data
        self.spoil_delta = lambda name, data: data
        self.spoil_hint = lambda what, name, data: data
        self.deltas = []  # the names of blobs that left as one
        self.taken = []  # and of those that came as one
        self.body_bytes = 0  # of what came
        self.knows_packs = True
        self.spoil_pack = lambda data: data  # on its way in or out
        self.after = lambda request: None
        self.outside = lambda request: None  # not under the lock: it may wait
        self.measure = lambda request, body: None

    def missing(self, push):
        bits, seen, index = bytearray(), set(), 0
        for entry in listing.parse(push.listing):
            if entry.kind != "f":
                continue
            if index % 8 == 0:
                bits.append(0)
            name = entry.sha256.hex()
            if name not in self.blobs and name not in seen:
                bits[index // 8] |= 1 << index % 8
            seen.add(name)
            index += 1
        return bytes(bits)

    def commit(self, push):
        parsed = listing.parse(push.listing)
        files = [entry for entry in parsed if entry.kind == "f"]
        missing = {entry.sha256.hex() for entry in files} - self.blobs.keys()
        if missing:
            return 409, {"code": "missing-blobs", "missing": len(missing)}
        verities = [merkle.verity(self.blobs[entry.sha256.hex()]) for entry in files]
        image = tree.build(push.listing, push.times, verities)
        content = hexdigest(push.listing)
        self.blobs[content] = push.listing
        self.blobs[hexdigest(push.times)] = push.times
        name = push.said.get("version") or content[:12]
        version = {"project": push.project, "app": push.app, "version": name, "content": content,
                   "times": hexdigest(push.times), "tree": tree.digest(image).hex(),
                   "tree_size": len(image), "file_count": len(files),
                   "bytes": sum(entry.size for entry in files),
                   "created_at": "2026-01-02T03:04:05Z", "state": "ready", "pinned": False,
                   **push.said.get("metadata", {})}
        self.versions[push.project, push.app, name] = (version, image)
        return 201, {"state": "created", "version": version}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", kind="application/json", **headers):
        if isinstance(body, dict):
            if status >= 400:
                kind = "application/problem+json"
                body = {"type": "about:blank", "title": "no", "status": status, "detail": "no",
                        "request_id": "r", **body}
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("X-Kkartifact-Store", STORE)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def problem(self, status, code, **more):
        self.answer(status, {"code": code, **more})

    def handle_any(self):
        state = self.server.state
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        state.body_bytes += length
        path, query = urllib.parse.urlsplit(self.path)[2:4]
        self.query = urllib.parse.parse_qs(query)
        request = f"{self.command} {path}"
        state.outside(request)
        with state.lock:
            state.requests.append(request)
            state.measure(request, body)
            failure = state.fail(request)
            if failure == "cut":
                self.close_connection = True
                self.connection.close()
                return
            if failure:
                self.problem(failure, CODES.get(failure, "internal"))
                return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.problem(401, "unauthenticated")
                return
            parts = [urllib.parse.unquote(part) for part in path[len(BASE):].split("/")]
            self.route(state, parts[1:], body)
            state.after(request)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def route(self, state, parts, body):
        match parts:
            case ["projects", project, "apps", app, "pushes"]:
                self.create(state, project, app, json.loads(body))
            case ["projects", _, "apps", _, "pushes", number, *rest]:
                push = state.pushes.get(number)
                if push is None:
                    self.problem(404, "not-found")
                else:
                    self.push(state, push, rest, body)
            case ["projects", project, "apps", app, "versions", name, *rest]:
                self.version(state, project, app, name, rest, body)
            case ["projects", project, "apps", app, "versions"]:
                found = [version for (p, a, _), (version, _) in state.versions.items()
                         if (p, a) == (project, app)]
                self.answer(200, {"items": found[::-1]})
            case ["projects", project, "apps", app]:
                self.answer(200, {"project": project, "app": app,
                                  "created_at": "2026-01-02T03:04:05Z", "version_count": 1,
                                  "channels": []})
            case ["projects"]:
                names = sorted({p for p, _, _ in state.versions})
                self.answer(200, {"items": [{"project": name, "created_at": "2026-01-02T03:04:05Z",
                                             "app_count": 1} for name in names]})
            case ["projects", project, "apps"]:
                names = sorted({a for p, a, _ in state.versions if p == project})
                self.answer(200, {"items": [{"project": project, "app": name,
                                             "created_at": "2026-01-02T03:04:05Z",
                                             "version_count": 1} for name in names]})
            case _:
                self.problem(404, "not-found")

    def create(self, state, project, app, said):
        name = said.get("version") or said["content"][:12]
        stored = state.versions.get((project, app, name))
        if stored and stored[0]["content"] == said["content"]:
            self.answer(200, {"state": "exists", "version": stored[0]})
        elif stored:
            self.problem(409, "version-exists", existing_content=stored[0]["content"])
        else:
            push = Push(len(state.pushes), project, app, said)
            state.pushes[push.id] = push
            self.answer(201, {"state": "open", "id": push.id, "content": said["content"],
                              "part_size": PART_SIZE, "expires_at": "2036-01-02T03:04:05Z",
                              "wanted": ["listing", "times"]})

    def push(self, state, push, rest, body):
        match self.command, rest:
            case "PUT", [("listing" | "times") as what]:
                if self.headers.get("Content-Encoding") == "zstd":
                    body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
                elif self.headers["Content-Type"] == delta.MEDIA_TYPE:
                    base = state.blobs.get(body[8:40].hex())
                    if base is None:
                        self.problem(404, "not-found")
                        return
                    body = delta.make(body, base)
                    state.taken.append(what)
                if hexdigest(body) != push.said["content" if what == "listing" else "times"]:
                    self.problem(422, "digest-mismatch")
                    return
                setattr(push, what, body)
                self.answer(204)
            case "GET", ["missing"]:
                self.answer(200, state.missing(push), "application/octet-stream")
            case "HEAD", ["blobs", name]:
                self.tell_offset(state, push, name)
            case "PATCH", ["blobs", name]:
                self.part(state, push, name, body)
            case "PUT", ["blobs", name]:
                self.put_delta(state, name, body)
            case "POST", ["blobs:batch"] if state.knows_packs:
                self.take_pack(state, push, state.spoil_pack(body))
            case "POST", ["commit"]:
                self.answer(*state.commit(push))
            case "DELETE", []:
                del state.pushes[push.id]
                self.answer(204)
            case _:
                self.problem(404, "not-found")

    def tell_offset(self, state, push, name):
        sizes = {entry.sha256.hex(): entry.size for entry in listing.parse(push.listing)
                 if entry.kind == "f"}
        if name not in sizes:
            self.problem(404, "not-found")
            return
        have = sizes[name] if name in state.blobs else len(push.parts.get(name, b""))
        self.answer(200, Upload_Offset=have, Upload_Length=sizes[name])

    def part(self, state, push, name, body):
        total, offset = int(self.headers["Upload-Length"]), int(self.headers["Upload-Offset"])
        have = push.parts.setdefault(name, b"")
        if name in state.blobs:
            self.answer(204, Upload_Offset=total)
        elif offset != len(have):
            self.answer(409, {"code": "offset-mismatch", "expected_offset": len(have)},
                        Upload_Offset=len(have))
        else:
            push.parts[name] = have + body
            if len(push.parts[name]) < total:
                self.answer(204, Upload_Offset=len(push.parts[name]))
            elif hexdigest(push.parts[name]) == name:
                state.blobs[name] = push.parts.pop(name)
                self.answer(204, Upload_Offset=total)
            else:
                del push.parts[name]
                self.problem(422, "digest-mismatch")

    def put_delta(self, state, name, body):
        assert self.headers["Content-Type"] == delta.MEDIA_TYPE and len(body) <= PART_SIZE
        base = state.blobs.get(body[8:40].hex())
        if base is None:
            self.problem(404, "not-found")
            return
        made = delta.make(body, base)
        if hexdigest(made) == name:
            state.blobs[name] = made
            state.taken.append(name)
            self.answer(204)
        else:
            self.problem(422, "digest-mismatch")

    def take_pack(self, state, push, body):
        wanted = {entry.sha256 for entry in listing.parse(push.listing) if entry.kind == "f"}
        members = pack.parse(body)
        failures = []
        for sha256, data, damage in members:
            if damage or sha256 not in wanted:
                failures.append({"sha256": sha256.hex(),
                                 "code": "digest-mismatch" if damage else "not-found"})
            else:
                state.blobs[sha256.hex()] = data
        self.answer(200, {"stored": len(members) - len(failures), "present": 0,
                          "failed": len(failures), "failures": failures[:256]})

    def version(self, state, project, app, name, rest, body):
        if name == "latest":
            pushed = [v for p, a, v in state.versions if (p, a) == (project, app)]
            name = pushed[-1] if pushed else name
        version, image = state.versions.get((project, app, name), (None, None))
        if version is None:
            self.problem(404, "not-found")
        elif not rest:
            self.answer(200, version)
        elif rest == ["tree"]:
            if "Range" in self.headers:
                self.ranged(state.spoil_hint("tree", name, image))
            else:
                self.answer(200, state.spoil("tree", image), tree.MEDIA_TYPE,
                            ETag=f'"{version["tree"]}"')
        elif rest[0] == "files":
            self.file(state, version, "/".join(rest[1:]))
        elif rest[0] == "blobs" and rest[2:] in (["chunks"], ["merkle"]):
            make = chunks_of if rest[2] == "chunks" else tree_of
            self.ranged(state.spoil_hint(rest[2], rest[1], make(state.blobs[rest[1]])))
        elif rest == ["blobs:batch"] and state.knows_packs:
            wanted = [body[at:at + 32].hex() for at in range(0, len(body), 32)]
            coding = int("zstd" in self.headers.get("Accept-Encoding", ""))
            self.answer(200, state.spoil_pack(pack.join(
                [pack.member(state.spoil(name, state.blobs[name]), coding) for name in wanted
                 if name in state.blobs])), pack.MEDIA_TYPE)
        elif rest[0] == "blobs" and rest[1] in state.blobs:
            self.blob(state, rest[1], state.blobs.get(self.query.get("from", [""])[0]))
        else:
            self.problem(404, "not-found")

    def ranged(self, data):
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        self.answer(206, data[first:last + 1], "application/octet-stream")

    def file(self, state, version, path):
        found = [entry for entry in listing.parse(state.blobs[version["content"]])
                 if entry.kind == "f" and entry.path == path.encode()]
        if found:
            name = found[0].sha256.hex()
            self.answer(200, state.blobs[name], "application/octet-stream", ETag=f'"{name}"')
        else:
            self.problem(404, "not-found")

    def blob(self, state, name, base):
        made = base and state.spoil_delta(name, make_delta(base, state.blobs[name]))
        if made is not None:
            state.deltas.append(name)
            self.answer(200, made, delta.MEDIA_TYPE)
        elif re.fullmatch(r"bytes=\d+-\d+", self.headers.get("Range", "")):
            self.ranged(state.spoil(name, state.blobs[name]))
        else:
            self.answer(200, state.spoil(name, state.blobs[name]), "application/octet-stream",
                        ETag=f'"{name}"')


class Listener(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Origin:
    def __init__(self):
        self.state = State()

    def __enter__(self):
        self.server = Listener(("127.0.0.1", 0), Handler)
        self.server.state = self.state
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
