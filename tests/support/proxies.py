# SPDX-License-Identifier: MIT
"""proxies - what stands between a client and the server in a test.

CountingProxy passes bytes and counts them; it can act when so many have passed. LyingProxy
understands the requests, and changes the answers that a rule picks.
"""

import contextlib
import http.client
import http.server
import re
import socket
import socketserver
import struct
import threading
import time


class CountingProxy:
    """Passes connections on to 127.0.0.1:`port`; `up` and `down` are the bytes that passed.

    `on_up` is (bytes, function): called once, when that many bytes went to the server; `on_down` is
    the same of those that came from it. Nothing passes anywhere while it runs.
    """

    def __init__(self, port, host="127.0.0.1"):
        self.port = port
        self.up = 0
        self.down = 0
        self.connections = 0
        self.on_up = self.on_down = None
        self._lock = threading.RLock()
        self._open = set()
        self._listener = socket.create_server((host, 0), backlog=64)
        self.host, self.listens = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"http://{self.host}:{self.listens}"

    @property
    def total(self):
        return self.up + self.down

    def reset(self):
        with self._lock:
            self.up = self.down = self.connections = 0

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                upstream = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            except OSError:
                client.close()
                continue
            upstream.settimeout(None)
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open |= {client, upstream}
            for source, target, kind in ((client, upstream, "up"), (upstream, client, "down")):
                threading.Thread(target=self._pass, args=(source, target, kind, number),
                                 daemon=True).start()

    def _pass(self, source, target, kind, number):
        at = 0
        broken = False
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                self._count(kind, len(block))
                given = self._spoil(number, kind, at, block)
                self._send(target, kind, at, given)
                at += len(block)
                if len(given) < len(block):
                    broken = True
                    break
        for end, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR if broken else how)
        if broken:
            target.close()
            source.close()

    def _count(self, kind, size):
        with self._lock:
            passed = getattr(self, kind) + size
            setattr(self, kind, passed)
            waiting = getattr(self, f"on_{kind}")
            if waiting and passed >= waiting[0]:
                setattr(self, f"on_{kind}", None)
                waiting[1]()

    def _spoil(self, number, kind, at, block):
        """What is passed on of a block that begins at a byte of a connection's `kind`; when it is
        shorter the connection ends there."""
        return block

    def _send(self, target, kind, at, block):
        target.sendall(block)

    def cut(self):
        """Ends every connection there is, as a network that fails."""
        with self._lock:
            cut, self._open = self._open, set()
        for end in cut:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def vanish(self):
        """Forgets every connection there is, as a host whose power fails. What the kernel says to
        that goes out once: a network that loses packets keeps the other side from hearing it."""
        with self._lock:
            cut, self._open = self._open, set()
        for end in cut:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RD)  # whoever reads lets go of it, and says nothing
            end.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


class SlowProxy(CountingProxy):
    """Passes at most so many bytes a second from the server, over all connections."""

    def __init__(self, port, rate):
        self.rate = rate
        self._due = 0
        super().__init__(port)

    def _spoil(self, number, kind, at, block):
        if kind == "down":
            with self._lock:
                now = time.monotonic()
                self._due = max(self._due, now) + len(block) / self.rate
                wait = self._due - now
            time.sleep(wait)
        return block


class FaultyProxy(CountingProxy):
    """`fault` is a function (connection's number from 1, "up" or "down", its bytes before this
    block, the block) that gives what is passed on; None: nothing is wrong. `trickle_from`: of what
    the server says on a connection, one byte a second after so many; None: all at once."""

    def __init__(self, port, host="127.0.0.1"):
        self.fault = self.trickle_from = None
        self.ended = threading.Event()
        super().__init__(port, host)

    def _send(self, target, kind, at, block):
        start = self.trickle_from
        free = len(block) if kind == "up" or start is None else max(start - at, 0)
        target.sendall(block[:free])
        for number in range(free, len(block)):
            while self.trickle_from is not None and not self.ended.wait(1):
                break
            target.sendall(block[number:number + 1])

    def _spoil(self, number, kind, at, block):
        fault = self.fault
        return block if fault is None else fault(number, kind, at, block)

    def stall(self):
        """For a fault that never gives an answer; at the end the connection breaks."""
        self.ended.wait()
        return b""

    def __exit__(self, kind, value, trace):
        self.ended.set()
        super().__exit__(kind, value, trace)


