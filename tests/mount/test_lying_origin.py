# SPDX-License-Identifier: MIT
"""An origin that lies: every lie to every kind of request that a mount makes.

A version's bytes follow from its digests: whatever the origin says, no other byte is given, a read
ends by its deadline, and all is right once the lies are over. Lists and names above a version are
the server's to tell; there a lie is an error, or what was known before.

`make test` takes each lie and each kind a few times, `make test-long` every pair. The functional
tests have an agent lied to as well.
"""

import errno
import gzip
import os
import random
import re
import time

import pytest

from mounts import forget_pages
from proxies import LyingProxy

MIB = 1 << 20
DEADLINE_S = 2
SLACK_S = 60
PAGE = b"<html><body><h1>Please log in</h1></body></html>\n"
ENDLESS = 100 * MIB
# ESTALE: what is shown now is not what was shown, since another tree was told of.
ERRORS = (errno.EIO, errno.EBADMSG, errno.ENOENT, errno.ESTALE)

# ------------------------------------------------------------------ lies


def flips_a_bit(reply, world):
    middle = len(reply.body) // 2
    reply.body = reply.body[:middle] + bytes([reply.body[middle] ^ 1]) + reply.body[middle + 1:]


def flips_the_last(reply, world):
    reply.body = reply.body[:-1] + bytes([reply.body[-1] ^ 0x80])


def flips_the_first(reply, world):
    reply.body = bytes([reply.body[0] ^ 2]) + reply.body[1:]


def zeros(reply, world):
    reply.body = bytes(len(reply.body))


def truncates(reply, world):
    reply.body = reply.body[:len(reply.body) // 2]


def breaks_off(reply, world):
    reply.cut_at = len(reply.body) // 2


def gives_nothing(reply, world):
    reply.body = b""


def gives_more(reply, world):
    reply.body += b"x" * 5000


def swaps_chunks(reply, world):
    half = len(reply.body) // 2
    reply.body = reply.body[half:2 * half] + reply.body[:half] + reply.body[2 * half:]


def gives_another_file(reply, world):
    """Bytes that are right, and belong to something else."""
    reply.body = (world["another"] * (len(reply.body) // len(world["another"]) + 1))[
        :len(reply.body)]


def whole_for_a_range(reply, world):
    reply.status = 200 if reply.status == 206 else 206
    reply.set_header("Content-Range", None)


def wrong_content_range(reply, world):
    said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", reply.header("Content-Range") or "")
    first, last, size = map(int, said.groups()) if said else (0, len(reply.body) - 1, 1 << 20)
    reply.status = 206
    reply.set_header("Content-Range", f"bytes {first + 4096}-{last + 4096}/{size + 8192}")


def wrong_etag(reply, world):
    reply.set_header("ETag", '"' + "0" * 64 + '"')


def compressed(reply, world):
    reply.body = gzip.compress(reply.body)
    reply.set_header("Content-Encoding", "gzip")


def compressed_untold(reply, world):
    reply.body = gzip.compress(reply.body)


def a_page(reply, world):
    reply.status, reply.body = 200, PAGE
    reply.headers = [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))]


