# SPDX-License-Identifier: MIT
"""mount_walk - the first, and the second and later `find` and `ls -lR` of 100,000 files in a mount,
beside the same tree on the disk's own file system."""

import subprocess

from lab import APP, MANY, PROJECT
from rounds import in_turns, seconds

WALKS = {"find": ["find"], "list": ["ls", "-lR"]}


def run(lab):
    tree = lab.many()
    for name, words in WALKS.items():
        with lab.mount() as mount:
            shown = mount / PROJECT / APP / MANY

            def walk(directory, words=words):
                return seconds([*words, directory], stdout=subprocess.DEVNULL)

            first = walk(shown)
            walk(tree)
            mine, other = in_turns(lab.rounds * 2 - 1, lambda: walk(shown), lambda: walk(tree))
        lab.say(f"{name}-100k-second", f"{mine:.3f}s", f"{other:.3f}s", other / mine, ">=1.10")
        lab.say(f"{name}-100k-first", f"{first:.3f}s", f"{other:.3f}s", other / first, "none")
