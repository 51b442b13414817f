# SPDX-License-Identifier: MIT
"""A mount goes on while its worker dies, its program is replaced, its holder is killed; no call
fails and no byte is wrong."""

import contextlib
import errno
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

import pytest

from agent import clean_environment, run
from held_mounts import Upgraded, kill_until_it_pauses, other_version, top_of
from keeper import is_mounted, start_time
from mount_load import Load, await_worker, kill_workers, worker_of
from mounts import eventually, forget_pages
from proxies import Silence
from server import program
from service_manager import ServiceManager


def shake(server, pushed, tree, new_mount, count):
    mount = new_mount(server.url, server.all_rights)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    top = top_of(mount, pushed)
    with Load(top, tree) as load:
        moments = kill_workers(mount.daemon[0], count, load, random.Random(seed), top)
    # Behind every second kill comes a worker that answers before it is killed in turn.
    gaps = sorted(load.gaps(moments[1::2])) or [0.0]
    print(f"{load.looks} looks, gaps: median {statistics.median(gaps) * 1000:.1f} ms, "
          f"99 % {gaps[int(len(gaps) * 0.99)] * 1000:.1f} ms, longest {gaps[-1] * 1000:.1f} ms")
    status = mount.status()
    # None has ended but by us.
    assert status["worker"]["restarts"] == count, mount.log()
    assert status["worker"]["last_end"] == "signal 9 (Killed)"
    assert status["holder"]["pid"] == mount.daemon[0]
    assert f"{count} restarts" in mount.verb("status", mount.path).expect(0).stdout


def test_killed_workers_are_not_seen(server, pushed, tree, new_mount, kernel):
    shake(server, pushed, tree, new_mount, 50)


