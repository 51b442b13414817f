# SPDX-License-Identifier: MIT
"""transfer_huge - the push of a file of 10 GiB: memory must not grow with it. Only with --huge; the
peer is the limit that was set."""

import os
import shutil

from lab import GIB
from memory import LIMITS, MIB

SIZE = 10 * GIB


def run(lab):
    if not lab.huge:
        return
    tree = lab.directory / "huge"
    tree.mkdir()
    with open(tree / "file", "wb") as file:
        for _ in range(SIZE // MIB):
            file.write(os.urandom(MIB))
    before, lab.watch.most = lab.watch.most, {}
    lab.push(tree, "huge")
    most = dict(lab.watch.most)
    for name in ("agent", "server"):
        lab.say(f"memory-{name}-push-10gib", f"{most[name] / MIB:.1f}MiB",
                f"{LIMITS[name] / MIB:.0f}MiB", most[name] / LIMITS[name], "<=1.00")
    lab.watch.most = {name: max(before.get(name, 0), most.get(name, 0))
                      for name in before.keys() | most.keys()}
    shutil.rmtree(tree)
