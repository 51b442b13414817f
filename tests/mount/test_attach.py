# SPDX-License-Identifier: MIT
"""One version at one place: what is shown, and that it follows its channel without a gap."""

import contextlib
import itertools
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

from attaches import Attach, Readers, devices_at
from events import promote
from held_mounts import Upgraded, other_version
from keeper import detach
from mounts import eventually, forget_pages
from passed_files import WITHOUT_PASSTHROUGH, cached_object, mapping, passed, told, whole
from server import program

WITHOUT_BENEATH = "KKARTIFACT_FS_WITHOUT_BENEATH"
DIE_AT = "KKARTIFACT_FS_DIE_AT"


@pytest.fixture
def attach(tmp_path, keeper):
    """attach(server, "P/A...", *flags, attached=True, **options): gone at the end."""
    made, numbers = [], itertools.count()

    def make(server, what, *flags, attached=True, **options):
        one = Attach(tmp_path / f"attach-{next(numbers)}", server.url, server.all_rights, keeper,
                     what, flags=flags, **options)
        made.append(one)
        return one.mount() if attached else one

    yield make
    for one in reversed(made):
        one.drop()


@pytest.fixture
def releases(server, project, push):
    """Pushes versions "1" to "3" of an app, each of which says in two files what it is."""
    for version in "123":
        push(server, f"{project}/app/{version}",
             {"version": version.encode(), "dir/version": version.encode() * 100_000,
              f"only-{version}": b""})
    return f"{project}/app"


def children_of(one):
    """The workers, the oldest first."""
    children = pathlib.Path(f"/proc/{one.daemon[0]}/task/{one.daemon[0]}/children")
    return [int(pid) for pid in children.read_text(encoding="ascii").split()]


def shown(one):
    return (one.path / "version").read_text()


def await_version(one, version):
    eventually(lambda: one.attached()["version"] == version)
    assert shown(one) == version


# ------------------------------------------------------------------ what is shown

def test_one_version_is_at_the_place_itself(server, releases, attach):
    one = attach(server, f"{releases}/2")
    assert sorted(os.listdir(one.path)) == [".kkartifact", "dir", "meta.yaml", "only-2", "version"]
    assert shown(one) == "2"
    assert (one.path / "dir" / "version").read_bytes() == b"2" * 100_000
    assert b"version: " in (one.path / ".kkartifact" / "meta.yaml").read_bytes()
    assert (one.path / "meta.yaml").read_bytes() == \
        (one.path / ".kkartifact" / "meta.yaml").read_bytes()
    assert one.path.stat().st_ino == 1 and one.path.stat().st_mode & 0o777 == 0o755
    with os.scandir(one.path) as entries:
        inodes = {entry.name: entry.inode() for entry in entries}
    assert inodes["version"] == (one.path / "version").stat().st_ino
    with pytest.raises(OSError):
        (one.path / "new").touch()
    attached = one.attached()
    assert attached["project"] + "/" + attached["app"] == releases
    assert (attached["channel"], attached["version"], attached["previous"]) == (None, "2", None)
    text = one.verb("status", one.path).expect(0).stdout
    assert f"{releases} is 2" in text
    file = one.verb("stat", one.path / "version", "--json").expect(0).json()
    assert (file["version"], file["cached_bytes"]) == ("2", 1)
    promote(server, *releases.split("/"), "3")
    one.verb("detach", one.path).expect(0)
    one.await_end()
    assert not devices_at(one.path)


def test_it_follows_promotions_and_rollbacks(server, releases, attach):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases)
    assert shown(one) == "1" and one.attached()["channel"] == "live"
    for version, before in zip("2313", "1231"):
        promote(server, *releases.split("/"), version)
        await_version(one, version)
        assert one.attached()["previous"] == before
    assert len(devices_at(one.path)) == 1
    eventually(lambda: one.attached()["in_use"] == [])
    promote(server, *releases.split("/"), "2", channel="beta")
    other = attach(server, f"{releases}@beta")
    assert (shown(other), shown(one)) == ("2", "3")


# ------------------------------------------------------------------ without a gap

CYCLE = 20


@pytest.fixture
def cycle(server, project, push):
    """Versions "v00" to "v19" for attach_reader.py."""
    for number in range(CYCLE):
        word = f"{number:02}".encode()
        push(server, f"{project}/app/v{number:02}",
             {"version": word, "dir/version": word * 1000})
    promote(server, project, "app", "v00")
    return f"{project}/app"


