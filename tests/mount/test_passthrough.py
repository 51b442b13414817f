# SPDX-License-Identifier: MIT
"""Files that are complete in the cache are read by the kernel alone: no request reaches the mount,
no call fails, and no byte is wrong, whoever dies, opens, closes and evicts meanwhile."""

import contextlib
import hashlib
import mmap
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

from agent import clean_environment
from held_mounts import Upgraded, kill_until_it_pauses, other_version, top_of
from keeper import detach, start_time
from mount_load import Load, await_worker, kill_workers, worker_of
from mounts import eventually, forget_pages
from open_model import OpenModels
from passed_files import WITHOUT_PASSTHROUGH, cached_object, mapping, opened, passed, told, whole
from server import program
from service_manager import ServiceManager


def passing(new_mount, server, **options):
    return new_mount(server.url, server.all_rights, passthrough="on", **options)


def bring(mount, pushed):
    mount.verb("prefetch", mount.path, "/".join(pushed)).expect(0)


@pytest.fixture
def brought(server, pushed, new_mount, kernel):
    """A mount with passthrough, all of whose version is in the cache."""
    mount = passing(new_mount, server)
    bring(mount, pushed)
    return mount


def kill_worker(mount):
    worker = worker_of(mount.daemon[0])
    os.kill(worker, signal.SIGKILL)
    await_worker(mount.daemon[0], worker)


