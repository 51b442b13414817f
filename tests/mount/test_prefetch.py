# SPDX-License-Identifier: MIT
"""Versions fetched ahead of reads: the verb, the option, and what a reader seems to go to."""

import os
import signal
import subprocess
import threading
import time

import pytest

from agent import clean_environment
from damage import object_of
from mounts import eventually, forget_pages
from proxies import LyingProxy, SlowProxy
from server import program


def small_files(count, size=700):
    return {f"d{number % 7}/f{number:05}": os.urandom(size) for number in range(count)}


def assert_reads(mount, name, files):
    for path, data in files.items():
        assert (mount / name / path).read_bytes() == data, path


def version_of(mount, name):
    """What status tells of a version; None: nothing."""
    for version in mount.status()["versions"]:
        if f"{version['project']}/{version['app']}/{version['version']}" == name:
            return version
    return None


def test_prefetch_waits_until_all_is_here(new_server, project, push, new_mount):
    """5,000 small files and a large one, in tens of requests; then nothing needs the server."""
    server = new_server()
    name = f"{project}/app/v1"
    files = {**small_files(5000), "large": os.urandom(3_000_000), "empty": b"",
             "same": b"x" * 900, "d1/same": b"x" * 900}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights, deadline="5s")
    before = mount.status()["requests"]
    done = mount.verb("prefetch", mount.path, name).expect(0)
    assert f"{name} is in the cache, complete" in done.stdout
    assert done.stderr == "", "no progress without a terminal"
    assert mount.status()["requests"] - before < 60
    state = version_of(mount, name)
    assert (state["state"], state["cached_bytes"]) == ("complete", state["bytes"])
    server.kill()
    forget_pages()
    assert_reads(mount, name, files)
    # Again: nothing is to be done, and nobody is asked.
    told = mount.verb("prefetch", mount.path, name, "--json").expect(0).json()
    assert told["complete"] and told["cached_files"] == told["files"] == 5002


def test_what_is_here_is_not_fetched_again(server, project, push, new_mount):
    files = {f"f{number}": os.urandom(200_000) for number in range(20)}
    push(server, f"{project}/app/v1", files)
    push(server, f"{project}/app/v2", {**files, "new": os.urandom(1000)})
    mount = new_mount(server.url, server.all_rights)
    mount.verb("prefetch", mount.path, f"{project}/app/v1").expect(0)
    before = mount.status()["fetched_bytes"]
    mount.verb("prefetch", mount.path, f"{project}/app/v2").expect(0)
    assert mount.status()["fetched_bytes"] - before < 100_000


def test_what_cannot_be_fetched(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights)
    mount.verb("prefetch", mount.path, f"{project}/app/v9").expect(5)
    for wrong in (f"{project}/app", f"{project}/app/latest", f"{project}/app/v1/a", "-"):
        assert wrong in mount.verb("prefetch", mount.path, wrong).expect(2).stderr
    mount.verb("prefetch", mount.path).expect(2)
    mount.verb("prefetch", mount.directory, f"{project}/app/v1").expect(5)