def switch(server, one, what, number):
    """To the version after `number`, once it is to be seen."""
    number = (number + 1) % CYCLE
    promote(server, *what.split("/"), f"v{number:02}")
    until = time.monotonic() + 60
    while shown(one) != f"{number:02}":
        assert time.monotonic() < until, one.attached()
        time.sleep(0.002)
    return number


def switch_often(server, what, one, count, between=lambda: None):
    number = 0
    with Readers(one.path, CYCLE) as readers:
        for _ in range(count):
            number = switch(server, one, what, number)
            between()
    print(f"{readers.looks} looks, {readers.newer} of them saw another version")
    assert readers.newer > count
    attached = one.attached()
    assert attached["switches"] == count and attached["version"] == f"v{number:02}"
    assert len(devices_at(one.path)) == 1
    # Nothing is left of those that nobody uses any more.
    eventually(lambda: one.attached()["in_use"] == [])


def test_nobody_sees_a_switch(server, cycle, attach):
    switch_often(server, cycle, attach(server, cycle), 200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nobody_sees_ten_thousand_switches(server, cycle, attach):
    switch_often(server, cycle, attach(server, cycle), 10_000)


def test_nobody_sees_a_switch_while_workers_die(server, cycle, attach):
    one = attach(server, cycle)
    chance = random.Random(7)

    def kill_one():
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(children_of(one)), signal.SIGKILL)

    switch_often(server, cycle, one, 40, kill_one)


def test_what_is_open_goes_on(server, releases, attach):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases)
    with open(one.path / "dir" / "version", "rb") as held, \
            subprocess.Popen(["sh", "-c", "cd dir; read line; cat version only-1 ../only-1; pwd"],
                             cwd=one.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE) as inside:
        eventually(lambda: os.readlink(f"/proc/{inside.pid}/cwd").endswith("/dir"))
        promote(server, *releases.split("/"), "2")
        await_version(one, "2")
        promote(server, *releases.split("/"), "3")
        await_version(one, "3")
        eventually(lambda: one.attached()["in_use"] == ["1"])  # that of 2 ends behind
        assert "  1 is still in use" in one.verb("status", one.path).expect(0).stdout
        # A former version's worker is followed, too.
        forget_pages()
        os.kill(children_of(one)[0], signal.SIGKILL)
        assert held.read() == b"1" * 100_000
        out, said = inside.communicate(b"\n", timeout=60)
        assert out.startswith(b"1" * 100_000), said
        assert b"only-1" in said  # dir/only-1 never was; ../only-1 is there
    eventually(lambda: one.attached()["in_use"] == [])


def test_too_many_former_versions_wait(server, cycle, attach):
    one = attach(server, cycle)
    number, held = 0, []
    with contextlib.ExitStack() as stack:
        for _ in range(16):
            held.append(stack.enter_context(open(one.path / "dir" / "version", "rb")))
            number = switch(server, one, cycle, number)
        promote(server, *cycle.split("/"), "v17")
        eventually(lambda: "in use" in (one.attached()["error"] or ""))
        assert shown(one) == "16" and len(one.attached()["in_use"]) == 16
        forget_pages()
        for at, file in enumerate(held):
            assert file.read() == f"{at:02}".encode() * 1000
    await_version_of_cycle(one, 17)


def await_version_of_cycle(one, number):
    eventually(lambda: one.attached()["version"] == f"v{number:02}", within=90)
    assert shown(one) == f"{number:02}"


def test_a_kernel_that_puts_nothing_below(server, releases, attach):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases, environment={WITHOUT_BENEATH: "1"})
    with open(one.path / "dir" / "version", "rb") as held:
        promote(server, *releases.split("/"), "2")
        eventually(lambda: one.attached()["version"] == "2")
        forget_pages()
        assert held.read() == b"1" * 100_000
    assert shown(one) == "2" and len(devices_at(one.path)) == 1
    assert "had no version for" in one.log()


# ------------------------------------------------------------------ passthrough

def kill_all_workers(one):
    before = children_of(one)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(children_of(one)) == len(before) and
               not set(children_of(one)) & set(before))


