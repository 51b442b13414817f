# SPDX-License-Identifier: MIT
"""passthrough - `dd` of 1 GiB that is in the cache, from a mount whose complete files the kernel
reads by itself, beside the cache's own file. The pages are in memory: what is compared is the way
to them."""

import hashlib
import os

from lab import APP, GIB, LARGE, PROJECT
from mounts import eventually
from rounds import in_turns, rate, seconds
from warm import warm_memory


def dd(path):
    return seconds(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"])


def is_passed(mount, path):
    """The first open has the file hashed, which takes longer than an open waits."""
    file = os.open(path, os.O_RDONLY)
    try:
        return mount.status()["passthrough"]["opens"] > 0
    finally:
        os.close(file)


def run(lab):
    with open(lab.large() / "file", "rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()
    with lab.mount(passthrough="on") as mount:
        mount.verb("prefetch", mount.path, f"{PROJECT}/{APP}/{LARGE}").expect(0)
        path = mount / PROJECT / APP / LARGE / "file"
        kept = mount.cache / "obj" / name[:2] / name
        eventually(lambda: is_passed(mount, path))
        warm_memory()
        dd(kept)
        before = mount.status()["passthrough"]["reads"]
        mine, other = in_turns(lab.rounds * 2 - 1, lambda: dd(path), lambda: dd(kept))
        if mount.status()["passthrough"]["reads"] != before:
            raise RuntimeError("the kernel has asked the mount for bytes")
    lab.say("passthrough-1gib", rate(GIB, mine), rate(GIB, other), other / mine, ">=0.90")