def test_only_what_is_shown(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1"})
    push(server, f"{project}/other/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights, only=f"{project}/app")
    mount.verb("prefetch", mount.path, f"{project}/app/v1").expect(0)
    mount.verb("prefetch", mount.path, f"{project}/other/v1").expect(5)


def test_more_than_the_cache_holds(server, project, push, new_mount):
    name = f"{project}/app/v1"
    push(server, name, {"large": os.urandom(3_000_000)})
    mount = new_mount(server.url, server.all_rights, cache_size="2M")
    done = mount.verb("prefetch", mount.path, name).expect(9)
    assert name in done.stderr and "cache_size" in done.stderr and "2.00 MiB" in done.stderr


def test_the_server_is_away(new_server, project, push, new_mount):
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1"})
    mount = new_mount(server.url, server.all_rights, deadline="2s")
    server.kill()
    mount.verb("prefetch", mount.path, f"{project}/app/v1").expect(7)


def test_interrupted(server, project, push, new_mount):
    """^C ends the waiting; the mount goes on with it."""
    name = f"{project}/app/v1"
    push(server, name, {"large": os.urandom(6_000_000)})
    with SlowProxy(server.port, 500_000) as proxy:
        mount = new_mount(proxy.url, server.all_rights)
        verb = subprocess.Popen([program("kkartifact-fs"), "prefetch", mount.path, name],
                                env=clean_environment(mount.home), stderr=subprocess.PIPE,
                                text=True)
        eventually(lambda: (version_of(mount, name) or {}).get("cached_bytes"))
        verb.send_signal(signal.SIGINT)
        assert verb.wait(5) == 130
        assert "interrupted" in verb.stderr.read()
        eventually(lambda: version_of(mount, name)["state"] == "complete", within=40)


def test_progress_on_a_terminal(server, project, push, new_mount):
    name = f"{project}/app/v1"
    push(server, name, {"large": os.urandom(4_000_000)})
    with SlowProxy(server.port, 4_000_000) as proxy:
        mount = new_mount(proxy.url, server.all_rights)
        master, slave = os.openpty()
        verb = subprocess.Popen([program("kkartifact-fs"), "prefetch", mount.path, name],
                                env=clean_environment(mount.home), stderr=slave,
                                stdout=subprocess.PIPE)
        os.close(slave)
        shown = b""
        try:
            while chunk := os.read(master, 4096):
                shown += chunk
        except OSError:
            pass
        assert verb.wait(20) == 0
        assert b"prefetch" in shown and b"of 3.81 MiB" in shown, shown
        os.close(master)


def test_reads_come_first(new_server, project, push, new_mount):
    """While a version of many files is fetched over a slow line, a file of another is read at
    once, and not behind it."""
    server = new_server()
    push(server, f"{project}/app/v1", small_files(1500, 6000))
    push(server, f"{project}/app/v2", {f"g{number}": os.urandom(400) for number in range(5)})
    with SlowProxy(server.port, 3_000_000) as proxy:
        mount = new_mount(proxy.url, server.all_rights)
        (mount / project / "app" / "v2").stat()
        verb = threading.Thread(target=mount.verb,
                                args=("prefetch", mount.path, f"{project}/app/v1"))
        verb.start()
        eventually(lambda: (version_of(mount, f"{project}/app/v1") or {}).get("cached_bytes"))
        slowest = 0
        for number in range(5):
            started = time.monotonic()
            (mount / project / "app" / "v2" / f"g{number}").read_bytes()
            slowest = max(slowest, time.monotonic() - started)
            time.sleep(0.1)
        still = version_of(mount, f"{project}/app/v1")["state"]
        verb.join()
        assert still == "partial", "it was fetched before anything was read"
        assert slowest < 1.5


def test_prefetch_all(server, project, push, new_mount):
    """Each version that is looked into comes whole."""
    name = f"{project}/app/v1"
    push(server, name, {**small_files(300), "large": os.urandom(2_000_000)})
    mount = new_mount(server.url, server.all_rights, prefetch="all")
    os.listdir(mount / name)
    eventually(lambda: version_of(mount, name)["state"] == "complete")


@pytest.mark.parametrize("how,most", [("auto", 40), ("none", 10_000)])
def test_a_directory_of_small_files(how, most, server, project, push, new_mount):
    """Who reads one small file of a directory after the other has their siblings in packs."""
    name = f"{project}/app/v1"
    files = {f"d/f{number:04}": os.urandom(500) for number in range(600)}
    push(server, name, files)
    mount = new_mount(server.url, server.all_rights, prefetch=how)
    os.listdir(mount / name / "d")
    before = mount.status()["requests"]
    assert_reads(mount, name, files)
    requests = mount.status()["requests"] - before
    assert requests < most
    if how == "none":
        assert requests >= 600


def flipped(reply):
    middle = len(reply.body) // 2 + 500  # within the bytes of a member
    reply.body = reply.body[:middle] + bytes([reply.body[middle] ^ 1]) + reply.body[middle + 1:]


def cut(reply):
    reply.body = reply.body[:len(reply.body) // 2]


def empty(reply):
    reply.body = b"KKAPACK1" + bytes(40)


def page(reply):
    reply.body = b"<html><body>It works!</body></html>\n"
    reply.headers = [("Content-Type", "text/html")]


def not_found(reply):
    reply.status, reply.body = 404, b""


def too_much(reply):
    reply.body += bytes(4_000_000)


def broken(reply):
    reply.status, reply.body = 502, b""


@pytest.mark.parametrize("lie", [flipped, cut, empty, page, not_found, too_much, broken])
@pytest.mark.parametrize("how", ["prefetch", "read"])
def test_packs_that_lie(lie, how, server, project, push, new_mount):
    """Nothing wrong is kept or shown; what a pack did not bring comes alone."""
    name = f"{project}/app/v1"
    files = {f"d/f{number:02}": os.urandom(3_000) for number in range(60)}
    push(server, name, files)

    def change(reply):
        lie(reply)
        if reply.header("Content-Length") is not None:
            reply.set_header("Content-Length", str(len(reply.body)))

    with LyingProxy(server) as proxy:
        rule = proxy.lie(r"/blobs:batch$", change, method="POST")
        mount = new_mount(proxy.url, server.all_rights)
        if how == "prefetch":
            mount.verb("prefetch", mount.path, name).expect(0)
        assert_reads(mount, name, files)
        assert rule.used > 0
        if lie is flipped:
            assert mount.status()["integrity_failures"] > 0
    for path, data in files.items():
        assert object_of(mount.cache, data).read_bytes() == data, path
    mount.verb("verify", mount.path, name).expect(0)


def test_bad_options(server, new_mount):
    for option in ({"prefetch": "some"}, {"scrub_rate": "1"}, {"scrub_every": "0s"}):
        mount = new_mount(server.url, server.all_rights, mounted=False, **option)
        assert next(iter(option)) in mount.try_mount().expect(2).stderr