def test_a_complete_file_is_read_by_the_kernel_alone(brought, pushed, tree):
    mount, top = brought, top_of(brought, pushed)
    before = told(mount)
    assert before["holds"] and before["why"] == ""
    assert "passed    0 opens" in mount.verb("status", mount.path).expect(0).stdout
    forget_pages()
    wanted = (tree / "large").read_bytes()
    with passed(mount, top / "large") as file:
        assert whole(file) == wanted
        with mmap.mmap(file, 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[:] == wanted
        assert told(mount)["opens"] == 1 and told(mount)["files"] == 1
    for path in (tree / "files").iterdir():
        with passed(mount, top / "files" / path.name) as file:
            assert whole(file) == path.read_bytes()
    with passed(mount, top / "program"):
        subprocess.run([top / "program"], check=True)
    eventually(lambda: told(mount)["opens"] == 0)
    after = told(mount)
    assert after["reads"] == before["reads"]
    assert after["files"] == 0 and after["cached_opens"] == 0
    mount.umount()


def test_a_file_keeps_its_way_until_its_last_release(server, pushed, tree, new_mount):
    mount = passing(new_mount, server, prefetch="none")
    path, wanted = top_of(mount, pushed) / "large", (tree / "large").read_bytes()
    with opened(path) as first:
        assert os.pread(first, 100, 0) == wanted[:100]
        assert told(mount)["cached_opens"] == 1
        bring(mount, pushed)
        with opened(path) as second:
            status = told(mount)
            assert status["cached_opens"] == 2 and status["opens"] == 0
            assert whole(second) == wanted
        assert whole(first) == wanted
    eventually(lambda: told(mount)["cached_opens"] == 0)
    before = told(mount)["reads"]
    with passed(mount, path) as first, opened(path) as second:
        status = told(mount)
        assert status["opens"] == 2 and status["files"] == 1 and status["cached_opens"] == 0
        forget_pages()
        assert whole(first) == whole(second) == wanted
    assert told(mount)["reads"] == before


def test_a_mapping_outlives_its_file(brought, pushed, tree):
    path, wanted = top_of(brought, pushed) / "large", (tree / "large").read_bytes()
    with contextlib.ExitStack() as stack:
        with passed(brought, path) as file:
            mapped = stack.enter_context(mapping(file, len(wanted)))
        # The kernel maps the backing file itself.
        eventually(lambda: told(brought)["opens"] == 0)
        forget_pages()
        assert mapped() == wanted
        assert path.read_bytes() == wanted


def test_reads_go_on_with_nobody_there(brought, pushed, tree):
    mount, path = brought, top_of(brought, pushed) / "large"
    wanted = (tree / "large").read_bytes()
    with passed(mount, path) as file:
        worker = mount.worker()
        os.kill(worker, signal.SIGSTOP)
        forget_pages()
        assert whole(file) == wanted
        os.kill(worker, signal.SIGCONT)
        eventually(lambda: mount.status()["worker"]["pid"] is not None)
        mount.kill()
        forget_pages()
        assert whole(file) == wanted


def test_a_dead_worker_takes_no_open_with_it(brought, pushed, tree):
    mount, path = brought, top_of(brought, pushed) / "large"
    wanted = (tree / "large").read_bytes()
    with passed(mount, path) as first:
        kill_worker(mount)
        with opened(path) as second:
            kill_worker(mount)
            assert told(mount)["opens"] == 2 and told(mount)["files"] == 1
            forget_pages()
            assert whole(first) == whole(second) == wanted
    eventually(lambda: told(mount)["opens"] == 0)
    assert told(mount)["files"] == 0
    assert path.read_bytes() == wanted


def test_a_release_while_no_worker_lives_counts(brought, pushed, tree):
    mount, path = brought, top_of(brought, pushed) / "large"
    with passed(mount, path):
        kill_until_it_pauses(mount, left_s=1)
    eventually(lambda: mount.status()["worker"]["pid"] is not None)
    eventually(lambda: told(mount)["opens"] == 0)
    assert path.read_bytes() == (tree / "large").read_bytes()


def test_killed_workers_are_not_seen(brought, pushed, tree):
    mount, top = brought, top_of(brought, pushed)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    with opened(top / "large") as file, OpenModels(top, tree, 2, seed) as models:
        with Load(top, tree) as load:
            kill_workers(mount.daemon[0], 50, load, random.Random(seed), top)
            models.check()
        assert whole(file) == (tree / "large").read_bytes()
    assert models.opens > 20
    status = mount.status()
    assert status["worker"]["restarts"] == 50, mount.log()
    assert status["worker"]["last_end"] == "signal 9 (Killed)"


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_many_killed_workers_are_not_seen(brought, pushed, tree):
    mount, top = brought, top_of(brought, pushed)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    with OpenModels(top, tree, 3, seed) as models, Load(top, tree) as load:
        kill_workers(mount.daemon[0], 300, load, random.Random(seed), top)
        models.check()


def test_opens_in_any_order_while_files_come_and_go(server, pushed, tree, new_mount):
    """The cache has room for a part of the version: files become complete and are evicted while
    some have them open."""
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    mount = passing(new_mount, server, cache_size=size * 3 // 5, prefetch="none")
    top = top_of(mount, pushed)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    with OpenModels(top, tree, 4, seed) as models:
        for _ in range(24):
            time.sleep(0.25)
            forget_pages()
            models.check()
    eventually(lambda: told(mount)["opens"] + told(mount)["cached_opens"] == 0)
    status = mount.status()
    assert status["cache"]["evicted"] > 0 and models.opens > 50
    assert status["passthrough"]["holds"] and status["passthrough"]["files"] == 0
    assert status["worker"]["restarts"] == 0 and status["last_error"] == ""


def test_what_is_open_may_be_evicted(server, pushed, tree, new_mount):
    """By another mount of the same cache, say."""
    mount = passing(new_mount, server)
    path, wanted = top_of(mount, pushed) / "large", (tree / "large").read_bytes()
    assert path.read_bytes() == wanted
    kept = cached_object(mount, tree / "large")
    eventually(kept.exists)
    with passed(mount, path) as first:
        kill_worker(mount)
        kept.unlink()
        with opened(path) as second:
            assert told(mount)["opens"] == 2 and told(mount)["files"] == 1
            before = mount.status()["fetched_bytes"]
            forget_pages()
            assert whole(first) == whole(second) == wanted
            assert mount.status()["fetched_bytes"] == before and told(mount)["reads"] == 0
    eventually(lambda: told(mount)["opens"] == 0)
    with opened(path) as again:
        assert told(mount)["cached_opens"] == 1
        assert whole(again) == wanted


def test_an_open_file_is_not_evicted(server, project, push, new_mount):
    files = {f"f{number}": os.urandom(70_000) for number in range(90)}
    push(server, f"{project}/app/v1", files)
    mount = passing(new_mount, server, cache_size=3_000_000)
    top = mount / project / "app" / "v1"
    assert (top / "f0").read_bytes() == files["f0"]
    digest = hashlib.sha256(files["f0"]).hexdigest()
    with passed(mount, top / "f0") as file:
        for _ in range(2):
            for name in sorted(files)[1:]:
                assert (top / name).read_bytes() == files[name]
        assert mount.status()["cache"]["evicted"] > 5
        assert (mount.cache / "obj" / digest[:2] / digest).exists()
        assert whole(file) == files["f0"]


def test_a_holder_that_stands_still_is_not_waited_for(brought, pushed, tree):
    mount, top = brought, top_of(brought, pushed)
    os.kill(mount.daemon[0], signal.SIGSTOP)
    try:
        started = time.monotonic()
        with opened(top / "large") as file:
            assert whole(file) == (tree / "large").read_bytes()
            for path in (tree / "files").iterdir():
                assert (top / "files" / path.name).read_bytes() == path.read_bytes()
            assert time.monotonic() - started < 15  # not half a second each
            # Nor by who asks how the mount is.
            assert told(mount)["cached_opens"] == 1
    finally:
        os.kill(mount.daemon[0], signal.SIGCONT)
    # What it registered too late nobody uses; later it is asked again.
    with passed(mount, top / "program") as file:
        assert whole(file) == (tree / "program").read_bytes()
    eventually(lambda: told(mount)["files"] == 0)


def test_a_holder_that_is_gone(brought, pushed, tree):
    mount, top = brought, top_of(brought, pushed)
    with passed(mount, top / "large") as file:
        worker = mount.worker()
        os.kill(mount.daemon[0], signal.SIGKILL)
        mount.await_end()
        eventually(lambda: mount.status()["holder"]["pid"] is None)
        with opened(top / "large") as again:  # of the id that is there
            assert told(mount)["opens"] == 2
            assert whole(file) == whole(again) == (tree / "large").read_bytes()
        with opened(top / "files" / "1") as other:
            assert told(mount)["cached_opens"] == 1
            assert whole(other) == (tree / "files" / "1").read_bytes()
        assert "holder is gone" in told(mount)["why"]
    mount.daemon = (worker, start_time(worker))
    mount.umount()


# ------------------------------------------------------------------ below it

@contextlib.contextmanager
def overlay(path, keeper):
    """A file system above another one, as containers have it; on a disk of its own, since the root
    of a test may be one itself."""
    parts = [path / name for name in ("lower", "upper", "work", "merged")]
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "test", path], check=True)
    keeper.mount(path)
    for part in parts:
        part.mkdir()
    lower, upper, work, merged = parts
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir={lower},upperdir={upper},workdir={work}", merged], check=True)
    keeper.mount(merged)
    try:
        yield merged
    finally:
        for place in (merged, path):
            detach(place)
            keeper.unmounted(place)