class Reply:
    """An answer on its way: a rule changes it in place."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # list of (name, value)
        self.body = body
        self.cut_at = None  # the connection ends after so many bytes of the body
        self.told_size = None  # what Content-Length says, whatever the body has; then it ends
        self.repeated = 1  # so often the body comes, and no Content-Length

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def set_header(self, name, value):
        self.headers = [(key, old) for key, old in self.headers if key.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))


class Rule:
    """Changes the answers to requests whose path matches; `times` limits how often."""

    def __init__(self, pattern, change, *, method="GET", times=None):
        self.pattern = re.compile(pattern)
        self.change = change
        self.method = method
        self.times = times
        self.used = 0

    def applies(self, method, path):
        if method != self.method or not self.pattern.search(path):
            return False
        return self.times is None or self.used < self.times


class LyingProxy(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Passes requests on to a Server and lies by `rules`; `seen` are (method, path, range). A body
    whose path matches a pattern of `spoilt` goes up as that one's function makes it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    handler = None  # a kind of Handler

    def __init__(self, server):
        self.upstream = server
        self.rules = []
        self.spoilt = {}
        self.seen = []
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), self.handler or Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def lie(self, pattern, change, **options):
        rule = Rule(pattern, change, **options)
        self.rules.append(rule)
        return rule

    def handle_error(self, request, client_address):
        pass  # a client that went away

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *arguments):
        pass

    def _pass_on(self):
        proxy = self.server
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for pattern, change in proxy.spoilt.items():
            if re.search(pattern, self.path):
                body = change(body)
        headers = {name: value for name, value in self.headers.items()
                   if name.lower() not in ("host", "connection")}
        connection = http.client.HTTPConnection("127.0.0.1", proxy.upstream.port, timeout=60)
        try:
            connection.request(self.command, self.path, body=body or None, headers=headers)
            answer = connection.getresponse()
            reply = Reply(answer.status, [(name, value) for name, value in answer.getheaders()
                                          if name.lower() not in ("connection", "keep-alive")],
                          answer.read())
        finally:
            connection.close()
        with proxy.lock:
            proxy.seen.append((self.command, self.path, self.headers.get("Range")))
            chosen = [rule for rule in proxy.rules if rule.applies(self.command, self.path)]
            for rule in chosen:
                rule.used += 1
        for rule in chosen:
            rule.change(reply)
        self._answer(reply)

    def _answer(self, reply):
        length = reply.header("Content-Length")
        if self.command != "HEAD" and reply.status not in (204, 304):
            reply.set_header("Transfer-Encoding", None)
            if reply.repeated > 1:
                reply.set_header("Content-Length", None)
            elif length is None or int(length) != len(reply.body):
                reply.set_header("Content-Length", str(len(reply.body)))
            if reply.told_size is not None:
                reply.set_header("Content-Length", str(reply.told_size))
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(OSError):
                for _ in range(reply.repeated):
                    self.wfile.write(reply.body[:reply.cut_at])
        if reply.cut_at is not None or reply.told_size is not None or reply.repeated > 1:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _pass_on


HELD_S = 120  # how long Silence holds: longer than any bound of a test


class Silence:
    """A proxy whose answers to some paths are held back until `let`."""

    def __init__(self, server, pattern):
        self.go = threading.Event()
        self.proxy = LyingProxy(server)
        self.rule = self.proxy.lie(pattern, lambda reply: self.go.wait(HELD_S))
        self.rule.times = 0

    def hold(self):
        self.rule.times = None

    def let(self):
        self.go.set()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.let()
        self.proxy.shutdown()
        self.proxy.server_close()
