# SPDX-License-Identifier: MIT
"""A part of a large file is on its way while the server makes the one before it durable: the server
lets it wait, and the agent knows what to do where it does not, or where the answers come in
another order."""

import json
import queue
import socket
import threading
import time

import pytest

import trees
import wire
from agent import Agent
from proxies import Handler, LyingProxy
from pushes import Push

MIB = 1 << 20
PART = 4 * MIB  # the smallest that another one is sent behind
LARGE = 7 * PART  # a larger one would go before it is hashed
HALF = 64 << 10  # of the data of a Push


@pytest.fixture
def push(server, names):
    return Push(server, names)


class HalfSent:
    """A PATCH whose body stops in the middle, until finish()."""

    def __init__(self, push, offset, size):
        data = push.data[offset:offset + size]
        head = wire.request("PATCH", f"{push.path}/blobs/{push.digest}", push.token,
                            [("Upload-Offset", offset), ("Upload-Length", len(push.data)),
                             ("Content-Length", size)], b"")
        self.rest = data[size // 2:]
        self.link = socket.create_connection(("127.0.0.1", push.server.port), timeout=60)
        self.link.sendall(head + data[:size // 2])

    def finish(self):
        self.link.sendall(self.rest)
        return self.answer()

    def answer(self):
        text = b""
        while b"\r\n\r\n" not in text:
            block = self.link.recv(4096)
            if not block:
                return None
            text += block
        return wire.status_of(text)


def test_the_next_part_waits(push):
    push.describe((b"f", push.data))
    first = HalfSent(push, 0, HALF)
    answers = queue.Queue()
    # until the server has begun with the first, the second is at no offset of this upload
    while True:
        busy = push.send(1, 1000)
        if busy.code == "push-busy":
            break
        assert busy.code == "offset-mismatch"
        time.sleep(0.01)
    # of two that would be next, one waits, and the other is told at once; and so is another part
    for _ in range(2):
        threading.Thread(target=lambda: answers.put(push.send(HALF)), daemon=True).start()
    assert answers.get(timeout=60).code == "push-busy"
    assert push.send(HALF + 1).code == "push-busy"
    assert answers.empty(), "it waits"
    assert first.finish() == 204
    assert answers.get(timeout=60).status == 204
    assert push.offset() == len(push.data)
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


def test_the_part_in_front_breaks_off(push):
    """What waited is told where the upload stands: at what came of it."""
    push.describe((b"f", push.data))
    first = HalfSent(push, 0, HALF)
    answers = []
    second = threading.Thread(target=lambda: answers.append(push.send(HALF)))
    while push.send(1, 1000).code != "push-busy":
        time.sleep(0.01)
    second.start()
    second.join(0.2)
    first.link.close()
    second.join(60)
    assert (answers[0].status, answers[0].code) == (409, "offset-mismatch")
    kept = answers[0].json()["expected_offset"]
    assert 0 < kept < HALF and push.offset() == kept
    assert push.send(kept).status == 204
    assert push.commit().status == 201
    assert push.bytes_of("f").body == push.data


# ------------------------------------------------------------------ the agent

class World:
    def __init__(self, server, names, tmp_path):
        self.names, self.copy = names, tmp_path / "copy"
        self.agent = Agent(tmp_path / "agent", server.url, server.all_rights, chunk_size="4MiB")
        self.source = tmp_path / "source"
        trees.write(self.source, "large", trees.random_bytes(LARGE + 77, f"{names.project}"))

    def push(self, url):
        self.agent.run("push", self.source, "--project", self.names.project, "--app",
                       self.names.app, "--version", "v1", "--server", url).expect(0)
        self.agent.pull(self.copy, self.names.project, self.names.app, "v1")
        trees.assert_same(self.source, self.copy)


@pytest.fixture
def world(server, names, tmp_path):
    return World(server, names, tmp_path)


class Counting(Handler):
    """Knows how many parts are on their way; `strict` says no to a second one, as a server does
    that lets none wait."""

    def do_PATCH(self):
        proxy = self.server
        with proxy.lock:
            refused = proxy.strict and proxy.at_once > 0
            if not refused:
                proxy.at_once += 1
                proxy.most = max(proxy.most, proxy.at_once)
        if refused:
            self._refuse()
        else:
            self._pass_on()

    def _answer(self, reply):
        """Whoever has the answer may send the next one."""
        if self.command == "PATCH":
            with self.server.lock:
                self.server.at_once -= 1
        super()._answer(reply)

    def _refuse(self):
        proxy = self.server
        proxy.refused += 1
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"code": "push-busy", "status": 409}).encode()
        self.send_response_only(409)
        self.send_header("Content-Type", "application/problem+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PartsProxy(LyingProxy):
    handler = Counting

    def __init__(self, server, *, strict=False):
        self.strict = strict
        self.at_once = self.most = self.refused = 0
        super().__init__(server)


def test_two_parts_are_on_their_way(world, server):
    with PartsProxy(server) as origin:
        world.push(origin.url)
        assert origin.most == 2


def test_a_server_that_lets_none_wait(world, server):
    with PartsProxy(server, strict=True) as origin:
        world.push(origin.url)
        assert 1 <= origin.refused <= 3, "what is on its way by then, not each of the eight"


def test_answers_in_another_order(world, server):
    """The server has both parts; the answer to the former is late."""
    late = []

    def delay(reply):
        if reply.status == 204 and len(late) < 3:
            late.append(reply.header("Upload-Offset"))
            time.sleep(0.2)

    with PartsProxy(server) as origin:
        origin.lie(r"/blobs/[0-9a-f]+$", delay, method="PATCH")
        world.push(origin.url)
        assert len(late) >= 3


def test_a_part_ahead_that_is_lost(world, server):
    """Its answer is an error, and it goes again when its turn has come."""
    lost = []

    def spoil(reply):
        if reply.header("Upload-Offset") in (str(2 * PART), str(5 * PART)) and len(lost) < 2:
            lost.append(reply.status)
            reply.status, reply.body, reply.headers = 502, b"", []

    with PartsProxy(server) as origin:
        origin.lie(r"/blobs/[0-9a-f]+$", spoil, method="PATCH")
        world.push(origin.url)
        assert lost == [204, 204]