def test_complete_files_are_read_by_the_kernel_alone(server, releases, attach):
    one = attach(server, f"{releases}/2", "--prefetch")
    before = told(one)
    assert before["wanted"] and before["holds"] and before["why"] == ""
    with passed(one, one.path / "dir" / "version") as file:
        forget_pages()
        assert whole(file) == b"2" * 100_000
        with mapping(file, 100_000) as mapped:
            assert mapped() == b"2" * 100_000
        assert (told(one)["opens"], told(one)["files"]) == (1, 1)
        assert "passed    1 opens of 1 files" in one.verb("status", one.path).expect(0).stdout
    eventually(lambda: told(one)["opens"] == 0)
    assert told(one)["reads"] == before["reads"] == 0
    assert told(one)["cached_opens"] == 0


def test_a_switch_leaves_passed_files_as_they_are(server, releases, attach, tmp_path):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases, "--prefetch")
    path, old, new = one.path / "dir" / "version", b"1" * 100_000, b"2" * 100_000
    (tmp_path / "old").write_bytes(old)
    with contextlib.ExitStack() as stack:
        with passed(one, path) as file:
            mapped = stack.enter_context(mapping(file, len(old)))
            promote(server, *releases.split("/"), "2")
            await_version(one, "2")
            with passed(one, path) as other:
                forget_pages()
                assert whole(other) == new and whole(file) == mapped() == old
                assert (told(one)["opens"], told(one)["reads"]) == (1, 0)
                # Whatever becomes of those who could answer, and of the cache's own file.
                kill_all_workers(one)
                cached_object(one, tmp_path / "old").unlink()
                forget_pages()
                assert whole(other) == new and whole(file) == mapped() == old
                assert (told(one)["opens"], told(one)["files"], told(one)["reads"]) == (1, 1, 0)
            assert one.attached()["in_use"] == ["1"]
        # The mapping alone is a use.
        eventually(lambda: told(one)["opens"] == 0)
        forget_pages()
        assert mapped() == old and one.attached()["in_use"] == ["1"]
    eventually(lambda: one.attached()["in_use"] == [])


def test_an_upgrade_keeps_passed_files_of_every_version(server, releases, attach, tmp_path):
    promote(server, *releases.split("/"), "1")
    made = Upgraded(attach(server, releases, "--prefetch", attached=False), tmp_path)
    one = made.mount.mount()
    path = one.path / "dir" / "version"
    with passed(one, path) as former:
        promote(server, *releases.split("/"), "2")
        await_version(one, "2")
        with passed(one, path) as current:
            other_version(program("kkartifact-fs"), made.program)
            made.upgrade()
            assert one.attached()["in_use"] == ["1"]
            with open(path, "rb") as again:
                assert (told(one)["opens"], told(one)["files"]) == (2, 1)
                forget_pages()
                assert again.read() == whole(current) == b"2" * 100_000
            assert whole(former) == b"1" * 100_000
            assert told(one)["reads"] == 0
    eventually(lambda: one.attached()["in_use"] == [] and told(one)["files"] == 0)


def test_an_open_file_of_an_attach_is_not_evicted(server, project, push, attach):
    files = {f"f{number}": os.urandom(70_000) for number in range(90)}
    source = push(server, f"{project}/app/v1", files)
    one = attach(server, f"{project}/app/v1", cache_size=3_000_000)
    assert (one.path / "f0").read_bytes() == files["f0"]
    with passed(one, one.path / "f0") as file:
        for name in sorted(files)[1:]:
            assert (one.path / name).read_bytes() == files[name]
        assert one.status()["cache"]["evicted"] > 5
        assert cached_object(one, source / "f0").exists()
        assert whole(file) == files["f0"]


def test_an_attach_without_passthrough(server, releases, attach):
    one = attach(server, f"{releases}/1", "--prefetch", passthrough="off")
    with open(one.path / "dir" / "version", "rb") as file:
        assert file.read() == b"1" * 100_000
        status = told(one)
    assert not status["holds"] and status["why"] == "it is not switched on"
    assert status["opens"] == status["cached_opens"] == 0 and status["reads"] > 0


def test_an_attach_says_why_it_has_no_passthrough(server, releases, attach):
    one = attach(server, f"{releases}/1", "--prefetch", environment={WITHOUT_PASSTHROUGH: "1"})
    assert (one.path / "dir" / "version").read_bytes() == b"1" * 100_000
    assert not told(one)["holds"] and "kernel" in told(one)["why"]
    assert "no passthrough: the kernel" in one.verb("status", one.path).expect(0).stdout
    assert "passthrough" not in one.log()


