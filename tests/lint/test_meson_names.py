# SPDX-License-Identifier: MIT
"""Two tests of one name make `meson test` end in the middle (1.0.1: "duplicate suite")."""

import collections
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KKARTIFACT_BUILD_DIR", ROOT / "build"))


def test_each_meson_test_has_a_name_of_its_own():
    if not (BUILD / "meson-info").is_dir():
        pytest.fail(f"{BUILD} is not configured")
    told = subprocess.run(
        ["meson", "introspect", "--tests", str(BUILD)], check=True, capture_output=True, text=True
    )
    counts = collections.Counter(test["name"] for test in json.loads(told.stdout))
    assert counts
    assert [name for name, count in counts.items() if count > 1] == []
