# SPDX-License-Identifier: MIT
"""The mount of an ordinary user, through fusermount3: his alone, with a cache of his own."""

import os
import time

import pytest

from keeper import start_time
from mounts import eventually
from other_user import OtherUser


class Mounted:
    """A user's mount of one version, and what he does with it."""

    def __init__(self, user, server, source, project):
        self.user = user
        self.server = server
        self.fs = user.program("kkartifact-fs")
        self.source = user.copy(source, "source")
        self.path = user.home / "repos"
        self.path.mkdir()
        user.give(self.path)
        self.token = user.write("token", server.token("pull") + "\n")
        self.top = self.path / project / "app" / "v1"
        self.pid = None

    def mount(self, *options):
        done = self.user.run(self.fs, "mount", self.server.url, self.path, "-o",
                             ",".join([f"token_file={self.token}", *options])).expect(0)
        self.pid = self.status()["worker"]["pid"]
        self.user.keeper.process(self.pid)
        return done

    def status(self):
        return self.user.run(self.fs, "status", self.path, "--json").expect(0).json()

    def await_end(self):
        until = time.monotonic() + 60
        while start_time(self.pid) is not None:
            assert time.monotonic() < until, f"the daemon {self.pid} outlives its mount"
            time.sleep(0.02)


@pytest.fixture
def mounted(server, project, push, keeper):
    source = push(server, f"{project}/app/v1", {"file": b"hello", "dir/large": os.urandom(700_000)})
    with OtherUser(keeper) as user:
        one = Mounted(user, server, source, project)
        one.mount()
        yield one
        user.run_as_root("umount", "-l", one.path)
        one.await_end()


def test_he_reads_what_was_pushed(mounted):
    user, top = mounted.user, mounted.top
    assert user.run("ls", top).expect(0).stdout.split() == ["dir", "file", "meta.yaml"]
    assert user.run("cat", top / "file").expect(0).stdout == "hello"
    user.run("cmp", top / "dir" / "large", mounted.source / "dir" / "large").expect(0)
    owner = user.run("stat", "-c", "%u:%g %A", top / "file").expect(0).stdout
    assert owner.startswith(f"{user.id}:{user.id} -r")
    assert "Read-only" in user.run("touch", top / "new").expect(1).stderr


def test_the_cache_is_his(mounted):
    user = mounted.user
    user.run("cmp", mounted.top / "dir" / "large", mounted.source / "dir" / "large").expect(0)
    cache = user.home / ".cache" / "kkartifact"
    assert cache.stat().st_uid == user.id and cache.stat().st_mode & 0o777 == 0o700
    status = mounted.status()
    assert status["cache"]["bytes"] >= 700_000
    assert (os.stat(f"/proc/{mounted.pid}").st_uid, status["online"]) == (user.id, True)


def test_what_he_has_in_his_hands_is_in_use(mounted, project):
    """There is no holder: the mount looks itself, at what the user may see."""
    user = mounted.user
    pid = int(user.run("sh", "-c", f"cd {mounted.top} && exec sleep 600 </dev/null >/dev/null 2>&1"
                       " & echo $!").expect(0).stdout)
    user.keeper.process(pid)

    def uses():
        return [one["in_use"] for one in mounted.status()["versions"]]

    def places():
        found = mounted.server.request("GET", f"/api/v1/hosts?project={project}",
                                       token=mounted.server.all_rights).json()["items"]
        return [one["place"] for one in found]

    try:
        eventually(lambda: uses() == [["open", "recent"]])
        eventually(lambda: places() == [str(mounted.top)])
    finally:
        user.run("kill", "-KILL", pid).expect(0)
    user.run(mounted.fs, "umount", mounted.path).expect(0)
    mounted.await_end()
    assert places() == []


def test_nobody_else_looks_into_it(mounted):
    for path in (mounted.path, mounted.top / "file"):
        done = mounted.user.run_as_root("cat", path)
        assert done.code != 0 and "Permission denied" in done.stderr, done


def test_his_status_names_it_and_root_s_does_not(mounted):
    listed = mounted.user.run(mounted.fs, "status", "--json").expect(0).json()
    assert [one["mountpoint"] for one in listed] == [str(mounted.path)]
    mounted.user.run(mounted.fs, "stat", mounted.top / "file", "--json").expect(0)
    mounted.user.environment.pop("XDG_RUNTIME_DIR")
    others = mounted.user.run_as_root(mounted.fs, "status", "--json").expect(0).json()
    assert str(mounted.path) not in [one["mountpoint"] for one in others]


def test_umount_ends_the_daemon(mounted):
    user = mounted.user
    user.run(mounted.fs, "umount", mounted.path).expect(0)
    mounted.await_end()
    assert user.run("ls", "-A", mounted.path).expect(0).stdout == ""
    assert user.run(mounted.fs, "umount", mounted.path).code == 9


def test_a_signal_ends_it_and_the_mount(mounted):
    mounted.user.run("kill", "-TERM", mounted.pid).expect(0)
    mounted.await_end()
    assert mounted.user.run("ls", "-A", mounted.path).expect(0).stdout == ""


def test_a_busy_mount_stays_unless_lazy(mounted):
    user = mounted.user
    # The shell holds the file open while the verb runs.
    hold = f"exec 3<{mounted.top}/file; {mounted.fs} umount {mounted.path}"
    done = user.run("sh", "-c", f"{hold}; echo $?; cat <&3").expect(0)
    assert done.stdout == "9\nhello" and "--lazy" in done.stderr, done
    done = user.run("sh", "-c", f"{hold} --lazy; echo $?; ls {mounted.path}; cat <&3").expect(0)
    assert done.stdout == "0\nhello", done
    mounted.await_end()


def test_a_dead_mount_makes_room(mounted):
    os.kill(mounted.pid, 9)
    mounted.await_end()
    assert "taken away" in mounted.mount().stderr
    mounted.user.run("cat", mounted.top / "file").expect(0)


def test_passthrough_needs_root(mounted):
    """It is said, and files are read as ever."""
    user = mounted.user
    user.run(mounted.fs, "umount", mounted.path).expect(0)
    mounted.await_end()
    reason = "only a mount of root's has a holder"
    assert f"no passthrough: {reason}" in mounted.mount("passthrough=on").stderr
    user.run("cmp", mounted.top / "dir" / "large", mounted.source / "dir" / "large").expect(0)
    status = mounted.status()["passthrough"]
    assert status["holds"] is False and status["why"].startswith(reason)
    assert status["opens"] == status["cached_opens"] == 0 and status["reads"] > 0


def test_a_place_that_is_not_his_is_refused(mounted):
    done = mounted.user.run(mounted.fs, "mount", mounted.server.url, "/usr", "-o",
                            f"token_file={mounted.token}").expect(9)
    assert "/usr" in done.stderr
