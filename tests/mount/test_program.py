# SPDX-License-Identifier: MIT
"""kkartifact-fs as a program: verbs, exit codes, the helper of mount(8), life and end."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from agent import clean_environment, run
from keeper import is_mounted
from mounts import eventually
from server import program

FS = "kkartifact-fs"


def fs(*words, **options):
    return run([program(FS), *words], within=60, **options)


def test_status_and_stat(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"hello", "dir/other": b"x" * 1000})
    mount = new_mount(server.url, server.all_rights)
    top = mount / project / "app" / "v1"
    assert (top / "file").read_bytes() == b"hello"
    eventually(lambda: mount.status()["versions"][0]["in_use"])  # counted behind
    status = mount.status()
    assert {"mountpoint", "server", "online", "unauthorised", "versions", "cache", "requests",
            "fetched_bytes", "hit_bytes", "integrity_failures", "last_error",
            "leases", "servers", "worker"} <= set(status)
    [one] = status["servers"]
    assert (one["url"], one["state"], one["failures"], one["wrong"]) == (server.url, "ok", 0, 0)
    assert status["mountpoint"] == str(mount.path)
    assert status["server"] == server.url
    assert status["online"] is True
    assert {"bytes", "limit", "files"} <= set(status["cache"])
    assert status["worker"]["restarts"] == 0
    assert pathlib.Path(f"/proc/{status['worker']['pid']}").exists()
    [version] = status["versions"]
    assert version.pop("in_use") == ["recent"]
    lease = version.pop("lease")
    assert set(lease) == {"state", "place", "renewed_at", "error"}
    assert lease["place"] == f"{mount.path}/{project}/app/v1"
    assert version == {"project": project, "app": "app", "version": "v1", "state": "partial",
                       "cached_bytes": 5, "bytes": 1005, "pinned": False}
    file = mount.verb("stat", top / "file", "--json").expect(0).json()
    assert file["sha256"] == \
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert file["cached_bytes"] == 5 and file["state"] == "complete" and file["version"] == "v1"
    other = mount.verb("stat", top / "dir" / "other", "--json").expect(0).json()
    assert other["cached_bytes"] == 0 and other["state"] == "remote"
    folder = mount.verb("stat", top / "dir", "--json").expect(0).json()
    assert folder["kind"] == "directory"
    whole = mount.verb("stat", top, "--json").expect(0).json()
    assert re.fullmatch("[0-9a-f]{64}", whole["content"])
    assert str(mount.path) in mount.verb("status").expect(0).stdout
    assert status["mountpoint"] in [one["mountpoint"] for one in
                                    mount.verb("status", "--json").expect(0).json()]
    mount.verb("stat", "/etc/passwd").expect(5)
    mount.verb("status", "/").expect(5)


def test_umount_ends_the_daemon(server, new_mount):
    mount = new_mount(server.url, server.all_rights)
    mount.umount()
    assert not is_mounted(mount.path)
    assert mount.verb("umount", mount.path).code == 9
    mount.mount()
    mount.umount()


def test_umount_of_another_kind_is_refused():
    assert fs("umount", "/proc").code == 9
    assert pathlib.Path("/proc/self").exists()


def test_a_busy_mount_stays_unless_lazy(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights)
    with open(mount / project / "app" / "v1" / "file", "rb") as file:
        done = mount.verb("umount", mount.path)
        assert done.code == 9 and is_mounted(mount.path)
        assert "busy" in done.stderr and "--lazy" in done.stderr
        mount.verb("umount", mount.path, "--lazy").expect(0)
        assert not is_mounted(mount.path)
        assert file.read() == b"hello"
    mount.await_end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(server, new_mount, number):
    mount = new_mount(server.url, server.all_rights)
    os.listdir(mount.path)
    os.kill(mount.daemon[0], number)
    mount.await_end()
    assert not is_mounted(mount.path)


def is_pending(pid, number):
    """Whether a process has not taken a signal yet that was sent to it."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        [pending] = [line.split()[1] for line in status if line.startswith("ShdPnd:")]
    return int(pending, 16) >> (number - 1) & 1 == 1


