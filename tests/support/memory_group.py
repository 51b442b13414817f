# SPDX-License-Identifier: MIT
"""memory_group - a control group whose processes have so much memory, page cache included, and no
more: who goes beyond is killed.

    with MemoryGroup(64 << 20) as group:
        run([*group.prefix, "program"])
        assert group.kills() == 0

Version 2 and version 1 of the kernel's interface. Where neither may be written to, `is_enforced` is
false: the programs run, without a bound.
"""

import contextlib
import os
import pathlib
import time

ROOT = pathlib.Path("/sys/fs/cgroup")
ENTER = 'echo $$ >"$0/cgroup.procs" && exec "$@"'


def own_groups():
    """{controllers: path} of this process; "" is version 2."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        lines = [line.rstrip("\n").split(":", 2) for line in file]
    return {controllers: path.lstrip("/") for _, controllers, path in lines}


def candidates():
    """(folder in which a group can be made, file of its limit, file that counts kills)."""
    groups = own_groups()
    if "" in groups:
        for root in (ROOT, ROOT / "unified"):
            own = root / groups[""]
            for folder in (own, own.parent, root):
                with contextlib.suppress(OSError):
                    words = (folder / "cgroup.subtree_control").read_text(encoding="ascii")
                    if "memory" in words.split():
                        yield folder, "memory.max", "memory.events"
    if "memory" in groups:
        for folder in (ROOT / "memory" / groups["memory"], ROOT / "memory"):
            yield folder, "memory.limit_in_bytes", "memory.oom_control"


class MemoryGroup:
    """As a context; programs in it are started with `prefix` before their words."""

    def __init__(self, size):
        self.size = size
        self.folder = self._kills = None

    @property
    def is_enforced(self):
        return self.folder is not None

    @property
    def prefix(self):
        return ["sh", "-c", ENTER, self.folder] if self.is_enforced else []

    def kills(self):
        if not self.is_enforced:
            return 0
        lines = (self.folder / self._kills).read_text(encoding="ascii").splitlines()
        return int(dict(line.split() for line in lines).get("oom_kill", 0))

    def __enter__(self):
        for parent, limit, kills in candidates():
            folder = parent / f"kkartifact-test-{os.getpid()}"
            try:
                folder.mkdir()
            except OSError:
                continue
            try:
                (folder / limit).write_text(str(self.size), encoding="ascii")
            except OSError:
                folder.rmdir()
                continue
            self.folder, self._kills = folder, kills
            break
        return self

    def __exit__(self, kind, value, trace):
        until = time.monotonic() + 30
        while self.folder is not None:
            try:
                self.folder.rmdir()
                return
            except OSError:  # its last process is on its way out
                assert time.monotonic() < until, f"{self.folder} has processes"
                time.sleep(0.05)