def test_a_cache_on_overlayfs(server, pushed, tree, new_mount, tmp_path, keeper):
    with overlay(tmp_path / "stacked", keeper) as place:
        mount = passing(new_mount, server, cache=place / "cache", mounted=False)
        reason = "no passthrough: the cache lies on a stacked file system"
        assert reason in mount.try_mount().expect(0).stderr
        with mount:
            top = top_of(mount, pushed)
            bring(mount, pushed)
            # A later worker sees it when it tries.
            kill_worker(mount)
            for _ in range(2):
                for path in [tree / "large", *(tree / "files").iterdir()]:
                    assert (top / path.relative_to(tree)).read_bytes() == path.read_bytes()
            with opened(top / "large"):
                status = told(mount)
                assert not status["holds"] and "overlayfs" in status["why"]
                assert status["cached_opens"] == 1 and status["opens"] == 0
            said = mount.verb("status", mount.path).expect(0).stdout
            assert reason in said
            assert mount.log().count("no passthrough") == 1


def test_a_kernel_that_cannot(server, pushed, tree, new_mount, monkeypatch):
    monkeypatch.setattr("mounts.clean_environment",
                        lambda home: clean_environment(home, **{WITHOUT_PASSTHROUGH: "1"}))
    mount = passing(new_mount, server, mounted=False)
    assert "no passthrough: the kernel does not offer it" in mount.try_mount().expect(0).stderr
    bring(mount, pushed)
    path = top_of(mount, pushed) / "large"
    with opened(path) as file:
        assert whole(file) == (tree / "large").read_bytes()
        status = told(mount)
    assert not status["holds"] and "kernel" in status["why"]
    # It opens by itself.
    assert status["cached_opens"] == 0 and status["reads"] > 0


