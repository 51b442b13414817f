# SPDX-License-Identifier: MIT
"""The disk of the cache is full, fails, cannot be written, or is gone, while programs read: every
byte is right, nothing waits for it, and with the disk back it is used again."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

import pytest

from agent import clean_environment
from mounts import eventually, forget_pages, tmpfs

MIB = 1 << 20


def some_files():
    return {"large": os.urandom(12 * MIB), "middle": os.urandom(MIB),
            **{f"d/f{number}": os.urandom(9_000) for number in range(60)}}


@contextlib.contextmanager
def readers(mount, name, files, count=3):
    """Threads that read everything again and again, and compare."""
    over, wrong = threading.Event(), []
    rounds = [0] * count

    def read(number):
        while not over.is_set() and not wrong:
            for path, data in files.items():
                try:
                    if (mount / name / path).read_bytes() != data:
                        wrong.append(f"{path}: other bytes")
                except OSError as failure:
                    wrong.append(f"{path}: {failure}")
            rounds[number] += 1
            if number == 0:
                forget_pages()

    threads = [threading.Thread(target=read, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield rounds
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:5]


def a_round_more(rounds):
    before = list(rounds)
    until = time.monotonic() + 60
    while not all(now > then for now, then in zip(rounds, before)):
        assert time.monotonic() < until, f"{before} -> {rounds}"
        time.sleep(0.1)


def is_complete(mount):
    version, = mount.status()["versions"]
    return version["cached_bytes"] == version["bytes"]


def degraded(mount):
    return mount.status()["cache"]["degraded"]


@pytest.mark.serial
def test_full_and_empty_again(server, project, push, new_mount, keeper, tmp_path):
    """Others fill the disk; what was kept stays right; then there is room again."""
    name, files = f"{project}/app/v1", some_files()
    push(server, name, files)
    with tmpfs(tmp_path / "disk", "24m", keeper) as disk:
        with new_mount(server.url, server.all_rights, cache=disk / "cache",
                       cache_free="0") as mount:
            with readers(mount, name, files) as rounds:
                with contextlib.suppress(OSError), open(disk / "filler", "wb", 0) as filler:
                    while True:
                        filler.write(bytes(65536))
                a_round_more(rounds)
                (disk / "filler").unlink()
                a_round_more(rounds)
                eventually(lambda: is_complete(mount), within=40)


@pytest.mark.serial
def test_prefetch_onto_a_full_disk(server, project, push, new_mount, keeper, tmp_path):
    """Told by name, and ended; not tried for ever."""
    name, files = f"{project}/app/v1", some_files()
    push(server, name, files)
    with tmpfs(tmp_path / "disk", "4m", keeper) as disk:
        with new_mount(server.url, server.all_rights, cache=disk / "cache",
                       cache_free="0") as mount:
            done = mount.verb("prefetch", mount.path, name).expect(9)
            assert "does not keep" in done.stderr or "keeps nothing" in done.stderr
            for path, data in files.items():
                assert (mount / name / path).read_bytes() == data


@pytest.mark.serial
@pytest.mark.parametrize("how", ["removed", "unmounted"])
def test_vanished(how, server, project, push, new_mount, keeper, tmp_path):
    name, files = f"{project}/app/v1", some_files()
    push(server, name, files)
    with tmpfs(tmp_path / "disk", "64m", keeper) as disk:
        with new_mount(server.url, server.all_rights, cache=disk / "cache") as mount:
            with readers(mount, name, files) as rounds:
                a_round_more(rounds)
                if how == "removed":
                    shutil.rmtree(disk / "cache")
                else:
                    subprocess.run(["umount", "-l", disk], check=True)
                a_round_more(rounds)
                a_round_more(rounds)
            mount.verb("status", mount.path).expect(0)
            mount.verb("verify", mount.path)
            mount.umount()


WRITES = "pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2,mkdirat,unlinkat,fchmodat"


@pytest.mark.serial
@pytest.mark.parametrize("calls,code", [(WRITES, "EIO"), (WRITES, "EROFS"), (WRITES, "EDQUOT"),
                                        ("pread64", "EIO")])
def test_it_fails(calls, code, server, project, push, new_mount):
    """Each call of the daemon that writes to the disk fails, or each that reads; then none."""
    name, files = f"{project}/app/v1", some_files()
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights)
    assert (mount / name / "d/f1").read_bytes() == files["d/f1"]
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e",
         f"inject={calls}:error={code}", "-p", str(mount.worker())], stderr=subprocess.PIPE)
    try:
        with readers(mount, name, files, 2) as rounds:
            a_round_more(rounds)
            a_round_more(rounds)
            assert tracer.poll() is None, tracer.stderr.read()
            if calls == WRITES:
                assert degraded(mount)
                assert "keeps nothing" in mount.verb("status", mount.path).expect(0).stdout
                mount.verb("prefetch", mount.path, name).expect(9)
            tracer.terminate()
            tracer.wait(10)
            eventually(lambda: is_complete(mount), within=40)
    finally:
        tracer.kill()
        tracer.wait()
    forget_pages()
    for path, data in files.items():
        assert (mount / name / path).read_bytes() == data


def test_few_descriptors(server, project, push, new_mount):
    """RLIMIT_NOFILE 64 from the beginning: many files, many readers, prefetch and verify."""
    name = f"{project}/app/v1"
    files = {f"d{number % 5}/f{number}": os.urandom(600_000 if number % 40 == 0 else 900)
             for number in range(400)}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights, mounted=False)
    line = ["prlimit", "--nofile=64:64", *map(str, mount.line())]
    mount.keeper.mount(mount.path)
    done = subprocess.run(line, env=clean_environment(mount.home), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mount.note_daemon()
    limits = pathlib.Path(f"/proc/{mount.worker()}/limits").read_text()
    assert re.search(r"^Max open files +64 +64 ", limits, re.MULTILINE), limits
    with readers(mount, name, files, 6) as rounds:
        a_round_more(rounds)
        mount.verb("prefetch", mount.path, name).expect(0)
        mount.verb("verify", mount.path, name).expect(0)
    status = mount.status()
    assert status["integrity_failures"] == 0 and is_complete(mount)
    assert len(os.listdir(f"/proc/{mount.worker()}/fd")) < 64
    assert status["cache"]["last_error"] == ""
