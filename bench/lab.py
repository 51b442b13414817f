# SPDX-License-Identifier: MIT
"""lab - what the benchmarks share: a server with two versions in it, nginx as the peer, mounts,
and the memory that our programs were seen to use."""

import contextlib
import json
import os
import subprocess

from agent import Agent
from keeper import Keeper
from memory_watch import MemoryWatch
from mounts import Mount
from peer import Nginx
from server import Server

GIB = 1 << 30
PROJECT, APP = "bench", "app"
LARGE, MANY = "large", "many"  # versions: one file of 1 GiB; 100,000 files
FILES_A_DIRECTORY = 100
DIRECTORIES = 1000


class Lab:
    """Started as a context; trees are made and pushed when they are first asked for."""

    def __init__(self, directory, rounds, *, slow_network=False, huge=False):
        self.directory = directory
        self.rounds = rounds
        self.slow_network = slow_network
        self.suffix = "-slow" if slow_network else ""  # of the names of benchmarks
        self.huge = huge
        self.watch = MemoryWatch()
        self._stack = contextlib.ExitStack()
        self._mounts = 0

    def __enter__(self):
        self.keeper = Keeper()
        self._stack.callback(self.keeper.close)
        self.server = self._stack.enter_context(Server(self.directory / "data"))
        self.keeper.process(self.server.process.pid)
        self.token = self.server.token("push,pull")
        self._stack.callback(self.watch.close)
        self.watch.add("server", self.server.process.pid)
        self.agent = Agent(self.directory / "agent", self.server.url, self.token)
        return self

    def __exit__(self, kind, value, trace):
        self._stack.close()

    def say(self, name, ours, peer, ratio, goal):
        """The one line of a benchmark; `goal` is ">=0.90" or "<=1.00"."""
        ratio = "none" if ratio is None else f"{ratio:.2f}"
        print(f"bench {name} ours={ours} peer={peer} ratio={ratio} goal={goal}", flush=True)

    # -------------------------------------------------------------- trees

    def large(self):
        """The directory with `file` of 1 GiB of bytes that do not compress; pushed as LARGE."""
        tree = self.directory / "large"
        if not tree.exists():
            tree.mkdir()
            with open(tree / "file", "wb") as file:
                for _ in range(GIB >> 20):
                    file.write(os.urandom(1 << 20))
            self.push(tree, LARGE)
        return tree

    def many(self):
        """100,000 small files, each its own bytes, in 1,000 directories; pushed as MANY."""
        tree = self.directory / "many"
        if not tree.exists():
            for directory in range(DIRECTORIES):
                folder = tree / f"{directory // 100:02}" / f"directory-{directory % 100:02}"
                folder.mkdir(parents=True)
                for number in range(FILES_A_DIRECTORY):
                    (folder / f"file-{number:03}.txt").write_text(f"{directory} {number}\n" * 10)
            self.push(tree, MANY)
        return tree

    def push(self, tree, version):
        self._agent("push", tree, "--version", version)

    def pull(self, destination, version):
        self._agent("pull", destination, "--version", version)

    def _agent(self, *words):
        self.run_agent(self.agent.line(*words, "--project", PROJECT, "--app", APP, "--json"))

    def run_agent(self, line, agent=None):
        """What it says as JSON; its memory is watched. `agent`: whose home it has."""
        with subprocess.Popen([str(word) for word in line],
                              env=(agent or self.agent).environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            self.watch.add("agent", process.pid)
            said = process.stdout.read()
            if process.wait() != 0:
                raise RuntimeError(f"exit {process.returncode}: {line}")
        return json.loads(said)

    # -------------------------------------------------------------- ours and the peer

    def file_url(self):
        self.large()
        return (f"{self.server.url}/api/v1/projects/{PROJECT}/apps/{APP}/versions/{LARGE}"
                "/files/file")

    def authorization(self):
        return f"Authorization: Bearer {self.token}"

    def nginx(self):
        """nginx that serves the directory of large(); one for the whole run."""
        if not hasattr(self, "_nginx"):
            self._nginx = self._stack.enter_context(
                Nginx(self.directory / "nginx", self.large()))
            self.keeper.process(self._nginx.process.pid)
        return self._nginx

    def mount(self, **options):
        """A new mount with an empty cache, as a context."""
        self._mounts += 1
        mount = Mount(self.directory / f"mount-{self._mounts}", self.server.url, self.token,
                      self.keeper, **options)
        return _WatchedMount(mount, self.watch)


class _WatchedMount:
    def __init__(self, mount, watch):
        self.mount = mount
        self.watch = watch

    def __enter__(self):
        self.mount.mount()
        self.watch.add("mount", self.mount.worker())
        return self.mount

    def __exit__(self, kind, value, trace):
        self.mount.drop()
        subprocess.run(["rm", "-rf", self.mount.cache], check=True)
