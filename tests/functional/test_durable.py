# SPDX-License-Identifier: MIT
"""A power cut leaves no record of what is not on the disk: what a pull has put in place is synced
before state.json says that it is there. Seen by the calls that the agent makes."""

import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

import trees

# The leak checker of the sanitized programs does not work where somebody traces them.
pytestmark = pytest.mark.plain_only

CALLS = "rename,renameat,renameat2,fsync,fdatasync,syncfs,unlinkat,symlinkat,mkdirat"
CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")


def traced(agent, tmp_path, copy, names, version, *words):
    """(call, what it was called with) of a pull, in order."""
    out = tmp_path / "calls"
    line = ["strace", "-f", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-o", out,
            *agent.line("pull", copy, "--project", names.project, "--app", names.app, "--version",
                        version, *words)]
    done = subprocess.run(list(map(str, line)), env=agent.environment, capture_output=True,
                          text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    calls = []
    for text in out.read_text(errors="replace").splitlines():
        found = CALL.match(text)
        if found and found[3] == "0":
            calls.append((found[1], found[2]))
    return calls


def pulled(copy, name, calls):
    """Where the record of the version gets its name."""
    return next(at for at, (call, said) in enumerate(calls)
                if call.startswith("rename") and f'"{name}"' in said.split(", ")[3])


def is_sync(call, said, path):
    return call in ("fsync", "fdatasync") and f"<{path}>" in said


@pytest.mark.parametrize("count", [3, 300])
@pytest.mark.parametrize("words", [(), ("--exchange",)])
def test_files_before_the_record(words, count, agent, names, tmp_path):
    one, two, copy = tmp_path / "one", tmp_path / "two", tmp_path / "copy"
    for number in range(count):
        trees.write(one, f"d{number % 2}/{number}", b"1 %d" % number)
        trees.write(two, f"d{number % 2}/{number}", b"2 %d" % number)
    trees.write(one, "old/file", b"x")
    (two / "link").symlink_to("d0")
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    agent.pull(copy, names.project, names.app, "v1")
    calls = traced(agent, tmp_path, copy, names, "v2", *words)
    root = copy if not words else copy.parent / f".{copy.name}.kkartifact"
    end = pulled(copy, "state.json", calls)
    placed = [at for at, (call, said) in enumerate(calls)
              if call.startswith("rename") and f"<{root}/.kkartifact/stage>" in said
              and f"<{root}/.kkartifact/stage>" not in said.split(", ")[2]]
    assert len(placed) == count + 1 and placed[-1] < end
    if not words: # what is in use is replaced by what is on the disk
        staged = calls[:placed[0]]
        assert any(call == "syncfs" for call, _ in staged) if count > 256 else \
            sum(is_sync(call, said, said.split("<", 1)[1].split(">", 1)[0])
                for call, said in staged if f"<{root}/.kkartifact/stage/" in said) == count
    after = calls[placed[-1] + 1:end]
    if count > 256:
        assert any(call == "syncfs" for call, _ in after)
    else:
        for path in (*(f"d{number % 2}/{number}" for number in range(count)), "d0", "d1"):
            assert any(is_sync(*call, root / path) for call in after), path
        assert any(is_sync(*call, root) for call in after), "the link and what was removed"
    # The record itself, before the directories change places.
    home = [at for at, call in enumerate(calls)
            if at > end and is_sync(*call, root / ".kkartifact")]
    assert home
    if words:
        exchanged = next(at for at, (call, said) in enumerate(calls)
                         if call == "renameat2" and "RENAME_EXCHANGE" in said
                         and f'"{copy.name}"' in said)
        assert end < home[0] < exchanged
        assert any(is_sync(*call, copy.parent) for call in calls[exchanged:])
    trees.assert_same(two, copy)


def test_nothing_is_synced_when_nothing_is_written(agent, names, tmp_path):
    source, copy = trees.small_tree(tmp_path / "source"), tmp_path / "copy"
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1")
    calls = traced(agent, tmp_path, copy, names, "v1")
    assert not [call for call in calls if call[0] == "syncfs"]
    assert not [call for call in calls if call[0] == "fsync"]
    assert os.path.exists(copy / ".kkartifact/state.json")


def test_a_large_file_is_not_read_by_the_next_pull(agent, names, tmp_path):
    """What the last pull wrote is believed, the file that it wrote last too."""
    source, copy, out = tmp_path / "source", tmp_path / "copy", tmp_path / "opened"
    trees.write(source, "large", os.urandom(17 << 20))
    agent.push(source, names.project, names.app, "v1")
    agent.pull(copy, names.project, names.app, "v1")
    line = ["strace", "-f", "-e", "trace=open,openat,openat2", "-o", out,
            *agent.line("pull", copy, "--project", names.project, "--app", names.app, "--version",
                        "v1")]
    subprocess.run(list(map(str, line)), env=agent.environment, check=True, capture_output=True,
                   timeout=240)
    opened = out.read_text(errors="replace")
    assert "state.json" in opened and '"large"' not in opened


def slowed(agent, names, tmp_path, copy, inject):
    """A pull of v2 whose renames from the stage are slow, or kill it: (process, its words)."""
    line = ["strace", "-f", "-o", tmp_path / "renames", "-e", "trace=renameat", "-e",
            f"inject=renameat:{inject}",
            *agent.line("pull", copy, "--project", names.project, "--app", names.app, "--version",
                        "v2")]
    return subprocess.Popen(list(map(str, line)), env=agent.environment, stderr=subprocess.PIPE,
                            stdout=subprocess.PIPE)


@pytest.fixture
def two_versions(agent, names, tmp_path):
    one, two, copy = tmp_path / "one", tmp_path / "two", tmp_path / "copy"
    for number in range(200):
        trees.write(one, f"d{number % 2}/{number}", b"1 %d" % number)
        trees.write(two, f"d{number % 2}/{number}", b"2 %d" % number)
    agent.push(one, names.project, names.app, "v1")
    agent.push(two, names.project, names.app, "v2")
    agent.pull(copy, names.project, names.app, "v1")
    return two, copy


def count_new(two, copy):
    return sum((copy / path.relative_to(two)).read_bytes() == path.read_bytes()
               for path in two.rglob("*") if path.is_file())


def test_an_interrupt_does_not_leave_two_versions(agent, names, two_versions, tmp_path):
    two, copy = two_versions
    with slowed(agent, names, tmp_path, copy, "delay_exit=10000") as pulling:
        until = time.monotonic() + 60
        while count_new(two, copy) < 10:
            assert pulling.poll() is None and time.monotonic() < until
        children = pathlib.Path(f"/proc/{pulling.pid}/task/{pulling.pid}/children").read_text()
        os.kill(int(children.split()[0]), signal.SIGINT)
        _, words = pulling.communicate(timeout=120)
    assert pulling.returncode == 0, words
    trees.assert_same(two, copy)
    assert agent.run("verify", copy).code == 0


def test_verify_tells_of_a_pull_that_did_not_end(agent, names, two_versions, tmp_path):
    two, copy = two_versions
    with slowed(agent, names, tmp_path, copy, "signal=KILL:when=30") as pulling:
        pulling.communicate(timeout=120)
    assert 0 < count_new(two, copy) < 200
    done = agent.run("verify", copy)
    assert done.code == 20 and "did not end: pull again" in done.stderr, done
    agent.pull(copy, names.project, names.app, "v2")
    trees.assert_same(two, copy)
    done = agent.run("verify", copy)
    assert done.code == 0 and "did not end" not in done.stderr, done
