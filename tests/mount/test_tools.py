# SPDX-License-Identifier: MIT
"""Tools that people use read a mount as they read a disk: comparing, copying and packing ones, git,
a compiler and a virtual machine that lie in it."""

import os
import pathlib
import random
import shutil

import pytest

from agent import clean_environment, run

MANIFEST = ("/.kkartifact", "/meta.yaml")  # what a mount adds at its top


@pytest.fixture
def tree(tmp_path):
    """Files, folders and links, with modes and times that tell each from the others."""
    top, chance = tmp_path / "tree", random.Random(1)
    for folder in ("a", "a/b", "a/b/c", "d e", "ü"):
        (top / folder).mkdir(parents=True)
        for number, size in enumerate((0, 1, 4096, 70_000, 600_000)):
            path = top / folder / f"file-{number}"
            path.write_bytes(chance.randbytes(size))
            path.chmod(chance.choice([0o600, 0o644, 0o755, 0o444]))
            os.utime(path, (10**9 + number * 1000, 10**9 + number * 1000))
        (top / folder / "link").symlink_to("file-1")
        (top / folder / "away").symlink_to("/nowhere/at all")
    (top / "empty").mkdir()
    for folder in sorted(path for path in top.rglob("*") if path.is_dir() and
                         not path.is_symlink()):
        folder.chmod(0o750)
        os.utime(folder, (1_200_000_000, 1_200_000_000))
    return top


@pytest.fixture
def shown(server, project, agent_push, new_mount):
    """shown(tree): pushed, and where it is mounted."""
    def make(tree, **settings):
        agent_push(server, tree, project, "app", "v1", **settings)
        return new_mount(server.url, server.all_rights) / project / "app" / "v1"

    return make


def assert_synced(source, other):
    """Bytes, names, modes, times and targets; the time of the top is the version's, and links have
    none."""
    left_out = [f"--exclude={name}" for name in MANIFEST]
    done = run(["rsync", "-nacH", "--delete", "--itemize-changes", "--omit-link-times", *left_out,
                f"{source}/", f"{other}/"]).expect(0)
    assert [line for line in done.stdout.splitlines() if not line.endswith(" ./")] == []


def test_rsync(tree, shown):
    top = shown(tree)
    assert_synced(tree, top)
    assert_synced(top, tree)
    # It would find what differs.
    (tree / "a" / "file-4").write_bytes(bytes(600_000))
    with pytest.raises(AssertionError):
        assert_synced(tree, top)


def test_diff(tree, shown):
    top = shown(tree)
    done = run(["diff", "-r", "--no-dereference", tree, top])
    assert sorted(done.stdout.splitlines()) == [f"Only in {top}: .kkartifact",
                                                f"Only in {top}: meta.yaml"]


def test_copies(tree, shown, tmp_path):
    top = shown(tree)
    run(["cp", "-a", top, tmp_path / "copy"]).expect(0)
    assert_synced(tree, tmp_path / "copy")
    run(["cp", "-a", "--sparse=always", "--reflink=auto", top, tmp_path / "sparse"]).expect(0)
    assert_synced(tree, tmp_path / "sparse")


def test_tar(tree, shown, tmp_path):
    top = shown(tree)
    run(["tar", "-C", top, "-cf", tmp_path / "tar", "."]).expect(0)
    (tmp_path / "out").mkdir()
    run(["tar", "-C", tmp_path / "out", "-xpf", tmp_path / "tar"]).expect(0)
    assert_synced(tree, tmp_path / "out")
    # And the other way: an archive of the source held against the mount.
    run(["tar", "-C", tree, "-cf", tmp_path / "tar", *sorted(os.listdir(tree))]).expect(0)
    run(["tar", "-C", top, "-df", tmp_path / "tar"]).expect(0)


# ------------------------------------------------------------------ git