def test_sighup_does_not(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights)
    os.kill(mount.daemon[0], signal.SIGHUP)
    until = time.monotonic() + 60
    while is_pending(mount.daemon[0], signal.SIGHUP):
        assert time.monotonic() < until, "the signal is not taken"
    # Asked of the server by the thread that took it.
    assert (mount / project / "app" / "v1" / "file").read_bytes() == b"hello"
    assert mount.status()["holder"]["pid"] == mount.daemon[0]


def test_in_the_foreground(server, new_mount, tmp_path):
    mount = new_mount(server.url, server.all_rights, mounted=False)
    mount.keeper.mount(mount.path)
    process = subprocess.Popen([str(word) for word in mount.line()] + ["-f"],
                               stderr=subprocess.PIPE, env=clean_environment(tmp_path), text=True)
    assert "mounted" in process.stderr.readline()
    assert mount.status()["holder"]["pid"] == process.pid
    mount.verb("umount", mount.path).expect(0)
    assert process.wait(60) == 0
    process.stderr.close()


def test_the_helper_of_mount(server, project, push, new_mount, tmp_path):
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights, mounted=False)
    helper = tmp_path / "mount.kkartifact"
    helper.symlink_to(program(FS))
    mount.keeper.mount(mount.path)
    options = f"rw,noauto,_netdev,user,token_file={mount.token_file},cache={mount.cache}"
    done = run([helper, server.url, mount.path, "-n", "-s", "-v", "-o", options],
               env=clean_environment(tmp_path)).expect(0)
    assert done.stderr.count("read-only") == 1
    assert "noexec" in mount_flags(mount.path)
    assert (mount / project / "app" / "v1" / "file").read_bytes() == b"hello"
    mount.verb("umount", mount.path).expect(0)
    for words in ([server.url], [server.url, mount.path, "more"],
                  [server.url, mount.path, "-o"], [server.url, mount.path, "-o", "nonsense"],
                  [server.url, mount.path, "--token", "x"]):
        done = run([helper, *words], env=clean_environment(tmp_path)).expect(2)
        assert done.stderr.startswith("mount.kkartifact: ")
    for word in ("-h", "--help"):
        assert "token_file=FILE" in run([helper, word]).expect(0).stdout
    assert run([helper, "-V"]).expect(0).stdout.startswith("mount.kkartifact ")


def mount_flags(path):
    """The options of what is on top there."""
    with open("/proc/self/mounts", encoding="ascii") as table:
        return [line.split()[3].split(",") for line in table
                if line.split()[1] == str(path)][-1]


def test_programs_run_unless_told_otherwise(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights, ro=True, noexec=True, exec=True)
    flags = mount_flags(mount.path)
    assert {"ro", "nosuid", "nodev", "noatime"} <= set(flags) and "noexec" not in flags
    mount.umount()
    mount.options = {"noexec": True}
    assert "read-only" not in mount.try_mount().expect(0).stderr
    assert "noexec" in mount_flags(mount.path)


def test_paths_of_options_may_be_relative(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights, mounted=False)
    mount.keeper.mount(mount.path)
    run([program(FS), "mount", server.url, "mnt", "-o", "token_file=mount-token,cache=relative"],
        env=clean_environment(mount.home), cwd=mount.directory).expect(0)
    assert (mount / project / "app" / "v1" / "file").read_bytes() == b"hello"
    assert (mount.directory / "relative" / "known").is_dir()
    assert not pathlib.Path("/relative").exists()
    mount.verb("umount", mount.path).expect(0)


def test_free_is_what_the_cache_has(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"x" * 1_000_000})
    mount = new_mount(server.url, server.all_rights)
    assert (mount / project / "app" / "v1" / "file").stat()
    shown, disk = os.statvfs(mount.path), os.statvfs(mount.cache)
    free = disk.f_bavail * disk.f_frsize
    assert abs(shown.f_bavail * shown.f_frsize - free) < free / 4
    assert (shown.f_blocks - shown.f_bfree) * shown.f_frsize <= 1_100_000


def test_two_mounts_share_a_cache(server, project, push, new_mount):
    data = os.urandom(1_500_000)
    push(server, f"{project}/app/v1", {"file": data})
    one = new_mount(server.url, server.all_rights)
    two = new_mount(server.url, server.all_rights, cache=one.cache)
    assert (one / project / "app" / "v1" / "file").read_bytes() == data
    assert (two / project / "app" / "v1" / "file").read_bytes() == data
    one.umount()
    assert (two / project / "app" / "v1" / "file").read_bytes() == data
    one.mount()
    assert (one / project / "app" / "v1" / "file").read_bytes() == data
    assert one.status()["fetched_bytes"] < 100_000


