# SPDX-License-Identifier: MIT
"""The tests that docs/design/life-of-a-version.md names are there, under these names."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "design" / "life-of-a-version.md"
FOLDERS = {"db": "server/db/tests", "service": "server/service/tests"}


def named():
    """(folder, file, test) of each `folder/file::test`."""
    return re.findall(r"`(\w+)/(\w+)::(\w+)`", PAGE.read_text(encoding="utf-8"))


def is_there(folder, file, test):
    if folder in FOLDERS:  # in the list of what is run
        path = ROOT / FOLDERS[folder] / f"{file}.c"
        line = rf"\b(CASE|cmocka_unit_test\w*)\({test}\b"
    else:
        path, line = ROOT / "tests" / folder / f"{file}.py", rf"^def {test}\("
    return path.is_file() and bool(re.search(line, path.read_text(encoding="utf-8"), re.M))


def test_every_test_that_is_named_is_there():
    assert len(named()) > 80
    assert [names for names in named() if not is_there(*names)] == []


def test_every_row_names_one():
    rows = [line for line in PAGE.read_text(encoding="utf-8").partition("## What proves it")[2]
            .splitlines() if line.startswith("| ") and not line.endswith("| proved by |")]
    assert rows and [row for row in rows if "::" not in row] == []


def test_one_that_is_not_there_is_found():
    assert not is_there("db", "test_sweep", "what_is_not_there")
    assert not is_there("api", "test_trash", "App")
    assert not is_there("api", "test_nothing", "test_x")
