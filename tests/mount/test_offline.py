# SPDX-License-Identifier: MIT
"""A mount that is told to be offline: what is known and cached is there, nothing else is, and no
server hears of it."""

import errno
import os
import signal
import time

import pytest

from mounts import eventually, fails_with, forget_pages
from proxies import CountingProxy

DEADLINE_S = 300  # what fails "at once" is not waited for so long


@pytest.fixture
def counted(server):
    with CountingProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def known(server, counted, project, push, new_mount):
    """A mount that has seen a version in part, and another by name only; it is gone, its cache is
    not."""
    source = push(server, f"{project}/app/v1", {"a": b"1", "b/c": os.urandom(700_000),
                                                "d": os.urandom(100_000), "e": b"5"})
    push(server, f"{project}/app/v2", {"a": b"2"})
    mount = new_mount(counted.url, server.all_rights, prefetch="none", deadline=f"{DEADLINE_S}s")
    app = mount / project / "app"
    assert sorted(os.listdir(app)) == ["v1", "v2"]
    assert (app / "v1" / "a").read_bytes() == b"1"
    assert (app / "v1" / "b" / "c").read_bytes() == (source / "b" / "c").read_bytes()
    mount.source = source
    mount.umount()
    counted.cut()
    counted.reset()
    mount.options["offline"] = True
    return mount


def test_the_cache_answers_and_nobody_is_asked(known, counted, project):
    known.mount()
    started = time.monotonic()
    app = known / project / "app"
    assert os.listdir(known.path) == [project] and os.listdir(known / project) == ["app"]
    assert os.listdir(app) == ["v1"]  # the other one was never opened
    assert (app / "v1" / "a").read_bytes() == b"1"
    assert (app / "v1" / "b" / "c").read_bytes() == (known.source / "b" / "c").read_bytes()
    assert (app / "v1" / "d").stat().st_size == 100_000
    fails_with(errno.EIO, (app / "v1" / "d").read_bytes)
    for absent in (app / "v2", app / "v3", known / project / "other", known / "other"):
        fails_with(errno.ENOENT, absent.stat)
    status = known.status()
    assert (status["offline"], status["online"], status["requests"]) == (True, False, 0)
    assert "offline" in status["last_error"]
    told = known.verb("status", known.path).expect(0).stdout
    assert "offline, as it was told" in told
    assert "offline" in known.verb("prefetch", known.path, f"{project}/app/v1").expect(7).stderr
    known.verb("prefetch", known.path, f"{project}/app/v2").expect(5)
    # Longer than lists are believed; and after the death of who answers.
    time.sleep(2)
    assert os.listdir(app) == ["v1"]
    os.kill(known.worker(), signal.SIGKILL)
    eventually(lambda: known.status()["worker"]["restarts"] == 1)
    forget_pages()
    assert (app / "v1" / "a").read_bytes() == b"1"
    fails_with(errno.EIO, (app / "v1" / "e").read_bytes)
    assert time.monotonic() - started < DEADLINE_S
    assert counted.connections == 0


def test_a_version_that_is_known_and_not_cached(known, counted, project):
    for below in ("idx", "part"):
        for kept in (known.cache / below).iterdir():
            kept.unlink()
    known.mount()
    assert os.listdir(known / project / "app") == ["v1"]
    fails_with(errno.EIO, os.listdir, known / project / "app" / "v1")
    assert "offline" in known.status()["last_error"]
    assert counted.connections == 0


def test_it_is_asked_again_when_the_option_is_gone(known, counted, project):
    known.mount()
    known.umount()
    assert counted.connections == 0
    del known.options["offline"]
    known.mount()
    assert sorted(os.listdir(known / project / "app")) == ["v1", "v2"]
    assert (known / project / "app" / "v1" / "e").read_bytes() == b"5"
    assert counted.connections > 0


def test_nothing_is_known(server, counted, new_mount):
    mount = new_mount(counted.url, server.all_rights, mounted=False, offline=True)
    done = mount.try_mount().expect(7)
    assert "offline" in done.stderr and counted.url in done.stderr
    assert counted.connections == 0


def test_another_token_knows_nothing(known, counted):
    known.token_file.write_text("kka_aaaaaaaaaaaa_" + "b" * 43 + "\n")
    assert "offline" in known.try_mount().expect(7).stderr
    assert counted.connections == 0
