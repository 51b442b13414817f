# SPDX-License-Identifier: MIT
"""calls - one system call in a process of its own, since it may wait, or end it.

    with Call("read", mount / "p/a/v/file") as call:
        assert call.ends(within=60) == errno.EIO

A call that succeeds gives 0. A fault in a mapping that failed gives EFAULT: its process got a
SIGBUS. As a context it is gone at the end, whatever it waits for.
"""

import ctypes
import errno
import mmap
import os
import signal
import subprocess
import sys
import time

PAGE = mmap.PAGESIZE


def fault(path):
    """Reads one byte of the last page through a mapping."""
    with open(path, "rb") as file, \
            mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        mapped.madvise(mmap.MADV_RANDOM)
        return mapped[(len(mapped) - 1) // PAGE * PAGE]


def read(path):
    with open(path, "rb", buffering=0) as file:
        return file.read()


def read_direct(path):
    """Past the page cache."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, PAGE) as room:
        try:
            os.preadv(fd, [room], 0)
        finally:
            os.close(fd)


def execute(path):
    """No return, but by an error. Without os.execv, which looks at the file before."""
    libc = ctypes.CDLL(None, use_errno=True)
    name = ctypes.c_char_p(os.fsencode(path))
    words = (ctypes.c_char_p * 2)(name, None)
    libc.execve(name, words, (ctypes.c_char_p * 1)(None))
    raise OSError(ctypes.get_errno(), "execve")


def read_known(path):
    """As read(), and the kernel forgets the bytes first: the file system is asked."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        while os.read(fd, 1 << 20):
            pass
    finally:
        os.close(fd)


KINDS = {
    "open": lambda path: os.close(os.open(path, os.O_RDONLY)),
    "stat": os.lstat,
    "list": os.listdir,
    "readlink": os.readlink,
    "statfs": os.statvfs,
    "read": read,
    "read known": read_known,
    "read direct": read_direct,
    "fault": fault,
    "execute": execute,
}


class Call:
    def __init__(self, kind, path):
        self.what = f"{kind} {path}"
        self.started = time.monotonic()
        self.process = subprocess.Popen([sys.executable, "-S", __file__, kind, os.fspath(path)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def is_waiting(self):
        return self.process.poll() is None

    def await_sleep(self, within=60):
        """Until it waits in its call: it has told that it begins, and sleeps."""
        self.process.stdout.readline()
        until = time.monotonic() + within
        while self.state() == "R":
            assert time.monotonic() < until, f"{self.what}: does not wait"
            time.sleep(0.01)

    def state(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0]

    def ends(self, within):
        """The errno, or 0; waits that long for it."""
        try:
            said = self.process.communicate(timeout=within)[1]
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.what}: still there after {within} s") from None
        code = self.process.returncode
        if code == -signal.SIGBUS:
            return errno.EFAULT
        assert code >= 0, f"{self.what}: ended by signal {-code}"
        assert code == 0 or said.startswith(b"errno "), f"{self.what}: {said.decode()}"
        return int(said.split()[1]) if code else 0

    def kill(self):
        self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.kill()
        self.process.communicate(timeout=60)


def main():
    call = KINDS[sys.argv[1]]
    print("begins", flush=True)
    try:
        call(sys.argv[2])
    except OSError as failure:
        sys.exit(f"errno {failure.errno}")


if __name__ == "__main__":
    main()