def test_mounted_over_itself(server, project, push, new_mount):
    """The same server is not mounted twice; under another name it is, and then the first is there
    when that is gone."""
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights)
    below = mount.daemon
    done = mount.verb(*mount.line()[1:]).expect(9)
    assert f"already mounted at {mount.path}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    mount.url = server.url.replace("127.0.0.1", "localhost")
    assert mount.url != server.url
    mount.mount()
    assert mount.daemon != below
    assert (mount / project / "app" / "v1" / "file").read_bytes() == b"hello"
    mount.umount()
    assert (mount / project / "app" / "v1" / "file").read_bytes() == b"hello"
    mount.daemon = below


def test_a_dead_mount_makes_room(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"file": b"hello"})
    mount = new_mount(server.url, server.all_rights)
    mount.kill()
    assert is_mounted(mount.path)
    done = mount.try_mount().expect(0)
    assert "taken away" in done.stderr
    assert (mount / project / "app" / "v1" / "file").read_bytes() == b"hello"
    mount.umount()
    assert not is_mounted(mount.path)


@pytest.mark.parametrize("words, code, said", [
    (["mount"], 2, "SERVER"),
    (["mount", "http://127.0.0.1:1"], 2, "SERVER"),
    (["mount", "ftp://x", "/tmp"], 2, "ftp://x"),
    (["mount", "http://127.0.0.1:1", "/tmp", "-o", "offline=yes"], 2, "offline"),
    (["mount", "http://127.0.0.1:1", "/tmp", "-o", "deadline=never"], 2, "deadline"),
    (["mount", "http://127.0.0.1:1", "/nonexistent"], 9, "/nonexistent"),
    (["mount", "http://127.0.0.1:1", "/tmp", "-o", "token_file=/nonexistent"], 2, "token_file"),
    (["mount", "--nonsense", "a", "b"], 2, "nonsense"),
    (["nonsense"], 2, "nonsense"),
    (["umount"], 2, "umount"),
    (["umount", "/nonexistent"], 9, "/nonexistent"),
    (["stat", "/nonexistent"], 5, "/nonexistent"),
    (["completion", "tcsh"], 2, "tcsh"),
])
def test_what_is_wrong_is_named(words, code, said, tmp_path):
    done = fs(*words, env=clean_environment(tmp_path)).expect(code)
    assert said in done.stderr and not done.stdout
    assert len([line for line in done.stderr.splitlines() if said in line]) == 1


@pytest.mark.parametrize("first, second", [
    ("http://192.0.2.1:80", "http://127.0.0.1:9"), ("http://127.0.0.1:9", "http://192.0.2.1:80")])
def test_a_token_does_not_go_over_plain_http(new_mount, first, second):
    """Wrong use: an option is missing, and nobody has refused anything yet."""
    mount = new_mount(first, "kka_aaaaaaaaaaaa_" + "b" * 43, mounted=False, server=second)
    started = time.monotonic()
    done = mount.try_mount().expect(2)
    assert "insecure" in done.stderr and "192.0.2.1" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - started < 5


def test_few_descriptors(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {f"f{i}": b"%d" % i for i in range(300)})
    mount = new_mount(server.url, server.all_rights, mounted=False)
    mount.keeper.mount(mount.path)
    line = " ".join(str(word) for word in mount.line())
    run(["sh", "-c", f"ulimit -n 64; exec {line}"], env=clean_environment(mount.home)).expect(0)
    for i in range(300):
        assert (mount / project / "app" / "v1" / f"f{i}").read_bytes() == b"%d" % i


def test_help_version_and_completion():
    assert "mount" in fs("--help").expect(0).stdout
    assert fs("version").expect(0).stdout.startswith("kkartifact-fs ")
    for shell in ("bash", "zsh", "fish"):
        assert "umount" in fs("completion", shell).expect(0).stdout
    assert "token_file=FILE" in fs("mount", "-o", "help").expect(0).stdout


def test_json_is_json(server, new_mount):
    mount = new_mount(server.url, server.all_rights)
    assert isinstance(json.loads(mount.verb("status", "--json").stdout), list)
