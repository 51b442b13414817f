# SPDX-License-Identifier: MIT
"""The manuals, held against the programs that are built."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