# ------------------------------------------------------------------ --exec, --prefetch

def test_a_command_is_run_after_a_switch(server, releases, attach, tmp_path):
    promote(server, *releases.split("/"), "1")
    said = tmp_path / "said"
    one = attach(server, releases, "--exec",
                 f"(env | grep ^KKARTIFACT_ | sort; cat $KKARTIFACT_TARGET/version) >>{said};"
                 " test $KKARTIFACT_VERSION = 2")
    assert one.attached()["exec"] == {"running": False, "version": None, "ended_at": None,
                                      "failure": None}
    promote(server, *releases.split("/"), "2")
    eventually(lambda: one.attached()["exec"]["ended_at"])
    project, app = releases.split("/")
    assert said.read_text().splitlines() == [
        f"KKARTIFACT_APP={app}", "KKARTIFACT_PREVIOUS=1", f"KKARTIFACT_PROJECT={project}",
        f"KKARTIFACT_TARGET={one.path}", "KKARTIFACT_VERSION=2", "2"]
    assert one.attached()["exec"]["failure"] is None
    promote(server, *releases.split("/"), "3")
    eventually(lambda: one.attached()["exec"]["failure"])
    assert (one.attached()["exec"]["version"], one.attached()["exec"]["failure"]) == \
        ("3", "exit code 1")
    assert "the command for 3: exit code 1" in \
        one.verb("status", one.path).expect(0).stdout
    assert "exit code 1" in one.log()


def test_of_commands_that_wait_the_last_is_run(server, releases, attach, tmp_path):
    promote(server, *releases.split("/"), "1")
    said, go = tmp_path / "said", tmp_path / "go"
    one = attach(server, releases, "--exec", f"echo $KKARTIFACT_PREVIOUS $KKARTIFACT_VERSION "
                 f">>{said}; while ! test -e {go}; do sleep 0.05; done")
    for version in "2312":
        promote(server, *releases.split("/"), version)
        await_version(one, version)
    assert said.read_text() == "1 2\n" and one.attached()["exec"]["running"]
    go.touch()
    eventually(lambda: not one.attached()["exec"]["running"] and
               said.read_text() == "1 2\n1 2\n")


def test_a_version_is_shown_when_it_is_complete(new_server, project, push, attach):
    server = new_server()
    files = {version: {f"files/{n}": f"{version}-{n}".encode() * 5000 for n in range(30)}
             for version in "12"}
    for version in "12":
        push(server, f"{project}/app/{version}", files[version])
    promote(server, project, "app", "1")
    one = attach(server, f"{project}/app", "--prefetch")
    # One of its files cannot be had for now.
    [blob] = [path for path in (server.data / "blobs").rglob("*")
              if path.is_file() and path.read_bytes() == files["2"]["files/7"]]
    away = blob.rename(blob.with_name("away"))
    promote(server, project, "app", "2")
    eventually(lambda: one.attached()["error"] or one.attached()["version"] == "2")
    assert (one.path / "files" / "1").read_bytes() == files["1"]["files/1"]
    assert "not followed at the moment" in one.verb("status", one.path).expect(0).stdout
    away.rename(blob)
    eventually(lambda: one.attached()["version"] == "2", within=120)
    server.kill()
    for path, data in files["2"].items():
        assert (one.path / path).read_bytes() == data


# ------------------------------------------------------------------ without a server

def test_what_is_known_is_attached_without_a_server(new_server, project, push, attach):
    server = new_server()
    for version in "12":
        push(server, f"{project}/app/{version}", {"version": version.encode()})
    promote(server, project, "app", "2")
    one = attach(server, f"{project}/app", "--prefetch")
    cache = one.cache
    one.drop()
    port = server.url.rsplit(":", 1)[1]
    server.kill()
    fixed = attach(server, f"{project}/app/2", cache=cache, deadline="2s")
    assert shown(fixed) == "2"
    followed = attach(server, f"{project}/app", cache=cache, deadline="2s")
    assert shown(followed) == "2" and followed.attached()["version"] == "2"
    attach(server, f"{project}/app/1", cache=cache, deadline="2s",
           attached=False).try_mount().expect(7)
    attach(server, f"{project}/app@beta", cache=cache, deadline="2s",
           attached=False).try_mount().expect(7)
    # And it follows when the server is back.
    promote(server, project, "app", "1")
    server.listen = f"127.0.0.1:{port}"
    server.start()
    eventually(lambda: shown(followed) == "1")


