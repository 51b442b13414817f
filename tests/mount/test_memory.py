# SPDX-License-Identifier: MIT
"""A mount needs a bounded memory and a bounded number of descriptors, however large what is read
and listed is, and however long it goes on."""

import os
import pathlib
import random
import statistics
import subprocess
import time

import pytest

from memory_group import MemoryGroup
from mount_load import make_tree
from mounts import Mount
from server import program

MEMORY = 64 << 20
LARGE = 96 << 20
FILES = 12_000
VERSIONS = 4


def push_all(server, project, agent_push, directory):
    """A version to be held against a copy, one large file, and several of many names."""
    tree = make_tree(directory / "tree")
    agent_push(server, tree, project, "load", "v1")
    large = directory / "large"
    large.mkdir()
    with open(large / "file", "wb") as file:
        for _ in range(LARGE >> 20):
            file.write(os.urandom(1 << 20))
    agent_push(server, large, project, "large", "v1")
    wide = directory / "wide"
    for number in range(FILES):
        folder = wide / str(number % 100)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"a-name-of-some-length-{number}").write_bytes(b"%d" % (number % 10))
    for version in range(VERSIONS):
        (wide / "version").write_text(str(version))
        agent_push(server, wide, project, "wide", f"v{version}")
    return tree


def private_bytes(pid):
    """What a process has of its own: page cache that it maps can be dropped at any time."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    sizes = dict(line.split(":", 1) for line in lines)
    return sum(int(sizes[name].split()[0]) << 10 for name in ("RssAnon", "RssShmem"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Watch:
    """Samples of holder and worker together: seconds, bytes, descriptors."""

    def __init__(self, mount):
        self.pids = (mount.daemon[0], mount.worker())
        self.samples = []

    def sample(self):
        self.samples.append((time.monotonic(), sum(map(private_bytes, self.pids)),
                             sum(map(descriptors, self.pids))))

    def typical(self, column, part):
        """The median of a tenth of the samples, counted from 0."""
        tenth = max(len(self.samples) // 10, 1)
        return statistics.median(sample[column] for sample in
                                 self.samples[tenth * part:tenth * (part + 1)])


def use(mount, project, number):
    """One thing after the other: a stream, lists of names."""
    if number % 2 == 0:
        fd = os.open(mount / project / "large" / "v1" / "file", os.O_RDONLY)
        try:
            size = 0
            while block := os.read(fd, 1 << 20):
                size += len(block)
            assert size == LARGE
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
    else:
        top = mount / project / "wide" / f"v{number // 2 % VERSIONS}"
        done = subprocess.run(["find", top, "-type", "f", "-newermt", "@0"], check=True,
                              stdout=subprocess.PIPE)
        assert len(done.stdout.splitlines()) == FILES + 3  # "version", and the manifest twice


def soak(server, project, agent_push, keeper, directory, seconds):
    tree = push_all(server, project, agent_push, directory)
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    # No room for what is read: all of it comes again and again.
    with MemoryGroup(MEMORY) as group, \
            Mount(directory / "mount", server.url, server.all_rights, keeper, cache_size="40M",
                  deadline="200s", prefix=group.prefix) as mount:
        watch = Watch(mount)
        line = [program("mount_model"), mount / project / "load" / "v1", tree, seconds, seed, 8]
        with subprocess.Popen([str(word) for word in line], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as model:
            number = 0
            while model.poll() is None:
                use(mount, project, number)
                watch.sample()
                number += 1
            assert model.returncode == 0, model.stderr.read()
        status = mount.status()
        print(f"{number} rounds, {status['fetched_bytes'] >> 20} MiB fetched, at most "
              f"{max(sample[1] for sample in watch.samples) / (1 << 20):.1f} MiB and "
              f"{max(sample[2] for sample in watch.samples)} descriptors, "
              f"bounded by the kernel: {group.is_enforced}")
        assert group.kills() == 0
        assert status["worker"]["restarts"] == 0
        assert status["fetched_bytes"] > 2 * LARGE
        assert max(sample[1] for sample in watch.samples) < MEMORY
    return watch


@pytest.mark.plain_only  # a sanitizer has a memory of its own
def test_memory_is_bounded(server, project, agent_push, keeper, tmp_path):
    watch = soak(server, project, agent_push, keeper, tmp_path, 20)
    # What connections and open files of the cache may be; not one for each file that was read.
    assert max(sample[2] for sample in watch.samples) < 300


@pytest.mark.slow
@pytest.mark.plain_only
@pytest.mark.timeout(5400)
def test_memory_is_flat_for_an_hour(server, project, agent_push, keeper, tmp_path):
    watch = soak(server, project, agent_push, keeper, tmp_path, 3600)
    before, after = watch.typical(1, 1), watch.typical(1, 9)
    print(f"{before / (1 << 20):.1f} MiB, later {after / (1 << 20):.1f} MiB")
    assert after < before + (4 << 20)
    assert watch.typical(2, 9) <= watch.typical(2, 1) + 16
