# SPDX-License-Identifier: MIT
"""mount_cold - `dd` of 1 GiB from a mount whose cache is empty, beside `curl -o` of the same file
from the same server. Both leave the bytes on the disk; the mount has also verified them."""

import os

from lab import APP, GIB, LARGE, PROJECT
from rounds import in_turns, rate, seconds


def run(lab):
    url = lab.file_url()
    copy = lab.directory / "copy"

    def ours():
        os.sync()
        with lab.mount() as mount:
            return seconds(["dd", f"if={mount / PROJECT / APP / LARGE / 'file'}", "of=/dev/null",
                            "bs=1M", "status=none"])

    def peer():
        copy.unlink(missing_ok=True)
        os.sync()
        return seconds(["curl", "-sSf", "-H", lab.authorization(), "-o", copy, url])

    peer()
    mine, other = in_turns(lab.rounds, ours, peer)
    copy.unlink()
    lab.say("mount-cold-1gib", rate(GIB, mine), rate(GIB, other), other / mine, ">=0.60")
