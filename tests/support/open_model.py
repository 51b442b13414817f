# SPDX-License-Identifier: MIT
"""open_model TREE COPY SEED - opens files of a mounted tree, keeps some open, reads and maps parts
of them and closes them, in no order, and holds every byte against a copy, until its standard input
ends. Any error and any wrong byte ends it with exit code 1. At the end: "done OPENS".

OpenModels runs several of them.
"""

import mmap
import os
import pathlib
import random
import select
import subprocess
import sys

KEPT_MAX = 24
END_WITHIN_S = 60


class Open:
    """A file that is open, beside its copy."""

    def __init__(self, path, copy):
        self.path = path
        self.wanted = copy.read_bytes()
        self.file = os.open(path, os.O_RDONLY)
        self.mapped = None

    def look(self, chance):
        size = len(self.wanted)
        offset = chance.randrange(size)
        length = chance.choice([1, 5000, 200_000])
        if chance.random() < 0.3:
            if self.mapped is None:
                self.mapped = mmap.mmap(self.file, 0, prot=mmap.PROT_READ)
            got = self.mapped[offset:offset + length]
        else:
            got = os.pread(self.file, length, offset)
            if chance.random() < 0.2:
                os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)
        if got != self.wanted[offset:offset + length]:
            raise ValueError(f"{self.path}: wrong bytes at {offset}")

    def close(self):
        os.close(self.file)
        if self.mapped is not None:
            self.mapped.close()


def main(tree, copy, seed):
    chance = random.Random(int(seed))
    tree, copy = pathlib.Path(tree), pathlib.Path(copy)
    names = [path.relative_to(copy) for path in sorted(copy.rglob("*")) if path.is_file()]
    kept, opens = [], 0
    while not select.select([0], [], [], 0)[0]:
        if not kept or (len(kept) < KEPT_MAX and chance.random() < 0.4):
            # Few names, so that they meet.
            name = names[min(chance.randrange(len(names)), chance.randrange(len(names)))]
            kept.append(Open(tree / name, copy / name))
            opens += 1
        chance.choice(kept).look(chance)
        if chance.random() < 0.4:
            kept.pop(chance.randrange(len(kept))).close()
        if chance.random() < 0.02:
            while kept:
                kept.pop().close()
    print(f"done {opens}")


class OpenModels:
    """`count` of them. As a context they run; at its end they must have seen nothing wrong."""

    def __init__(self, tree, copy, count=3, seed=1):
        self.lines = [[sys.executable, __file__, tree, copy, seed + number]
                      for number in range(count)]
        self.processes = []
        self.opens = 0

    def __enter__(self):
        self.processes = [
            subprocess.Popen([str(word) for word in line], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for line in self.lines]
        return self

    def check(self):
        """None has ended by itself."""
        for process in self.processes:
            assert process.poll() is None, process.communicate()[1]

    def __exit__(self, kind, value, trace):
        for process in self.processes:
            try:
                out, said = process.communicate(timeout=END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                out, said = "", "it hangs in the mount"
            if kind is None:
                assert process.returncode == 0, said
                self.opens += int(out.split()[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
