# SPDX-License-Identifier: MIT
"""Pull with --exchange: the whole directory changes at one instant, or does not."""

import os
import shutil
import signal
import stat
import subprocess
import threading
import time

import pytest

import trees
from denied import denying_exchanges

OURS = (b".kkartifact",)


def beside(copy):
    return copy.parent / f".{copy.name}.kkartifact"


def inode(path):
    return os.lstat(path).st_ino


@pytest.fixture
def versions(agent, names, tmp_path):
    """v1, and v2 that changes, adds and removes; the two sources."""
    one, two = tmp_path / "one", tmp_path / "two"
    for source in (one, two):
        trees.small_tree(source)
        trees.write(source, "closed/file", b"x")
        os.chmod(source / "closed", 0o555)
    trees.write(one, "old/only/here", b"old\n")
    trees.write(two, "new/only/here", b"new\n")
    trees.write(two, "README.md", b"second\n")
    (two / "link").unlink()
    trees.write(two, "link/now-a-directory", b"x")
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    return one, two


@pytest.fixture
def pull(agent, names):
    def run(copy, version, *words, **options):
        return agent.pull(copy, names.project, names.app, version, *words, **options)
    return run


def test_becomes_exactly_the_version(pull, versions, tmp_path):
    one, two = versions
    copy = tmp_path / "copy"
    assert pull(copy, "v1", "--exchange")["state"] == "updated"
    trees.assert_same(one, copy)
    os.chmod(copy, 0o2751)
    first = inode(copy)
    pulled = pull(copy, "v2", "--exchange")
    assert (pulled["state"], pulled["written_files"], pulled["deleted_files"]) == ("updated", 3, 2)
    assert pulled["received_bytes"] < 100_000, "what is here already does not travel"
    trees.assert_same(two, copy)
    assert inode(copy) != first and inode(beside(copy)) == first
    assert stat.S_IMODE(os.stat(copy).st_mode) == 0o2751
    trees.assert_same(one, beside(copy))
    for directory, _, files in os.walk(copy):
        for name in files:
            assert os.lstat(os.path.join(directory, name)).st_nlink == 1
    pull(copy, "v1", "--exchange")
    trees.assert_same(one, copy)
    trees.assert_same(two, beside(copy))


@pytest.mark.parametrize("words", [("v2", "--exchange"), ("v2",), ("v1",), ("v1", "--exchange")])
def test_former_tree_stays_until_the_next_pull(words, pull, versions, tmp_path):
    one, two = versions
    copy = tmp_path / "copy"
    pull(copy, "v1", "--exchange")
    pull(copy, "v2", "--exchange")
    former = inode(beside(copy))
    pull(copy, "v2", "--exchange", "--dry-run")
    assert beside(copy).exists()
    pull(copy, *words)
    assert not beside(copy).exists() or inode(beside(copy)) != former
    assert beside(copy).exists() == (words == ("v1", "--exchange"))
    trees.assert_same(two if words[0] == "v2" else one, copy)


def test_follows_a_plain_pull_and_the_other_way(agent, pull, versions, tmp_path):
    one, two = versions
    copy = tmp_path / "copy"
    pull(copy, "v1")
    pull(copy, "v2", "--exchange")
    trees.assert_same(two, copy)
    assert pull(copy, "v2")["state"] == "current"
    pull(copy, "v1")
    trees.assert_same(one, copy)
    agent.run("verify", copy).expect(0)


def test_programs_go_on_in_the_former_tree(agent, names, pull, tmp_path):
    source = tmp_path / "source"
    trees.write(source, "tool", open(shutil.which("sleep"), "rb").read(), 0o755)
    agent.push(source, names.project, names.app, "v1")
    trees.write(source, "tool", open(shutil.which("sleep"), "rb").read() + b"\0", 0o755)
    agent.push(source, names.project, names.app, "v2")
    copy = tmp_path / "copy"
    pull(copy, "v1")
    with subprocess.Popen([copy / "tool", "600"], cwd=copy) as running:
        try:
            pull(copy, "v2", "--exchange")
            assert running.poll() is None
            assert os.path.realpath(f"/proc/{running.pid}/cwd") == str(beside(copy))
            assert os.stat(f"/proc/{running.pid}/exe").st_ino == inode(beside(copy) / "tool")
            assert inode(copy / "tool") != inode(beside(copy) / "tool")
            subprocess.run([copy / "tool", "0"], check=True)
        finally:
            running.kill()


