# SPDX-License-Identifier: MIT
"""Shell scripts pass shellcheck, man pages pass mandoc, units pass systemd-analyze."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def shell_scripts():
    """Every file that a shell runs, by its first line."""
    folders = ("tools", ".ci", "contrib", "tests", "bench")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))
             if path.is_file() and not {"__pycache__", "vectors"} & set(path.parts)]
    for path in paths:
        with open(path, "rb") as file:
            if re.match(rb"#!\s*/(usr/)?bin/(env )?(ba|da)?sh\b", file.readline(80)):
                yield path.relative_to(ROOT).as_posix()


def pages():
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "man").glob("*.[1-8]"))


def run(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("script", list(shell_scripts()))
def test_shellcheck(script):
    code, said = run("shellcheck", "--external-sources", script)
    assert code == 0, said


def test_man_pages():
    assert pages()
    code, said = run("mandoc", "-T", "lint", "-W", "warning", *pages())
    assert code == 0, said


def test_units(tmp_path):
    """Checked as installed: the programs' place is filled in, and the programs are there."""
    units = sorted((ROOT / "contrib" / "systemd").glob("*.in"))
    assert units
    paths = []
    for unit in units:
        text = unit.read_text()
        for place in ("@bindir@", "@sbindir@"):
            text = text.replace(place, str(tmp_path))
        for program in re.findall(rf"{re.escape(str(tmp_path))}/([\w.-]+)", text):
            shutil.copy("/bin/true", tmp_path / program)
        path = tmp_path / unit.name.removesuffix(".in")
        path.write_text(text)
        paths.append(str(path))
    code, said = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *paths)
    ours = (str(tmp_path), "kkartifact")
    said = "\n".join(line for line in said.splitlines() if any(word in line for word in ours))
    assert code == 0 and not said, said
