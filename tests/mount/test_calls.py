# SPDX-License-Identifier: MIT
"""System calls on a mount do what they do on a disk that is mounted read-only: those that would
write fail with EROFS, or as POSIX says of a descriptor for reading; those that read give the
bytes."""

import ctypes
import errno
import fcntl
import mmap
import os
import pathlib
import random
import select
import signal
import stat
import struct
import subprocess
import sys

import pytest

from agent import Agent
from calls import Call
from mount_load import await_worker, worker_of
from mounts import Mount, forget_pages

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
FALLOC_FL_KEEP_SIZE = 1
IN_ACCESS, IN_OPEN, IN_CLOSE_NOWRITE = 0x1, 0x20, 0x10
DATA = random.Random(1).randbytes(300_001)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    top = tmp_path_factory.mktemp("source") / "tree"
    (top / "directory" / "inner").mkdir(parents=True)
    (top / "file").write_bytes(DATA)
    (top / "small").write_bytes(b"small")
    (top / "link").symlink_to("file")
    (top / "script").write_text("#!/bin/sh\necho run\n")
    (top / "script").chmod(0o755)
    (top / "wide").mkdir()
    for number in range(2000):
        (top / "wide" / f"a-rather-long-name-{number}").touch()
    return top


@pytest.fixture(scope="module")
def project():
    return f"calls-{os.getpid()}"


@pytest.fixture(scope="module")
def agent(server, tmp_path_factory):
    return Agent(tmp_path_factory.mktemp("agent"), server.url, server.all_rights)


@pytest.fixture(scope="module")
def mount(server, project, source, agent, keeper, tmp_path_factory):
    """One for all: who shakes it leaves it as it was."""
    agent.push(source, project, "app", "v1")
    with Mount(tmp_path_factory.mktemp("mount"), server.url, server.all_rights, keeper) as made:
        yield made


@pytest.fixture
def top(mount, project):
    return mount / project / "app" / "v1"


def code_of(function, *arguments):
    try:
        result = function(*arguments)
    except OSError as failure:
        return failure.errno
    return 0 if result is None else result


def libc(name, *arguments):
    """The errno of a call of the C library, or 0."""
    ctypes.set_errno(0)
    result = getattr(LIBC, name)(*arguments)
    return ctypes.get_errno() if result < 0 else 0


WRITING = {
    "open for writing": lambda path: os.open(path, os.O_WRONLY),
    "open for both": lambda path: os.open(path, os.O_RDWR),
    "open and truncate": lambda path: os.open(path, os.O_RDONLY | os.O_TRUNC),
    "append": lambda path: os.open(path, os.O_WRONLY | os.O_APPEND),
    "truncate": lambda path: os.truncate(path, 0),
    "chmod": lambda path: os.chmod(path, 0o600),
    "chown": lambda path: os.chown(path, 1, 1),
    "lchown": lambda path: os.lchown(path, 1, 1),
    "utimens": os.utime,
    "setxattr": lambda path: os.setxattr(path, "user.test", b"1"),
    "removexattr": lambda path: os.removexattr(path, "user.test"),
    "unlink": os.unlink,
    "rename": lambda path: os.rename(path, f"{path}-renamed"),
    "link": lambda path: os.link(path, f"{path}-linked"),
}

MAKING = {
    "create": lambda path: os.open(path / "new", os.O_CREAT | os.O_WRONLY, 0o644),
    "create to read": lambda path: os.open(path / "new", os.O_CREAT | os.O_RDONLY, 0o644),
    "create alone": lambda path: os.open(path / "new", os.O_CREAT | os.O_EXCL | os.O_WRONLY),
    "a file without a name": lambda path: os.open(path, os.O_TMPFILE | os.O_RDWR),
    "mkdir": lambda path: os.mkdir(path / "new"),
    "symlink": lambda path: os.symlink("x", path / "new"),
    "mknod": lambda path: os.mknod(path / "new", stat.S_IFREG | 0o644),
    "fifo": lambda path: os.mkfifo(path / "new"),
    "device": lambda path: os.mknod(path / "new", stat.S_IFCHR | 0o644, os.makedev(1, 3)),
    "rmdir": os.rmdir,
    "chmod": lambda path: os.chmod(path, 0o700),
    "utimens": os.utime,
    "setxattr": lambda path: os.setxattr(path, "user.test", b"1"),
}


