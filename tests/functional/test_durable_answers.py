# SPDX-License-Identifier: MIT
"""What the server says 2xx to is on the disk before it says so: bytes before their name, the name
before the row, the row before the answer. Seen by the calls that the server makes."""

import contextlib
import hashlib
import os
import re
import signal
import subprocess
import time

import pytest

from pushes import Push

# A sanitized program is too slow to be traced, and the order is the same.
pytestmark = pytest.mark.plain_only

CALLS = "fsync,fdatasync,syncfs,renameat2,sendmsg,sendto,write,writev,pwrite64"
CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
UNFINISHED = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
HALF = 64 << 10


def read(out):
    """(call, what it was called with), in the order in which they ended."""
    calls, begun = [], {}
    for text in out.read_text(errors="replace").splitlines():
        if found := UNFINISHED.match(text):
            begun[found[1]] = f"{found[1]} {found[2]}({found[3]}"
            continue
        if found := RESUMED.match(text):
            text = begun.pop(found[1], "") + found[3]
        found = CALL.match(text)
        if found and int(found[3]) >= 0:
            calls.append((found[1], found[2]))
    return calls


@contextlib.contextmanager
def traced(server, tmp_path, calls):
    """Fills `calls` with what the server did, up to its answer at least."""
    out = tmp_path / "calls"
    tracer = subprocess.Popen(["strace", "-f", "-y", "-s", "64", "-e", f"trace={CALLS}", "-o", out,
                               "-p", str(server.process.pid)], stderr=subprocess.PIPE, text=True)
    try:
        assert "attached" in tracer.stderr.readline()
        yield
        # the client has the answer before the tracer has noted the call
        until = time.monotonic() + 60
        while not any(call in SENT and '"HTTP/1.1 20' in said for call, said in read(out)):
            assert time.monotonic() < until
            time.sleep(0.01)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=60)
    calls += read(out)


def places(calls, *wanted):
    """Where each of `wanted` (call, part of what it was called with) is first, each behind the one
    before it."""
    at, found = -1, []
    for names, part in wanted:
        at = next((at for at, (call, said) in enumerate(calls)
                   if at > (found[-1] if found else -1) and call in names and part in said), None)
        assert at is not None, f"no {names} of {part!r} behind {found}:\n" + "\n".join(
            f"{call}({said[:150]}" for call, said in calls)
        found.append(at)
    return found


SYNC = ("fsync", "fdatasync")
SENT = ("sendmsg", "sendto", "write", "writev")
ANSWER = (SENT, '"HTTP/1.1 20')
ROW = (SYNC, "kkartifact.db-wal>")


@pytest.fixture
def push(server, names):
    return Push(server, names)


def test_a_part(push, server, tmp_path):
    push.describe((b"f", push.data))
    calls = []
    with traced(server, tmp_path, calls):
        assert push.send(0, HALF).status == 204
    places(calls, (("pwrite64",), "/tmp/"), (SYNC, "/tmp/"), ROW, ANSWER)


def test_the_last_part(push, server, tmp_path):
    push.describe((b"f", push.data))
    assert push.send(0, HALF).status == 204
    calls = []
    with traced(server, tmp_path, calls):
        assert push.send(HALF).status == 204
    places(calls, (("pwrite64",), "/tmp/"), (SYNC, "/tmp/"), (("renameat2",), "/tmp>"),
           (SYNC, "/blobs/"), ROW, ANSWER)


def test_a_listing(push, server, tmp_path):
    calls = []
    with traced(server, tmp_path, calls):
        push.describe((b"f", push.data))
    places(calls, (SYNC, "/tmp/"), (("renameat2",), "/tmp>"), (SYNC, "/blobs/"), ROW, ANSWER)


def test_a_commit(push, server, tmp_path):
    push.describe((b"f", push.data))
    assert push.send().status == 204
    calls = []
    with traced(server, tmp_path, calls):
        assert push.commit().status == 201
    found = places(calls, (("renameat2",), "/tmp>"), (SYNC, "/blobs/"), ROW, ROW, ANSWER)
    answered = found[-1]
    assert not [call for call, said in calls[:answered] if call in SENT and "HTTP/1.1" in said]


def test_many_blobs(server, agent, names, tmp_path):
    """The two syncs of the file system that a batch of many small blobs has."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(40):
        (source / f"{number}").write_bytes(os.urandom(2000))
    calls = []
    with traced(server, tmp_path, calls):
        agent.push(source, names.project, names.app, "v1")
    named = hashlib.sha256((source / "7").read_bytes()).hexdigest()[:16]
    at = places(calls, (("syncfs",), ""), (("renameat2",), f'"{named}'), (("syncfs",), ""), ROW)
    answers = [where for where, (call, said) in enumerate(calls)
               if call in SENT and '"HTTP/1.1 200' in said and where > at[1]]
    assert answers and answers[0] > at[-1], "the batch's"
