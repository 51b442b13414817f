# SPDX-License-Identifier: MIT
"""mount_warm - what has been read before, read again, beside the same on the disk's own file
system: 1 GiB in order, 4 KiB here and there of it, and 20,000 files opened, read and closed."""

import reads
from lab import APP, DIRECTORIES, FILES_A_DIRECTORY, LARGE, MANY, PROJECT
from rounds import in_turns

FILES = 20_000
READS = 200_000


def run(lab):
    large, many = lab.large() / "file", lab.many()
    names = [path.relative_to(many) for path in
             sorted(many.glob("*/*/*"))[:min(FILES, DIRECTORIES * FILES_A_DIRECTORY)]]
    with lab.mount() as mount:
        top = mount / PROJECT / APP
        shown = top / LARGE / "file"
        for each in (shown, large):
            reads.sequential(each)
        mine, other = in_turns(lab.rounds * 2 - 1, lambda: reads.sequential(shown),
                               lambda: reads.sequential(large))
        lab.say("mount-warm-1gib", f"{mine:.3f}s", f"{other:.3f}s", other / mine, ">=0.97")
        mine, other = in_turns(lab.rounds * 2 - 1, lambda: reads.at_random(shown, READS, 4096, 3),
                               lambda: reads.at_random(large, READS, 4096, 3))
        lab.say("mount-warm-4kib", f"{mine:.3f}s", f"{other:.3f}s", other / mine, ">=0.97")
        ours, peer = ([folder / name for name in names] for folder in (top / MANY, many))
        for each in (ours, peer):
            reads.files(each)
        mine, other = in_turns(lab.rounds * 2 - 1, lambda: reads.files(ours),
                               lambda: reads.files(peer))
        lab.say("mount-warm-20000", f"{mine:.3f}s", f"{other:.3f}s", other / mine, ">=0.80")
