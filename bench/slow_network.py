# SPDX-License-Identifier: MIT
"""slow_network - a network namespace at the end of a line of 200 Mbit/s, and proxies that make the
line 20 ms long.

The rate is the kernel's (tbf at both ends of a veth pair); it has no netem here, so the delay is
made by the proxy: each byte is passed on half a round trip after it came, and what a new
connection sends first waits one round trip more, as it would for the handshake.
"""

import contextlib
import os
import queue
import socket
import subprocess
import threading
import time

ROUND_TRIP_S = 0.020
RATE, BURST, LATENCY = "200mbit", "128kb", "100ms"
HERE, THERE = "198.18.77.1", "198.18.77.2"  # of the range that benchmarks have


class SlowNetwork:
    """As a context; programs on the far side are started with `prefix` before their words."""

    def __init__(self):
        self.name = f"kkbench-{os.getpid()}"
        self.ends = [f"kkb{os.getpid() % 100000}{end}" for end in "ab"]
        self.prefix = ["ip", "netns", "exec", self.name]

    def _ip(self, *words):
        subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)

    def __enter__(self):
        near, far = self.ends
        inside = self.prefix[2:]
        self._ip("netns", "add", self.name)
        try:
            self._ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
            self._ip("address", "add", f"{HERE}/30", "dev", near)
            self._ip("link", "set", near, "up")
            self._ip("netns", *inside, "ip", "address", "add", f"{THERE}/30", "dev", far)
            self._ip("netns", *inside, "ip", "link", "set", far, "up")
            self._ip("netns", *inside, "ip", "link", "set", "lo", "up")
            limit = ["tc", "qdisc", "add", "dev", None, "root", "tbf", "rate", RATE, "burst", BURST,
                     "latency", LATENCY]
            for prefix, end in (([], near), (self.prefix, far)):
                subprocess.run([*prefix, *(end if word is None else word for word in limit)],
                               check=True, stdin=subprocess.DEVNULL)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind, value, trace):
        subprocess.run(["ip", "netns", "del", self.name], check=False, stdin=subprocess.DEVNULL)


class DelayingProxy:
    """Passes what comes to HERE on to 127.0.0.1:`port`, late; `up` and `down` are the bytes."""

    def __init__(self, port):
        self.port = port
        self.up = self.down = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server((HERE, 0), backlog=64)
        self.host = HERE
        self.listens = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(("127.0.0.1", self.port))
            for end in (client, upstream):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            shaken = time.monotonic() + ROUND_TRIP_S
            for source, target, kind in ((client, upstream, "up"), (upstream, client, "down")):
                late = queue.SimpleQueue()
                threading.Thread(target=self._take, args=(source, late, kind, shaken),
                                 daemon=True).start()
                threading.Thread(target=self._give, args=(target, late), daemon=True).start()

    def _take(self, source, late, kind, shaken):
        with contextlib.suppress(OSError):
            while block := source.recv(65536):
                late.put((max(time.monotonic(), shaken) + ROUND_TRIP_S / 2, block))
                with self._lock:
                    setattr(self, kind, getattr(self, kind) + len(block))
        late.put((time.monotonic() + ROUND_TRIP_S / 2, b""))

    @staticmethod
    def _give(target, late):
        with contextlib.suppress(OSError):
            while True:
                due, block = late.get()
                wait = due - time.monotonic()
                if wait > 0:
                    time.sleep(wait)
                if not block:
                    break
                target.sendall(block)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def reset(self):
        with self._lock:
            self.up = self.down = 0

    @property
    def total(self):
        return self.up + self.down

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
