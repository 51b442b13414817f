# SPDX-License-Identifier: MIT
"""list_warm - the second and later `ls -lR` of 100,000 files in the mount, beside the same tree on
the disk's own file system."""

import subprocess

from lab import APP, MANY, PROJECT
from rounds import in_turns, seconds


def run(lab):
    tree = lab.many()

    def list_all(directory):
        return seconds(["ls", "-lR", directory], stdout=subprocess.DEVNULL)

    with lab.mount() as mount:
        shown = mount / PROJECT / APP / MANY

        def ours():
            return list_all(shown)

        def peer():
            return list_all(tree)

        first = ours()
        peer()
        mine, other = in_turns(lab.rounds * 2 - 1, ours, peer)
        lab.say("list-100k-second", f"{mine:.3f}s", f"{other:.3f}s", other / mine, ">=1.00")
        lab.say("list-100k-first", f"{first:.3f}s", f"{other:.3f}s", other / first, "none")
