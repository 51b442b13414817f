# SPDX-License-Identifier: MIT
"""reads - bench_reads.c from Python: each gives seconds, measured inside that program."""

import os
import subprocess

from server import program


def _run(words, given=None, environment=None):
    done = subprocess.run([str(word) for word in [program("bench_reads"), *words]], check=True,
                          input=given, stdin=subprocess.DEVNULL if given is None else None,
                          capture_output=True, text=True, env=environment)
    return [int(line) / 1e9 for line in done.stdout.split()]


def sequential(path):
    return _run(["sequential", path])[0]


def at_random(path, count, size, seed):
    return _run(["random", path, count, size, seed])[0]


def files(paths):
    return _run(["files"], "".join(f"{path}\n" for path in paths))[0]


def first(paths):
    """A time for each."""
    return _run(["first"], "".join(f"{path}\n" for path in paths))


def ranges(port, path, count, size, seed, length, authorization):
    """The same ranges by HTTP alone, on one connection."""
    return _run(["ranges", port, path, count, size, seed, length],
                environment={**os.environ, "BENCH_AUTHORIZATION": authorization})[0]
