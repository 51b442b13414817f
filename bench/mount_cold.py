# SPDX-License-Identifier: MIT
"""mount_cold - `dd` of 1 GiB from a mount whose cache is empty, beside `curl -o` of the same file
from the same server. Both leave the bytes on the disk; the mount has also verified them."""

import mmap
import os

from lab import APP, GIB, LARGE, PROJECT
from rounds import in_turns, rate, seconds


PAGES_NEEDED = 4 * GIB  # both page caches of ours, and some more


def warm_memory():
    """Has the host of a virtual machine give the memory that is about to be used.

    What the guest freed goes back to the host after some seconds, and the first touch of each
    page then costs as much as several copies of it. Whoever runs right after the other's files
    were removed would get warm pages, the other would not.
    """
    os.sync()
    with mmap.mmap(-1, PAGES_NEEDED) as memory:
        for offset in range(0, PAGES_NEEDED, mmap.PAGESIZE):
            memory[offset] = 1


def run(lab):
    url = lab.file_url()
    copy = lab.directory / "copy"

    def ours():
        with lab.mount() as mount:
            warm_memory()
            return seconds(["dd", f"if={mount / PROJECT / APP / LARGE / 'file'}", "of=/dev/null",
                            "bs=1M", "status=none"])

    def peer():
        warm_memory()
        took = seconds(["curl", "-sSf", "-H", lab.authorization(), "-o", copy, url])
        copy.unlink()
        return took

    peer()
    mine, other = in_turns(lab.rounds, ours, peer)
    lab.say("mount-cold-1gib", rate(GIB, mine), rate(GIB, other), other / mine, ">=0.60")
