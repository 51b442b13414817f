# SPDX-License-Identifier: MIT
"""transfer - pushes and pulls beside an rsync daemon, both on loopback: 1 GiB in one file, 5,000
files of 60 MB in all, and each again when there is nothing to do.

Every round has bytes of its own, and places of its own, on both sides (ours: an app): what the
server or the disk has seen before would not be moved, and nothing stands there that something could
be compared with. Ours also keeps what it gets: hashed, named, durable before it says so.
"""

import contextlib
import os
import random
import shutil
import time

from agent import Agent
from lab import APP, GIB, PROJECT
from lines import Lines
from rounds import in_turns, seconds
from rsync_peer import RsyncDaemon
from warm import warm_memory

FILES, DIRECTORIES, AVERAGE = 5000, 50, 12_000
NOOP_BYTES = 20_000


def one_large_file(tree, number):
    tree.mkdir(parents=True)
    with open(tree / "file", "wb") as file:
        for _ in range(GIB >> 20):
            file.write(os.urandom(1 << 20))


def many_small_files(tree, number):
    """Half of each file's bytes do not compress, half do."""
    sizes = random.Random(number)
    for index in range(FILES):
        folder = tree / f"directory-{index % DIRECTORIES:02}"
        folder.mkdir(parents=True, exist_ok=True)
        size = int(sizes.expovariate(2 / AVERAGE)) + 10
        (folder / f"file-{index:04}").write_bytes(os.urandom(size) + b"some text, "[:11] *
                                                  (size // 11))


class Trees:
    """A tree, and the places that it goes to, for each round."""

    def __init__(self, lab, name, make, daemon, lines):
        self.lab, self.name, self.make, self.daemon = lab, name, make, daemon
        self.lines = lines
        self.agent = Agent(lab.directory / f"agent-{name}", lines.server_url, lab.token,
                           insecure=bool(lines.prefix))
        self.number = 0
        self.version = None

    def next(self):
        self.number += 1
        self.version = f"{self.name}-{self.number}"
        self.tree = self.lab.directory / "transfer" / self.version
        self.make(self.tree, self.number)
        self.pulled = self.lab.directory / "transfer" / f"{self.version}-pulled"
        self.copied = self.lab.directory / "transfer" / f"{self.version}-copied"
        self.daemon.show(self.tree)
        self.daemon.empty(self.version)
        warm_memory()

    def end(self):
        for path in (self.tree, self.pulled, self.copied,
                     self.daemon.directory / f"to-{self.version}"):
            shutil.rmtree(path, ignore_errors=True)


def ours(lab, trees, verb):
    place = trees.tree if verb == "push" else trees.pulled
    line = trees.agent.line(verb, place, "--version", trees.version, "--project", PROJECT, "--app",
                            f"{APP}-{trees.version}", "--json")
    start = time.perf_counter()
    done = lab.run_agent([*trees.lines.prefix, *line], trees.agent)
    took = time.perf_counter() - start
    return took, done["sent_bytes" if verb == "push" else "received_bytes"]


def rsync(trees, verb):
    url = trees.lines.daemon_url
    words = [f"{trees.tree}/", f"{url}/to/"] if verb == "push" else [f"{url}/from/",
                                                                    f"{trees.copied}/"]
    return seconds([*trees.lines.prefix, "rsync", "-a", *words])


def measure(lab, trees, rounds, goals):
    """Four lines: push and pull of what is new, and again of what is there."""
    kinds = [(verb, new) for new in (True, False) for verb in ("push", "pull")]
    times = {kind: ([], []) for kind in kinds}
    most = {}
    for number in range(rounds):
        trees.next()
        for new in (True, False):
            for verb in ("push", "pull"):
                mine, others = times[verb, new]
                turns = [lambda: mine.append(ours(lab, trees, verb)),
                         lambda: others.append(rsync(trees, verb))]
                for turn in turns if number % 2 == 0 else reversed(turns):
                    turn()
        trees.end()
    for kind in kinds:
        mine, others = times[kind]
        took = sorted(t for t, _ in mine)[rounds // 2]
        peer = sorted(others)[rounds // 2]
        most[kind] = max(size for _, size in mine)
        name = f"{kind[0]}-{trees.name}{'' if kind[1] else '-again'}{lab.suffix}"
        lab.say(name, f"{took:.3f}s", f"{peer:.3f}s", took / peer, f"<={goals[kind]:.2f}")
        if not kind[1]:
            lab.say(f"{name}-bytes", most[kind], NOOP_BYTES, most[kind] / NOOP_BYTES, "<=1.00")


def goals(push, pull):
    return {("push", True): push, ("pull", True): pull, ("push", False): 0.8, ("pull", False): 0.8}


def run(lab):
    with RsyncDaemon(lab.directory / "rsync") as daemon, contextlib.ExitStack() as stack:
        lines = Lines(lab, daemon, stack, counted=False)
        few = 1 if lab.slow_network else max(3, lab.rounds // 2)  # a GiB takes 43 s there
        measure(lab, Trees(lab, "1gib", one_large_file, daemon, lines), few,
                goals(1.0 if lab.slow_network else 1.5, 1.0))
        measure(lab, Trees(lab, "5000", many_small_files, daemon, lines), lab.rounds,
                goals(0.9, 0.9))
