# SPDX-License-Identifier: MIT
"""kkartifact-fs doctor: says what is wrong, and what to do; also where nobody answers."""

import contextlib
import os
import shutil
import signal
import subprocess

import pytest

from keeper import connection_of
from mounts import eventually
from other_user import OtherUser

LEVELS = ("ok", "note", "warning", "problem")


def examine(mount, *words):
    """name -> what was found of it, the worst last; and the exit code agrees with them."""
    done = mount.verb("doctor", *(words or [mount.path]), "--json")
    told = done.json()
    assert {tuple(one) for one in told["checks"]} == {("name", "level", "what", "advice")}
    worst = max(LEVELS.index(one["level"]) for one in told["checks"])
    assert told["ok"] is (worst < 2) and done.code == (0 if worst < 2 else 1)
    by_name = {}
    for one in sorted(told["checks"], key=lambda one: LEVELS.index(one["level"])):
        by_name[one["name"]] = one
    return by_name


@contextlib.contextmanager
def stopped(*pids):
    """The first one first: a holder would follow its worker."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.fixture
def mount(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1", "b": os.urandom(700_000)})
    one = new_mount(server.url, server.all_rights, deadline="300s")
    one.top = one / project / "app" / "v1"
    assert (one.top / "a").read_bytes() == b"1"
    return one


def test_a_mount_that_is_well(mount, server):
    found = examine(mount)
    for name in ("kernel", "device", "libfuse", "worker", "server", "versions", "integrity",
                 "connection", "cache-owner", "cache-writing", "cache-damage", "cache-parts"):
        assert found[name]["level"] in ("ok", "note"), found[name]
    assert str(mount.path) in found["worker"]["what"]
    assert str(mount.worker()) in found["worker"]["what"]
    assert server.url in found["server"]["what"]
    assert str(mount.cache) in found["cache-owner"]["what"]
    # For people, and all of them.
    told = mount.verb("doctor").stdout
    assert f"{mount.path}: process {mount.worker()} answers" in told
    assert all(line.split()[0] in (*LEVELS, "->", "All") or "problems" in line
               for line in told.splitlines())
    assert (mount.top / "a").read_bytes() == b"1"


def hang(mount):
    """Somebody waits for a daemon that is stopped: who."""
    reader = subprocess.Popen(["cat", mount.top / "b"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    eventually(lambda: examine(mount)["connection"]["level"] == "problem")
    return reader


def test_one_that_hangs(mount):
    """It says so within seconds, with the command that would end it; and does not run that."""
    holder, worker = mount.daemon[0], mount.worker()
    with stopped(holder, worker):
        reader = hang(mount)
        found = examine(mount)
        told = mount.verb("doctor", mount.path).stdout
        assert reader.poll() is None
    assert found["worker"]["level"] == "problem" and "stopped" in found["worker"]["what"]
    assert str(worker) in found["worker"]["what"] and str(holder) in found["worker"]["what"]
    assert str(mount.cache) in found["cache-owner"]["what"]  # also known without an answer
    number = connection_of(mount.path)
    advice = found["connection"]["advice"]
    assert advice.endswith(f"echo 1 > /sys/fs/fuse/connections/{number}/abort")
    assert f"-> {advice}" in told
    out, said = reader.communicate(timeout=60)
    assert reader.returncode == 0 and len(out) == 700_000, said
    eventually(lambda: examine(mount)["worker"]["level"] in ("ok", "note"))


def test_the_command_frees_who_waits(mount):
    holder, worker = mount.daemon[0], mount.worker()
    with stopped(holder, worker):
        reader = hang(mount)
        command = examine(mount)["connection"]["advice"]
        subprocess.run(["sh", "-ec", command], check=True)
        said = reader.communicate(timeout=60)[1]
        assert reader.returncode == 1 and said
        assert examine(mount)["connection"]["what"].endswith(": 0 requests wait for an answer")
    mount.await_end()
    mount.verb("doctor", mount.path).expect(5)


def test_a_worker_that_stands_still(mount):
    worker = mount.worker()
    with stopped(worker):
        found = examine(mount)
        assert found["worker"]["level"] == "problem"
        assert "its holder" in found["worker"]["what"]
    eventually(lambda: examine(mount)["worker"]["level"] in ("ok", "note"))


def test_a_dead_one(mount):
    mount.kill()
    found = examine(mount)
    assert found["worker"]["level"] == "problem" and "gone" in found["worker"]["what"]
    assert f"umount --lazy {mount.path}" in found["worker"]["advice"]
    assert found["connection"]["what"].endswith(": 0 requests wait for an answer")


def test_a_holder_that_is_gone(mount):
    os.kill(mount.daemon[0], signal.SIGKILL)
    eventually(lambda: examine(mount)["worker"]["level"] == "warning")
    assert "holder is gone" in examine(mount)["worker"]["what"]


def test_the_server_is_away_or_not_asked(new_server, project, push, new_mount):
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights, deadline="1s")
    assert (mount / project / "app" / "v1" / "a").read_bytes() == b"1"
    server.kill()

    def is_seen():
        os.listdir(mount / project / "app")
        return examine(mount)["server"]["level"] == "warning"

    eventually(is_seen)
    mount.umount()
    mount.options["offline"] = True
    mount.mount()
    found = examine(mount)
    assert found["server"]["level"] == "note" and "offline" in found["server"]["what"]


def test_a_token_that_is_refused(new_server, project, push, new_mount):
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1"})
    token = server.token("pull")
    mount = new_mount(server.url, token)
    assert (mount / project / "app" / "v1" / "a").read_bytes() == b"1"
    server.revoke(token)

    def is_seen():
        os.listdir(mount / project / "app")
        return examine(mount)["server"]["level"] == "warning"

    eventually(is_seen)
    assert "token" in examine(mount)["server"]["what"]


def test_a_cache_that_is_not_well(mount):
    (mount.cache / "bad").mkdir(exist_ok=True)
    (mount.cache / "bad" / "x").write_bytes(b"1")
    mount.cache.chmod(0o755)
    found = examine(mount)
    assert found["cache-damage"]["level"] == "warning"
    assert found["cache-owner"]["level"] == "warning"
    shutil.rmtree(mount.cache)
    assert examine(mount)["cache-owner"]["level"] == "problem"


def test_what_is_no_mount(mount):
    assert "no mount of kkartifact" in mount.verb("doctor", "/proc").expect(5).stderr
    for path in ("/nonexistent", "/nonexistent/x"):
        assert path in mount.verb("doctor", path).expect(5).stderr


def test_another_user_looks(mount, keeper):
    with OtherUser(keeper) as user:
        done = user.run(user.program("kkartifact-fs"), "doctor", "--json")
        found = [one for one in done.json()["checks"] if str(mount.path) in one["what"]]
        assert [one["level"] for one in found if one["name"] == "worker"] == ["note"]
        assert "user 0" in found[0]["what"]
