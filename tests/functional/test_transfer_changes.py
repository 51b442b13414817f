# SPDX-License-Identifier: MIT
"""Files that change while they are pushed, and clocks that jump: a version never holds bytes that
were not in the file, and the next push sees what the last one missed."""

import os
import shutil
import subprocess

import pytest

import trees
from agent import Agent
from proxies import CountingProxy

KIB, MIB = 1 << 10, 1 << 20
BIG = 12 * MIB


def small(seed):
    """{path: bytes} that go in packs."""
    return {f"{number % 9}/{number}": trees.random_bytes(9000, f"{seed}/{number}")
            for number in range(700)}


def big(seed):
    """{path: bytes} that go as deltas from each other."""
    data = bytearray(trees.random_bytes(BIG, "big"))
    for number in range(10):
        data[number * MIB:number * MIB + 4096] = trees.random_bytes(4096, f"{seed}/{number}")
    return {"big": bytes(data)}


def large(seed):
    """{path: bytes} that go in parts."""
    return {f"{number}": trees.random_bytes(2 * MIB, f"{seed}/{number}") for number in range(4)}


def overwrite(root, files):
    """In place and of the same size, with the times that they had."""
    for path, data in files.items():
        info = os.stat(root / path)
        with open(root / path, "r+b", buffering=0) as file:
            file.write(data)
        os.utime(root / path, ns=(info.st_atime_ns, info.st_mtime_ns))


def replace(root, files):
    """As programs do that know how: a new file under the name."""
    for path, data in files.items():
        info = os.stat(root / path)
        trees.write(root, f"{path}.new", data)
        os.utime(root / f"{path}.new", ns=(info.st_atime_ns, info.st_mtime_ns))
        os.rename(root / f"{path}.new", root / path)


CHANGES = {"in place": overwrite, "replaced": replace}


@pytest.mark.parametrize("share", [0.02, 0.4, 0.8])
@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("what", [small, big, large])
def test_changed_while_it_is_sent(what, how, share, server, names, tmp_path):
    """All files change at once when so much of them was sent."""
    source = tmp_path / "source"
    versions = [what(f"{names.project}/{seed}") for seed in range(3)]
    for path, data in versions[0].items():
        trees.write(source, path, data, mtime=1_000_000)
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights, chunk_size="256KiB")
        agent.push(source, names.project, names.app, "v0")
        overwrite(source, versions[1])
        whole = 41 * KIB if what is big else sum(map(len, versions[1].values()))
        proxy.on_up = (proxy.up + int(whole * share), lambda: CHANGES[how](source, versions[2]))
        done = agent.run("push", source, "--project", names.project, "--app", names.app,
                         "--version", "v1")
        assert proxy.on_up is None, "nothing has changed"
        assert done.code in (0, 9), done
        if done.code == 9:
            assert "changes while it is pushed" in done.stderr
        else:
            agent.pull(tmp_path / "copy", names.project, names.app, "v1")
            for path in versions[0]:
                pulled = (tmp_path / "copy" / path).read_bytes()
                assert pulled in (versions[1][path], versions[2][path]), path
        agent.push(source, names.project, names.app, "v2")
        agent.pull(tmp_path / "copy", names.project, names.app, "v2")
        trees.assert_same(source, tmp_path / "copy")
        for path, data in versions[2].items():
            assert (tmp_path / "copy" / path).read_bytes() == data


@pytest.mark.plain_only
@pytest.mark.parametrize("stat", ["files too", "clock alone"])
@pytest.mark.parametrize("days", [(-1, 1), (1, -1), (1, 0), (-1, 0)])
def test_clock_jumps(days, stat, server, names, tmp_path):
    """The agent's clock is a day off, one way and then the other, and files change in between
    without a change of size or time."""
    assert shutil.which("faketime"), "tools/install-deps test installs it"
    source = tmp_path / "source"
    seeds = [f"{names.project}/{number}" for number in range(4)]
    versions = [{**small(seed), **big(seed)} for seed in seeds]
    for path, data in versions[0].items():
        trees.write(source, path, data, mtime=1_000_000)
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    environment = dict(agent.environment)
    if stat == "clock alone":
        environment["NO_FAKE_STAT"] = "1"
    agent.push(source, names.project, names.app, "v0")
    for number, day in enumerate(days, 1):
        overwrite(source, versions[number])
        line = ["faketime", "-f", f"{day:+}d", *agent.line(
            "push", source, "--project", names.project, "--app", names.app, "--version",
            f"v{number}")]
        done = subprocess.run(list(map(str, line)), env=environment, capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        agent.pull(tmp_path / "copy", names.project, names.app, f"v{number}")
        trees.assert_same(source, tmp_path / "copy")
    overwrite(source, versions[3])
    agent.push(source, names.project, names.app, "v3")
    agent.pull(tmp_path / "copy", names.project, names.app, "v3")
    trees.assert_same(source, tmp_path / "copy")
