# SPDX-License-Identifier: MIT
"""Where the result cannot be told: a standard output that is full, or closed; and what names may
not do to a terminal."""

import os
import re
import subprocess

import pytest

import trees
from agent import Agent
from server import program


@pytest.fixture
def version(agent, names, tmp_path):
    """A version, a tree that differs from it, and a copy that was pulled."""
    tree = trees.small_tree(tmp_path / "tree")
    agent.push(tree, names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.write(tree, "more", b"x")
    return f"{names.project}/{names.app}/v1"


def lines(version, tmp_path):
    """Every verb that has a result."""
    app = version.rpartition("/")[0]
    named = ["--project", app.partition("/")[0], "--app", app.partition("/")[2]]
    return [["list"], ["list", app], ["show", version], ["diff", app, "v1", "v1", "--json"],
            ["hosts"], ["hosts", app, "--json"], ["wait", version],
            ["verify", tmp_path / "copy"], ["get", version, tmp_path / "got"],
            ["get", f"{version}/README.md", "-"], ["get", f"{version}/meta.yaml", "-"],
            ["push", tmp_path / "tree", *named, "--version", "v2"],
            ["pull", tmp_path / "new", *named, "--version", "v1"],
            ["pull", tmp_path / "dry", *named, "--dry-run", "--json"],
            ["init", tmp_path / "made"], ["version"], ["completion", "bash"], ["list", "--help"]]


def test_a_full_standard_output_is_local(agent, version, tmp_path):
    for line in lines(version, tmp_path):
        words = list(map(str, agent.line(*line)))
        with open("/dev/full", "wb") as full:
            done = subprocess.run(words, env=agent.environment, cwd=tmp_path, stdout=full,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == 9, (line, done)
        assert b"standard output: cannot write: No space left on device" in done.stderr, done


def closed(line, what, **options):
    """Runs it with descriptors closed as a shell says it, such as `>&-`."""
    return subprocess.run(["/bin/sh", "-c", f'exec "$@" {what}', "sh", *map(str, line)],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60,
                          check=False, **options)


def test_a_closed_standard_output_is_an_error_and_no_file_gets_it(agent, version, tmp_path):
    for line in lines(version, tmp_path):
        done = closed(agent.line(*line), ">&-", env=agent.environment, cwd=tmp_path)
        assert done.returncode == 9, (line, done)
        assert done.stderr.endswith(b"standard output: cannot write: Bad file descriptor\n"), done
    trees.assert_same(tmp_path / "copy", tmp_path / "new", source_without=trees.SHOWN)


def test_all_closed(agent, version, tmp_path):
    """What goes to people goes nowhere."""
    project, app, _ = version.split("/")
    line = agent.line("pull", tmp_path / "new", "--project", project, "--app", app, "--version",
                      "v1", "--verbose", "--progress", "plain")
    done = closed(line, "<&- >&- 2>&-", env=agent.environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (9, b"")
    trees.assert_same(tmp_path / "copy", tmp_path / "new", source_without=trees.SHOWN)


@pytest.mark.parametrize("line, code", [
    (["kkartifact-server", "version"], 1), (["kkartifact-server", "--help"], 1),
    (["kkartifact-server", "migrate"], 1),
    (["kkartifact-server", "token", "create", "--name", "x"], 1),
    (["kkartifact-fs", "version"], 9), (["kkartifact-fs", "--help"], 9)])
def test_the_other_programs(line, code, tmp_path):
    words = [program(line[0]), *line[1:]]
    if line[0] == "kkartifact-server" and line[1] in ("migrate", "token"):
        words += ["--data", tmp_path / "data"]
    done = closed(words, ">&-")
    assert done.returncode == code, done
    assert b"standard output cannot be written" in done.stderr


def test_progress_of_a_push_within_a_part(server, names, tmp_path):
    """What is on its way counts, not only the parts that are through."""
    agent = Agent(tmp_path / "agent", server.url, server.all_rights, bandwidth_limit="1MiB")
    trees.write(tmp_path / "source", "file", trees.random_bytes(6 << 20))
    done = agent.run("push", tmp_path / "source", "--project", names.project, "--app", names.app,
                     "--version", "v1", "--progress", "plain")
    assert done.code == 0, done
    seen = re.findall(r"([0-9.]+) MiB/6\.00 MiB", done.stderr)
    assert any(0 < float(part) < 6 for part in seen), done.stderr


def test_names_do_not_steer_the_terminal(agent, names, tmp_path):
    """They are a server's: no escape sequence, and no line of their own, where details are told."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    trees.write(source, "big\x1b[31m\nkkartifact-agent: done\x7f", os.urandom(300_000))
    agent.push(source, names.project, names.app, "v1")
    done = agent.run("pull", copy, "--project", names.project, "--app", names.app,
                     "--version", "v1", "--verbose").expect(0)
    assert ("kkartifact-agent: big\\033[31m\\012kkartifact-agent: done\\177: whole, 300000 bytes\n"
            in done.stderr)
    assert "\x1b" not in done.stderr and "\nkkartifact-agent: done" not in done.stderr
