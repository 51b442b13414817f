# SPDX-License-Identifier: MIT
"""tools/process.sh knows a process again, and takes no other one for it."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def shell(script, *arguments):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", f". tools/process.sh; {script}",
                           "test", *map(str, arguments)],
                          cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


@pytest.fixture(name="sleeper")
def fixture_sleeper():
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_the_same_process(sleeper, tmp_path):
    record = tmp_path / "pid"
    assert shell('process_record "$1" "$2"', sleeper.pid, record)[0] == 0
    assert shell('process_recorded "$1"', record) == (0, str(sleeper.pid))


@pytest.mark.parametrize("field, value", [(1, "another-boot"), (2, "1"), (3, "/bin/other")])
def test_another_process_with_that_id(sleeper, tmp_path, field, value):
    record = tmp_path / "pid"
    shell('process_record "$1" "$2"', sleeper.pid, record)
    words = record.read_text().split()
    words[field] = value
    record.write_text(" ".join(words) + "\n")
    assert shell('process_recorded "$1"', record) == (1, "")


def test_a_process_that_ended(sleeper, tmp_path):
    record = tmp_path / "pid"
    shell('process_record "$1" "$2"', sleeper.pid, record)
    sleeper.kill()  # a zombie until it is waited for: gone all the same
    assert shell('process_wait_gone "$1" 5', record)[0] == 0
    sleeper.wait()
    assert shell('process_recorded "$1"', record) == (1, "")


def test_a_process_that_stays(sleeper, tmp_path):
    record = tmp_path / "pid"
    shell('process_record "$1" "$2"', sleeper.pid, record)
    assert shell('process_wait_gone "$1" 1', record)[0] == 1


def test_no_record(tmp_path):
    assert shell('process_recorded "$1"', tmp_path / "none") == (1, "")
    (tmp_path / "broken").write_text("")
    assert shell('process_recorded "$1"', tmp_path / "broken") == (1, "")


def test_a_process_that_is_gone_does_not_end_the_script():
    assert shell('process_identity 999999999 || echo gone') == (0, "gone")
