# SPDX-License-Identifier: MIT
"""mount_kill - how long who asks waits when the worker is killed: 200 times under a load that holds
every byte against a copy; a call that fails ends the run. The peer is the limit that was set."""

import random
import statistics

from lab import APP, PROJECT
from mount_load import Load, kill_workers, make_tree

KILLS = 200
LIMIT_S = 0.050


def run(lab):
    tree = lab.directory / "load"
    if not tree.exists():
        make_tree(tree)
        lab.push(tree, "load")
    with lab.mount() as mount:
        top = mount / PROJECT / APP / "load"
        with Load(top, tree, count=1) as load:
            moments = kill_workers(mount.status()["holder"]["pid"], KILLS, load, random.Random(1),
                                   top)
        gaps = sorted(load.gaps(moments))
    late = gaps[int(len(gaps) * 0.99)]
    lab.say("mount-kill-gap-p99", f"{late * 1e3:.1f}ms", f"{LIMIT_S * 1e3:.0f}ms", late / LIMIT_S,
            "<=1.00")
    lab.say("mount-kill-gap-median", f"{statistics.median(gaps) * 1e3:.1f}ms",
            f"{LIMIT_S * 1e3:.0f}ms", None, "none")
