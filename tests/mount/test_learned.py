# SPDX-License-Identifier: MIT
"""What a start of a version reads: noted, told to the server, and brought to the next that starts,
before it asks; and the list that a pusher declares."""

import os
import re
import signal
import time

import pytest

from agent import clean_environment
from damage import object_of
from mounts import eventually, forget_pages
from passed_files import passed, whole
from proxies import LyingProxy, Silence

PIECE = 512 * 1024
LIST = ".kkartifact-prefetch"


@pytest.fixture(autouse=True)
def short_starts(monkeypatch):
    """A start lasts so long that a test reads within it, and no longer."""
    monkeypatch.setattr("mounts.clean_environment",
                        lambda home: clean_environment(home, KKARTIFACT_FS_START_MS="5000"))


def spread(count, size=3000):
    """A small file in each directory: no siblings."""
    return {f"d{number:02}/f": os.urandom(size) for number in range(count)}


def read(mount, name, *paths):
    for path in paths:
        (mount / name / path).read_bytes()


def reads_of(server, name):
    project, app, version = name.split("/")
    path = f"/api/v1/projects/{project}/apps/{app}/versions/{version}/reads"
    answer = server.request("GET", path, token=server.all_rights)
    assert answer.status == 200, answer
    return answer.json()


def learned(server, name):
    return [file["path"] for file in reads_of(server, name)["reads"]]


def start(server, name, mount, *paths):
    """The first start of a version on some host, until the server knows of it."""
    read(mount, name, *paths)
    eventually(lambda: reads_of(server, name)["source"] == "own")


def here(mount, files, *paths):
    """Which of the files are in the mount's cache."""
    return {path for path in paths or files if object_of(mount.cache, files[path]).exists()}


def told(proxy):
    """The versions of which a mount has told."""
    return [re.search(r"versions/([^/]+)/reads$", path)[1] for method, path, _ in proxy.seen
            if method == "PUT" and path.endswith("/reads")]


def test_what_the_kernel_reads_by_itself_is_told(server, project, push, new_mount):
    name = f"{project}/app/v1"
    files = {**spread(5), "large": os.urandom(40 * PIECE)}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights, passthrough="on")
    mount.verb("prefetch", mount.path, name).expect(0)
    opened_paths = ["d03/f", "large", "d01/f"]
    for path in opened_paths:
        with passed(mount, mount / name / path) as file:
            assert whole(file) == files[path]
    assert mount.status()["passthrough"]["reads"] == 0
    eventually(lambda: reads_of(server, name)["source"] == "own")
    assert learned(server, name) == opened_paths
    # Of one that large nobody knows that all of it was read.
    assert reads_of(server, name)["reads"][1]["ranges"] == [{"offset": 0, "length": 2 * PIECE}]


def test_a_start_is_told_once_in_its_order(server, project, push, new_mount):
    name = f"{project}/app/v1"
    files = spread(20)
    push(server, name, files)
    with LyingProxy(server) as proxy:
        mount = new_mount(proxy.url, server.all_rights)
        os.listdir(mount / name / "d07")  # names are no reads
        chosen = ["d05/f", "d03/f", "d11/f"]
        start(server, name, mount, *chosen)
        assert learned(server, name) == chosen
        forget_pages()
        read(mount, name, "d15/f", "d16/f")  # after its start
        other = f"{project}/app/v2"
        push(server, other, spread(5))
        start(server, other, mount, "d01/f", "d02/f")
        assert told(proxy) == ["v1", "v2"]
    assert learned(server, name) == chosen