class Git:
    def __init__(self, home):
        home.mkdir()
        self.environment = clean_environment(
            home, GIT_CONFIG_NOSYSTEM="1", GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@test",
            GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@test")

    def __call__(self, place, *words):
        return run(["git", "-c", "safe.directory=*", "-C", place, *words],
                   env=self.environment).expect(0).stdout


def make_repository(git, top):
    """Objects in a pack and loose ones, branches and a tag."""
    top.mkdir()
    git(top, "init", "--quiet", "--initial-branch=main")
    chance = random.Random(1)
    for number in range(12):
        (top / f"file-{number % 4}").write_bytes(chance.randbytes(5000 * (number + 1)))
        (top / "folder").mkdir(exist_ok=True)
        (top / "folder" / str(number)).write_text(f"{number}\n" * 100)
        git(top, "add", "-A")
        git(top, "commit", "--quiet", "-m", f"number {number}")
        if number == 8:
            git(top, "tag", "-a", "-m", "eight", "v8")
            git(top, "branch", "other")
            git(top, "gc", "--quiet")
    return top


def test_git(shown, tmp_path):
    """A clone with its .git, which the agent leaves out unless it is told."""
    git = Git(tmp_path / "home")
    source = make_repository(git, tmp_path / "clone")
    top = shown(source, ignore=["!.git"])
    git(top, "fsck", "--full", "--strict")
    for words in (["log", "--stat", "--all"], ["show", "v8"], ["ls-files", "-s"],
                  ["cat-file", "--batch-all-objects", "--batch-check"], ["diff", "HEAD~5"],
                  ["blame", "folder/3"], ["for-each-ref"]):
        assert git(top, *words) == git(source, *words), words
    assert sorted(git(top, "status", "--porcelain").splitlines()) == ["?? .kkartifact/",
                                                                      "?? meta.yaml"]
    git(tmp_path, "clone", "--quiet", f"file://{top}", tmp_path / "cloned")
    assert git(tmp_path / "cloned", "rev-parse", "HEAD") == git(source, "rev-parse", "HEAD")


# ------------------------------------------------------------------ programs that lie in the mount

HELLO = r"""
#include <stdio.h>
#include <stdint.h>
#include <string.h>
int main(void) { char text[16]; strcpy(text, "compiled"); return puts(text) < 0; }
"""


def gcc_tree(top):
    """What gcc runs and reads by itself, but for the driver and the system's headers."""
    top.mkdir()
    library = pathlib.Path(run(["gcc", "-print-libgcc-file-name"]).expect(0).stdout.strip()).parent
    for name in library.iterdir():
        if name.is_file() and name.suffix in (".o", ".a"):
            shutil.copy2(name, top)
    shutil.copytree(library / "include", top / "include")
    for name in ("cc1", "collect2", "lto-wrapper", "as", "ld"):
        found = run(["gcc", f"-print-prog-name={name}"]).expect(0).stdout.strip()
        shutil.copy2(shutil.which(found), top / name)
    return top


def test_a_compiler(shown, tmp_path):
    top = shown(gcc_tree(tmp_path / "gcc"))
    (tmp_path / "hello.c").write_text(HELLO)
    line = ["gcc", f"-B{top}/", "-fno-use-linker-plugin"]
    for name in ("cc1", "collect2", "as"):
        told = run([*line, f"-print-prog-name={name}"]).expect(0).stdout.strip()
        assert told.startswith(f"{top}/"), told
    for flags in (["-O2", "-g"], ["-O0", "-static-libgcc"]):
        run([*line, *flags, "-o", tmp_path / "hello", tmp_path / "hello.c"]).expect(0)
        assert run([tmp_path / "hello"]).expect(0).stdout == "compiled\n"


def test_a_virtual_machine(shown, tmp_path):
    """Java's: its library is one large file that it maps, and its classes another."""
    home = pathlib.Path(shutil.which("java")).resolve().parent.parent
    source = tmp_path / "java"
    (source / "bin").mkdir(parents=True)
    for name in ("java", "keytool"):
        shutil.copy2(home / "bin" / name, source / "bin")
    left_out = shutil.ignore_patterns("src.zip", "ct.sym")  # of who compiles
    for name in ("lib", "conf"):
        shutil.copytree(home / name, source / name, ignore=left_out, ignore_dangling_symlinks=True)
    top = shown(source)
    told = run([top / "bin" / "java", "-XshowSettings:properties", "-version"]).expect(0).stderr
    assert f"java.home = {top}\n" in told
    store = tmp_path / "keys"
    words = ["-keystore", store, "-storepass", "secret"]
    run([top / "bin" / "keytool", "-genkeypair", "-alias", "one", "-keyalg", "EC", "-dname",
         "CN=test", *words]).expect(0)
    assert "PrivateKeyEntry" in run([top / "bin" / "keytool", "-list", *words]).expect(0).stdout
