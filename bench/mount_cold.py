# SPDX-License-Identifier: MIT
"""mount_cold - `dd` of 1 GiB from a mount whose cache is empty, beside `curl -o` of the same file
from the same server. Both leave the bytes on the disk; the mount has also verified them."""

from lab import APP, GIB, LARGE, PROJECT
from rounds import in_turns, rate, seconds
from warm import warm_memory


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
    lab.say("mount-cold-1gib", rate(GIB, mine), rate(GIB, other), other / mine, ">=0.80")
