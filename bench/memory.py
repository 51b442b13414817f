# SPDX-License-Identifier: MIT
"""memory - the most RssAnon + RssShmem that our programs had in all that ran before, and in a push
and a pull of each tree. The peer is the limit that was set."""

import shutil
import subprocess

from lab import APP, LARGE, MANY, PROJECT

MIB = 1 << 20
LIMITS = {"server": 100 * MIB, "agent": 64 * MIB, "mount": 64 * MIB}


def run(lab):
    lab.large(), lab.many()  # pushed, if they were not yet
    for version in (LARGE, MANY):
        lab.pull(lab.directory / "pulled", version)
        shutil.rmtree(lab.directory / "pulled")
    if "mount" not in lab.watch.most:
        _read_all(lab)
    for name, limit in LIMITS.items():
        most = lab.watch.most[name]
        lab.say(f"memory-{name}", f"{most / MIB:.1f}MiB", f"{limit / MIB:.0f}MiB", most / limit,
                "<=1.00")


def _read_all(lab):
    with lab.mount() as mount:
        shown = mount / PROJECT / APP
        subprocess.run(["ls", "-lR", shown / MANY], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cat", shown / LARGE / "file"], check=True, stdout=subprocess.DEVNULL)