def test_what_would_write_is_refused(mount, project, top):
    for name, call in WRITING.items():
        assert code_of(call, top / "file") == errno.EROFS, name
    for place in (top / "directory" / "inner", top, top.parent, mount / project, mount.path):
        for name, call in MAKING.items():
            # The kernel looks at what is mounted there first.
            codes = (errno.EROFS, errno.EBUSY) if (name, place) == ("rmdir", mount.path) \
                else (errno.EROFS,)
            assert code_of(call, place) in codes, (name, place)
    assert not os.access(top / "file", os.W_OK)
    assert os.access(top / "file", os.R_OK)
    assert (top / "file").read_bytes() == DATA


def test_a_descriptor_for_reading_does_not_write(top, tmp_path):
    fd = os.open(top / "file", os.O_RDONLY)
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    os.write(other, b"x" * 10)
    try:
        assert code_of(os.write, fd, b"x") == errno.EBADF
        assert code_of(os.pwrite, fd, b"x", 0) == errno.EBADF
        assert code_of(os.ftruncate, fd, 0) == errno.EINVAL
        assert code_of(os.posix_fallocate, fd, 0, 10) == errno.EBADF
        assert code_of(os.copy_file_range, other, fd, 10, 0, 0) == errno.EBADF
        assert code_of(os.sendfile, fd, other, 0, 10) == errno.EBADF
        assert code_of(os.fchmod, fd, 0o600) == errno.EROFS
        assert code_of(os.fchown, fd, 1, 1) == errno.EROFS
        assert code_of(os.utime, fd) == errno.EROFS
        assert code_of(os.setxattr, fd, "user.test", b"1") == errno.EROFS
        assert code_of(mmap.mmap, fd, 0, mmap.MAP_SHARED, mmap.PROT_WRITE) == errno.EACCES
        assert os.fsync(fd) is None and os.fdatasync(fd) is None
    finally:
        os.close(other)
        os.close(fd)


def test_ways_to_read(top, tmp_path):
    fd = os.open(top / "file", os.O_RDONLY)
    try:
        ours = bytearray(70_000), bytearray(70_000)
        assert os.preadv(fd, ours, 1234) == 140_000
        assert ours[0] + ours[1] == DATA[1234:141_234]
        with open(tmp_path / "sent", "wb+") as out:
            assert os.sendfile(out.fileno(), fd, 100_000, 200_000) == 200_000
            out.seek(0)
            assert out.read() == DATA[100_000:300_000]
        reader, writer = os.pipe()
        try:
            moved = os.splice(fd, writer, 50_000, offset_src=77)
            assert moved > 0 and os.read(reader, moved) == DATA[77:77 + moved]
        finally:
            os.close(reader)
            os.close(writer)
        with open(tmp_path / "copied", "wb+") as out:
            # Between file systems of different kinds the kernel may say so; programs then read.
            copied = code_of(os.copy_file_range, fd, out.fileno(), len(DATA), 0, 0)
            if copied != errno.EXDEV:
                assert os.pread(out.fileno(), copied, 0) == DATA[:copied]
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
        assert os.pread(fd, 10, len(DATA)) == b""
    finally:
        os.close(fd)


def test_reading_past_the_page_cache(top):
    fd = os.open(top / "file", os.O_RDONLY | os.O_DIRECT)
    with mmap.mmap(-1, 1 << 20) as room:
        try:
            for at, size in ((0, 4096), (4096, 65536), (299_008, 4096), (0, 1 << 20), (8192, 512)):
                wanted = DATA[at:at + size]
                assert os.preadv(fd, [memoryview(room)[:size]], at) == len(wanted)
                assert room[:len(wanted)] == wanted
        finally:
            os.close(fd)


def test_holes(top):
    """There are none: all is data, up to the end."""
    fd = os.open(top / "file", os.O_RDONLY)
    try:
        assert os.lseek(fd, 1000, os.SEEK_DATA) == 1000
        assert os.lseek(fd, 1000, os.SEEK_HOLE) == len(DATA)
        assert code_of(os.lseek, fd, len(DATA), os.SEEK_DATA) == errno.ENXIO
        assert os.lseek(fd, -1, os.SEEK_END) == len(DATA) - 1
    finally:
        os.close(fd)


