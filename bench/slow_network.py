# SPDX-License-Identifier: MIT
"""slow_network - a network namespace at the end of a line of 200 Mbit/s, and proxies that make the
line 20 ms long.

The rate is the kernel's (tbf at both ends of a veth pair); it has no netem here, so the delay is
made by the proxy: each byte is passed on half a round trip after it came, and what a new
connection sends first waits one round trip more, as it would for the handshake.
"""

import contextlib
import queue
import socket
import subprocess
import threading
import time

from network import Network
from proxies import CountingProxy

ROUND_TRIP_S = 0.020
RATE, BURST, LATENCY = "200mbit", "128kb", "100ms"


class SlowNetwork(Network):
    """As a context; programs on the far side are started with `prefix` before their words."""

    def __enter__(self):
        super().__enter__()
        limit = ["root", "tbf", "rate", RATE, "burst", BURST, "latency", LATENCY]
        try:
            for prefix, end in zip(([], self.prefix), self.ends, strict=True):
                subprocess.run([*prefix, "tc", "qdisc", "add", "dev", end, *limit], check=True,
                               stdin=subprocess.DEVNULL)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self


class DelayingProxy(CountingProxy):
    """What passes is late."""

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
