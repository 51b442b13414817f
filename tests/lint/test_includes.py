# SPDX-License-Identifier: MIT
"""The tree obeys its floors, and the checker sees each way of breaking them."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

LAW = """# Architecture
```floors
0 common/base
1 common/codec common/net
3 server/http server/db common/client
4 server/service
4 agent/transfer
6 server agent
```
```libraries
curl/ common/net
sqlite3.h server/db
pg/ server/db server/http
```
"""


def check(root):
    return subprocess.run([ROOT / "tools" / "check-includes", "--root", root],
                          capture_output=True, text=True, check=False)


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    """Writes a tree of one file with one include beside the law, and checks it."""
    (tmp_path / "ARCHITECTURE.md").write_text(LAW)

    def write(path, include):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"/* SPDX */\n#include {include}\n")
        return check(tmp_path)

    return write


def test_this_tree():
    done = check(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path, include", [
    ("common/codec/a.c", '"common/base/buf.h"'),
    ("common/codec/a.c", '"common/codec/a.h"'),
    ("common/codec/deep/a.c", '"common/codec/a.h"'),
    ("common/codec/tests/test_a.c", '"common/codec/a.h"'),
    ("common/codec/tests/test_a.c", '"tests/support/unit.h"'),
    ("common/codec/tests/test_a.c", "<cmocka.h>"),
    ("server/service/a.c", '"server/db/db.h"'),
    ("server/service/a.c", '"common/net/url.h"'),
    ("server/main.c", '"server/service/a.h"'),
    ("agent/transfer/a.c", '"common/client/fetch.h"'),
    ("common/net/a.c", "<curl/curl.h>"),
    ("server/http/a.c", "<pg/pg.h>"),
    ("server/db/a.c", "<sys/stat.h>"),
    ("server/db/a.c", "<stdint.h>"),
    ("tests/fuzz/fuzz_a.c", '"common/codec/a.h"'),
])
def test_allowed(tree, path, include):
    done = tree(path, include)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path, include, words", [
    ("common/base/a.c", '"common/codec/a.h"', "points upwards"),
    ("server/db/a.c", '"server/service/a.h"', "points upwards"),
    ("common/client/a.c", '"server/service/a.h"', "points upwards"),
    ("server/db/tests/test_a.c", '"server/service/a.h"', "points upwards"),
    ("common/codec/a.c", '"common/net/a.h"', "one floor"),
    ("server/http/a.c", '"server/db/a.h"', "one floor"),
    ("server/http/a.c", '"common/client/a.h"', "one floor"),
    ("agent/transfer/a.c", '"server/db/a.h"', "does not see"),
    ("agent/main.c", '"server/service/a.h"', "does not see"),
    ("common/codec/a.c", '"a.h"', "not written from the root"),
    ("common/codec/a.c", '"../base/buf.h"', "not written from the root"),
    ("common/codec/a.c", '"tests/support/unit.h"', "a test's header"),
    ("common/codec/a.c", "<curl/curl.h>", "common/net alone"),
    ("common/codec/a.c", "<cmocka.h>", "in no line"),
    ("server/service/a.h", "<sqlite3.h>", "server/db alone"),
    ("server/db/a.c", "<zmq.h>", "in no line"),
    ("common/new/a.c", "<stdint.h>", "on no floor"),
    ("common/base/a.c", '"common/base/a.h"\n #  include   "common/net/a.h"', "a.c:3: "),
])
def test_refused(tree, path, include, words):
    done = tree(path, include)
    assert done.returncode == 1
    assert words in done.stdout
    assert path in done.stdout


@pytest.mark.parametrize("law, words", [
    ("nothing here", "no block ```floors"),
    ("```floors\n0 a\n```\n", "no block ```libraries"),
    ("```floors\n0\n```\n```libraries\n```\n", "NUMBER FOLDER"),
    ("```floors\n0 a\n1 a\n```\n```libraries\n```\n", "two floors"),
    ("```floors\n0 a\n```\n```libraries\nx.h\n```\n", "HEADER FOLDER"),
    ("```floors\n0 a\n```\n```libraries\n```\n", "found no C file"),
])
def test_broken_law(tmp_path, law, words):
    (tmp_path / "ARCHITECTURE.md").write_text(law)
    done = check(tmp_path)
    assert done.returncode == 1
    assert words in done.stderr


def test_no_law(tmp_path):
    assert "ARCHITECTURE.md" in check(tmp_path).stderr