# Python's own mappings end at the file's end.
PAST_THE_END = """
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
fd = os.open(sys.argv[1], os.O_RDONLY)
size = ctypes.c_size_t(2 * mmap.PAGESIZE)
at = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, fd, ctypes.c_long(0))
assert ctypes.string_at(at, mmap.PAGESIZE) == b"small".ljust(mmap.PAGESIZE, bytes(1))
print("tail", flush=True)
ctypes.string_at(at + mmap.PAGESIZE, 1)
"""


def test_pages_behind_the_end(top):
    """The rest of the last page is zeros; the page after it is a SIGBUS."""
    done = subprocess.run([sys.executable, "-c", PAST_THE_END, top / "small"],
                          capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGBUS, b"tail\n"), done.stderr


HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
getattr(fcntl, sys.argv[2])(fd, int(sys.argv[3]))
print("held", flush=True)
sys.stdin.read()
"""


def test_locks(top):
    """Between the programs of this machine, as on a disk; for writing only flock, since POSIX wants
    a descriptor for writing."""
    path = top / "file"
    with open(path, "rb") as file:
        for how, held, wanted, code in (
                ("flock", fcntl.LOCK_EX, fcntl.LOCK_SH, errno.EWOULDBLOCK),
                ("flock", fcntl.LOCK_SH, fcntl.LOCK_EX, errno.EWOULDBLOCK),
                ("flock", fcntl.LOCK_SH, fcntl.LOCK_SH, 0),
                ("lockf", fcntl.LOCK_SH, fcntl.LOCK_SH, 0)):
            with subprocess.Popen([sys.executable, "-c", HOLDER, path, how, str(held)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
                assert holder.stdout.readline() == b"held\n"
                lock = getattr(fcntl, how)
                assert code_of(lock, file, wanted | fcntl.LOCK_NB) == code, (how, held, wanted)
                code_of(lock, file, fcntl.LOCK_UN)
                holder.stdin.close()
                assert holder.wait(60) == 0
        assert code_of(fcntl.lockf, file, fcntl.LOCK_EX | fcntl.LOCK_NB) == errno.EBADF


def test_inotify(top):
    fd = LIBC.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        assert LIBC.inotify_add_watch(fd, os.fsencode(top), IN_ACCESS | IN_OPEN |
                                      IN_CLOSE_NOWRITE) > 0
        assert (top / "small").read_bytes() == b"small"
        assert select.select([fd], [], [], 10)[0] == [fd]
        events, at, seen = os.read(fd, 65536), 0, 0
        while at < len(events):
            _, mask, _, size = struct.unpack_from("iIII", events, at)
            name = events[at + 16:at + 16 + size].rstrip(b"\0")
            assert name == b"small"
            seen |= mask
            at += 16 + size
        assert seen == IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE
    finally:
        os.close(fd)


def test_what_the_file_system_says_of_itself(top):
    said = os.statvfs(top)
    assert said.f_flag & os.ST_RDONLY and said.f_flag & os.ST_NOSUID and said.f_flag & os.ST_NODEV
    assert said.f_namemax == 255
    fd = os.open(top / "file", os.O_RDONLY)
    try:
        assert libc("ioctl", fd, 0x80086601, ctypes.create_string_buffer(8)) in \
            (errno.ENOTTY, errno.EOPNOTSUPP)  # FS_IOC_GETFLAGS
        assert code_of(os.stat, f"/proc/self/fd/{fd}/x") == errno.ENOTDIR
    finally:
        os.close(fd)
    assert code_of(os.readlink, top / "file") == errno.EINVAL
    assert code_of(os.listdir, top / "file") == errno.ENOTDIR
    assert code_of(os.open, top / "link", os.O_RDONLY | os.O_NOFOLLOW) == errno.ELOOP
    assert code_of(os.open, top / "file", os.O_RDONLY | os.O_DIRECTORY) == errno.ENOTDIR
    for place in (top, top / "directory", top.parent):
        for size in (256, 400, 1000):
            assert code_of(os.stat, place / ("n" * size)) == errno.ENAMETOOLONG, (place, size)
        assert code_of(os.stat, place / ("n" * 255)) == errno.ENOENT


def test_a_script_runs_where_it_lies(top):
    done = subprocess.run([top / "script"], cwd=top / "directory", capture_output=True, check=True)
    assert done.stdout == b"run\n"
    with Call("execute", top / "file") as call:
        assert call.ends(60) == errno.EACCES  # 0644


class Names:
    """A directory read by the C library, which can tell and seek."""

    def __init__(self, path):
        for name in ("opendir", "readdir"):
            getattr(LIBC, name).restype = ctypes.c_void_p
        LIBC.telldir.restype = ctypes.c_long
        self.directory = ctypes.c_void_p(LIBC.opendir(os.fsencode(path)))

    def next(self):
        """(position behind it, name), or None at the end."""
        entry = LIBC.readdir(self.directory)
        if not entry:
            return None
        return LIBC.telldir(self.directory), ctypes.string_at(entry + 19)

    def seek(self, position):
        LIBC.seekdir(self.directory, ctypes.c_long(position))

    def close(self):
        LIBC.closedir(self.directory)


def test_positions_of_a_directory(top, source):
    names = Names(top / "wide")
    found = []
    while (entry := names.next()) is not None:
        found.append(entry)
    assert {os.fsdecode(name) for _, name in found} - {".", ".."} == \
        set(os.listdir(source / "wide"))
    for number in random.Random(2).sample(range(len(found) - 1), 200):
        names.seek(found[number][0])
        assert names.next() == found[number + 1]
    names.close()


# ------------------------------------------------------------------ ids

def kill_worker(mount):
    killed = worker_of(mount.daemon[0])
    os.kill(killed, signal.SIGKILL)
    await_worker(mount.daemon[0], killed)
    forget_pages()


def numbers(top):
    """{path: inode} of everything, as find(1) prints it."""
    done = subprocess.run(["find", top, "-printf", "%P\\0%i\\0"], capture_output=True, check=True)
    words = done.stdout.split(b"\0")[:-1]
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


def test_numbers_stay(mount, top, server, project, source, agent, new_mount):
    """Of one mount point, whoever answers and however often it was mounted."""
    before = numbers(top)
    assert len(set(before.values())) == len(before)
    kill_worker(mount)
    assert numbers(top) == before
    mount.umount()
    # Others that come first take no number away.
    agent.push(source / "wide", project, "app", "v0")
    mount.mount()
    assert numbers(top.parent / "v0").keys()
    assert numbers(top) == before
    # Elsewhere what is inside a version has the same numbers below the version's own.
    other = new_mount(server.url, server.all_rights)
    below = (1 << 40) - 1
    assert {path: number & below for path, number in numbers(other / project / "app" / "v1").items()
            } == {path: number & below for path, number in before.items()}


class FileHandle(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128)]


def handle_of(path):
    handle, place = FileHandle(size=128), ctypes.c_int()
    code = libc("name_to_handle_at", AT_FDCWD, os.fsencode(path), ctypes.byref(handle),
                ctypes.byref(place), 0)
    assert code == 0, os.strerror(code)
    return handle


def open_handle(place, handle):
    fd = LIBC.open_by_handle_at(place, ctypes.byref(handle), os.O_RDONLY)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "open_by_handle_at")
    return fd


def test_handles(mount, top):
    """As a server of NFS keeps them: over what the kernel forgets, and over a restart."""
    handles = {name: handle_of(top / name) for name in ("file", "small", "directory")}
    place = os.open(top, os.O_RDONLY)
    try:
        for shake in (lambda: None, forget_pages, lambda: kill_worker(mount)):
            shake()
            for name, handle in handles.items():
                fd = open_handle(place, handle)
                try:
                    assert os.path.samestat(os.fstat(fd), os.stat(top / name))
                    if name != "directory":
                        assert os.pread(fd, 1 << 20, 0) == (top / name).read_bytes()
                finally:
                    os.close(fd)
    finally:
        os.close(place)


def test_parents(top):
    """Up from the depth, over the roots of version, app and project."""
    fd = os.open(top / "directory" / "inner", os.O_RDONLY)
    try:
        for above in (top / "directory", top, top.parent, top.parent.parent):
            fd, old = os.open("..", os.O_RDONLY, dir_fd=fd), fd
            os.close(old)
            assert os.path.samestat(os.fstat(fd), above.stat())
            assert pathlib.Path(os.readlink(f"/proc/self/fd/{fd}")) == above
    finally:
        os.close(fd)