# ------------------------------------------------------------------ deaths and upgrades

@pytest.mark.parametrize("step, before", [("made", "1"), ("beneath", "1"), ("taken_off", "2")])
def test_a_switch_that_was_cut_off_is_finished(server, releases, attach, step, before):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases, environment={DIE_AT: step})
    with open(one.path / "dir" / "version", "rb") as held:
        promote(server, *releases.split("/"), "2")
        one.await_end()
        # Whatever the step, one whole version is there, by its own worker.
        assert shown(one) == before
        assert one.attached()["version"] == before and "switches" not in one.attached()
        assert f"{releases}@live is {before}" in one.verb("status", one.path).expect(0).stdout
        assert len(devices_at(one.path)) == (2 if step == "beneath" else 1)
        one.environment = {}
        one.mount()
        assert shown(one) == "2" and len(devices_at(one.path)) == 1
        forget_pages()
        assert held.read() == b"1" * 100_000
    promote(server, *releases.split("/"), "3")
    await_version(one, "3")


def test_a_switch_with_a_gap_that_was_cut_off_is_finished(server, releases, attach):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases, environment={WITHOUT_BENEATH: "1", DIE_AT: "gap"})
    promote(server, *releases.split("/"), "2")
    one.await_end()
    assert not devices_at(one.path)
    one.environment = {WITHOUT_BENEATH: "1"}
    one.mount()
    assert shown(one) == "2"


def test_what_is_held_is_not_taken_over(server, releases, attach, new_mount):
    one = attach(server, f"{releases}/1")
    other = attach(server, f"{releases}/2", target=one.path, attached=False)
    assert "in use" in other.try_mount().expect(9).stderr
    assert shown(one) == "1"
    mount = new_mount(server.url, server.all_rights)
    attach(server, f"{releases}/2", target=mount.path, attached=False).try_mount().expect(9)
    assert (mount / releases / "3" / "version").read_text() == "3"
    assert "not attached" in mount.verb("detach", mount.path).expect(9).stderr
    # Neither is a mount whose holder was killed, as long as its worker answers.
    os.kill(mount.daemon[0], signal.SIGKILL)
    mount.await_end()
    eventually(lambda: mount.status()["holder"]["pid"] is None)
    attach(server, f"{releases}/2", target=mount.path, attached=False).try_mount().expect(9)
    assert (mount / releases / "3" / "version").read_text() == "3"
    one.kill()
    other.mount()
    assert shown(other) == "2" and len(devices_at(one.path)) == 1


def test_an_upgrade_keeps_every_version(server, releases, attach, tmp_path):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases, attached=False)
    one.line_program = shutil.copy(program("kkartifact-fs"), tmp_path / "kkartifact-fs")
    one.mount()
    with open(one.path / "dir" / "version", "rb") as held:
        promote(server, *releases.split("/"), "2")
        await_version(one, "2")
        before = one.status()
        one.verb("upgrade", one.path).expect(0)
        after = one.status()
        assert after["holder"] == before["holder"]
        assert after["worker"]["pid"] != before["worker"]["pid"]
        assert after["attached"]["in_use"] == ["1"] and after["attached"]["version"] == "2"
        forget_pages()
        assert held.read() == b"1" * 100_000
        promote(server, *releases.split("/"), "3")
        await_version(one, "3")
        assert one.attached()["previous"] == "2"
    eventually(lambda: one.attached()["in_use"] == [])
    one.verb("detach", one.path).expect(0)
    one.await_end()


def test_what_is_open_outlives_detach(server, releases, attach):
    promote(server, *releases.split("/"), "1")
    one = attach(server, releases)
    with open(one.path / "dir" / "version", "rb") as held:
        one.verb("detach", one.path).expect(0)
        assert not devices_at(one.path) and os.listdir(one.path) == []
        promote(server, *releases.split("/"), "2")
        forget_pages()
        assert held.read() == b"1" * 100_000
        assert not devices_at(one.path)
    one.await_end()
    one.verb("detach", one.path).expect(5)


