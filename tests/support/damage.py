# SPDX-License-Identifier: MIT
"""damage - what a disk does to files, and where a mount's cache has them."""

import hashlib
import os


def flip(path, offset=None):
    """Changes one bit of a file, its mode and time kept."""
    info = path.stat()
    path.chmod(info.st_mode | 0o600)
    with open(path, "r+b") as file:
        file.seek(offset if offset is not None else info.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    path.chmod(info.st_mode)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def object_of(cache, data):
    """The complete file of a cache that holds these bytes."""
    name = hashlib.sha256(data).hexdigest()
    return cache / "obj" / name[:2] / name
