# SPDX-License-Identifier: MIT
"""Errors of the local file system say the path as whoever typed the command finds it: below which
directory, and from there."""

import os

import pytest

import trees
from other_user import OtherUser


@pytest.fixture
def version(agent, names, tmp_path):
    trees.write(tmp_path / "tree", "a/f1", b"x")
    agent.push(tmp_path / "tree", names.project, names.app, "v1")
    return f"{names.project}/{names.app}/v1"


def told(done, *lines):
    assert done.stderr.splitlines() == [f"kkartifact-agent: {line}" for line in lines], done


def test_what_is_in_the_way(agent, names, version, tmp_path):
    for where in ("one", "two"):
        trees.write(tmp_path / where, "a/f1/in", b"foreign")
    words = ("--project", names.project, "--app", names.app, "--version", "v1")
    done = agent.run("pull", "one/", *words, cwd=tmp_path).expect(9)
    told(done, "one: a/f1: is in the way, and no pull has put it there")
    done = agent.run("pull", ".", *words, cwd=tmp_path / "one").expect(9)
    told(done, "a/f1: is in the way, and no pull has put it there")
    done = agent.run("get", f"{version}/a/f1", "two/a", cwd=tmp_path).expect(9)
    told(done, "two/a: f1: is there, and is a directory")
    done = agent.run("get", f"{version}/a", tmp_path / "two", cwd=tmp_path).expect(9)
    told(done, f"{tmp_path}/two: a/f1: is there, and is a directory")
    os.mkfifo(tmp_path / "tree/a/fifo")
    done = agent.run("push", "tree", *words[:-1], "v2", cwd=tmp_path).expect(9)
    told(done, "tree: a/fifo: is a device, a socket or a fifo, which no version can hold")


def test_what_is_not_permitted(server, version, keeper, names):
    with OtherUser(keeper) as user:
        token = user.write("token", server.all_rights + "\n")
        config = user.write("agent.yml", f"server: {server.url}\ntoken_file: {token}\n"
                                         f"project: {names.project}\napp: {names.app}\n")
        for path in ("tree/sub/closed", "dest"):
            (user.home / path).mkdir(parents=True)
            (user.home / path).chmod(0o700 if path == "dest" else 0)
        (user.home / "dest").chmod(0o555)

        def run(*words):
            return user.run(user.program("kkartifact-agent"), *words, "--config", config).expect(9)
        told(run("push", user.home / "tree"), f"{user.home}/tree: sub/closed: Permission denied")
        told(run("pull", user.home / "dest"), f"{user.home}/dest: .kkartifact: Permission denied")


def test_a_directory_that_is_none(agent, version, tmp_path):
    """No other file is looked for in it."""
    for verb in ("verify", "push", "pull", "init"):
        done = agent.run(verb, "tree/a/f1", config=False, cwd=tmp_path).expect(9)
        told(done, "tree/a/f1: is not a directory")


def test_verify_names_what_was_not_pulled(agent, version, tmp_path):
    done = agent.run("verify", "tree", cwd=tmp_path).expect(5)
    told(done, "tree: no pull has ended in this directory")


def test_several_are_named_one_by_one_and_counted(agent, names, version, tmp_path):
    words = ("pull", "copy", "--project", names.project, "--app", names.app, "--version", "v1",
             "--exchange", "--json")
    why = "no pull has put it there (protect it with `ignore`, or say --delete-extra)"
    agent.run(*words, cwd=tmp_path).expect(0)
    trees.write(tmp_path / "copy", "mine", b"x")
    told(agent.run(*words, cwd=tmp_path).expect(9), f"copy: mine: {why}")
    trees.write(tmp_path / "copy", "a/mine", b"x")
    done = agent.run(*words, "--quiet", cwd=tmp_path).expect(9)
    *lines, last = [line.removeprefix("kkartifact-agent: ") for line in done.stderr.splitlines()]
    assert sorted(lines) == [f"a/mine: {why}", f"mine: {why}"]
    assert last == "copy: 2 paths are in the way of an exchange"
