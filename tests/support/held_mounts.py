# SPDX-License-Identifier: MIT
"""held_mounts - what tests do to a mount that has a holder: kill its workers, replace its
program."""

import os
import pathlib
import shutil
import signal
import time

from agent import run
from server import program


def top_of(mount, pushed):
    return mount.path.joinpath(*pushed)


def kill_until_it_pauses(mount, left_s=0.0):
    """Workers that answered nothing yet, one after the other, until there is a pause of which so
    much is left."""
    until = time.monotonic() + 60
    while True:
        status = mount.status()
        if status["worker"]["pid"] is None and status["next_worker_ms"] >= left_s * 1000:
            return
        if status["worker"]["pid"] is not None:
            os.kill(status["worker"]["pid"], signal.SIGKILL)
        assert time.monotonic() < until, "it does not pause"
        time.sleep(0.01)


def other_version(source, target):
    """The same program with another version in it."""
    data = pathlib.Path(source).read_bytes()
    version = run([source, "version"]).expect(0).stdout.split()[1].encode()
    other = version[:-1] + (b"9" if version[-1:] != b"9" else b"8")
    assert version + b"\0" in data
    new = target.with_name(target.name + ".new")
    new.write_bytes(data.replace(version + b"\0", other + b"\0"))
    new.chmod(0o755)
    new.rename(target)
    return other.decode()


class Upgraded:
    """A mount by a copy of the program, which can be replaced."""

    def __init__(self, mount, directory):
        self.mount = mount
        self.program = directory / "kkartifact-fs"
        shutil.copy(program("kkartifact-fs"), self.program)
        mount.line_program = self.program

    def upgrade(self, code=0):
        return self.mount.verb("upgrade", self.mount.path).expect(code)