def test_foreign_paths_are_refused_by_name(pull, versions, tmp_path):
    one, two = versions
    copy = tmp_path / "copy"
    pull(copy, "v1")
    trees.write(copy, "mine/a", b"a")
    trees.write(copy, "sizes/b", b"b")
    os.mkfifo(copy / "pipe")
    before = trees.describe(copy, without=(OURS[0],))
    done = pull(copy, "v2", "--exchange", "--quiet", code=9)
    for name in ("mine/a", "sizes/b", "pipe"):
        assert name in done.stderr
    assert "delete-extra" in done.stderr
    assert trees.describe(copy, without=(OURS[0],)) == before
    assert not beside(copy).exists()
    pulled = pull(copy, "v2", "--exchange", "--delete-extra")
    assert pulled["deleted_files"] == 5
    trees.assert_same(two, copy)


def test_what_is_in_the_way_is_refused(pull, versions, tmp_path):
    copy = tmp_path / "copy"
    trees.write(copy, "README.md", b"mine")
    done = pull(copy, "v1", "--exchange", code=9)
    assert "README.md" in done.stderr
    assert (copy / "README.md").read_bytes() == b"mine" and not (copy / "bin").exists()
    pull(copy, "v1", "--exchange", "--delete-extra")
    trees.assert_same(versions[0], copy)


def test_what_is_protected_is_carried_over(agent, names, pull, versions, tmp_path):
    one, two = versions
    copy = tmp_path / "copy"
    ignore = ("--ignore", "data/", "--ignore", "*.log", "--ignore", "README.md", "--ignore", "*.p")
    pull(copy, "v1")
    agent.write_config(copy / ".kkartifact.yml")
    trees.write(copy, "data/db", b"1", 0o600)
    trees.write(copy, "data/deep/er/file", b"2", mtime=1234)
    (copy / "data/link").symlink_to("../elsewhere")
    os.mkfifo(copy / "data/fifo")
    os.chmod(copy / "data", 0o3770)
    trees.write(copy, "README.md", b"mine")
    trees.write(copy, "way/to/a.log", b"3")
    trees.write(copy, "closed/b.log", b"4")
    os.mkfifo(copy / "one.p")
    trees.write(copy, ".kkartifact/theirs", b"5")
    os.chmod(copy / "way", 0o711)
    if os.geteuid() == 0:
        for path in ("data", "data/db", "way"):
            os.chown(copy / path, 12, 34)
    kept = ("data", "data/db", "data/deep/er/file", "data/fifo", "README.md", "way/to/a.log",
            "closed/b.log", "one.p", ".kkartifact.yml", ".kkartifact/theirs")
    inodes = {path: inode(copy / path) for path in kept}
    status = os.lstat(copy / "data")
    with open(copy / "data/db", "ab") as log:
        pull(copy, "v2", "--exchange", *ignore)
        log.write(b" and more")
    assert {path: inode(copy / path) for path in kept} == inodes
    assert (copy / "data/db").read_bytes() == b"1 and more"
    assert os.lstat(copy / "data").st_mode == status.st_mode
    assert os.lstat(copy / "way").st_uid == (12 if os.geteuid() == 0 else os.geteuid())
    assert stat.S_IMODE(os.lstat(copy / "way").st_mode) == 0o711
    ignored = {b"README.md", b"data", b"way", b"way/to", b"one.p", b".kkartifact.yml",
               b"way/to/a.log", b"closed/b.log", *OURS,
               *(os.fsencode(os.path.relpath(p, copy)) for p in (copy / "data").rglob("*"))}
    trees.assert_same(two, copy, without=ignored, source_without=(b"README.md",))
    assert (beside(copy) / "data/db").read_bytes() == b"1", "the former tree has the copy"
    assert not (copy / ".kkartifact/incoming").exists()
    done = pull(copy, "v1", "--exchange", code=9)
    assert "data" in done.stderr, "what is not protected any more is foreign"


