# SPDX-License-Identifier: MIT
"""Pull with --exchange by root, where what is protected belongs to somebody who does not wish
well: the copies of it are never more than the originals were."""

import contextlib
import ctypes
import os
import shutil
import stat
import subprocess
import sys
import time

import pytest

import trees

NOBODY = 65534
RENAME_EXCHANGE = 2
AT_FDCWD = -100
SECRET = b"for root only"
MIB = 1 << 20
PULLS = 4

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose files are at stake")


@pytest.fixture
def dest(agent, names, tmp_path):
    """A pulled directory with var/, which is nobody's and protected; pull(number) makes it v<n>."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    for number in range(1, PULLS + 2):
        trees.write(source, "file", b"%d\n" % number)
        agent.push(source, names.project, names.app, f"v{number}")
    agent.pull(copy, names.project, names.app, "v1")
    (copy / "var").mkdir()
    os.chown(copy / "var", NOBODY, NOBODY)
    for directory in [tmp_path, *tmp_path.parents]:  # nobody passes
        if directory.stat().st_uid == os.geteuid() and not directory.stat().st_mode & 0o001:
            os.chmod(directory, directory.stat().st_mode | 0o011)
    return copy


@pytest.fixture
def pull(agent, names, dest):
    def run(number):
        agent.pull(dest, names.project, names.app, f"v{number}", "--exchange", "--ignore", "var/")
        return dest.parent / f".{dest.name}.kkartifact" / "var"
    return run


@contextlib.contextmanager
def as_nobody(function, *arguments):
    """`function` in a process of nobody; it writes a byte to the descriptor it is given first when
    it is ready."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ready)
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            function(tell, *arguments)
        except BaseException as error:  # pylint: disable=broad-except
            print(error, file=sys.stderr)
        finally:
            os._exit(0)
    os.close(tell)
    try:
        assert os.read(ready, 1) == b"!", "the process of nobody did not begin"
        yield
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(ready)


def inotify_on_open(path):
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init()
    if watch < 0 or libc.inotify_add_watch(watch, os.fsencode(path), 0x20) < 0:  # IN_OPEN
        raise OSError(ctypes.get_errno(), "inotify")
    return watch


def move_away_when_opened(tell, directory):
    """A set-uid program of nobody's own, large so that a copy of it takes its time."""
    os.chdir(directory)
    os.makedirs("out", exist_ok=True)
    number = 0
    while True:
        shutil.copyfile("/usr/bin/id", "program")
        with open("program", "ab") as program:
            program.write(bytes(48 * MIB))
        os.chmod("program", 0o4755)
        watch = inotify_on_open("program")
        os.write(tell, b"!")
        os.read(watch, 4096)
        number += 1
        os.rename("program", f"out/{number}")
        os.close(watch)
        time.sleep(0.2)


def test_a_program_that_is_moved_away_is_not_made_roots(pull, dest):
    with as_nobody(move_away_when_opened, dest / "var"):
        for number in range(PULLS):
            for copy in pull(2 + number).rglob("*"):
                status = os.lstat(copy)
                assert status.st_mode & (stat.S_ISUID | stat.S_ISGID) == 0 or \
                    stat.S_ISDIR(status.st_mode), f"{copy}: {status.st_mode:o}"
                assert status.st_uid == NOBODY or stat.S_ISDIR(status.st_mode)


def exchange_for_ever(tell, directory, names):
    """Each pair of names changes places all the time."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(directory)
    pairs = [(os.fsencode(one), os.fsencode(other)) for one, other in names]
    os.write(tell, b"!")
    while True:
        for one, other in pairs:
            if libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0:
                raise OSError(ctypes.get_errno(), "renameat2")


def secrets_in(directory):
    """(path, status) of each file that holds the secret, with those of its directory."""
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and SECRET in path.read_bytes():
            yield path, os.lstat(path), os.lstat(path.parent)


def test_roots_files_stay_roots(pull, dest):
    pairs = []
    for number in range(60):
        for name, owner in ((f"root-{number}", 0), (f"nobody-{number}", NOBODY)):
            path = dest / "var" / name
            path.write_bytes(SECRET if owner == 0 else b"for everybody")
            os.chmod(path, 0o600 if owner == 0 else 0o644)
            os.chown(path, owner, owner)
        pairs.append((f"root-{number}", f"nobody-{number}"))
    with as_nobody(exchange_for_ever, dest / "var", pairs):
        for number in range(PULLS):
            found = list(secrets_in(pull(2 + number)))
            for path, status, _ in found:
                assert status.st_uid == 0 and status.st_mode & 0o077 == 0, path
            assert found, "not one was copied: this proves nothing"


def test_roots_directories_stay_roots(pull, dest):
    pairs = []
    for number in range(40):
        for name, owner in ((f"root-{number}", 0), (f"nobody-{number}", NOBODY)):
            path = dest / "var" / name
            path.mkdir()
            (path / "file").write_bytes(SECRET if owner == 0 else b"for everybody")
            os.chmod(path / "file", 0o644)
            os.chmod(path, 0o700 if owner == 0 else 0o755)
            os.chown(path, owner, owner)
        pairs.append((f"root-{number}", f"nobody-{number}"))
    # A directory of another owner cannot be moved by nobody, but its link can.
    links = []
    for number in range(40):
        (dest / "var" / f"link-{number}").symlink_to(f"root-{number}")
        links.append((f"link-{number}", f"nobody-{number}"))
    with as_nobody(exchange_for_ever, dest / "var", links):
        for number in range(PULLS):
            found = list(secrets_in(pull(2 + number)))
            for path, _, above in found:
                assert above.st_uid == 0 and above.st_mode & 0o077 == 0, path
            assert found, "not one was copied: this proves nothing"


def test_copies_have_no_set_uid(pull, dest):
    program = dest / "var/program"
    shutil.copyfile("/usr/bin/id", program)
    os.chown(program, NOBODY, NOBODY)
    os.chmod(program, 0o6755)
    (dest / "var/deep").mkdir()
    os.chown(dest / "var/deep", NOBODY, 34)
    os.chmod(dest / "var/deep", 0o3775)
    before = os.lstat(program)
    copies = pull(2)
    after = os.lstat(program)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode), "the original stays"
    copied = os.lstat(copies / "program")
    assert (copied.st_uid, copied.st_gid, stat.S_IMODE(copied.st_mode)) == (NOBODY, NOBODY, 0o755)
    copied = os.lstat(copies / "deep")
    assert (copied.st_uid, copied.st_gid, stat.S_IMODE(copied.st_mode)) == (NOBODY, 34, 0o3775)
    said = subprocess.run([copies / "program", "-u"], check=True, capture_output=True)
    assert said.stdout == b"0\n", "it runs as who runs it"
