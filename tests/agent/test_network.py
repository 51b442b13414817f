# SPDX-License-Identifier: MIT
"""bandwidth_limit, concurrency and chunk_size do what they say, as an origin sees it."""

import http.server
import os
import threading
import time

import pytest

from support import describe, write

MIB = 1 << 20


def set_key(agent, line):
    agent.config.write_text(agent.config.read_text() + line + "\n")


def timed(call):
    began = time.monotonic()
    call()
    return time.monotonic() - began


@pytest.mark.parametrize("files", [1, 16])
def test_bandwidth_limit(agent, tmp_path, files):
    """4 MiB at 2 MiB a second take two seconds, less what a full bucket gives at once; the lanes
    share the limit. (That it is not much slower is not for a machine that others use.)"""
    source = tmp_path / "source"
    for number in range(files):
        write(source, f"{number}", os.urandom(4 * MIB // files))
    free = timed(lambda: agent.push(source, "free"))
    set_key(agent, "bandwidth_limit: 2MiB")
    for number in range(files):
        write(source, f"{number}", os.urandom(4 * MIB // files))
    assert timed(lambda: agent.push(source, "limited")) >= 1.5
    assert timed(lambda: agent.pull(tmp_path / "copy", "limited")) >= 1.5
    assert describe(source) == describe(tmp_path / "copy")
    assert free < 60


def test_a_low_limit_is_no_stall(agent, tmp_path):
    """Requests that wait for their share are not taken for dead ones."""
    source = tmp_path / "source"
    for number in range(8):
        write(source, f"{number}", os.urandom(4096))
    agent.push(source, "v1")
    set_key(agent, "bandwidth_limit: 8KiB")
    set_key(agent, "timeout: 2s")
    assert timed(lambda: agent.pull(tmp_path / "copy", "v1")) >= 2
    assert describe(source) == describe(tmp_path / "copy")


def test_a_limit_that_is_none(agent, tmp_path):
    set_key(agent, "bandwidth_limit: 1023")
    done = agent.run("push", tmp_path, code=3)
    assert "bandwidth_limit" in done.words


class Crowd:
    """How many requests for blobs are under way at once. Each waits until `size` have been, then
    for a moment: that more would come cannot be known sooner."""

    def __init__(self, method, size):
        self.method, self.size = method, size
        self.now = self.most = 0
        self.changed = threading.Condition()

    def meet(self, request):
        if not request.startswith(self.method) or "/blobs/" not in request:
            return
        with self.changed:
            self.now += 1
            self.most = max(self.most, self.now)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most >= self.size, 60)
            self.changed.wait_for(lambda: self.most > self.size, 0.1)
            self.now -= 1


@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize("way", ["key", "flag"])
def test_concurrency(agent, origin, tmp_path, lanes, way):
    source = tmp_path / "source"
    for number in range(12):
        write(source, f"{number}", os.urandom(300 << 10))  # too large for packs
    words = ("--concurrency", lanes) if way == "flag" else ()
    if way == "key":
        set_key(agent, f"concurrency: {lanes}")
    sent, got = Crowd("PATCH", lanes), Crowd("GET", lanes)
    origin.state.outside = sent.meet
    agent.push(source, "v1", *words)
    origin.state.outside = got.meet
    agent.pull(tmp_path / "copy", "v1", *words)
    assert (sent.most, got.most) == (lanes, lanes)


@pytest.mark.parametrize("wished, largest", [("64KiB", 64 << 10), ("256KiB", 256 << 10),
                                             ("64MiB", 1 << 20)])
def test_chunk_size(agent, origin, tmp_path, wished, largest):
    """The parts are of the size that is wished, or of the server's, which is smaller."""
    source = tmp_path / "source"
    size = 3 * MIB + 12345
    write(source, "big", os.urandom(size))
    set_key(agent, f"chunk_size: {wished}")
    parts = []
    origin.state.measure = lambda request, body: parts.append(len(body)) \
        if request.startswith("PATCH") else None
    agent.push(source, "v1")
    assert sum(parts) == size
    assert set(parts[:-1]) == {largest} and parts[-1] <= largest


@pytest.fixture
def stranger():
    """A web server that answers everything by `status` and `headers`, with a page."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self):
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(self.server.status)
            for name, value in self.server.lines.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "13")
            self.end_headers()
            self.wfile.write(b"<html></html>")

        do_GET = do_POST = answer

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.mark.parametrize("status, lines, told", [
    (301, {"Location": "https://right.example/api?key=x"},
     "redirects to https://right.example (301), which is not followed: is the address right?"),
    (200, {}, "answered 200, but without JSON: is this a kkArtifact server?"),
    (501, {}, "answered 501 Not Implemented, but not as kkArtifact does: a proxy?")])
def test_a_wrong_address(agent, stranger, tmp_path, status, lines, told):
    stranger.status, stranger.lines = status, lines
    url = f"http://127.0.0.1:{stranger.server_port}"
    (tmp_path / "source").mkdir()
    app = ["--version", "v1"]
    for words in (["list"], ["show", "p/a/v1"], ["get", "p/a/v1/f"], ["diff", "p/a", "v1", "v2"],
                  ["push", tmp_path / "source", *app], ["pull", tmp_path / "copy", *app]):
        done = agent.run(*words, "--server", url, code=7)
        assert done.words.count("\n") == 1 and f"{url}: {told}\n" in done.words, done.words
