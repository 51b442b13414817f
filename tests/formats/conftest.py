# SPDX-License-Identifier: MIT
"""Makes kkformats importable, and finds the C side."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from format_tool import FormatTool  # noqa: E402


@pytest.fixture(scope="session")
def tool():
    """The C program. Without it there is nothing to compare, and that is a failure."""
    try:
        return FormatTool.find()
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)
