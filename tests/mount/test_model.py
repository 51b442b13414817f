# SPDX-License-Identifier: MIT
"""Whatever many threads see of a mount is what they see of a copy, while the cache has no room for
it, the version is fetched ahead, pinned and hashed, and the worker dies again and again."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from agent import clean_environment
from mount_load import worker_of
from server import program

THREADS = 64
SIZES = (0, 1, 100, 4095, 4096, 4097, 20_000, 65_536, 200_000, 524_287, 524_288, 524_289)


def make_tree(directory):
    """Some 30 MB: files of the sizes where things change, in folders, and links."""
    chance = random.Random(1)
    for folder in range(30):
        here = directory / "tree" / str(folder % 6) / str(folder)
        here.mkdir(parents=True)
        for number in range(12):
            path = here / f"file-{number}"
            path.write_bytes(chance.randbytes(SIZES[(folder + number) % len(SIZES)]))
            path.chmod(chance.choice([0o644, 0o755, 0o600]))
            os.utime(path, (10**9 + number, 10**9 + number))
        (here / "link").symlink_to("../" * (folder % 5 + 1) + "file-1")
    (directory / "wide").mkdir()
    for number in range(1000):
        (directory / "wide" / f"name-{number}").write_bytes(b"%d\n" % number)
    for size in (2_500_000, 8_000_001):
        (directory / str(size)).write_bytes(chance.randbytes(size))
    (directory / "empty").mkdir()
    shutil.copy(shutil.which("true"), directory / "program")
    return directory


class Shaker:
    """Does to a mount what may happen to one, one thing after the other."""

    def __init__(self, mount, name, chance):
        self.mount = mount
        self.name = name
        self.chance = chance
        self.done = dict.fromkeys(("kill", "prefetch", "pin", "unpin", "verify"), 0)

    def step(self):
        what = self.chance.choice([*self.done, "kill", "kill"])
        self.done[what] += 1
        if what == "kill":
            worker = worker_of(self.mount.daemon[0])
            if worker is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
        else:
            self.ask(what)

    def ask(self, verb):
        """Whatever comes of it: a worker may die meanwhile, and a pin may not fit."""
        line = [program("kkartifact-fs"), verb, self.mount.path, self.name]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(line, env=clean_environment(self.mount.home), timeout=1.0,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)


def hold_against_copy(server, project, agent_push, new_mount, tmp_path, seconds):
    source = make_tree(tmp_path / "copy")
    agent_push(server, source, project, "app", "v1")
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    # A busy machine is not to be taken for a silent server.
    mount = new_mount(server.url, server.all_rights, deadline="200s", cache_size="8M")
    shaker = Shaker(mount, f"{project}/app/v1", chance)
    line = [program("mount_model"), mount / project / "app" / "v1", source, seconds, seed, THREADS]
    with subprocess.Popen([str(word) for word in line], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as model:
        while model.poll() is None:
            time.sleep(chance.uniform(0.05, 0.8))
            shaker.step()
        out, said = model.communicate()
    print(out, shaker.done)
    assert model.returncode == 0, said
    counts = {kind: int(count) for kind, count in map(str.split, out.splitlines())}
    assert min(counts.values()) > 0
    status = mount.status()
    assert status["worker"]["restarts"] > 0
    assert (status["integrity_failures"], status["cache"]["damaged"]) == (0, 0), status


def test_what_is_seen(server, project, agent_push, new_mount, tmp_path):
    hold_against_copy(server, project, agent_push, new_mount, tmp_path, 20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_seen_for_ten_minutes(server, project, agent_push, new_mount, tmp_path):
    hold_against_copy(server, project, agent_push, new_mount, tmp_path, 600)
