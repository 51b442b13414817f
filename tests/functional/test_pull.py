# SPDX-License-Identifier: MIT
"""Pull: the directory becomes the version, and nothing that is not ours is touched."""

import os

import pytest

import trees
from agent import Agent
from proxies import CountingProxy


def two_versions(agent, names, tmp_path):
    """v1, and v2 that changes, adds and removes; the two sources."""
    one, two = tmp_path / "one", tmp_path / "two"
    for source in (one, two):
        trees.small_tree(source)
    trees.write(one, "old/only/here", b"old\n")
    trees.write(two, "new/only/here", b"new\n")
    trees.write(two, "README.md", b"second\n")
    (two / "link").unlink()
    trees.write(two, "link/now-a-directory", b"x")
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    return one, two


def test_there_and_back(agent, names, tmp_path):
    one, two = two_versions(agent, names, tmp_path)
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")
    trees.assert_same(one, copy)
    trees.write(copy, "mine/note", b"not of any version\n")
    pulled = agent.pull(copy, names.project, names.app, "v2")
    assert pulled["written_files"] == 3 and pulled["deleted_files"] == 2
    assert pulled["received_bytes"] < 100_000, "what is here already does not travel"
    assert (copy / "mine/note").read_bytes() == b"not of any version\n"
    trees.assert_same(two, copy, without=(b".kkartifact", b"mine", b"mine/note"))
    agent.pull(copy, names.project, names.app, "v1")
    trees.assert_same(one, copy, without=(b".kkartifact", b"mine", b"mine/note"))


def test_second_pull_is_current(server, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    with CountingProxy(server.port) as proxy:
        agent = Agent(tmp_path / "agent", proxy.url, server.all_rights)
        agent.push(source, names.project, names.app, "v1")
        first = agent.pull(tmp_path / "copy", names.project, names.app, "v1")
        assert first["received_bytes"] >= 4 << 20
        proxy.reset()
        second = agent.pull(tmp_path / "copy", names.project, names.app, "v1")
        assert (second["state"], second["written_files"]) == ("current", 0)
        assert proxy.total < 20_000


@pytest.mark.parametrize("named", ["latest", "v2"])
def test_which_version(named, agent, names, tmp_path):
    _, two = two_versions(agent, names, tmp_path)
    assert agent.pull(tmp_path / "copy", names.project, names.app, named)["version"] == "v2"
    trees.assert_same(two, tmp_path / "copy")


def test_damaged_file_is_made_good(agent, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")
    trees.write(copy, "sizes/4096", b"\0" * 4096)
    assert agent.run("verify", copy).code == 20
    agent.pull(copy, names.project, names.app, "v1", "--full-check")
    trees.assert_same(source, copy)
    agent.run("verify", copy).expect(0)


@pytest.mark.parametrize("words", [(), ("--exchange",)])
def test_directories_get_their_modes_and_times_back(words, agent, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    os.utime(source / "empty/inner", (1_000_000_000, 1_000_000_000))
    agent.push(source, names.project, names.app, "v1")
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")
    place = copy.stat().st_ino
    (copy / "empty/inner").chmod(0o700)
    os.utime(copy / "empty/inner", (1, 1))
    os.utime(copy / "bin", (1, 1))
    line = ("--project", names.project, "--app", names.app, "--version", "v1", *words)
    told = agent.run("pull", copy, *line, "--dry-run").expect(0).stdout.splitlines()
    assert told[:-1] == ["P\tbin/", "P\tempty/inner/"]
    agent.run("pull", copy, *line).expect(0)
    trees.assert_same(source, copy)
    assert copy.stat().st_ino == place, "no exchange for that"
    agent.run("verify", copy).expect(0)


def test_dry_run_writes_nothing(agent, names, tmp_path):
    one, _ = two_versions(agent, names, tmp_path)
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v2", "--dry-run")
    trees.assert_same(one, copy)


def test_what_is_not_there(agent, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    for project, app, version in ((names.project, names.app, "v2"), (names.project, "no", "v1"),
                                  ("no", names.app, "v1")):
        agent.pull(tmp_path / "copy", project, app, version, code=5)
    left = [name for name in os.listdir(tmp_path / "copy") if name != ".kkartifact"] \
        if (tmp_path / "copy").exists() else []
    assert left == []


def test_links_in_the_destination_are_not_followed(agent, names, tmp_path):
    """DEST/bin was a directory of v1 and is now a link to elsewhere: nothing is written there."""
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    elsewhere, copy = tmp_path / "elsewhere", tmp_path / "copy"
    elsewhere.mkdir()
    copy.mkdir()
    (copy / "bin").symlink_to(elsewhere)
    agent.run("pull", copy, "--project", names.project, "--app", names.app, "--version", "v1")
    assert os.listdir(elsewhere) == []


def test_a_link_of_the_tree_leads_nothing_out(agent, names, tmp_path):
    """v1 has a link `x` to a directory outside; v2 has a directory `x` with a file in it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "x").symlink_to(outside)
    trees.write(two, "x/file", b"x")
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v2")
    assert os.listdir(outside) == []
    trees.assert_same(two, tmp_path / "copy")


def test_configuration_in_the_destination(agent, names, tmp_path):
    """Without --config the destination must hold .kkartifact.yml; the pull leaves it there."""
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    copy = tmp_path / "copy"
    copy.mkdir()
    done = agent.run("pull", copy, "--version", "v1", config=False).expect(3)
    assert "init" in done.stderr
    agent.settings.update(project=names.project, app=names.app)
    agent.write_config(copy / ".kkartifact.yml")
    before = (copy / ".kkartifact.yml").read_bytes()
    agent.run("pull", copy, "--version", "v1", config=False).expect(0)
    assert (copy / ".kkartifact.yml").read_bytes() == before
    trees.assert_same(source, copy, without=(b".kkartifact", b".kkartifact.yml"))


def test_what_came_to_nothing_leaves_nothing(agent, server, names, tmp_path):
    """What a pull made for itself goes when it could not begin; what was there stays."""
    agent.push(trees.small_tree(tmp_path / "source"), names.project, names.app, "v1")
    away = Agent(tmp_path / "away", "http://127.0.0.1:9", server.all_rights, retries=0)
    (tmp_path / "there").mkdir()
    for words in ((), ("--exchange",)):
        for who, version, code in ((agent, "v9", 5), (away, "v1", 7)):
            who.pull(tmp_path / "new/deep/copy/", names.project, names.app, version, *words,
                     code=code)
            assert not (tmp_path / "new").exists()
            who.pull(tmp_path / "there/copy", names.project, names.app, version, *words, code=code)
            assert os.listdir(tmp_path / "there") == []
            who.pull(tmp_path / "there", names.project, names.app, version, *words, code=code)
            assert os.listdir(tmp_path / "there") == []
    agent.pull(tmp_path / "there", names.project, names.app, "v1")
    agent.pull(tmp_path / "there", names.project, names.app, "v9", code=5)
    assert (tmp_path / "there/.kkartifact/tree").exists()