def test_detach_and_umount_without_a_daemon(server, releases, attach):
    one = attach(server, f"{releases}/1")
    one.kill()
    one.verb("detach", one.path).expect(0)
    assert not devices_at(one.path)
    two = attach(server, f"{releases}/1")
    two.umount()
    assert not devices_at(two.path)


# ------------------------------------------------------------------ parents and namespaces

@contextlib.contextmanager
def folder_of(propagation, tmp_path, keeper):
    place = tmp_path / propagation
    place.mkdir()
    keeper.mount(place)
    subprocess.run(["mount", "-t", "tmpfs", "test", place], check=True)
    subprocess.run(["mount", f"--make-{propagation}", place], check=True)
    (place / "target").mkdir()
    try:
        yield place / "target"
    finally:
        detach(place)
        keeper.unmounted(place)


@contextlib.contextmanager
def container(propagation, keeper):
    """A process in a mount namespace of its own; propagation "slave" or "private"."""
    with subprocess.Popen(["unshare", "--mount", "--propagation", propagation, "sh", "-c",
                           "echo ready; exec sleep 600"], stdout=subprocess.PIPE) as inside:
        keeper.process(inside.pid)
        assert inside.stdout.readline() == b"ready\n"
        try:
            yield inside
        finally:
            inside.kill()


def seen_by(inside, path):
    return subprocess.run(["nsenter", "--mount", f"--target={inside.pid}", "cat", path],
                          stdout=subprocess.PIPE, check=True, timeout=60).stdout


def test_namespaces_that_follow_and_one_that_does_not(server, releases, attach, tmp_path, keeper):
    promote(server, *releases.split("/"), "1")
    with folder_of("shared", tmp_path, keeper) as target:
        one = attach(server, releases, target=target)
        with container("slave", keeper) as slave, container("private", keeper) as private:
            for version in "232":
                promote(server, *releases.split("/"), version)
                await_version(one, version)
                assert seen_by(slave, target / "version") == version.encode()
                table = pathlib.Path(f"/proc/{slave.pid}/mountinfo").read_text(encoding="utf-8")
                assert table.count(f" {target} ") == 1
            assert seen_by(private, target / "version") == b"1"
            one.verb("detach", target).expect(0)
            again = attach(server, releases, target=target, attached=False)
            said = again.try_mount().expect(0).stderr
            assert f"process {private.pid} (sleep)" in said
            assert f"process {slave.pid} " not in said
        again.drop()


def test_below_a_private_mount(server, releases, attach, tmp_path, keeper):
    promote(server, *releases.split("/"), "1")
    with folder_of("private", tmp_path, keeper) as target, container("slave", keeper) as other:
        one = attach(server, releases, target=target, attached=False)
        said = one.try_mount().expect(0).stderr
        assert f"process {other.pid} (sleep)" in said
        promote(server, *releases.split("/"), "2")
        await_version(one, "2")
        assert len(devices_at(target)) == 1
        one.drop()


# ------------------------------------------------------------------ what is refused

@pytest.mark.parametrize("what, code", [
    ("{}/9", 5), ("{}@nowhere", 5), ("none/such/1", 5), ("{}/latest", 2), ("none", 2),
    ("{}/1/version", 2), ("../x/1", 2)])
def test_what_cannot_be_attached(server, releases, attach, what, code):
    one = attach(server, what.format(releases), attached=False)
    done = one.try_mount().expect(code)
    assert done.stderr.splitlines()[-1].startswith("kkartifact-fs: ")
    assert not devices_at(one.path)


def test_places_that_are_none(server, releases, attach, tmp_path):
    (tmp_path / "file").touch()
    for place in ("absent", "file"):
        attach(server, f"{releases}/1", target=tmp_path / place,
               attached=False).try_mount().expect(9)


def test_a_token_that_may_not(server, releases, attach):
    one = attach(server, f"{releases}/1", attached=False)
    one.token_file.write_text("kka_wrong\n")
    one.try_mount().expect(4)
    one.options["only"] = releases
    assert "only" in one.try_mount().expect(2).stderr
    done = one.verb("attach", server.url, f"{releases}/1")
    assert done.code == 2 and "TARGET" in done.stderr


def test_a_server_that_is_away(releases, server, attach):
    one = attach(server, f"{releases}/1", attached=False, deadline="1s")
    one.url = "http://127.0.0.1:1"
    one.try_mount().expect(7)
