# SPDX-License-Identifier: MIT
"""An origin that lies: no wrong byte is ever shown, kept, or written."""

import gzip
import re
import threading
import time
import zlib

import pytest

import trees
from agent import Agent
from mounts import forget_pages
from proxies import LyingProxy

PAGE = b"<html><body><h1>It works!</h1></body></html>\n"

# What carries a file's bytes, and what carries a version's tree.
BYTES = r"/(blobs/[0-9a-f]{64}|files/.*)$"
MERKLE = r"/merkle$"
TREE = r"/tree(\?|$)"
RECORD = r"/versions/v1$"


def html(reply):
    reply.status, reply.body = 200, PAGE
    reply.headers = [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE)))]


def html_with_the_length(reply):
    reply.body = (PAGE * (len(reply.body) // len(PAGE) + 1))[:len(reply.body)]


def whole_for_a_range(reply):
    if reply.status == 206:
        reply.status = 200
        reply.set_header("Content-Range", None)


def wrong_content_range(reply):
    said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", reply.header("Content-Range") or "")
    if said:
        first, last, size = map(int, said.groups())
        reply.set_header("Content-Range", f"bytes {first + 4096}-{last + 4096}/{size + 8192}")


def no_content_range(reply):
    reply.set_header("Content-Range", None)


def flipped_bit(reply):
    if reply.body:
        middle = len(reply.body) // 2
        reply.body = (reply.body[:middle] + bytes([reply.body[middle] ^ 1])
                      + reply.body[middle + 1:])


def flipped_last(reply):
    if reply.body:
        reply.body = reply.body[:-1] + bytes([reply.body[-1] ^ 0x80])


def zeros(reply):
    reply.body = bytes(len(reply.body))


def shorter(reply):
    reply.body = reply.body[:len(reply.body) // 2]


def longer(reply):
    reply.body += b"x" * 5000


def cut_off(reply):
    reply.cut_at = len(reply.body) // 2


def empty(reply):
    reply.body = b""


def compressed(reply):
    reply.body = gzip.compress(reply.body)
    reply.set_header("Content-Encoding", "gzip")


def wrong_etag(reply):
    reply.set_header("ETag", '"' + "0" * 64 + '"')


def redirect(reply):
    reply.status, reply.body = 302, b""
    reply.headers = [("Location", "http://127.0.0.1:9/elsewhere"), ("Content-Length", "0")]


def broken(reply):
    reply.status, reply.body = 500, b""
    reply.headers = [("Content-Length", "0")]


LIES = [html, html_with_the_length, whole_for_a_range, wrong_content_range, no_content_range,
        flipped_bit, flipped_last, zeros, shorter, longer, cut_off, empty, compressed, wrong_etag,
        redirect, broken]


@pytest.fixture
def origin(server):
    with LyingProxy(server) as proxy:
        yield proxy


@pytest.fixture
def pushed(agent, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    trees.write(source, "exact", trees.random_bytes(8 << 20, "exact"))
    agent.push(source, names.project, names.app, "v1")
    return source


def read_what_can_be_read(source, shown):
    """Reads all files: how many could not be; those that could must be right."""
    failed = 0
    for path, what in trees.describe(source).items():
        if what[0] != "f":
            continue
        try:
            digest = trees.file_digest(shown / path.decode())
        except OSError as refused:
            assert refused.errno in (5, 74), (path, refused)  # EIO, EBADMSG
            failed += 1
            continue
        assert digest == what[4], f"{path!r}: wrong bytes"
    return failed


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_bytes_in_the_mount(lie, server, origin, names, pushed, new_mount):
    """Errors while it lies, all files right once it does no more, from the same mount."""
    rule = origin.lie(BYTES, lie)
    mount = new_mount(origin.url, server.all_rights, deadline="1s")
    shown = mount / names.project / names.app / "v1"
    failed = read_what_can_be_read(pushed, shown)
    assert rule.used, "no request was lied to"
    if lie not in (no_content_range, whole_for_a_range, wrong_content_range, wrong_etag,
                   compressed, flipped_last):
        assert failed, "a lie went unseen"
    origin.rules.clear()
    forget_pages()
    deadline = time.monotonic() + 120
    while read_what_can_be_read(pushed, shown):  # a server in disgrace is asked again later
        assert time.monotonic() < deadline, mount.status()
        time.sleep(0.5)
    trees.assert_same(pushed, shown)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_bytes_in_a_pull(lie, server, origin, names, pushed, tmp_path):
    """A pull ends with 8 or 7, or is right; what was there before is not touched."""
    agent = Agent(tmp_path / "puller", origin.url, server.all_rights, retries=1)
    copy = tmp_path / "copy"
    rule = origin.lie(BYTES, lie)
    done = agent.run("pull", copy, "--project", names.project, "--app", names.app, "--version",
                     "v1", within=100)
    assert rule.used, "no request was lied to"
    if done.code == 0:
        trees.assert_same(pushed, copy)
    else:
        assert done.code in (7, 8), done
        assert not (copy / "README.md").exists(), "some of it went live"
    origin.rules.clear()
    agent.pull(copy, names.project, names.app, "v1")
    trees.assert_same(pushed, copy)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_bytes_where_a_delta_was_asked_for(lie, server, origin, names, pushed, tmp_path):
    """They are right where no delta is asked for, and so the pull ends well."""
    agent = Agent(tmp_path / "lied-to", origin.url, server.all_rights, retries=1)
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")
    data = bytearray((pushed / "exact").read_bytes())
    data[1000:1010] = b"0123456789abcdef"
    trees.write(pushed, "exact", bytes(data))
    agent.push(pushed, names.project, names.app, "v2")
    origin.lie(r"/blobs/[0-9a-f]{64}\?from=", lie)
    agent.pull(copy, names.project, names.app, "v2")
    trees.assert_same(pushed, copy)


@pytest.mark.parametrize("what", [MERKLE, TREE, RECORD], ids=["merkle", "tree", "record"])
@pytest.mark.parametrize("lie", [html, flipped_bit, zeros, shorter, longer, empty, compressed],
                         ids=lambda lie: lie.__name__)
def test_what_leads_to_the_bytes(lie, what, server, origin, names, pushed, new_mount, tmp_path):
    """The tree, the merkle levels, the record: nothing wrong is shown or written by them."""
    origin.lie(what, lie)
    mount = new_mount(origin.url, server.all_rights, deadline="1s")
    shown = mount / names.project / names.app / "v1"
    try:
        if shown.exists():
            read_what_can_be_read(pushed, shown)
    except OSError as refused:
        assert refused.errno in (5, 74), refused
    agent = Agent(tmp_path / "puller", origin.url, server.all_rights, retries=1)
    done = agent.run("pull", tmp_path / "copy", "--project", names.project, "--app", names.app,
                     "--version", "v1", within=100)
    if done.code == 0:
        trees.assert_same(pushed, tmp_path / "copy")
    else:
        assert done.code in (7, 8), done
    origin.rules.clear()
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(pushed, tmp_path / "copy")


def flipped_in(place):
    """One bit at that part of the bytes is another."""
    def change(body):
        at = int((len(body) - 1) * place)
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1:]
    return change


@pytest.mark.parametrize("place", [0, 0.5])
@pytest.mark.parametrize("what", ["listing", "times"])
def test_documents_that_go_up(what, place, server, origin, names, tmp_path):
    """Damaged at each try: exit 8, and no version."""
    agent = Agent(tmp_path / "pusher", origin.url, server.all_rights, retries=1)
    source = trees.small_tree(tmp_path / "source", seed=names.project)
    trees.write(source, "mine", b"x", mtime=zlib.crc32(names.project.encode()))
    origin.spoilt[f"/{what}$"] = flipped_in(place)
    done = agent.push(source, names.project, names.app, "v1", code=8)
    assert f"the {what} does not arrive as it is sent" in done.stderr
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1"
    assert server.request("GET", path, token=server.all_rights).status == 404
    origin.spoilt.clear()
    assert agent.push(source, names.project, names.app, "v1")["state"] == "created"


@pytest.mark.parametrize("place", [0, 0.5, 1])
def test_packs_that_go_up(place, server, origin, names, tmp_path):
    """What was in them is sent alone."""
    agent = Agent(tmp_path / "pusher", origin.url, server.all_rights, retries=1)
    source = trees.small_tree(tmp_path / "source", seed=names.project)
    origin.spoilt["/blobs:batch$"] = flipped_in(place)
    agent.push(source, names.project, names.app, "v1")
    origin.spoilt.clear()
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(source, tmp_path / "copy")


def swap(server, names, version):
    """Answers for v1 what belongs to another version, whole and in itself right."""
    def change(reply, path):
        other = path.replace("/versions/v1", f"/versions/{version}")
        answer = server.request("GET", other, token=server.all_rights)
        reply.status, reply.body = answer.status, answer.body
        reply.headers = [(name, value) for name, value in answer.headers.items()
                         if name not in ("connection", "keep-alive")]
    return change


@pytest.mark.parametrize("what", [TREE, RECORD], ids=["tree", "record"])
def test_another_version_s_tree(what, server, origin, agent, names, pushed, new_mount, tmp_path):
    """v2's tree is given for v1 to a client that knows v1, or that was told v1's digest."""
    other = trees.small_tree(tmp_path / "other", seed=2)
    agent.push(other, names.project, names.app, "v2")
    cache = tmp_path / "cache"
    with new_mount(origin.url, server.all_rights, cache=cache) as known:
        assert (known / names.project / names.app / "v1/README.md").exists()
        known.umount()
    puller = Agent(tmp_path / "puller", origin.url, server.all_rights, retries=1)
    puller.pull(tmp_path / "known", names.project, names.app, "v1")
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1"
    lie = swap(server, names, "v2")
    end = "/tree" if what == TREE else ""
    origin.lie(what, lambda reply: lie(reply, path + end))
    with new_mount(origin.url, server.all_rights, cache=cache, deadline="3s") as mount:
        shown = mount / names.project / names.app / "v1"
        try:
            assert (shown / "README.md").read_bytes() == b"tree 0\n"
        except OSError as refused:
            assert refused.errno in (5, 74), refused
    done = puller.run("pull", tmp_path / "known", "--project", names.project, "--app", names.app,
                      "--version", "v1")
    if what == RECORD:
        assert done.code == 8, done
    else:
        assert done.code in (0, 7, 8), done
    assert (tmp_path / "known/README.md").read_bytes() == b"tree 0\n"


def test_a_stalled_server_and_the_deadline(server, origin, names, pushed, new_mount):
    """A server that does not go on: EIO at the deadline, said in the status; later all is well."""
    goes_on = threading.Event()
    origin.lie(BYTES, lambda reply: goes_on.wait(120), times=8)
    mount = new_mount(origin.url, server.all_rights, deadline="2s")
    victim = mount / names.project / names.app / "v1/sizes/65536"
    start = time.monotonic()
    with pytest.raises(OSError) as refused:
        victim.read_bytes()
    assert refused.value.errno == 5
    assert 1.5 < time.monotonic() - start < 60  # and the server still says nothing
    assert mount.status()["last_error"]
    goes_on.set()
    origin.rules.clear()
    deadline = time.monotonic() + 60
    while True:
        try:
            data = victim.read_bytes()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)
    assert data == (pushed / "sizes/65536").read_bytes()


def test_server_that_is_gone(new_server, names, new_mount, tmp_path):
    """What is known and cached is served on; what is not fails in time; back again all is well."""
    server = new_server()
    source = trees.small_tree(tmp_path / "source")
    agent = Agent(tmp_path / "agent", server.url, server.all_rights, retries=1)
    agent.push(source, names.project, names.app, "v1")
    mount = new_mount(server.url, server.all_rights, deadline="2s")
    shown = mount / names.project / names.app / "v1"
    assert (shown / "README.md").read_bytes() == b"tree 0\n"
    port = server.port
    server.kill()
    forget_pages()
    assert (shown / "README.md").read_bytes() == b"tree 0\n"
    assert sorted(path.name for path in (shown / "sizes").iterdir())
    start = time.monotonic()
    with pytest.raises(OSError) as refused:
        (shown / "sizes/65536").read_bytes()
    assert refused.value.errno == 5 and time.monotonic() - start < 60
    assert mount.status()["online"] is False
    server.listen = f"127.0.0.1:{port}"
    server.start()
    deadline = time.monotonic() + 60
    while read_what_can_be_read(source, shown):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    trees.assert_same(source, shown)


def test_mount_of_a_server_that_is_gone(new_server, names, new_mount, tmp_path):
    """A version that was seen mounts without the server; a mount that knows nothing says 7."""
    server = new_server()
    source = trees.small_tree(tmp_path / "source")
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    agent.push(source, names.project, names.app, "v1")
    cache = tmp_path / "cache"
    with new_mount(server.url, server.all_rights, cache=cache) as mount:
        trees.assert_same(source, mount / names.project / names.app / "v1")
        mount.umount()
    server.kill()
    with new_mount(server.url, server.all_rights, cache=cache, deadline="2s") as mount:
        trees.assert_same(source, mount / names.project / names.app / "v1")
    nothing = new_mount(server.url, server.all_rights, mounted=False, deadline="2s")
    assert nothing.try_mount().code == 7
