# SPDX-License-Identifier: MIT
"""denied - a kernel that refuses a call, for one program: a seccomp filter set up between fork and
exec. It stands for file systems that are not at hand."""

import ctypes
import errno
import platform
import struct

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
RETURN_ERRNO, RETURN_ALLOW = 0x00050000, 0x7FFF0000
RENAMEAT2 = {"x86_64": 316, "aarch64": 276}[platform.machine()]
RENAME_EXCHANGE = 2

LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
AT_NUMBER, AT_FLAGS = 0, 16 + 4 * 8  # of struct seccomp_data: nr, args[4]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def denying_exchanges():
    """renameat2 with RENAME_EXCHANGE gives EINVAL from here on, as from an old file system."""
    lines = [(LOAD, 0, 0, AT_NUMBER), (EQUAL, 0, 3, RENAMEAT2),
             (LOAD, 0, 0, AT_FLAGS), (EQUAL, 0, 1, RENAME_EXCHANGE),
             (RETURN, 0, 0, RETURN_ERRNO | errno.EINVAL), (RETURN, 0, 0, RETURN_ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
    program = Program(len(lines), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no filter")
