# SPDX-License-Identifier: MIT
"""Ctrl-C: once stops in good order and says how to go on, twice ends at once."""

import os
import signal
import subprocess
import time

import pytest

import trees
from agent import Agent
from proxies import CountingProxy

MIB = 1 << 20
TOTAL = 40 * MIB


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    for number in range(20):
        trees.write(root, f"{number}", trees.random_bytes(2 * MIB, f"interrupt {number}"))
    return root


@pytest.fixture
def proxy(server):
    with CountingProxy(server.port) as passing:
        yield passing


@pytest.fixture
def slow(proxy, server, tmp_path):
    """So slow that an interrupt is never too late; two files at a time, so that some are whole."""
    return Agent(tmp_path / "slow", proxy.url, server.all_rights, bandwidth_limit="16MiB",
                 concurrency=2)


def interrupt(process, count, least):
    until = time.monotonic() + 60
    while count() < least:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    output, words = process.communicate(timeout=60)
    return process.returncode, output, words.decode()


def test_push_goes_on(slow, agent, proxy, names, source, tmp_path):
    words = ("--project", names.project, "--app", names.app, "--version", "v1")
    with slow.start("push", source, *words) as pushing:
        code, output, told = interrupt(pushing, lambda: proxy.up, 10 * MIB)
    assert (code, output) == (130, b"")
    assert told == "kkartifact-agent: interrupted: the same command goes on where this one " \
                   "stopped\n"
    again = agent.push(source, names.project, names.app, "v1")
    assert again["sent_bytes"] < TOTAL - 4 * MIB
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(source, tmp_path / "copy")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_push_goes_on_within_a_part(how, slow, agent, proxy, names, tmp_path):
    """The first part of the file is not through yet; what came of it counts."""
    source = tmp_path / "one"
    trees.write(source, "file", os.urandom(15 * MIB))
    slow.settings["bandwidth_limit"] = "4MiB"
    slow.write_config()
    with slow.start("push", source, "--project", names.project, "--app", names.app, "--version",
                    "v1") as pushing:
        until = time.monotonic() + 60
        while proxy.up < 6 * MIB:
            assert pushing.poll() is None and time.monotonic() < until
            time.sleep(0.001)
        pushing.send_signal(how)
        pushing.communicate(timeout=60)
    slow.settings.pop("bandwidth_limit")
    slow.write_config()
    again = slow.push(source, names.project, names.app, "v1")
    assert again["sent_bytes"] < 15 * MIB - 5 * MIB
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.assert_same(source, tmp_path / "copy")


@pytest.mark.parametrize("words", [(), ("--exchange",)])
def test_pull_goes_on(words, slow, agent, proxy, names, source, tmp_path):
    old = trees.small_tree(tmp_path / "old")
    copy = tmp_path / "copy"
    agent.push(old, names.project, names.app, "v1")
    agent.push(source, names.project, names.app, "v2")
    agent.pull(copy, names.project, names.app, "v1")
    proxy.reset()
    with slow.start("pull", copy, "--project", names.project, "--app", names.app, "--version",
                    "v2", *words) as pulling:
        code, output, told = interrupt(pulling, lambda: proxy.down, 10 * MIB)
    assert (code, output) == (130, b"")
    assert told.endswith("the same command goes on where this one stopped\n")
    trees.assert_same(old, copy)
    again = agent.pull(copy, names.project, names.app, "v2", *words)
    assert again["received_bytes"] < TOTAL - 4 * MIB
    trees.assert_same(source, copy)


def test_twice_ends_at_once(agent, names, source, tmp_path):
    """Nobody reads what `get` writes: the first interrupt has to wait for the write, the second
    does not."""
    agent.push(source, names.project, names.app, "v1")
    reading, writing = os.pipe()
    line = agent.line("get", f"{names.project}/{names.app}/v1/3", "-")
    with subprocess.Popen(list(map(str, line)), env=agent.environment, stdout=writing,
                          stderr=subprocess.PIPE) as getting:
        try:
            os.close(writing)
            until = time.monotonic() + 60
            while b"pipe_write" not in blocked_in(getting.pid):
                assert getting.poll() is None and time.monotonic() < until
            getting.send_signal(signal.SIGINT)
            until = time.monotonic() + 60
            while pending(getting.pid):
                assert time.monotonic() < until
            getting.send_signal(signal.SIGINT)
            assert getting.wait(60) == 130
            assert getting.stderr.read() == b""
        finally:
            getting.kill()
            os.close(reading)


def blocked_in(pid):
    """Where its first thread waits in the kernel."""
    for name in ("wchan", "stack"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                text = file.read()
        except OSError:
            continue
        if text not in (b"", b"0"):
            return text
    return b""


def pending(pid):
    """Whether a signal has not been taken yet: two of a kind at once are one."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        lines = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    return int(lines["ShdPnd"], 16) & 1 << (signal.SIGINT - 1)
