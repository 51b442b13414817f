# SPDX-License-Identifier: MIT
"""mount_million - a version of 1,000,000 files: what the first mount of it moves, how soon it lists
when it is known, and the memory of its daemon while large files stream."""

import contextlib
import os
import subprocess
import time

from lab import APP, LARGE, PROJECT
from memory_watch import MemoryWatch
from proxies import CountingProxy
from mounts import Mount
from warm import warm_memory

VERSION = "million"
DIRECTORIES, FILES_A_DIRECTORY = 10_000, 100
BYTES, ROUND_TRIPS, LIST_S = 10_000_000, 3, 0.050
STREAMS, MIB = 2, 1 << 20
MEMORY = (30 + STREAMS) * MIB


def a_million(lab):
    """Few contents, so that the store stays small: the names are what counts."""
    tree = lab.directory / VERSION
    if not tree.exists():
        for number in range(DIRECTORIES):
            folder = tree / f"group-{number // 100:02}" / f"directory-{number % 100:02}"
            folder.mkdir(parents=True)
            for index in range(FILES_A_DIRECTORY):
                (folder / f"file-{number * FILES_A_DIRECTORY + index:06}.txt").write_text(
                    f"{index}\n")
        lab.push(tree, VERSION)


def run(lab):
    a_million(lab)
    lab.large()
    proxy = CountingProxy(lab.server.port)
    place = lab.directory / "million-mount"
    with Mount(place, proxy.url, lab.token, lab.keeper) as mount:
        top = mount / PROJECT / APP
        proxy.reset()
        before = mount.status()["requests"]
        os.listdir(top / VERSION)
        moved, asked = proxy.total, mount.status()["requests"] - before
    lab.say("mount-million-bytes", moved, BYTES, moved / BYTES, "<=1.00")
    lab.say("mount-million-round-trips", asked, ROUND_TRIPS, asked / ROUND_TRIPS, "<=1.00")
    warm_memory()
    watch = MemoryWatch()
    with contextlib.closing(watch), Mount(place, proxy.url, lab.token, lab.keeper) as mount:
        watch.add("mount", mount.worker())
        start = time.perf_counter()
        os.listdir(mount / PROJECT / APP / VERSION)
        took = time.perf_counter() - start
        lab.say("mount-million-list", f"{took * 1e3:.1f}ms", f"{LIST_S * 1e3:.0f}ms",
                took / LIST_S, "<=1.00")
        large = mount / PROJECT / APP / LARGE / "file"
        half = large.stat().st_size // MIB // STREAMS
        streams = [subprocess.Popen(["dd", f"if={large}", "of=/dev/null", "bs=1M",
                                     f"skip={half * number}", f"count={half}", "status=none"])
                   for number in range(STREAMS)]
        os.listdir(mount / PROJECT / APP / VERSION / "group-00" / "directory-00")
        if any([stream.wait() for stream in streams]):
            raise RuntimeError("a stream failed")
    lab.say("memory-mount-million", f"{watch.most['mount'] / MIB:.1f}MiB", f"{MEMORY / MIB:.0f}MiB",
            watch.most["mount"] / MEMORY, "<=1.00")
