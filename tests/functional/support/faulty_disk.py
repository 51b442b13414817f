# SPDX-License-Identifier: MIT
"""faulty_disk - a server whose store is on a disk that fails and dawdles, at a time that jumps.

    disk = FaultyDisk(tmp_path / "control", data / "blobs", seed)
    server = new_server(data, environment=disk.environment)
    disk.set(fail=0.01, delay=0.05)
    disk.move_clock(3600)
    disk.heal()

tests/support/store_faults.c does it, in every program that has the environment; it looks at the
file for each call anew.
"""

import mmap
import pathlib
import struct

from server import build_directory

# seed, fail, delay, delay_us, clock_s, calls, failed, delayed
CONTROL = struct.Struct("=QQQQqQQQ")
SEED, FAIL, DELAY, DELAY_US, CLOCK_S, CALLS, FAILED, DELAYED = range(8)
FIELD = CONTROL.size // 8
MILLION = 1_000_000


class FaultyDisk:
    def __init__(self, control, below, seed):
        with open(control, "wb+") as file:
            file.write(CONTROL.pack(seed, 0, 0, 0, 0, 0, 0, 0))
            file.flush()
            self._mapped = mmap.mmap(file.fileno(), CONTROL.size)
        [library] = build_directory().glob("**/libstore_faults.so")
        self.environment = {"LD_PRELOAD": str(library), "STORE_FAULTS": str(control),
                            "STORE_FAULTS_BELOW": str(pathlib.Path(below).resolve())}

    def _write(self, field, value):
        struct.pack_into("=q", self._mapped, field * FIELD, value)

    def _read(self, field):
        return struct.unpack_from("=q", self._mapped, field * FIELD)[0]

    def seed(self, seed):
        self._write(SEED, seed)

    def set(self, *, fail=0.0, delay=0.0, longest=0.02):
        """What part of the calls fails, and what part takes up to `longest` seconds more."""
        self._write(DELAY_US, int(longest * MILLION))
        self._write(DELAY, int(delay * MILLION))
        self._write(FAIL, int(fail * MILLION))

    def heal(self):
        self.set()

    def move_clock(self, seconds):
        self._write(CLOCK_S, self._read(CLOCK_S) + int(seconds))

    @property
    def counts(self):
        """(calls, failed, delayed) so far."""
        return self._read(CALLS), self._read(FAILED), self._read(DELAYED)
