# SPDX-License-Identifier: MIT
"""--dry-run tells each path and writes nothing."""

import os
import shutil

import pytest

import trees
from agent import Agent


def whole(root):
    """Everything below, with inodes and all times but those of reading."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in [".", *names, *files]:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            found[path] = (info.st_ino, info.st_mode, info.st_size, info.st_mtime_ns,
                           info.st_ctime_ns)
    return found


@pytest.fixture
def versions(agent, names, tmp_path):
    one, two = trees.small_tree(tmp_path / "one"), tmp_path / "two"
    shutil.copytree(one, two, symlinks=True)
    trees.write(two, "README.md", b"other\n")
    trees.write(two, "new/file", b"x")
    (two / "sizes/0").unlink()
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    return one, two


@pytest.mark.parametrize("words", [(), ("--exchange",), ("--delete-extra",), ("--full-check",)])
def test_pull(words, agent, names, versions, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    copy = place / "copy"
    agent.environment["TMPDIR"] = str(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    line = ("--project", names.project, "--app", names.app, "--version", "v2", "--dry-run", *words)
    done = agent.run("pull", copy, *line).expect(0)
    assert os.listdir(place) == [], "a DEST that is not there is not made"
    assert "A\tsizes/4096" in done.stdout.splitlines() and "A\tempty/inner/" in done.stdout
    agent.pull(copy, names.project, names.app, "v1", "--exchange")
    trees.write(copy, "README.md", b"mine\n")
    before = whole(place)
    done = agent.run("pull", copy, *line).expect(0)
    assert done.stdout.splitlines() == ["M\tREADME.md", "A\tnew/", "A\tnew/file", "D\tsizes/0",
                                        f"{names.project}/{names.app}/v2"]
    told = agent.run("pull", copy, *line, "--json").expect(0).json()
    assert (told["written_files"], told["deleted_files"]) == (2, 1)
    assert [item["path"] for item in told["added"]] == ["new", "new/file"]
    assert whole(place) == before
    assert os.listdir(tmp_path / "scratch") == []
    done = agent.pull(copy, names.project, names.app, "v2", *words)
    assert (done["written_files"], done["deleted_files"]) == (2, 1), "as was told"
    trees.assert_same(versions[1], copy)
    done = agent.run("pull", copy, *line).expect(0)
    assert done.stdout.splitlines() == [f"{names.project}/{names.app}/v2"]


def test_pull_that_would_be_refused(agent, names, versions, tmp_path):
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")
    trees.write(copy, "mine", b"x")
    trees.write(copy, "new", b"in the way")
    before = whole(copy)
    for words, name in (((), "new"), (("--exchange",), "mine")):
        done = agent.pull(copy, names.project, names.app, "v2", "--dry-run", *words, code=9)
        assert name in done.stderr
    assert whole(copy) == before


def test_a_time_and_a_directory_that_stays(agent, names, versions, tmp_path):
    """Of directories: the time that alone changes, and what cannot go because something of others
    is in it."""
    two, copy = versions[1], tmp_path / "copy"
    line = (copy, "--project", names.project, "--app", names.app, "--version", "v3")
    trees.write(two, "old/kept/ours", b"x")
    trees.write(two, "old/gone/ours", b"x")
    agent.push(two, names.project, names.app, "v3")
    agent.pull(copy, names.project, names.app, "v3")
    os.utime(copy / "sizes", (1, 1))
    done = agent.run("pull", *line, "--dry-run").expect(0)
    assert done.stdout.splitlines()[:-1] == ["P\tsizes/"]
    told = agent.run("pull", *line, "--dry-run", "--json").expect(0).json()
    assert told["changed"] == [{"path": "sizes", "directory": True, "what": ["time"]}]
    trees.write(copy, "old/kept/mine", b"x")
    os.utime(copy / "sizes", (1, 1))
    (copy / "sizes/1").unlink()
    expected = ["D\told/gone/", "D\told/gone/ours", "D\told/kept/ours", "A\tsizes/1"]
    shutil.rmtree(two / "old")
    agent.push(two, names.project, names.app, "v4")
    done = agent.run("pull", *line[:-1], "v4", "--dry-run").expect(0)
    assert done.stdout.splitlines()[:-1] == expected
    done = agent.run("pull", *line[:-1], "v4", "--verbose").expect(0)
    told = [said.removeprefix("kkartifact-agent: ") for said in done.stderr.splitlines()]
    assert [said for said in told if said[1:2] == "\t"] == expected
    assert sorted(os.listdir(copy / "old")) == ["kept"]


def test_push(agent, server, names, versions, tmp_path):
    """The version is compared with the app's latest, v2."""
    one, _ = versions
    (one / "drop").mkdir()
    trees.write(one, "drop/x.log", b"x")
    os.chmod(one / "bin/tool", 0o700)
    agent.environment["TMPDIR"] = str(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    before, stored = whole(one), whole(server.data / "blobs")
    words = ("--project", names.project, "--app", names.app, "--version", "v3", "--dry-run",
             "--ignore", "*.log")
    done = agent.run("push", one, *words).expect(0)
    assert done.stdout == f"{names.project}/{names.app}/v3\n"
    *lines, notice = done.stderr.splitlines()
    assert lines == ["M\tREADME.md", "P\tbin/tool", "A\tdrop/", "D\tnew/", "D\tnew/file",
                     "A\tsizes/0"]
    assert "nothing was sent" in notice
    told = agent.run("push", one, *words, "--json").expect(0).json()
    assert told["state"] == "dry-run"
    assert [item["path"] for item in told["added"]] == ["drop", "sizes/0"]
    assert [item["path"] for item in told["removed"]] == ["new", "new/file"]
    assert [item["what"] for item in told["changed"]] == [["content"], ["mode"]]
    assert told["would_send_bytes"] < 5000, "the latest version has the large files"
    assert whole(one) == before and whole(server.data / "blobs") == stored
    assert os.listdir(tmp_path / "scratch") == []
    agent.pull(tmp_path / "copy", names.project, names.app, "v3", code=5)


def test_first_push(agent, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    words = ("--project", names.project, "--app", names.app, "--dry-run")
    done = agent.run("push", source, *words).expect(0)
    lines = done.stderr.splitlines()[:-1]
    assert lines[:3] == ["A\tREADME.md", "A\tbin/", "A\tbin/tool"]
    assert all(line.startswith("A\t") for line in lines)
    assert len(lines) == len(trees.describe(source))
    told = agent.run("push", source, *words, "--json").expect(0).json()
    assert told["version"] == told["content"][:12] and told["would_send_bytes"] > 3 << 20
    agent.run("list", names.project).expect(5)


def test_push_under_a_name_that_is_taken(agent, names, versions):
    one, two = versions
    told = agent.push(two, names.project, names.app, "v2", "--dry-run")
    assert (told["state"], told["would_send_bytes"]) == ("exists", 0)
    assert told["added"] == told["removed"] == told["changed"] == []
    done = agent.run("push", two, "--project", names.project, "--app", names.app, "--version",
                     "v2", "--dry-run").expect(0)
    assert "exists already, with this content" in done.stderr
    said = [agent.push(one, names.project, names.app, "v2", *words, code=6).stderr
            for words in (("--dry-run",), ())]
    assert said[0] == said[1] and "v2 has other content" in said[0]


def test_push_with_a_token_that_may_not_read(server, names, versions, tmp_path):
    one, two = versions
    token = server.token("push", project=names.project)
    agent = Agent(tmp_path / "pusher", server.url, token)
    for tree in (one, two):
        done = agent.push(tree, names.project, names.app, "v2", "--dry-run")
        assert len(done["added"]) == len(trees.describe(tree))
        done = agent.run("push", tree, "--project", names.project, "--app", names.app, "--dry-run")
        assert "does not let this token read" in done.expect(0).stderr
