# SPDX-License-Identifier: MIT
"""passed_files - files of a mount that the kernel reads by itself, from files of its cache."""

import contextlib
import ctypes
import hashlib
import mmap
import os
import time

WITHOUT_PASSTHROUGH = "KKARTIFACT_FS_WITHOUT_PASSTHROUGH"


def told(mount):
    return mount.status()["passthrough"]


def cached_object(mount, path):
    name = hashlib.sha256(path.read_bytes()).hexdigest()
    return mount.cache / "obj" / name[:2] / name


@contextlib.contextmanager
def opened(path):
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def passed(mount, path):
    """Open, and read by the kernel alone. An object is whole a moment after its last byte came, and
    on a busy machine an open may have waited long enough: then it is opened again."""
    until = time.monotonic() + 60
    while True:
        before = told(mount)["opens"]
        with opened(path) as file:
            if told(mount)["opens"] > before:
                yield file
                return
        assert time.monotonic() < until, mount.status()


@contextlib.contextmanager
def mapping(file, size):
    """Of the file alone: Python's own holds a copy of the descriptor. Gives a function that reads
    it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file, 0)
    assert at not in (None, ctypes.c_void_p(-1).value), os.strerror(ctypes.get_errno())
    try:
        yield lambda: ctypes.string_at(at, size)
    finally:
        libc.munmap(at, size)


def whole(file):
    return os.pread(file, 1 << 26, 0)
