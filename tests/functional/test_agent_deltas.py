# SPDX-License-Identifier: MIT
"""Deltas between the real programs: what changed travels, and nothing is believed."""

import os
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

import trees
from agent import Agent
from proxies import CountingProxy, LyingProxy

SIZE = 6 << 20
CHANGES = {
    "in place": lambda data: data[:3 << 20] + os.urandom(50) + data[(3 << 20) + 50:],
    "inserted": lambda data: data[:3 << 20] + os.urandom(50) + data[3 << 20:],
    "cut out": lambda data: data[:3 << 20] + data[(3 << 20) + 5000:],
    "appended": lambda data: data + os.urandom(5000),
}


# A change costs the chunks that it is in and those until the cuts fall in step again: a few of at
# most 64 KiB.
FEW_CHUNKS = 5 * (64 << 10)


def bytes_of(size):
    return random.Random(os.urandom(8)).randbytes(size)


@pytest.fixture
def counted(server, tmp_path):
    with CountingProxy(server.port) as proxy:
        yield Agent(tmp_path / "counted", proxy.url, server.all_rights), proxy


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    trees.write(root, "bin/big", bytes_of(SIZE))
    trees.write(root, "README.md", b"read me\n")
    return root


@pytest.mark.parametrize("how", CHANGES)
def test_pull_of_a_change(counted, names, source, tmp_path, how):
    agent, proxy = counted
    agent.push(source, names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.write(source, "bin/big", CHANGES[how]((source / "bin/big").read_bytes()))
    agent.push(source, names.project, names.app, "v2")
    proxy.reset()
    pulled = agent.pull(tmp_path / "copy", names.project, names.app, "v2")
    assert pulled["received_bytes"] < FEW_CHUNKS and proxy.total < FEW_CHUNKS
    trees.assert_same(source, tmp_path / "copy")
    # Back again: another delta, the other way round.
    proxy.reset()
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    assert proxy.total < FEW_CHUNKS


def test_pull_of_a_change_by_exchange(counted, names, source, tmp_path):
    agent, proxy = counted
    agent.push(source, names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1", "--exchange")
    trees.write(source, "bin/big", CHANGES["inserted"]((source / "bin/big").read_bytes()))
    agent.push(source, names.project, names.app, "v2")
    proxy.reset()
    agent.pull(tmp_path / "copy", names.project, names.app, "v2", "--exchange")
    assert proxy.total < 130_000
    trees.assert_same(source, tmp_path / "copy")


def test_pull_of_what_was_touched(counted, names, source, tmp_path):
    """A file whose stamp is another one is read, and is a base as before."""
    agent, proxy = counted
    copy = tmp_path / "copy"
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1")
    trees.write(source, "bin/big", CHANGES["in place"]((source / "bin/big").read_bytes()))
    agent.push(source, names.project, names.app, "v2")
    for version in "v2", "v1", "v2":  # and back, and on again
        os.utime(copy / "bin/big", (1, 1))
        proxy.reset()
        agent.pull(copy, names.project, names.app, version)
        assert proxy.total < FEW_CHUNKS
    trees.assert_same(source, copy)
    os.utime(copy / "bin/big", (1, 1))
    proxy.reset()
    agent.pull(copy, names.project, names.app, "v2")
    assert proxy.total < 10_000
    trees.assert_same(source, copy)


@pytest.mark.parametrize("how", ["in place", "exchange"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_pull_over_a_file_that_was_changed(how, version, counted, names, source, tmp_path):
    """A few blocks are wrong then, of the old version or of the new one, and they are fetched."""
    agent, proxy = counted
    options = ["--exchange"] if how == "exchange" else []
    copy, other = tmp_path / "copy", tmp_path / "other"
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1", *options)
    trees.write(source, "bin/big", CHANGES["inserted"]((source / "bin/big").read_bytes()))
    agent.push(source, names.project, names.app, "v2")
    agent.pull(other, names.project, names.app, version)
    with open(copy / "bin/big", "r+b") as file:
        for at in 1 << 20, 5 << 20:
            file.seek(at)
            file.write(b"damage")
    proxy.reset()
    pulled = agent.pull(copy, names.project, names.app, version, *options)
    assert pulled["received_bytes"] < FEW_CHUNKS and proxy.total < FEW_CHUNKS
    trees.assert_same(other, copy, source_without=trees.SHOWN)
    agent.run("verify", copy).expect(0)


@pytest.mark.parametrize("how", ["in place", "exchange"])
def test_pull_of_what_moved_and_changed(how, counted, names, source, tmp_path):
    agent, proxy = counted
    options = ["--exchange"] if how == "exchange" else []
    copy = tmp_path / "copy"
    for part in "ab":
        trees.write(source, f"app-1.0/{part}/lib.so", bytes_of(SIZE))
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1", *options)
    os.rename(source / "app-1.0", source / "app-1.1")
    os.rename(source / "bin", source / "sbin")
    for path in "app-1.1/a/lib.so", "app-1.1/b/lib.so", "sbin/big":
        trees.write(source, path, CHANGES["inserted"]((source / path).read_bytes()))
    agent.push(source, names.project, names.app, "v2")
    proxy.reset()
    agent.pull(copy, names.project, names.app, "v2", *options)
    assert proxy.total < 3 * FEW_CHUNKS
    trees.assert_same(source, copy)


@pytest.mark.plain_only
def test_a_touched_base_of_many_is_read_once(agent, names, tmp_path):
    """Not for each of the files that may have been it."""
    source, copy, calls = tmp_path / "source", tmp_path / "copy", tmp_path / "calls"
    data, count = bytes_of(SIZE), 12
    trees.write(source, "model-1.bin", data)
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1")
    (source / "model-1.bin").unlink()
    for number in range(count):
        trees.write(source, f"model-{number + 2}.bin", data[:1 << 20] + b"%d" % number)
    agent.push(source, names.project, names.app, "v2")
    os.utime(copy / "model-1.bin", (1, 1))
    line = ["strace", "-f", "-o", calls, "-P", copy / "model-1.bin", "-e", "trace=pread64",
            *agent.line("pull", copy, "--project", names.project, "--app", names.app,
                        "--version", "v2")]
    subprocess.run(list(map(str, line)), env=agent.environment, capture_output=True, check=True,
                   timeout=240)
    trees.assert_same(source, copy)
    read = sum(int(size) for size in re.findall(r"= (\d+)$", calls.read_text(), re.MULTILINE))
    # To tell what it holds, and for each delta what is copied.
    assert SIZE <= read < SIZE + (count + 1) * (2 << 20)


def test_pull_of_a_base_that_the_server_never_had(counted, names, source, tmp_path):
    """The copy holds what another project has: not a base that this token may pull."""
    agent, _ = counted
    agent.push(source, names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.write(source, "bin/big", CHANGES["inserted"]((source / "bin/big").read_bytes()))
    other = f"{names.project}-other"
    agent.push(source, other, names.app, "v1")
    pulled = agent.pull(tmp_path / "copy", other, names.app, "v1")
    assert pulled["state"] == "updated"
    trees.assert_same(source, tmp_path / "copy")


def test_one_file_of_many(counted, names, tmp_path):
    """The tree image is made from the last one: no list of all files travels."""
    agent, proxy = counted
    source = tmp_path / "source"
    for number in range(6000):
        trees.write(source, f"{number % 60}/a file with number {number}", b"%d" % number)
    agent.push(source, names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.write(source, "7/a file with number 7", b"changed\n")
    agent.push(source, names.project, names.app, "v2")
    proxy.reset()
    agent.pull(tmp_path / "copy", names.project, names.app, "v2")
    assert proxy.total < 60_000
    trees.assert_same(source, tmp_path / "copy")
    agent.run("verify", tmp_path / "copy").expect(0)


@pytest.mark.parametrize("how", CHANGES)
def test_push_of_a_change(counted, names, source, tmp_path, how):
    agent, proxy = counted
    agent.push(source, names.project, names.app, "v1")
    for number in range(2):  # the second asks for no list
        trees.write(source, "bin/big", CHANGES[how]((source / "bin/big").read_bytes()))
        proxy.reset()
        pushed = agent.push(source, names.project, names.app, f"v{number + 2}")
        assert pushed["state"] == "created" and pushed["sent_bytes"] < FEW_CHUNKS
        assert proxy.total < FEW_CHUNKS
    agent.pull(tmp_path / "copy", names.project, names.app, "v3")
    trees.assert_same(source, tmp_path / "copy")


def program(moved, seed):
    """What a linker makes: no 4 KiB of it stay the same when its addresses move."""
    words = random.Random(seed)
    return b"".join(words.randbytes(248) + (number * 256 + moved).to_bytes(8, "little")
                    for number in range(SIZE // 256))


def kept(agent):
    return agent.home / ".cache/kkartifact/agent/kept"


def test_push_of_a_program(counted, names, tmp_path):
    """The bytes of the last push are here: what differs from them travels, and little else."""
    agent, proxy = counted
    source = tmp_path / "source"
    seed = os.urandom(8)
    for number in range(3):
        trees.write(source, "bin/program", program(number * 48, seed) + bytes(number))
        proxy.reset()
        pushed = agent.push(source, names.project, names.app, f"v{number}")
        assert pushed["state"] == "created" and (pushed["sent_bytes"] < SIZE / 4) == (number > 0)
        assert proxy.total < SIZE / 4 or number == 0
    agent.pull(tmp_path / "copy", names.project, names.app, "v2")
    trees.assert_same(source, tmp_path / "copy")


@pytest.mark.parametrize("how", ["damaged", "cut", "longer", "removed"])
def test_push_with_a_bad_copy_of_the_base(how, counted, names, tmp_path):
    """The server refuses what comes of it, and the file goes another way."""
    agent, _ = counted
    source = tmp_path / "source"
    seed = os.urandom(8)
    trees.write(source, "bin/program", program(0, seed))
    agent.push(source, names.project, names.app, "v1")
    for copy in kept(agent).iterdir():
        data = copy.read_bytes()
        assert data == program(0, seed)
        copy.unlink()
        if how != "removed":
            copy.write_bytes({"damaged": os.urandom(1000) + data[1000:], "cut": data[:-1],
                              "longer": data + b"x"}[how])
    trees.write(source, "bin/program", program(8, seed))
    assert agent.push(source, names.project, names.app, "v2")["state"] == "created"
    agent.pull(tmp_path / "copy", names.project, names.app, "v2")
    trees.assert_same(source, tmp_path / "copy")


def test_push_of_what_compresses(counted, names, tmp_path):
    """A first push has no base: a sample tells whether zstd pays, file by file."""
    agent, proxy = counted
    source = tmp_path / "source"
    words = [bytes_of(9).hex().encode() for _ in range(1000)]
    text = b" ".join(random.choices(words, k=1_500_000))
    noise = bytes_of(3 << 20)
    for number in range(4):  # more files than are packed at a time
        trees.write(source, f"{number}.txt", b"%d " % number + text[number:])
    trees.write(source, "noise", noise)
    size = sum(path.stat().st_size for path in source.iterdir())
    pushed = agent.push(source, names.project, names.app, "v1")
    assert len(noise) < pushed["sent_bytes"] < len(noise) + (size - len(noise)) / 3
    assert proxy.total < len(noise) + (size - len(noise)) / 3
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(source, tmp_path / "copy")


def test_push_of_a_large_delta(counted, names, tmp_path):
    """What changed is more than an upload's part has by default, and a fourth of the file."""
    agent, _ = counted
    source = tmp_path / "source"
    old, new = bytes_of(40 << 20), bytes_of(10 << 20)
    trees.write(source, "file", old)
    agent.push(source, names.project, names.app, "v1")
    trees.write(source, "file", old[:8 << 20] + new + old[18 << 20:])
    assert agent.push(source, names.project, names.app, "v2")["sent_bytes"] < len(new) + 100_000
    agent.pull(tmp_path / "copy", names.project, names.app, "v2")
    trees.assert_same(source, tmp_path / "copy")


def test_push_without_anything_in_common(counted, names, source, tmp_path):
    agent, _ = counted
    agent.push(source, names.project, names.app, "v1")
    trees.write(source, "bin/big", bytes_of(SIZE))
    assert agent.push(source, names.project, names.app, "v2")["sent_bytes"] > SIZE
    agent.pull(tmp_path / "copy", names.project, names.app, "v2")
    trees.assert_same(source, tmp_path / "copy")


def test_push_with_a_token_that_may_not_pull(server, names, source, tmp_path):
    """No base is known to it, and the push works as without."""
    first = Agent(tmp_path / "first", server.url, server.all_rights)
    first.push(source, names.project, names.app, "v1")
    trees.write(source, "bin/big", CHANGES["inserted"]((source / "bin/big").read_bytes()))
    agent = Agent(tmp_path / "pusher", server.url, server.token("push"))
    assert agent.push(source, names.project, names.app, "v2")["sent_bytes"] > SIZE
    first.pull(tmp_path / "copy", names.project, names.app, "v2")
    trees.assert_same(source, tmp_path / "copy")


def test_verbose_tells_how_each_went(counted, names, source, tmp_path):
    agent, _ = counted
    at = ["--project", names.project, "--app", names.app, "--verbose"]
    done = agent.run("push", source, *at, "--version", "v1").expect(0)
    assert f"bin/big: whole, {SIZE} bytes" in done.stderr
    trees.write(source, "bin/big", CHANGES["inserted"]((source / "bin/big").read_bytes()))
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    done = agent.run("push", source, *at, "--version", "v2").expect(0)
    assert "bin/big: delta, " in done.stderr
    done = agent.run("pull", tmp_path / "copy", *at, "--version", "v2").expect(0)
    assert "bin/big: delta, " in done.stderr



COUNT = 60
SMALL_DELTA = 2000  # with its question; a 150th of the blob


def change_many(agent, names, app, root):
    """A version of many files that lies in DEST, and the next, where all are others."""
    source, copy = root / app / "source", root / app / "copy"
    for number in range(COUNT):
        trees.write(source, f"{number}.bin", bytes_of(300_000))
    agent.push(source, names.project, app, "v1")
    agent.pull(copy, names.project, app, "v1")
    for number in range(COUNT):
        path = source / f"{number}.bin"
        path.write_bytes(b"new" + path.read_bytes())
    return source, copy


def pull_telling(agent, names, app, copy):
    done = agent.run("pull", copy, "--project", names.project, "--app", app, "--version", "v2",
                     "--verbose").expect(0)
    return done.stderr


def test_many_deltas_find_room_at_the_server(new_server, names, tmp_path):
    """It makes few at a time, and whoever finds no room to wait for a turn gets none."""
    server = new_server()
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        source, copy = change_many(agent, names, "app", tmp_path)
        trees.write(source, "other.bin", bytes_of(400_000))  # comes whole, beside them
        agent.push(source, names.project, "app", "v2")
        proxy.reset()
        told = pull_telling(agent, names, "app", copy)
        assert told.count(": delta, ") == COUNT and "no turn" not in told, told
        assert proxy.total < 400_000 + SMALL_DELTA * COUNT
    trees.assert_same(source, copy)


def test_several_agents_take_turns(new_server, names, tmp_path):
    server = new_server()
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    apps = ["a", "b", "c"]
    trees_of = {app: change_many(agent, names, app, tmp_path) for app in apps}
    for app in apps:
        agent.push(trees_of[app][0], names.project, app, "v2")
    with ThreadPoolExecutor(len(apps)) as pool:
        told = list(pool.map(lambda app: pull_telling(
            Agent(tmp_path / app, server.url, server.all_rights), names, app, trees_of[app][1]),
            apps))
    assert "no turn" in "".join(told)  # or nothing is tested
    assert "".join(told).count(": whole, ") <= len(apps) * COUNT // 20, told
    for app in apps:
        trees.assert_same(*trees_of[app])


def no_turn(reply):
    reply.status, reply.body = 202, b""
    reply.headers = [("Retry-After", "1")]


@pytest.mark.plain_only
@pytest.mark.parametrize("times, whole", [(1, 0), (4, 0), (5, 1), (None, 1)])
def test_no_turn_for_a_delta(times, whole, agent, server, names, source, tmp_path):
    """It is asked for again a few times, then the blob comes whole."""
    agent.push(source, names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.write(source, "bin/big", CHANGES["inserted"]((source / "bin/big").read_bytes()))
    agent.push(source, names.project, names.app, "v2")
    with LyingProxy(server) as proxy:
        rule = proxy.lie(r"/blobs/[0-9a-f]+\?from=", no_turn, times=times)
        told = pull_telling(Agent(tmp_path / "lied-to", proxy.url, server.all_rights), names,
                            names.app, tmp_path / "copy")
        assert rule.used == (times or 5)
    assert told.count("bin/big: the server has no turn for a delta") == min(times or 4, 4)
    assert told.count("bin/big: whole, ") == whole
    assert told.count("bin/big: delta, ") == 1 - whole
    trees.assert_same(source, tmp_path / "copy")
