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

from proxies import CountingProxy

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


class DelayingProxy(CountingProxy):
    """At HERE; what passes is late."""

    def __init__(self, port):
        super().__init__(port, HERE)

    def _pass(self, source, target, kind, number):
        shaken = time.monotonic() + ROUND_TRIP_S
        late = queue.SimpleQueue()
        threading.Thread(target=self._give, args=(target, late), daemon=True).start()
        with contextlib.suppress(OSError):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while block := source.recv(65536):
                late.put((max(time.monotonic(), shaken) + ROUND_TRIP_S / 2, block))
                self._count(kind, len(block))
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
