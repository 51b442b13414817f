# SPDX-License-Identifier: MIT
"""warm - a machine that is ready: what was written is on the disk, and there is memory to use."""

import mmap
import os

PAGES_NEEDED = 4 << 30  # both page caches of a GiB, twice


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