@pytest.mark.plain_only  # a sanitized program starts slowly
def test_a_worker_soon_answers(server, pushed, new_mount):
    """The processor's time from its start to its first answer: how long a program waits depends on
    who else wants a processor."""
    mount = new_mount(server.url, server.all_rights)
    top = top_of(mount, pushed)
    spent, waited = [], []
    for number in range(15):
        worker = worker_of(mount.daemon[0])
        os.kill(worker, signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(FileNotFoundError):
            os.stat(top / f"absent-{number}")
        waited.append((time.monotonic() - started) * 1000)
        schedule = pathlib.Path(f"/proc/{worker_of(mount.daemon[0])}/schedstat")
        spent.append(int(schedule.read_text(encoding="ascii").split()[0]) / 1e6)
    print(f"spent {sorted(spent)} ms, waited {sorted(waited)} ms")
    assert statistics.median(spent) < 30


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_thousand_killed_workers_are_not_seen(server, pushed, tree, new_mount, kernel):
    shake(server, pushed, tree, new_mount, 500)


def status_of(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_the_worker_may_nothing(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights)
    status = mount.status()
    worker = status_of(status["worker"]["pid"])
    uid = status["worker"]["uid"]
    assert uid != 0 and worker["Uid"].split() == [str(uid)] * 4
    assert "0" not in worker["Gid"].split() and not worker["Groups"].strip()
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(worker[name], 16) == 0, name
    assert worker["NoNewPrivs"] == "1"
    assert mount.cache.stat().st_uid == uid and mount.cache.stat().st_mode & 0o777 == 0o700
    # The place of the token is open to everyone, the token is not.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        token = shutil.copy(mount.token_file, place)
        done = subprocess.run(["cat", token], user=uid, group=uid, extra_groups=[], cwd="/",
                              stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1 and b"Permission denied" in done.stderr


def test_a_root_who_has_no_other_user_answers_himself(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights, mounted=False)
    fs, path = program("kkartifact-fs"), mount.path
    script = f"""
        set -e
        "$@"
        cmp {top_of(mount, pushed)}/large {tree}/large
        {fs} status {path}
        {fs} umount {path}
    """
    # What root of a name space may not write to is not his either: a place for sockets of his own.
    place = mount.directory / "run"
    place.mkdir()
    done = run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                f"mount --bind {place} /run && {script}", "sh", *mount.line()],
               env=clean_environment(mount.home)).expect(0)
    assert re.search(r"^  process +pid \d+$", done.stdout, re.M) and "holder" not in done.stdout
    assert not is_mounted(path)


def test_the_token_is_nowhere_to_be_seen(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights)
    secret = server.all_rights.split("_", 2)[2].encode()
    for pid in (mount.daemon[0], mount.worker()):
        for name in ("cmdline", "environ"):
            assert secret not in pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
        for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                assert os.readlink(link) != str(mount.token_file)


def start_reader(path):
    return subprocess.Popen(["cat", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_crash_loop_pauses_and_tells(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights)
    top = top_of(mount, pushed)
    assert (top / "files" / "1").stat()
    kill_until_it_pauses(mount)
    status = mount.status()
    assert status["worker"]["pid"] is None and status["worker"]["restarts"] >= 5
    assert "signal 9" in status["worker"]["last_end"] and "signal 9" in status["last_error"]
    assert status["mountpoint"] == str(mount.path) and status["online"] is False
    assert "no worker" in mount.verb("status", mount.path).expect(0).stdout
    assert "workers in a row" in mount.log()
    # Who asks meanwhile waits for the next worker, and sees nothing of it.
    with start_reader(top / "files" / "2") as reader:
        out, said = reader.communicate(timeout=20)
        assert reader.returncode == 0 and out == (tree / "files" / "2").read_bytes(), said
    assert mount.status()["worker"]["pid"] is not None
    mount.umount()


def test_nobody_waits_longer_than_the_deadline_for_a_worker(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights, deadline="400ms")
    top = top_of(mount, pushed)
    assert (top / "files" / "1").stat()
    kill_until_it_pauses(mount, left_s=3)
    started = time.monotonic()
    with start_reader(top / "files" / "3") as reader:
        said = reader.communicate(timeout=20)[1]
    assert b"Input/output error" in said
    assert 0.3 < time.monotonic() - started < 3
    mount.umount()


def test_who_waits_for_a_worker_can_be_killed(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights)
    top = top_of(mount, pushed)
    assert (top / "files" / "1").stat()
    kill_until_it_pauses(mount, left_s=3)
    with start_reader(top / "files" / "3") as reader:
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(0.2)
        reader.kill()
        started = time.monotonic()
        reader.wait(10)
        assert time.monotonic() - started < 0.5


@pytest.mark.slow
def test_a_worker_that_stands_still_is_replaced(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights)
    top = top_of(mount, pushed)
    stopped = mount.worker()
    os.kill(stopped, signal.SIGSTOP)
    forget_pages()
    with start_reader(top / "files" / "3") as reader:
        out, said = reader.communicate(timeout=40)
        assert reader.returncode == 0 and out == (tree / "files" / "3").read_bytes(), said
    assert "stood still" in mount.status()["worker"]["last_end"]
    assert mount.worker() != stopped


def test_a_killed_holder_leaves_the_mount_behind(server, pushed, tree, new_mount):
    mount = new_mount(server.url, server.all_rights)
    worker = mount.worker()
    with Load(top_of(mount, pushed), tree) as load:
        os.kill(mount.daemon[0], signal.SIGKILL)
        mount.await_end()
        eventually(lambda: mount.status()["holder"]["pid"] is None)
        load.check()
    assert mount.worker() == worker
    assert "holder is gone" in mount.verb("status", mount.path).expect(0).stdout
    mount.daemon = (worker, start_time(worker))
    mount.umount()


# ------------------------------------------------------------------ what waits for the server

def kill_worker(mount):
    worker = worker_of(mount.daemon[0])
    os.kill(worker, signal.SIGKILL)
    await_worker(mount.daemon[0], worker)


def test_who_waits_for_the_server_is_not_forgotten(server, pushed, tree, new_mount, kernel):
    """Through three workers, with a signal each millisecond."""
    with Silence(server, r"/blobs/") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights)
        assert (top_of(mount, pushed) / "files").is_dir()
        silence.hold()
        with Load(top_of(mount, pushed), tree) as load:
            for _ in range(3):
                time.sleep(0.3)
                kill_worker(mount)
            load.check()
            silence.let()
            time.sleep(0.5)
        assert max(end - start for _, start, end in load.waits) > 0.5


def test_the_deadline_counts_from_the_first_worker(server, pushed, tree, new_mount, kernel):
    with Silence(server, r"/blobs/") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights, deadline="2s")
        top = top_of(mount, pushed)
        assert (top / "large").stat()
        silence.hold()
        started = time.monotonic()
        with start_reader(top / "large") as reader:
            for _ in range(3):
                time.sleep(0.4)
                last = time.monotonic()
                kill_worker(mount)
            said = reader.communicate(timeout=30)[1]
        ended = time.monotonic()
        assert b"Input/output error" in said
        # The kernel asks page by page then: those fail at once. From the last worker on it would be
        # the deadline and half a second.
        assert ended - started > 1.9 and ended - last < 2


def test_who_waits_can_be_killed_behind_a_restart(server, pushed, tree, new_mount, kernel):
    with Silence(server, r"/blobs/") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights, deadline="50s")
        top = top_of(mount, pushed)
        assert (top / "large").stat()
        silence.hold()
        with start_reader(top / "large") as reader:
            time.sleep(0.3)
            kill_worker(mount)
            with pytest.raises(subprocess.TimeoutExpired):
                reader.wait(0.3)
            reader.kill()
            started = time.monotonic()
            reader.wait(10)
            took = time.monotonic() - started
        assert took < 0.5, took


# ------------------------------------------------------------------ upgrade

@pytest.fixture
def upgraded(server, new_mount, tmp_path, kernel):
    one = Upgraded(new_mount(server.url, server.all_rights, mounted=False), tmp_path)
    one.mount.mount()
    return one