def test_mount_points_are_refused(pull, versions, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", copy], check=True)
    try:
        assert "mount point" in pull(copy, "v1", "--exchange", code=9).stderr
    finally:
        subprocess.run(["umount", copy], check=True)
    (copy / "data").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", copy / "data"], check=True)
    try:
        done = pull(copy, "v1", "--exchange", "--ignore", "data/", code=9)
        assert "data: is a mount point" in done.stderr
    finally:
        subprocess.run(["umount", copy / "data"], check=True)
    assert not (copy / "bin").exists() and not beside(copy).exists()


def test_file_systems_that_cannot_are_refused(agent, names, pull, versions, tmp_path):
    copy = tmp_path / "copy"
    pull(copy, "v1")
    line = agent.line("pull", copy, "--project", names.project, "--app", names.app, "--version",
                      "v2", "--exchange")
    done = subprocess.run(list(map(str, line)), env=agent.environment, capture_output=True,
                          text=True, check=False, preexec_fn=denying_exchanges, timeout=120)
    assert done.returncode == 9 and "without --exchange" in done.stderr
    trees.assert_same(versions[0], copy)
    assert not beside(copy).exists()


def test_a_stranger_beside_is_left_alone(pull, versions, tmp_path):
    copy = tmp_path / "copy"
    trees.write(beside(copy), "theirs", b"x")
    done = pull(copy, "v1", "--exchange", code=9)
    assert beside(copy).name in done.stderr
    assert (beside(copy) / "theirs").read_bytes() == b"x"
    assert not (copy / "bin").exists()
    pull(copy, "v1")  # a plain pull does not care
    assert (beside(copy) / "theirs").read_bytes() == b"x"
    trees.assert_same(versions[0], copy)


def test_a_link_to_the_destination(pull, versions, tmp_path):
    one, two = versions
    (tmp_path / "real/place").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to("real/place")
    pull(link, "v1", "--exchange")
    pull(link, "v2", "--exchange")
    assert os.path.islink(link)
    trees.assert_same(two, tmp_path / "real/place")
    trees.assert_same(one, tmp_path / "real/.place.kkartifact")


# ------------------------------------------------------------------ killed

KEPT = 120


class Killed:
    """v1 in DEST, with many protected files; pulls of v2 that are killed."""

    def __init__(self, agent, names, pull, tmp_path):
        self.agent, self.names, self.pull = agent, names, pull
        self.copy = tmp_path / "copy"
        self.one, self.two = tmp_path / "one", tmp_path / "two"
        for number in range(60):
            for source, seed in ((self.one, number // 30), (self.two, number)):
                trees.write(source, f"{number % 7}/{number}",
                            trees.random_bytes(20_000, f"killed {seed}"))
        agent.push(self.one, names.project, names.app, "v1")
        agent.push(self.two, names.project, names.app, "v2")

    def begin(self):
        self.pull(self.copy, "v1", "--ignore", "keep/", "--delete-extra")
        trees.assert_same(self.one, self.copy, without=self.without())
        for number in range(KEPT):
            trees.write(self.copy, f"{number}/keep/file", b"%d" % number)
        for number in range(7):
            shutil.copystat(self.one / f"{number}", self.copy / f"{number}")
        self.inodes = self.kept()
        self.began = time.time()

    def kept(self):
        return [inode(self.copy / f"{number}/keep/file") for number in range(KEPT)]

    def without(self):
        found = {b".kkartifact", b".kkartifact.yml"}
        for directory, names, files in os.walk(os.fsencode(self.copy)):
            for name in names + files:
                path = os.path.relpath(os.path.join(directory, name), os.fsencode(self.copy))
                if b"keep" in path.split(b"/"):
                    found |= {path, path.split(b"/")[0]} if int(path.split(b"/")[0]) >= 7 \
                        else {path}
        return tuple(found)

    def start(self):
        return self.agent.start("pull", self.copy, "--project", self.names.project, "--app",
                                self.names.app, "--version", "v2", "--exchange", "--ignore",
                                "keep/")

    def check(self, *, was_killed=True):
        """Old or new, whole, with all that is protected.

        A protected entry that comes home changes the time of the directory above it, which is set
        right in a call of its own: a kill between the two leaves it to the next pull.
        """
        for number in range(KEPT):
            assert (self.copy / f"{number}/keep/file").read_bytes() == b"%d" % number
        is_new = (self.copy / "0/7").read_bytes() == (self.two / "0/7").read_bytes()
        source = self.two if is_new else self.one
        if was_killed:
            for number in range(7):
                times = (source / f"{number}").stat().st_mtime, self.began
                now = (self.copy / f"{number}").stat().st_mtime
                assert int(now) == int(times[0]) or now >= int(times[1])
                os.utime(self.copy / f"{number}", (times[0], times[0]))
        trees.assert_same(source, self.copy, without=self.without())
        if was_killed:
            os.utime(self.copy / "3")  # as if it had been killed there
        return is_new

    def complete(self):
        self.pull(self.copy, "v2", "--exchange", "--ignore", "keep/")
        assert self.check(was_killed=False)
        assert self.kept() == self.inodes, "the originals, whatever happened"
        assert not (self.copy / ".kkartifact/incoming").exists()


@pytest.fixture
def killed(agent, names, pull, tmp_path):
    return Killed(agent, names, pull, tmp_path)


def test_killed_at_many_moments(killed):
    """Each kill leaves one whole tree, and the next pull completes."""
    killed.begin()
    began = time.monotonic()
    with killed.start() as pulling:
        assert pulling.wait(120) == 0, pulling.stderr.read()
    took = time.monotonic() - began
    killed.complete()
    steps = 12
    for step in range(steps):
        killed.begin()
        with killed.start() as pulling:
            try:
                pulling.wait(took * step / steps)
            except subprocess.TimeoutExpired:
                pulling.kill()
        killed.check()
        killed.complete()


def test_killed_right_after_the_exchange(killed):
    """What has not changed places yet does so at the next pull."""
    for _ in range(5):
        killed.begin()
        before = inode(killed.copy)
        with killed.start() as pulling:
            while inode(killed.copy) == before and pulling.poll() is None:
                pass
            pulling.kill()
        assert killed.check()
        killed.complete()


@pytest.mark.parametrize("when", [2, 3, 4, 60, KEPT + 2])
def test_killed_at_each_change_of_places(when, killed):
    """The first exchange is a trial in .kkartifact, the second is that of the trees, the others
    are those of what is protected."""
    killed.begin()
    before = inode(killed.copy)
    line = ["strace", "-f", "-e", "trace=renameat2", "-e",
            f"inject=renameat2:signal=KILL:when={when}", "-o", "/dev/null",
            *killed.agent.line("pull", killed.copy, "--project", killed.names.project, "--app",
                               killed.names.app, "--version", "v2", "--exchange", "--ignore",
                               "keep/")]
    done = subprocess.run(list(map(str, line)), env=killed.agent.environment, capture_output=True,
                          timeout=120, check=False)
    assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
    assert killed.check() == (when > 2) == (inode(killed.copy) != before)
    killed.complete()


def test_interrupted(killed):
    """Ctrl-C while the server answers slowly: the old tree; what was fetched is used again."""
    killed.begin()
    with killed.start() as pulling:
        while not (beside(killed.copy) / ".kkartifact/stage").exists() and pulling.poll() is None:
            pass
        pulling.send_signal(signal.SIGINT)
        assert pulling.wait(60) in (0, 130)
    killed.check()
    killed.complete()


def test_readers_see_one_tree_or_the_other(killed):
    """Whoever opens the directory once and reads through it sees one version, never a mixture."""
    killed.begin()
    names = [f"{number % 7}/{number}" for number in range(60)]
    wholes = [[(source / name).read_bytes() for name in names]
              for source in (killed.one, killed.two)]
    over, seen = threading.Event(), set()

    def read():
        while not over.is_set():
            at = os.open(killed.copy, os.O_RDONLY | os.O_DIRECTORY)
            found = []
            for name in names:
                fd = os.open(name, os.O_RDONLY, dir_fd=at)
                found.append(os.read(fd, 1 << 20))
                os.close(fd)
            os.close(at)
            seen.add(wholes.index(found) if found in wholes else -1)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with killed.start() as pulling:
            assert pulling.wait(120) == 0
    finally:
        over.set()
        reader.join()
    assert seen <= {0, 1} and 0 in seen