@pytest.mark.parametrize("option", ["auto", "off"])
def test_where_it_is_not_switched_on(server, pushed, tree, new_mount, option):
    mount = new_mount(server.url, server.all_rights, passthrough=option)
    bring(mount, pushed)
    with opened(top_of(mount, pushed) / "large") as file:
        assert whole(file) == (tree / "large").read_bytes()
        status = told(mount)
    assert not status["holds"] and status["why"] == "it is not switched on"
    assert status["opens"] == status["cached_opens"] == 0
    assert "passthrough" not in mount.verb("status", mount.path).expect(0).stdout


def test_the_mount_says_that_it_holds(server, pushed, new_mount):
    mount = passing(new_mount, server, mounted=False)
    assert "passthrough: the kernel reads complete files" in mount.try_mount().expect(0).stderr


# ------------------------------------------------------------------ other programs, other holders

def test_an_upgrade_with_open_files(server, pushed, tree, new_mount, tmp_path):
    one = Upgraded(passing(new_mount, server, mounted=False), tmp_path)
    mount = one.mount.mount()
    bring(mount, pushed)
    top, wanted = top_of(mount, pushed), (tree / "large").read_bytes()
    with passed(mount, top / "large") as first, OpenModels(top, tree, 2) as models:
        for source in (program("kkartifact-fs"), one.program):
            other_version(source, one.program)
            one.upgrade()
            models.check()
            with opened(top / "large") as second:
                assert whole(first) == whole(second) == wanted
    eventually(lambda: told(mount)["opens"] + told(mount)["cached_opens"] == 0)
    status = told(mount)
    assert status["holds"] and status["files"] == 0
    mount.umount()


def test_a_manager_starts_a_new_holder(server, pushed, tree, new_mount, tmp_path, keeper):
    mount = passing(new_mount, server, mounted=False)
    with ServiceManager(tmp_path, [*mount.line(), "-f"], keeper) as manager:
        keeper.mount(mount.path)
        manager.start()
        assert "kkartifact-opens" in manager.stored
        bring(mount, pushed)
        top, wanted = top_of(mount, pushed), (tree / "large").read_bytes()
        with passed(mount, top / "large") as first, OpenModels(top, tree, 2) as models:
            for _ in range(4):
                worker = mount.worker()
                manager.kill()
                os.kill(worker, signal.SIGKILL)
                manager.start()
                with opened(top / "large") as second:
                    assert whole(first) == whole(second) == wanted
                models.check()
            assert told(mount)["opens"] >= 1
        eventually(lambda: told(mount)["opens"] + told(mount)["cached_opens"] == 0)
        mount.verb("umount", mount.path).expect(0)
        assert manager.process.wait(20) == 0
        manager.hear()
        assert manager.stored == {}


def test_the_option_of_a_new_holder_counts_for_new_files(server, pushed, tree, new_mount, tmp_path,
                                                         keeper):
    """How the connection opens files was decided when it was made; with the option off none begins
    to have a backing file."""
    mount = passing(new_mount, server, mounted=False)
    with ServiceManager(tmp_path, [*mount.line(), "-f"], keeper) as manager:
        keeper.mount(mount.path)
        manager.start()
        bring(mount, pushed)
        top = top_of(mount, pushed)
        with passed(mount, top / "large") as first:
            worker = mount.worker()
            manager.kill()
            os.kill(worker, signal.SIGKILL)
            manager.line = [word.replace("passthrough=on", "passthrough=off")
                            for word in manager.line]
            manager.start()
            with opened(top / "large") as second, opened(top / "program") as other:
                assert whole(first) == whole(second) == (tree / "large").read_bytes()
                assert whole(other) == pathlib.Path(shutil.which("true")).read_bytes()
                status = told(mount)
                assert status["opens"] == 2 and status["cached_opens"] == 1
                assert not status["holds"]