def a_page_of_that_size(reply, world):
    reply.body = (PAGE * (len(reply.body) // len(PAGE) + 1))[:len(reply.body)]


def never_ends(reply, world):
    reply.repeated = ENDLESS // (len(reply.body) + 1) + 2


def huge_length(reply, world):
    reply.told_size = 1 << 50


def huge_length_of_little(reply, world):
    reply.body, reply.told_size = b"", (1 << 63) - 1


def redirects(reply, world):
    reply.status, reply.body = 302, b""
    reply.headers = [("Location", "http://127.0.0.1:9/elsewhere"), ("Content-Length", "0")]


def not_modified(reply, world):
    reply.status, reply.body = 304, b""


LIES = [flips_a_bit, flips_the_last, flips_the_first, zeros, truncates, breaks_off, gives_nothing,
        gives_more, swaps_chunks, gives_another_file, whole_for_a_range, wrong_content_range,
        wrong_etag, compressed, compressed_untold, a_page, a_page_of_that_size, never_ends,
        huge_length, huge_length_of_little, redirects, not_modified]

# Other bytes under an answer that is in itself in order: an integrity failure, if bytes have a
# digest at all.
WRONG_BYTES = [flips_a_bit, zeros, swaps_chunks, a_page_of_that_size]

# ------------------------------------------------------------------ kinds of request

BLOB = r"/blobs/[0-9a-f]{64}$"


class Kind:
    def __init__(self, name, pattern, files, *, method="GET", ranged=None, digested=True):
        self.name, self.pattern, self.files = name, pattern, files
        self.method, self.ranged, self.digested = method, ranged, digested


ALL = ["large", "small/0", "single/one"]
KINDS = [
    Kind("projects", r"/projects\?", ALL, digested=False),
    Kind("apps", r"/apps\?", ALL, digested=False),
    Kind("versions", r"/versions\?", ALL, digested=False),
    # Of a record the digests lead on; that they are the right ones nobody knows at first.
    Kind("record", r"/versions/v1$", ALL, digested=False),
    Kind("tree", r"/versions/v1/tree$", ALL),
    Kind("levels", r"/blobs/[0-9a-f]{64}/merkle$", ["large"]),
    Kind("blob", BLOB, ["single/one"], ranged=False),
    Kind("range", BLOB, ["large"], ranged=True),
    Kind("pack", r"/blobs:batch$", ["small/0"], method="POST"),
]


class World:
    """A version that needs every kind of request, and an origin between it and mounts."""

    def __init__(self, server, proxy, project, files):
        self.server, self.proxy, self.project, self.files = server, proxy, project, files

    def __getitem__(self, name):
        return self.files[name]


@pytest.fixture
def world(server, project, push):
    random.seed(11)
    files = {f"small/{number}": random.randbytes(2_000 + number) for number in range(40)}
    files.update({"large": random.randbytes(3 * MIB + 5), "single/one": random.randbytes(90_000),
                  "another": random.randbytes(50_000)})
    push(server, f"{project}/app/v1", files)
    with LyingProxy(server) as proxy:
        yield World(server, proxy, project, files)


def look(mount, world, paths):
    """Lists and reads: how often that failed. What is read is right, and in time."""
    failed = 0

    def tried(function):
        nonlocal failed
        started = time.monotonic()
        try:
            return function()
        except OSError as refused:
            assert refused.errno in ERRORS, refused
            failed += 1
            return None
        finally:
            assert time.monotonic() - started < DEADLINE_S + SLACK_S

    for above in (mount.path, mount / world.project, mount / world.project / "app"):
        tried(lambda above=above: os.listdir(above))
    shown = mount / world.project / "app" / "v1"
    for path in paths:
        data = tried((shown / path).read_bytes)
        assert data is None or data == world.files[path], f"{path}: wrong bytes"
    return failed


def tell_lies(world, kind, lie):
    def change(reply):
        if kind.ranged is None or kind.ranged == (reply.status == 206):
            change.told += 1
            if reply.body:
                lie(reply, world)

    change.told = 0
    world.proxy.lie(kind.pattern, change, method=kind.method)
    return change


def read_whole_neighbours(kind, mount, world):
    """What makes a mount ask for a pack: a second cold file of a directory."""
    return [f"small/{number}" for number in range(6)] if kind.name == "pack" else kind.files


def try_lie(world, new_mount, kind, lie):
    mount = new_mount(world.proxy.url, world.server.all_rights, deadline=f"{DEADLINE_S}s")
    told = tell_lies(world, kind, lie)
    paths = read_whole_neighbours(kind, mount, world)
    look(mount, world, paths)
    status = mount.status()
    words = f"{kind.name}, {lie.__name__}: {status['integrity_failures']} failures, " \
            f"\"{status['last_error']}\""
    if told.told and kind.digested and lie in WRONG_BYTES:
        assert status["integrity_failures"] > 0, words
    world.proxy.rules.clear()
    until = time.monotonic() + 120
    while True:  # a server in disgrace is asked again later
        forget_pages()
        if look(mount, world, paths) == 0:
            break
        assert time.monotonic() < until, f"{words}; later \"{mount.status()['last_error']}\""
        time.sleep(0.3)
    assert sorted(os.listdir(mount / world.project / "app")) == ["v1"]
    mount.umount()
    return told.told


@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", range(len(LIES)), ids=[lie.__name__ for lie in LIES])
def test_each_lie(number, world, new_mount):
    """To two kinds, another two each time."""
    told = 0
    for step in (0, len(KINDS) // 2):
        told += try_lie(world, new_mount, KINDS[(number + step) % len(KINDS)], LIES[number])
    assert told > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_lie_to_every_kind(kind, world, new_mount):
    told = sum(try_lie(world, new_mount, kind, lie) for lie in LIES)
    assert told > 0, "no request of that kind"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path, kind", [("large", "range"), ("single/one", "blob")])
def test_what_was_wrong_is_told(path, kind, world, new_mount):
    """Counted, and named by version and path."""
    [kind] = [one for one in KINDS if one.name == kind]
    tell_lies(world, kind, flips_a_bit)
    mount = new_mount(world.proxy.url, world.server.all_rights, deadline=f"{DEADLINE_S}s")
    with pytest.raises(OSError) as refused:
        (mount / world.project / "app" / "v1" / path).read_bytes()
    assert refused.value.errno == errno.EBADMSG
    status = mount.status()
    assert status["integrity_failures"] > 0
    assert status["last_error"].startswith(f"{world.project}/app/v1: {path}: ")
