# SPDX-License-Identifier: MIT
"""mount_load - programs that look at a mounted version without a pause and hold it against a copy
(tests/mount/mount_load.c), while a test shakes what answers them."""

import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import time

from server import program

END_WITHIN_S = 60


def make_tree(directory, seed=1):
    """A version for the load: small files, a large one, a program."""
    directory = pathlib.Path(directory)
    (directory / "files").mkdir(parents=True)
    chance = random.Random(seed)
    for number in range(40):
        data = chance.randbytes(chance.choice([1, 100, 5_000, 70_000]))
        (directory / "files" / str(number)).write_bytes(data)
    (directory / "large").write_bytes(chance.randbytes(3_000_000))
    shutil.copy(shutil.which("true"), directory / "program")
    return directory


def end_all(processes, must_be_right):
    """Ends programs that go on until their input ends; what each has printed. All are ended first,
    then none may have failed; where it does not matter any more nothing is told."""
    ends = []
    for process in processes:
        try:
            ends.append(process.communicate(timeout=END_WITHIN_S))
        except subprocess.TimeoutExpired:
            process.kill()
            ends.append(("", "it hangs in the mount"))
    if not must_be_right:
        return []
    for process, (_, said) in zip(processes, ends, strict=True):
        assert process.returncode == 0, said
    return [out for out, _ in ends]


class Load:
    """`count` of them. As a context they run; at its end they must have seen nothing wrong."""

    def __init__(self, tree, copy, count=2):
        self.line = [program("mount_load"), tree, copy]
        self.count = count
        self.processes = []
        self.waits = []  # (kind, start, end) of what took long, seconds of the monotonic clock
        self.looks = 0

    def __enter__(self):
        self.processes = [
            subprocess.Popen([str(word) for word in [*self.line, seed]], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for seed in range(1, self.count + 1)]
        return self

    def check(self):
        """None has ended by itself, with what it has seen."""
        for process in self.processes:
            assert process.poll() is None, process.communicate()[1]

    def __exit__(self, kind, value, trace):
        for out in end_all(self.processes, kind is None):
            *waits, done = out.splitlines()
            self.looks += int(done.split()[1])
            for line in waits:
                kind, *times = line.split()
                self.waits.append((kind, *(int(number) / 1e9 for number in times)))

    def gaps(self, moments):
        """How long behind each moment somebody waited for a name who asked before it, or soon
        after; moments at which nobody did are left out."""
        waits = [[end - moment for kind, start, end in self.waits
                  if kind == "name" and start <= moment + 0.02 and end >= moment]
                 for moment in moments]
        return [max(found) for found in waits if found]


def worker_of(holder):
    """The process that a holder has made and that runs now, or None: asked of the kernel, since the
    mount itself may have nobody who answers."""
    try:
        with open(f"/proc/{holder}/task/{holder}/children", encoding="ascii") as children:
            listed = children.read().split()
    except FileNotFoundError:
        return None
    return int(listed[0]) if listed else None


def await_worker(holder, other_than=None, within=30):
    until = time.monotonic() + within
    while True:
        pid = worker_of(holder)
        if pid is not None and pid != other_than and is_started(pid):
            return pid
        assert time.monotonic() < until, "no worker follows"
        time.sleep(0.001)


def is_started(pid):
    """It runs the program already, no longer the holder's code."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as line:
            return b"--worker" in line.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_workers(holder, count, load, chance, top):
    """Kills one worker after the other, at moments that nobody has chosen; the moments. Every
    second one has answered something: the holder pauses only when many in a row have not."""
    moments, killed = [], None
    for number in range(count):
        killed = await_worker(holder, killed)
        if number % 2 == 0:
            with contextlib.suppress(FileNotFoundError):
                os.stat(top / f"asked-{number}")
        time.sleep(chance.uniform(0.0, 0.08))
        moments.append(time.monotonic())
        os.kill(killed, 9)
        load.check()
    await_worker(holder, killed)
    return moments
