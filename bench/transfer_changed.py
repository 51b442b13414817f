# SPDX-License-Identifier: MIT
"""transfer_changed - pushes and pulls of a version that differs little from the one before, beside
an rsync daemon; both through a proxy that counts every byte of their connections, both ways.

1 KiB inserted near the start of 1 GiB; 1 % of 1 GiB changed in place; one of 100,000 files; and
releases of npm packages that follow each other, beside `rsync -z` and what is new as a whole by
`zstd -3`. Every round changes what the last one left, on both sides.
"""

import contextlib
import os
import random
import shutil
import subprocess
import time

from agent import Agent
from lab import APP, GIB, PROJECT
from lines import Lines
from rsync_peer import RsyncDaemon
from server import ROOT
from warm import warm_memory

KIB, MIB = 1 << 10, 1 << 20
BLOCK, CHANGED_BLOCKS = 64 * KIB, 164
FILES, A_DIRECTORY = 100_000, 100
RELEASES = (("typescript", "5.4.4", "5.4.5"), ("@esbuild/linux-x64", "0.21.4", "0.21.5"),
            ("@swc/core-linux-x64-gnu", "1.5.24", "1.5.25"))
BUNDLE, BUNDLE_SHARE = "typescript", 0.05


# ---------------------------------------------------------------- what changes

