# SPDX-License-Identifier: MIT
"""network - a network of two hosts: this one, and a network namespace at the other end of a line.

    with Network() as network:
        with CountingProxy(server.port, network.here) as proxy:
            run([*network.prefix, "curl", proxy.url])
            network.lose()

Only the network is another: files and mounts are this host's. The line can lose all packets of
both directions without a word to anybody, as one that was cut far away.
"""

import contextlib
import itertools
import os
import subprocess

NUMBERS = itertools.count()  # a name space that was deleted goes behind, its links with it
NOBODY = "02:00:00:00:00:01"  # an address of a link that no link here has


class Network:
    """As a context; programs on the far side are started with `prefix` before their words."""

    def __init__(self):
        own = os.getpid() % 16384  # of 198.18.0.0/16, the range for benchmarks, four a process
        self.here, self.there = (f"198.18.{own >> 6}.{(own & 63) * 4 + end}" for end in (1, 2))
        number = next(NUMBERS) % 1000
        self.name = f"kkartifact-{os.getpid()}-{number}"
        self.ends = [f"kka{os.getpid()}{end}{number}" for end in "ab"]
        self.prefix = ["nsenter", f"--net=/run/netns/{self.name}", "--"]

    def ip(self, *words):
        subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)

    def ip_there(self, *words):
        self.ip("-n", self.name, *words)

    def __enter__(self):
        near, far = self.ends
        self.ip("netns", "add", self.name)
        try:
            self.ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", self.name)
            self.ip("address", "add", f"{self.here}/30", "dev", near)
            self.ip("link", "set", near, "up")
            self.ip_there("address", "add", f"{self.there}/30", "dev", far)
            self.ip_there("link", "set", far, "up")
            self.ip_there("link", "set", "lo", "up")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def lose(self):
        """From now on every packet goes to nobody."""
        near, far = self.ends
        self.ip("neighbour", "replace", self.there, "lladdr", NOBODY, "dev", near, "nud",
                "permanent")
        self.ip_there("neighbour", "replace", self.here, "lladdr", NOBODY, "dev", far, "nud",
                      "permanent")

    def forget_routes(self):
        """The far side knows no way to anybody, and says so at once to whoever tries."""
        self.ip_there("address", "flush", "dev", self.ends[1])

    def heal(self):
        near, far = self.ends
        self.ip_there("address", "replace", f"{self.there}/30", "dev", far)
        with contextlib.suppress(subprocess.CalledProcessError):
            self.ip("neighbour", "delete", self.there, "dev", near)
        with contextlib.suppress(subprocess.CalledProcessError):
            self.ip_there("neighbour", "delete", self.here, "dev", far)

    def __exit__(self, kind, value, trace):
        # The line at once, or its address would be there twice when the next one is made.
        for words in (["link", "delete", self.ends[0]], ["netns", "delete", self.name]):
            subprocess.run(["ip", *words], check=False, stdin=subprocess.DEVNULL)
