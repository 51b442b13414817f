# SPDX-License-Identifier: MIT
"""The README's tour, typed from top to bottom, does what it says.

It is run in a copy of the checkout's front (Makefile, tools, documents) whose programs are built
already: the two steps that install packages and compile are not what is tried here.
"""

import os
import re
import shutil
import subprocess

import pytest

from agent import clean_environment, run
from server import ROOT, program

PROGRAMS = ("kkartifact-server", "kkartifact-agent", "kkartifact-fs")
TABLE_OF_PROGRAMS = (*PROGRAMS, "mount.kkartifact")


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")


def tour():
    """The commands of the tour: the fenced block below its heading."""
    match = re.search(r"^## [^\n]*tour[^\n]*\n.*?^```sh\n(.*?)^```", readme(),
                      re.MULTILINE | re.DOTALL | re.IGNORECASE)
    assert match, "README.md has no tour"
    return match[1]


@pytest.fixture
def checkout(tmp_path):
    """A copy in which `make run` and `make stop` work at once."""
    copy = tmp_path / "kkartifact"
    copy.mkdir()
    for path in (*ROOT.glob("*.md"), ROOT / "LICENSE", ROOT / "Makefile"):
        shutil.copy2(path, copy)
    shutil.copytree(ROOT / "tools", copy / "tools")
    shutil.copytree(ROOT / "docs", copy / "docs")
    for step in ("install-deps", "build"):
        (copy / "tools" / step).write_text("#!/bin/sh\n")
    for name in PROGRAMS:
        built = program(name)
        place = built.relative_to(os.environ.get("KKARTIFACT_BUILD_DIR") or ROOT / "build")
        (copy / "build" / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(built, copy / "build" / place)
    yield copy
    run(["make", "stop"], cwd=copy, env=clean_environment(tmp_path))
    subprocess.run(["umount", "-l", copy / ".run/repos"], check=False, stderr=subprocess.DEVNULL)


@pytest.mark.serial
def test_tour(checkout, keeper, tmp_path):
    keeper.mount(checkout / ".run/repos")
    script = "".join(f"echo '$ {number}'\n{line}\n"
                     for number, line in enumerate(tour().splitlines()) if line.strip())
    done = run(["bash", "-euo", "pipefail", "-c", script], cwd=checkout,
               env=clean_environment(tmp_path), within=200)
    keeper.unmounted(checkout / ".run/repos")
    assert done.code == 0, done
    assert "hello from" in done.stdout
    for said in re.findall(r"# -> (.*)", tour()):
        assert said.strip() in done.stdout, f"{said!r} is promised\n{done!r}"
    left = run(["make", "run"], cwd=checkout, env=clean_environment(tmp_path))
    assert left.code == 0 and "started" in left.stdout, "it starts again after the tour"


def test_tour_is_ten_lines():
    lines = [line for line in tour().splitlines() if line.strip()]
    assert 8 <= len(lines) <= 13


def test_every_program_is_in_the_table():
    for name in TABLE_OF_PROGRAMS:
        assert f"| `{name}` |" in readme(), name


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", readme()):
        if "://" not in target:
            assert (ROOT / target).exists(), target
