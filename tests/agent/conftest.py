# SPDX-License-Identifier: MIT
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "formats"))
os.environ.setdefault("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def origin():
    from origin import Origin
    with Origin() as running:
        yield running


@pytest.fixture
def agent(origin, tmp_path):
    from support import Agent
    return Agent(origin, tmp_path)
