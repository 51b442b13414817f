# SPDX-License-Identifier: MIT
"""mount_tree - every byte of 5,000 files of 60 MB read from a new mount whose cache is empty,
beside a pull of that tree by rsync from its daemon. The mount names, verifies, keeps them too."""

import os
import shutil

import reads
from lab import APP, PROJECT
from rounds import in_turns, seconds
from rsync_peer import RsyncDaemon
from transfer import many_small_files
from warm import warm_memory

VERSION = "five-thousand"


def run(lab):
    tree = lab.directory / VERSION
    if not tree.exists():
        many_small_files(tree, 7)
        lab.push(tree, VERSION)
    names = sorted(os.path.relpath(os.path.join(folder, name), tree)
                   for folder, _, files in os.walk(tree) for name in files)
    copy = lab.directory / "copied"
    with RsyncDaemon(lab.directory / "rsync-tree") as daemon:
        daemon.show(tree)

        def ours():
            with lab.mount() as mount:
                warm_memory()
                top = mount / PROJECT / APP / VERSION
                return reads.files([top / name for name in names])

        def peer():
            warm_memory()
            took = seconds(["rsync", "-a", f"{daemon.url}/from/", f"{copy}/"])
            shutil.rmtree(copy)
            return took

        mine, other = in_turns(lab.rounds, ours, peer)
    lab.say("mount-cold-5000", f"{mine:.3f}s", f"{other:.3f}s", mine / other, "<=0.50s")
