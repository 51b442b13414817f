# SPDX-License-Identifier: MIT
"""mount_reads - what a program waits for that reads little of what is not there yet: the first byte
of a file, and 4 KiB here and there in a large one; beside the same requests without a mount, on one
connection that stays."""

import os
import statistics

import reads
from lab import APP, GIB, LARGE, PROJECT
from rounds import in_turns
from warm import warm_memory

KIB = 1 << 10
FILES, FILE_SIZE = 200, 2 << 20  # larger than what comes as a whole
READS = 1000
BEYOND_S = 0.0007                # what our own part of a first byte may take


def middle_files(lab):
    tree = lab.directory / "middle"
    if not tree.exists():
        for number in range(FILES):
            folder = tree / f"directory-{number}"  # nobody reads two of one directory
            folder.mkdir(parents=True)
            (folder / "file").write_bytes(os.urandom(FILE_SIZE))
        lab.push(tree, "middle")
    return [f"directory-{number}/file" for number in range(FILES)]


def first_byte(lab):
    names = middle_files(lab)
    url = f"/api/v1/projects/{PROJECT}/apps/{APP}/versions/middle/files/{names[0]}"

    def ours():
        with lab.mount() as mount:
            top = mount / PROJECT / APP / "middle"
            for _, _, _ in os.walk(top):
                pass
            return statistics.median(reads.first([top / name for name in names]))

    def peer():
        one = reads.ranges(lab.server.port, url, FILES, 128 * KIB, 1, FILE_SIZE,
                           lab.authorization())
        return 2 * one / FILES

    mine, other = in_turns(lab.rounds, ours, peer)
    lab.say("mount-first-byte", f"{mine * 1e3:.2f}ms", f"{other * 1e3:.2f}ms+0.7ms",
            mine / (other + BEYOND_S), "<=1.00")


def random_reads(lab):
    url = lab.file_url()[len(lab.server.url):]
    rounds = iter(range(1, 1000))

    def ours():
        with lab.mount() as mount:
            file = mount / PROJECT / APP / LARGE / "file"
            os.stat(file)
            warm_memory()
            return reads.at_random(file, READS, 4 * KIB, next(rounds))

    def peer():
        return reads.ranges(lab.server.port, url, READS, 4 * KIB, next(rounds), GIB,
                            lab.authorization())

    peer()
    mine, other = in_turns(lab.rounds, ours, peer)
    lab.say("mount-random-4kib", f"{mine:.3f}s", f"{other:.3f}s", mine / other, "<=3.90")


def run(lab):
    first_byte(lab)
    random_reads(lab)