def test_parts_of_a_large_file(server, project, push, new_mount):
    name = f"{project}/app/v1"
    large = os.urandom(64 * PIECE)
    push(server, name, {"large": large, "a/small": b"1" * 100})
    mount = new_mount(server.url, server.all_rights, prefetch="none")
    with open(mount / name / "large", "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        assert os.pread(file.fileno(), 10, 40 * PIECE) == large[40 * PIECE:40 * PIECE + 10]
    start(server, name, mount, "a/small")
    reads = reads_of(server, name)["reads"]
    assert [file["path"] for file in reads] == ["large", "a/small"]
    at = reads[0]["ranges"][0]
    assert at["offset"] == 40 * PIECE and at["length"] <= 4 * PIECE
    # Another host gets that part of it, and no more.
    other = new_mount(server.url, server.all_rights)
    before = other.status()["fetched_bytes"]
    read(other, name, "a/small")
    eventually(lambda: other.status()["fetched_bytes"] - before >= at["length"])
    assert other.status()["fetched_bytes"] - before < 16 * PIECE
    server_requests = other.status()["requests"]
    with open(other / name / "large", "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        assert os.pread(file.fileno(), 10, 40 * PIECE) == large[40 * PIECE:40 * PIECE + 10]
    assert other.status()["requests"] == server_requests


def test_another_host_has_it_before_it_asks(new_server, project, push, new_mount):
    server = new_server()
    name = f"{project}/app/v1"
    files = {**spread(30), "large": os.urandom(3 * PIECE)}
    push(server, name, files)
    chosen = ["d05/f", "large", "d03/f", "d11/f"]
    start(server, name, new_mount(server.url, server.all_rights), *chosen)
    other = new_mount(server.url, server.all_rights, deadline="3s")
    read(other, name, "d20/f")
    eventually(lambda: here(other, files, *chosen) == set(chosen))
    assert here(other, files) == {*chosen, "d20/f"}
    server.kill()
    for path in chosen:
        assert (other / name / path).read_bytes() == files[path]


def test_the_next_version_inherits(server, project, push, new_mount):
    files = spread(20)
    push(server, f"{project}/app/v1", files)
    start(server, f"{project}/app/v1", new_mount(server.url, server.all_rights), "d03/f", "d05/f",
          "d07/f")
    changed = os.urandom(500)
    after = {**files, "moved/to/here": files["d05/f"], "d07/f": changed}
    del after["d05/f"]
    push(server, f"{project}/app/v2", after)
    assert learned(server, f"{project}/app/v2") == ["d03/f", "moved/to/here", "d07/f"]
    mount = new_mount(server.url, server.all_rights)
    read(mount, f"{project}/app/v2", "d10/f")
    wanted = {"d03/f", "moved/to/here", "d07/f"}
    eventually(lambda: here(mount, after) == {*wanted, "d10/f"})


def test_a_declared_list(server, project, push, new_mount):
    name = f"{project}/app/v1"
    files = {**spread(20), "lib/a": os.urandom(900), "lib/deep/b": os.urandom(900),
             "large": os.urandom(3 * PIECE), "same": b"x" * 700, "again": b"x" * 700}
    files[LIST] = b"# what it starts with\nd04/f\nlib/\n/large\nabsent\nsame\nagain\n"
    push(server, name, files)
    with LyingProxy(server) as proxy:
        mount = new_mount(proxy.url, server.all_rights, learn="off")
        assert (mount / name / LIST).read_bytes() == files[LIST], "a file like all others"
        wanted = {LIST, "d04/f", "lib/a", "lib/deep/b", "large", "same", "again"}
        eventually(lambda: here(mount, files) == wanted)
        assert told(proxy) == []


def test_hostile_lists(server, project, push, new_mount):
    """Of whoever pushed the version."""
    for number, text in enumerate((b"../../etc/passwd\n../d01/f\n" * 100, b"\0" * 5000,
                                   b"a" * 300_000, b"/\n" * 100_000, os.urandom(20_000))):
        name = f"{project}/app/v{number}"
        files = {**spread(10), LIST: text}
        push(server, name, files)
        mount = new_mount(server.url, server.all_rights)
        for path, data in files.items():
            assert (mount / name / path).read_bytes() == data, path
        mount.drop()


def lies():
    return {
        "climbing": b'{"reads":[{"path":"../../etc/passwd"}]}',
        "no list": b'{"reads":{"path":"d01/f"}}',
        "no JSON": b"<html>",
        "ranges": b'{"reads":[{"path":"d01/f","ranges":[{"offset":9007199254740990,"length":1}]},'
                  b'{"path":"large","ranges":[{"offset":9007199254740990,"length":1},'
                  b'{"offset":0,"length":9007199254740991}]},{"path":"d02"},{"path":"none"}]}',
        "huge": b'{"reads":[' + b",".join([b'{"path":"d01/f"}'] * 200_000) + b"]}",
    }


@pytest.mark.parametrize("lie", lies())
def test_servers_that_lie(lie, server, project, push, new_mount):
    name = f"{project}/app/v1"
    files = {**spread(10), "large": os.urandom(3 * PIECE)}
    push(server, name, files)

    def change(reply):
        reply.status, reply.body = 200, lies()[lie]

    with LyingProxy(server) as proxy:
        rule = proxy.lie(r"/reads$", change)
        mount = new_mount(proxy.url, server.all_rights)
        for path, data in files.items():
            assert (mount / name / path).read_bytes() == data, path
        eventually(lambda: rule.used == 1)
        status = mount.status()
        assert (status["integrity_failures"], status["last_error"]) == (0, "")


def test_nobody_waits_for_a_silent_server(server, project, push, new_mount):
    """Its list does not come; files are read, and what is declared comes all the same."""
    name = f"{project}/app/v1"
    files = {**spread(10), LIST: b"d03/f\n"}
    push(server, name, files)
    with Silence(server, r"/reads$") as silence:
        silence.hold()
        mount = new_mount(silence.proxy.url, server.all_rights)
        read(mount, name, "d01/f")
        eventually(lambda: silence.rule.used == 1)
        read(mount, name, "d05/f", "d06/f")
        eventually(lambda: here(mount, files, "d03/f"))
        assert mount.status()["online"]
        mount.umount()  # nor does the end


def test_a_silent_server_is_not_asked_for_many_lists(server, project, push, new_mount):
    """Hints leave connections to those who read."""
    files = spread(3)
    names = [f"{project}/app/v{number}" for number in range(12)]
    for name in names:
        push(server, name, {**files, "which": name.encode()})
    with Silence(server, r"/reads$") as silence:
        silence.hold()
        mount = new_mount(silence.proxy.url, server.all_rights)
        started = time.monotonic()
        for name in names:
            read(mount, name, "which", "d01/f")
        eventually(lambda: silence.rule.used >= 1)
        asked, within = silence.rule.used, time.monotonic() - started
        assert asked <= 2 or within > 4.5, "more than two lists at a time"
        # They are given up, and then others are asked for again.
        push(server, f"{project}/app/later", {**files, "which": b"later"})
        asked_for = f"/projects/{project}/apps/app/versions/later/reads"
        silence.let()
        read(mount, f"{project}/app/later", "which", "d01/f")
        eventually(lambda: [path for method, path, _ in silence.proxy.seen
                            if method == "GET" and path.endswith(asked_for)])


def test_whoever_does_not_want_it(server, project, push, new_mount):
    """learn=off tells nothing, prefetch=none brings nothing; both are done before a third mount
    that does it is through."""
    name = f"{project}/app/v1"
    files = spread(20)
    push(server, name, files)
    start(server, name, new_mount(server.url, server.all_rights), "d03/f", "d05/f")
    with LyingProxy(server) as quiet, LyingProxy(server) as bare, LyingProxy(server) as usual:
        silent = new_mount(quiet.url, server.all_rights, learn="off")
        lazy = new_mount(bare.url, server.all_rights, prefetch="none")
        read(silent, name, "d10/f", "d11/f")
        read(lazy, name, "d10/f", "d11/f")
        mount = new_mount(usual.url, server.all_rights)
        read(mount, name, "d12/f", "d13/f")
        eventually(lambda: told(usual) == ["v1"])
        eventually(lambda: here(mount, files) == {"d03/f", "d05/f", "d12/f", "d13/f"})
        assert told(quiet) == []
        assert here(silent, files) == {"d03/f", "d05/f", "d10/f", "d11/f"}
        assert here(lazy, files) == {"d10/f", "d11/f"}
        assert not [path for method, path, _ in bare.seen
                    if method == "GET" and path.endswith("/reads")]


def test_a_look_is_no_start(server, project, push, new_mount):
    files = spread(5)
    for version in ("v1", "v2"):
        push(server, f"{project}/app/{version}", {**files, "which": version.encode()})
    with LyingProxy(server) as proxy:
        mount = new_mount(proxy.url, server.all_rights)
        read(mount, f"{project}/app/v1", "which")
        read(mount, f"{project}/app/v2", "which", "d01/f")
        eventually(lambda: told(proxy))
        assert told(proxy) == ["v2"]


def test_a_worker_that_follows_sees_no_start(server, project, push, new_mount):
    """What runs already is not being started; what comes later is."""
    name = f"{project}/app/v1"
    push(server, name, spread(10))
    with LyingProxy(server) as proxy:
        mount = new_mount(proxy.url, server.all_rights)
        read(mount, name, "d01/f", "d02/f")
        eventually(lambda: told(proxy) == ["v1"])
        worker = mount.worker()
        os.kill(worker, signal.SIGKILL)
        forget_pages()
        read(mount, name, "d01/f", "d02/f", "d03/f")
        assert mount.worker() != worker
        push(server, f"{project}/app/v2", spread(10))
        read(mount, f"{project}/app/v2", "d01/f", "d02/f")
        eventually(lambda: told(proxy) == ["v1", "v2"])


def test_bad_options(server, new_mount):
    mount = new_mount(server.url, server.all_rights, mounted=False, learn="perhaps")
    assert "learn" in mount.try_mount().expect(2).stderr