def test_an_upgrade_is_not_seen(server, pushed, tree, upgraded):
    mount = upgraded.mount
    before = mount.status()
    with Load(top_of(mount, pushed), tree) as load:
        newer = other_version(program("kkartifact-fs"), upgraded.program)
        assert upgraded.upgrade().stdout.strip() == newer
        after = mount.status()
        assert after["version"] == newer
        load.check()
        # And back to the one before.
        upgraded.program.unlink()
        shutil.copy(program("kkartifact-fs"), upgraded.program)
        upgraded.upgrade()
        load.check()
    assert after["holder"] == before["holder"]
    assert after["worker"]["pid"] != before["worker"]["pid"]
    assert "upgrade" in after["worker"]["last_end"]
    assert mount.status()["version"] == before["version"]
    mount.umount()


def test_an_upgrade_with_the_server_away(new_server, project, agent_push, tree, new_mount,
                                         tmp_path):
    server = new_server()
    agent_push(server, tree, project, "app", "v1")
    one = Upgraded(new_mount(server.url, server.all_rights, mounted=False), tmp_path)
    mount = one.mount.mount()
    top = mount / project / "app" / "v1"
    for path in [top / "large", *(top / "files").iterdir()]:
        assert path.read_bytes() == (tree / path.relative_to(top)).read_bytes()
    server.kill()
    with open(top / "large", "rb") as held:
        other_version(program("kkartifact-fs"), one.program)
        forget_pages()
        one.upgrade()
        forget_pages()
        assert held.read() == (tree / "large").read_bytes()
    for path in (top / "files").iterdir():
        assert path.read_bytes() == (tree / path.relative_to(top)).read_bytes()


def test_a_program_that_cannot_go_on_is_not_taken(server, pushed, tree, upgraded):
    mount = upgraded.mount
    before = mount.status()
    upgraded.program.unlink()
    for text in (None, "no program", "#!/bin/sh\nexit 1\n"):
        if text is not None:
            upgraded.program.write_text(text)
            upgraded.program.chmod(0o755)
        said = upgraded.upgrade(9).stderr
        assert "stays as it is" in said and str(upgraded.program) in said
    assert mount.status()["worker"]["pid"] == before["worker"]["pid"]
    assert (top_of(mount, pushed) / "files" / "1").read_bytes() == \
        (tree / "files" / "1").read_bytes()


def test_an_upgrade_of_what_has_no_holder(tmp_path):
    done = run([program("kkartifact-fs"), "upgrade", "/proc"],
               env=clean_environment(tmp_path)).expect(5)
    assert "holder" in done.stderr


# ------------------------------------------------------------------ a service manager

@pytest.fixture
def managed(server, new_mount, tmp_path, keeper):
    mount = new_mount(server.url, server.all_rights, mounted=False)
    with ServiceManager(tmp_path, [*mount.line(), "-f"], keeper) as manager:
        keeper.mount(mount.path)
        manager.mount = mount
        manager.start()
        yield manager


@pytest.mark.parametrize("who", ["holder", "both"])
def test_a_manager_starts_a_new_holder(managed, pushed, tree, who):
    mount = managed.mount
    assert sorted(managed.stored) == ["kkartifact-fuse", "kkartifact-ring", "kkartifact-state"]
    with Load(top_of(mount, pushed), tree) as load:
        for _ in range(5):
            time.sleep(0.1)
            worker = mount.worker()
            assert mount.status()["holder"]["pid"] == managed.process.pid
            managed.kill()
            if who == "both":
                os.kill(worker, signal.SIGKILL)
            managed.start()
            eventually(lambda: worker_of(managed.process.pid) is not None)
            assert start_time(worker) is None or mount.worker() != worker
            load.check()
    assert mount.status()["holder"]["pid"] == managed.process.pid
    mount.verb("umount", mount.path).expect(0)
    assert managed.process.wait(20) == 0
    managed.hear()
    assert managed.stored == {}


def test_what_was_kept_of_another_mount_is_not_taken(managed, server, new_mount, pushed, tree):
    """Unmounted behind the back of everyone: the next start mounts anew."""
    mount = managed.mount
    worker = mount.worker()
    managed.kill()
    os.kill(worker, signal.SIGKILL)
    subprocess.run(["umount", "-l", mount.path], check=True)
    managed.start()
    assert is_mounted(mount.path)
    assert (top_of(mount, pushed) / "files" / "1").read_bytes() == \
        (tree / "files" / "1").read_bytes()
    assert mount.status()["worker"]["restarts"] == 0
    managed.stop()
    assert not is_mounted(mount.path)


def test_errno_of_a_dead_mount(server, new_mount):
    """Nobody is left, and no manager: the place says so, and the next mount takes it."""
    mount = new_mount(server.url, server.all_rights)
    mount.kill()
    with pytest.raises(OSError) as raised:
        os.listdir(mount.path)
    assert raised.value.errno == errno.ENOTCONN
