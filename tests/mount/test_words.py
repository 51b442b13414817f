# SPDX-License-Identifier: MIT
"""What an operator reads: a failed read in the log, in status and in the attributes of its version,
by the same words; and that it is over."""

import errno
import os
import re
import time

import pytest

from mounts import eventually, fails_with
from proxies import LyingProxy, Silence
from server import ROOT


def spoil(reply):
    reply.body = bytes(len(reply.body))


def port_of(server):
    return server.url.rsplit(":", 1)[1]


def lines_of(mount, words):
    return [line for line in mount.log().splitlines() if words in line]


def is_read(path):
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def assert_told(mount, name, path, words):
    """In the log once, and the same in status, stat and the attribute."""
    version = mount.path.joinpath(*name.split("/"))
    [line] = [line for line in lines_of(mount, words) if f"{name}: " in line]
    said = line[line.index(f"{name}: "):]
    assert said.startswith(f"{name}: {path}: ")
    status = mount.status()
    assert status["last_error"] == said
    [one] = [one for one in status["versions"]
             if name == "/".join((one["project"], one["app"], one["version"]))]
    assert one["last_error"] == said.removeprefix(f"{name}: ")
    assert os.getxattr(version, "user.kkartifact.last_error").decode() == one["last_error"]
    assert mount.verb("stat", version, "--json").json()["last_error"] == one["last_error"]
    told = mount.verb("status", mount.path).expect(0).stdout
    assert f"failed last: {one['last_error']}" in told
    secret = mount.token_file.read_text().strip().split("_", 2)[2]
    assert secret not in mount.log() + told and "?" not in line
    return line


@pytest.fixture
def pushed(server, project, push):
    push(server, f"{project}/app/v1", {"a": b"1", "dir/slow": os.urandom(700_000),
                                       "dir/other": os.urandom(600_000),
                                       "dir/third": os.urandom(600_000)})
    return f"{project}/app/v1"


def test_wrong_bytes(server, pushed, new_mount):
    with LyingProxy(server) as proxy:
        proxy.lie("/blobs/", spoil)
        mount = new_mount(proxy.url, server.all_rights, xattr="on", deadline="60s")
        top = mount.path.joinpath(*pushed.split("/"))
        fails_with(errno.EBADMSG, (top / "dir" / "slow").read_bytes)
        [said] = [line for line in mount.log().splitlines() if f"{pushed}: dir/slow: " in line]
        assert said.startswith("error") or " error" in said.lower(), said
        assert_told(mount, pushed, "dir/slow", f"{pushed}: dir/slow: ")
        assert mount.status()["integrity_failures"] > 0


def test_no_answer_before_the_deadline(server, pushed, new_mount):
    with Silence(server, r"/blobs/") as silence:
        mount = new_mount(silence.proxy.url, server.all_rights, xattr="on", deadline="2s",
                          prefetch="none")
        top = mount.path.joinpath(*pushed.split("/"))
        silence.hold()
        fails_with(errno.EIO, (top / "dir" / "slow").read_bytes)
        line = assert_told(mount, pushed, "dir/slow", "deadline")
        assert silence.proxy.url in line
        # Another path for the same reason is not logged again, within the minute.
        fails_with(errno.EIO, (top / "dir" / "other").read_bytes)
        assert len(lines_of(mount, "deadline")) == 1
        # And when bytes come it is over.
        silence.let()
        eventually(lambda: is_read(top / "dir" / "third"))
        assert os.getxattr(top, "user.kkartifact.last_error") == b""
        assert "last_error" not in mount.status()["versions"][0]


def test_a_server_that_refuses_and_one_that_forgets(server, pushed, new_mount):
    with LyingProxy(server) as proxy:
        rule = proxy.lie("/blobs/", lambda reply: setattr(reply, "status", 410))
        mount = new_mount(proxy.url, server.all_rights, xattr="on", deadline="5s")
        top = mount.path.joinpath(*pushed.split("/"))
        fails_with(errno.EIO, (top / "dir" / "slow").read_bytes)
        line = assert_told(mount, pushed, "dir/slow", "410")
        assert line.count(proxy.url) == 1
        rule.change = lambda reply: setattr(reply, "status", 500)
        fails_with(errno.EIO, (top / "dir" / "other").read_bytes)
        assert "500" in assert_told(mount, pushed, "dir/other", "500")


def test_offline_says_so(server, pushed, new_mount):
    mount = new_mount(server.url, server.all_rights, xattr="on", prefetch="none")
    top = mount.path.joinpath(*pushed.split("/"))
    assert (top / "a").read_bytes() == b"1"
    mount.umount()
    mount.options["offline"] = True
    mount.mount()
    fails_with(errno.EIO, (top / "dir" / "slow").read_bytes)
    line = assert_told(mount, pushed, "dir/slow", "offline")
    assert server.url not in line


def test_that_it_answers_again_is_told_too(new_server, project, push, new_mount):
    server = new_server()
    push(server, f"{project}/app/v1", {"a": b"1", "b": b"2"})
    mount = new_mount(server.url, server.all_rights, deadline="1s", prefetch="none")
    top = mount / project / "app" / "v1"
    assert (top / "a").read_bytes() == b"1"
    server.kill()
    fails_with(errno.EIO, (top / "b").read_bytes)
    assert len(lines_of(mount, f"{project}/app/v1: b: ")) == 1
    assert not lines_of(mount, "answers again")
    new_server(server.data, listen=f"127.0.0.1:{port_of(server)}")

    def is_told():
        os.listdir(mount / project / "app")
        return lines_of(mount, "answers again")

    eventually(is_told)
    [line] = lines_of(mount, "answers again")
    assert server.url in line
    os.listdir(mount / project / "app")
    assert len(lines_of(mount, "answers again")) == 1
    eventually(lambda: is_read(top / "b"))


def labels(text):
    return [line.split()[0] for line in text.splitlines() if re.match(r"  \w", line)]


def test_the_example_of_the_manual_is_true(server, pushed, new_mount):
    """Its lines are those of a mount that is well, in their order."""
    page = (ROOT / "man" / "kkartifact-fs.8").read_text(encoding="utf-8")
    example = page.split("$ kkartifact-fs status /repos\n")[1].split(".Ed")[0]
    mount = new_mount(server.url, server.all_rights, scrub_every="365d")
    top = mount.path.joinpath(*pushed.split("/"))
    assert (top / "a").read_bytes() == b"1"
    eventually(lambda: mount.status()["leases"]["held"] == 1)
    told = mount.verb("status", mount.path).expect(0).stdout
    assert labels(told) == labels(example)
    version = re.compile(r"    (complete|partial|remote) +\S+/\S+/\S+  [\d.]+ [KMG]?i?B"
                         r"( of [\d.]+ [KMG]?i?B)?(, pinned)?(, in use \([a-z, ]+\))?")
    for text in (told, example):
        last = [line for line in text.splitlines() if line.startswith("    ")]
        assert last and all(version.fullmatch(line) for line in last), last
    until = time.monotonic() + 60
    while mount.status()["cache"]["files"] == 0:
        assert time.monotonic() < until
        time.sleep(0.1)