class OneFile:
    """1 GiB that nothing compresses."""

    def make(self, tree):
        tree.mkdir(parents=True)
        self.file = tree / "file"
        with open(self.file, "wb") as file:
            for _ in range(GIB // MIB):
                file.write(os.urandom(MIB))


class Inserted(OneFile):
    name = "inserted"
    goals = {"push": (0.7, 100_000), "pull": (0.7, 40_000)}

    def change(self, tree, number):
        with open(self.file, "rb") as old, open(tree / "new", "wb") as new:
            new.write(old.read(4096))
            new.write(os.urandom(KIB))
            shutil.copyfileobj(old, new, MIB)
        (tree / "new").rename(self.file)


class InPlace(OneFile):
    name = "in-place"
    goals = {"push": (0.9, 11_000_000), "pull": (0.9, 10_900_000)}
    without_cache = 11_600_000

    def change(self, tree, number):
        with open(self.file, "r+b") as file:
            for place in random.Random(number).sample(range(GIB // BLOCK), CHANGED_BLOCKS):
                file.seek(place * BLOCK)
                file.write(os.urandom(BLOCK))


class OneOfMany:
    name = "one-of-100k"
    goals = {"push": (0.5, None), "pull": (0.5, None)}
    share = 0.1  # of the bytes of rsync

    def make(self, tree):
        for directory in range(FILES // A_DIRECTORY):
            folder = tree / f"{directory // 100:02}" / f"directory-{directory % 100:02}"
            folder.mkdir(parents=True)
            for number in range(A_DIRECTORY):
                (folder / f"file-{number:03}.txt").write_text(f"{directory} {number}\n" * 10)

    def change(self, tree, number):
        (tree / f"0{number % 10}" / "directory-77" / "file-077.txt").write_text(f"{number}\n" * 20)


# ---------------------------------------------------------------- the two ways

class Places:
    """A tree, and what follows it: a version and a pulled directory, and rsync's two copies."""

    def __init__(self, lab, name, daemon, lines):
        self.lab, self.name, self.daemon, self.lines = lab, name, daemon, lines
        self.directory = lab.directory / f"changed-{name}"
        self.tree = self.directory / "tree"
        self.pulled, self.copied = self.directory / "pulled", self.directory / "copied"
        self.agent = self.new_agent("agent")
        self.version = 0
        self.rsync_flags = ["-a"]

    def new_agent(self, name):
        """One that knows nothing."""
        return Agent(self.directory / name, self.lines.server_url, self.lab.token,
                     insecure=bool(self.lines.prefix))

    def begin(self):
        """The first version is everywhere; it goes past the lines."""
        self.version += 1
        self.daemon.show(self.tree)
        self.daemon.empty(self.name)
        for verb, place in (("push", self.tree), ("pull", self.pulled)):
            self.lab.run_agent(self._line(self.agent, verb, place, "--server",
                                          self.lab.server.url), self.agent)
        for words in self._rsync_words(f"rsync://127.0.0.1:{self.daemon.port}"):
            subprocess.run(["rsync", "-a", *words], check=True, stdin=subprocess.DEVNULL)

    def _line(self, agent, verb, place, *more):
        return agent.line(verb, place, "--project", PROJECT, "--app", f"{APP}-{self.name}",
                          "--version", f"v{self.version}", "--json", *more)

    def _rsync_words(self, url):
        return [f"{self.tree}/", f"{url}/to/"], [f"{url}/from/", f"{self.copied}/"]

    def ours(self, verb, agent=None):
        """(seconds, bytes on the wire)"""
        self.lines.server.reset()
        agent = agent or self.agent
        line = self._line(agent, verb, self.tree if verb == "push" else self.pulled)
        start = time.perf_counter()
        self.lab.run_agent([*self.lines.prefix, *line], agent)
        return time.perf_counter() - start, self.lines.server.total

    def rsync(self, verb):
        self.lines.daemon.reset()
        words = self._rsync_words(self.lines.daemon_url)[verb == "pull"]
        start = time.perf_counter()
        subprocess.run([*self.lines.prefix, "rsync", *self.rsync_flags, *words], check=True,
                       stdin=subprocess.DEVNULL)
        return time.perf_counter() - start, self.lines.daemon.total

    def both(self, number):
        """{(verb, who): (seconds, bytes)} of the change that was just made."""
        self.version += 1
        warm_memory()
        turns = [(verb, who) for verb in ("push", "pull") for who in (self.ours, self.rsync)]
        if number % 2:
            turns = [turns[1], turns[0], turns[3], turns[2]]
        return {(verb, who.__name__): who(verb) for verb, who in turns}

    def check(self):
        """A figure of something that went wrong is none."""
        for copy in (self.pulled, self.copied):
            subprocess.run(["diff", "-r", "--no-dereference", "--exclude=.kkartifact", self.tree,
                            copy], check=True, stdin=subprocess.DEVNULL)

    def end(self):
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.daemon.directory / f"to-{self.name}", ignore_errors=True)


# ---------------------------------------------------------------- the lines

def middle(values):
    return sorted(values)[len(values) // 2]


def say_bytes(lab, name, ours, peer, goal):
    lab.say(name, ours, peer, ours / peer, goal if isinstance(goal, str) else f"<={goal:.2f}")


def measure(lab, subject, daemon, lines, rounds):
    places = Places(lab, subject.name, daemon, lines)
    subject.make(places.tree)
    places.begin()
    took = []
    for number in range(rounds):
        subject.change(places.tree, number)
        took.append(places.both(number))
    places.check()
    for verb in ("push", "pull"):
        goal, limit = subject.goals[verb]
        mine, others = (middle([each[verb, who][0] for each in took]) for who in ("ours", "rsync"))
        name = f"{verb}-{subject.name}{lab.suffix}"
        lab.say(name, f"{mine:.3f}s", f"{others:.3f}s", mine / others, f"<={goal:.2f}")
        size, peer = (middle([each[verb, who][1] for each in took]) for who in ("ours", "rsync"))
        say_bytes(lab, f"{name}-bytes", size, peer, getattr(subject, "share", "none"))
        if limit:
            say_bytes(lab, f"{name}-bytes-limit", size, limit, 1.0)
    limit = getattr(subject, "without_cache", None)
    if limit:
        subject.change(places.tree, rounds)
        places.version += 1
        _, size = places.ours("push", places.new_agent("knows-nothing"))
        say_bytes(lab, f"push-{subject.name}{lab.suffix}-no-cache-bytes-limit", size, limit, 1.0)
    places.end()


def packed(directory, package, version):
    """The release as a directory, from the registry that npm is set up for."""
    at = directory / f"{package.replace('/', '-')}-{version}"
    at.mkdir(parents=True)
    npm = shutil.which("npm") or ROOT / ".cache" / "venv" / "bin" / "npm"
    subprocess.run([npm, "pack", "--silent", f"{package}@{version}"], cwd=at, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    archive = next(at.glob("*.tgz"))
    subprocess.run(["tar", "-xzf", archive, "-C", at], check=True)
    archive.unlink()
    return at / "package"


def files_of(root):
    return {path.relative_to(root) for path in root.rglob("*") if path.is_file()}


def become(tree, new):
    """What changed gets the time of now: all files of a package have one and the same, by which
    rsync would take those of equal size for unchanged."""
    for path in files_of(tree) - files_of(new):
        (tree / path).unlink()
    for path in files_of(new):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        if not (tree / path).exists() or (tree / path).read_bytes() != (new / path).read_bytes():
            shutil.copyfile(new / path, tree / path)
            shutil.copymode(new / path, tree / path)


def whole_by_zstd(old, new):
    """What `zstd -3` makes of the files that the old release has not."""
    size = 0
    for path in sorted(files_of(new)):
        former = old / path
        data = (new / path).read_bytes()
        if not former.is_file() or former.read_bytes() != data:
            size += len(subprocess.run(["zstd", "-3", "-c"], input=data, check=True,
                                       stdout=subprocess.PIPE).stdout)
    return size


def release(lab, daemon, lines, package, before, after):
    short = package.rpartition("/")[0].lstrip("@") or package
    places = Places(lab, short, daemon, lines)
    places.rsync_flags = ["-az"]
    old = packed(places.directory, package, before)
    new = packed(places.directory, package, after)
    whole = whole_by_zstd(old, new)
    shutil.copytree(old, places.tree, symlinks=True)
    places.begin()
    become(places.tree, new)
    took = places.both(0)
    places.check()
    for verb in ("push", "pull"):
        mine, others = took[verb, "ours"], took[verb, "rsync"]
        name = f"{verb}-{short}-release{lab.suffix}"
        lab.say(name, f"{mine[0]:.3f}s", f"{others[0]:.3f}s", mine[0] / others[0], "none")
        say_bytes(lab, f"{name}-bytes", mine[1], min(others[1], whole), 1.0)
        say_bytes(lab, f"{name}-bytes-whole", mine[1], whole,
                  BUNDLE_SHARE if package == BUNDLE else "none")
    places.end()


def run(lab):
    with RsyncDaemon(lab.directory / "rsync-changed") as daemon, contextlib.ExitStack() as stack:
        lines = Lines(lab, daemon, stack)
        few = max(3, lab.rounds // 2)
        for subject in (Inserted(), InPlace(), OneOfMany()):
            measure(lab, subject, daemon, lines, few)
        for each in RELEASES:
            release(lab, daemon, lines, *each)
