# SPDX-License-Identifier: MIT
"""attaches - one version at one place, for the length of a test."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

from agent import clean_environment, run
from keeper import start_time
from mount_load import end_all
from mounts import ANSWER_WITHIN_S, Mount
from server import program


def devices_at(path):
    """What is mounted at a place, in the order of the table: never asks the mount."""
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return [line.split()[2] for line in table if line.split()[4] == str(path)]


def connections():
    """Open FUSE connections, by number."""
    subprocess.run(["mount", "-t", "fusectl", "none", "/sys/fs/fuse/connections"], check=False,
                   stderr=subprocess.DEVNULL)
    return set(os.listdir("/sys/fs/fuse/connections"))


class Attach(Mount):
    """`what` ("P/A", "P/A@CHANNEL", "P/A/V") of one server at a place of its own."""

    def __init__(self, directory, url, token, keeper, what, *, flags=(), environment=None,
                 target=None, **options):
        super().__init__(directory, url, token, keeper, **options)
        self.what = what
        self.flags = flags
        self.environment = environment or {}
        if target is not None:
            self.path = pathlib.Path(target)

    def line(self):
        options = {"token_file": self.token_file, "cache": self.cache, **self.options}
        words = [name if value is True else f"{name}={value}" for name, value in options.items()]
        return [self.line_program, "attach", self.url, self.what, self.path, "-o", ",".join(words),
                *self.flags]

    def try_mount(self):
        self.keeper.mount(self.path)
        done = run(self.line(), env=clean_environment(self.home, **self.environment),
                   within=ANSWER_WITHIN_S)
        if done.code == 0:
            self.note_daemon()
        return done

    def attached(self):
        return self.status()["attached"]

    def log(self):
        [log] = pathlib.Path("/run/kkartifact").glob(f"*-{self.daemon[0]}.log")
        return log.read_text(encoding="utf-8")

    def drop(self):
        """The holder ends with its last connection, which a forgotten file would keep."""
        with contextlib.suppress(OSError, json.JSONDecodeError):
            run([program("kkartifact-fs"), "detach", self.path],
                env=clean_environment(self.home), within=ANSWER_WITHIN_S)
        if self.daemon is not None and start_time(self.daemon[0]) == self.daemon[1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.daemon[0], signal.SIGTERM)
        super().drop()


class Readers:
    """Some attach_reader.py. As a context they run; none may have seen anything wrong."""

    def __init__(self, target, count, number=4):
        self.line = [sys.executable, "-S", pathlib.Path(__file__).with_name("attach_reader.py"),
                     target, str(count)]
        self.number = number
        self.processes = []
        self.looks = self.newer = 0

    def __enter__(self):
        self.processes = [
            subprocess.Popen(self.line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for _ in range(self.number)]
        return self

    def __exit__(self, kind, value, trace):
        for out in end_all(self.processes, kind is None):
            looks, newer = map(int, out.split())
            self.looks += looks
            self.newer += newer
