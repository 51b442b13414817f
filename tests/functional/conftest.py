# SPDX-License-Identifier: MIT
"""What the functional tests share beside tests/support: names of their own a test."""

import itertools
import pathlib
import shutil
import sys
import types

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE / "support", HERE.parent / "support", HERE.parent / "formats"):
    sys.path.insert(0, str(folder))

from agent import Agent  # noqa: E402
from fixtures import keeper, new_mount, new_server, server  # noqa: E402, F401

NUMBERS = itertools.count(1)


@pytest.fixture
def names(request):
    """A project and an app that no other test has."""
    stem = "".join(c if c.isalnum() else "-" for c in request.node.name)[:40].strip("-")
    return types.SimpleNamespace(project=f"{stem}-{next(NUMBERS)}", app="app")


@pytest.fixture
def agent(tmp_path, server):
    return Agent(tmp_path / "agent", server.url, server.all_rights)


@pytest.fixture
def mount(server, new_mount):
    """The mount of the shared server."""
    return new_mount(server.url, server.all_rights)


@pytest.fixture
def big_tmp(tmp_path):
    """tmp_path for what must not be kept when the test fails."""
    path = tmp_path / "big"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)
