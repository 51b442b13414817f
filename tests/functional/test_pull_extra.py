# SPDX-License-Identifier: MIT
"""Pull with --delete-extra: what no pull has put there goes, but for what is protected."""

import os

import pytest

import trees

KEPT = (b".kkartifact", b".kkartifact.yml")


@pytest.fixture
def source(agent, names, tmp_path):
    root = trees.small_tree(tmp_path / "source")
    agent.push(root, names.project, names.app, "v1")
    return root


def foreign(copy):
    """Everything that can stand where no pull has put it."""
    trees.write(copy, "mine/deep/er/note", b"x", 0o400)
    trees.write(copy, "sizes/extra", b"x")
    trees.write(copy, "empty/inner/extra", b"x")
    (copy / "mine/bare").mkdir()
    (copy / "dangling").symlink_to("nowhere")
    (copy / "elsewhere").symlink_to("/etc")
    os.mkfifo(copy / "pipe")


def lines_of(done):
    return done.stdout.splitlines()


def test_foreign_files_go(agent, names, source, tmp_path):
    copy = tmp_path / "copy"
    agent.pull(copy, names.project, names.app, "v1")
    foreign(copy)
    agent.pull(copy, names.project, names.app, "v1")
    assert (copy / "mine/deep/er/note").exists(), "without the flag they stay"
    pulled = agent.pull(copy, names.project, names.app, "v1", "--delete-extra")
    assert (pulled["state"], pulled["written_files"], pulled["deleted_files"]) == ("updated", 0, 6)
    trees.assert_same(source, copy)
    assert os.path.exists("/etc/passwd")
    again = agent.pull(copy, names.project, names.app, "v1", "--delete-extra")
    assert again["state"] == "current"


def test_what_is_in_the_way_goes(agent, names, source, tmp_path):
    copy = tmp_path / "copy"
    trees.write(copy, "README.md/not/a/file", b"x")
    trees.write(copy, "sizes", b"not a directory")
    trees.write(copy, "link", b"not a link")
    os.mkfifo(copy / "bin")
    agent.pull(copy, names.project, names.app, "v1", code=9)
    agent.pull(copy, names.project, names.app, "v1", "--delete-extra")
    trees.assert_same(source, copy)


def test_protected_paths_stay(agent, names, source, tmp_path):
    copy = tmp_path / "copy"
    trees.write(copy, ".kkartifact.yml", b"project: p\n")
    trees.write(copy, "data/db", b"data")
    trees.write(copy, "way/to/keep.log", b"log")
    trees.write(copy, "way/to/drop", b"x")
    trees.write(copy, "README.md", b"mine")
    agent.pull(copy, names.project, names.app, "v1", "--delete-extra", "--ignore", "data/",
               "--ignore", "*.log", "--ignore", "README.md")
    assert (copy / "data/db").read_bytes() == b"data"
    assert (copy / "way/to/keep.log").read_bytes() == b"log"
    assert (copy / "README.md").read_bytes() == b"mine"
    assert (copy / ".kkartifact.yml").read_bytes() == b"project: p\n"
    assert not (copy / "way/to/drop").exists()
    trees.assert_same(source, copy, source_without=(b"README.md",),
                      without=(*KEPT, b"README.md", b"data", b"way", b"way/to",
                               b"way/to/keep.log", b"data/db"))


def test_protected_below_what_is_in_the_way_is_refused(agent, names, source, tmp_path):
    copy = tmp_path / "copy"
    trees.write(copy, "README.md/data/db", b"data")
    done = agent.pull(copy, names.project, names.app, "v1", "--delete-extra", "--ignore", "data/",
                      code=9)
    assert "README.md/data" in done.stderr
    assert (copy / "README.md/data/db").read_bytes() == b"data"
    assert not (copy / "bin").exists()


def test_each_is_told(agent, names, source, tmp_path):
    copy = tmp_path / "copy"
    words = ("--project", names.project, "--app", names.app, "--version", "v1", "--delete-extra")
    agent.pull(copy, names.project, names.app, "v1")
    trees.write(copy, "mine/a\nb", b"x")
    (copy / "README.md").write_bytes(b"changed")
    (copy / "bin/tool").chmod(0o600)
    (copy / "link").unlink()
    expected = ["M\tREADME.md", "P\tbin/tool", "A\tlink", "D\tmine/", "D\tmine/a\\012b"]
    before = trees.describe(copy)
    done = agent.run("pull", copy, *words, "--dry-run").expect(0)
    assert lines_of(done) == [*expected, f"{names.project}/{names.app}/v1"]
    told = agent.run("pull", copy, *words, "--dry-run", "--json").expect(0).json()
    assert told["state"] == "dry-run"
    assert (told["written_files"], told["deleted_files"]) == (2, 1)
    assert told["added"] == [{"path": "link"}]
    assert told["removed"][0] == {"path": "mine", "directory": True}
    assert "path_base64" in told["removed"][1]
    assert told["changed"] == [{"path": "README.md", "what": ["content"]},
                               {"path": "bin/tool", "what": ["mode"]}]
    assert trees.describe(copy) == before
    done = agent.run("pull", copy, *words, "--verbose").expect(0)
    assert lines_of(done) == [f"{names.project}/{names.app}/v1"]
    for line in expected:
        assert f"kkartifact-agent: {line}\n" in done.stderr
    trees.assert_same(source, copy)


def test_a_protected_directory_is_made_as_the_version_has_it(agent, names, tmp_path):
    """What is protected is not touched once it is there; the first time it is not."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    trees.write(source, "logs/deep/keep", b"x")
    os.chmod(source / "logs", 0o755)
    os.chmod(source / "logs/deep", 0o750)
    os.utime(source / "logs", (1234, 1234))
    agent.push(source, names.project, names.app, "v1")
    words = ("--ignore", "/logs/")
    agent.pull(copy, names.project, names.app, "v1", *words)
    trees.assert_same(source, copy)
    os.chmod(copy / "logs", 0o700)
    os.utime(copy / "logs", (99, 99))
    agent.pull(copy, names.project, names.app, "v1", "--full-check", *words)
    status = os.stat(copy / "logs")
    assert (status.st_mode & 0o777, status.st_mtime) == (0o700, 99)


def test_a_manifest_that_is_gone_comes_back(agent, names, tmp_path):
    source, copy = trees.small_tree(tmp_path / "source"), tmp_path / "copy"
    manifest = copy / ".kkartifact/meta.yaml"
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1")
    whole = manifest.read_bytes()
    manifest.unlink()
    assert agent.pull(copy, names.project, names.app, "v1")["state"] == "current"
    assert manifest.read_bytes() == whole
    manifest.write_bytes(b"garbage")
    agent.pull(copy, names.project, names.app, "v1", "--full-check")
    assert manifest.read_bytes() == whole
