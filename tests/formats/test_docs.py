# SPDX-License-Identifier: MIT
"""docs/formats against the vectors and the code: hex, text, digests and rules."""

import ast
import json
import pathlib
import re

import kkformats
import make_vectors
import pytest

DOCS = make_vectors.FOLDER.parents[1] / "docs" / "formats"
PAGES = sorted(DOCS.glob("*.md"))
INDEX = json.loads((make_vectors.FOLDER / "index.json").read_text("utf-8"))
_BLOCK = re.compile(r"`tests/vectors/([^`]+)`|^```(hex|text)\n(.*?)^```", re.M | re.S)
_ROW = re.compile(r"([0-9a-f]{8}): ((?:[0-9a-f]{2,4} ?)+) ")


def _vector(path):
    if path == "index.json":
        return bytes.fromhex(INDEX["signature"]["message"])
    return (make_vectors.FOLDER / path).read_bytes()


def _examples():
    """(page, vector's path, "hex" or "text", the block) of every example."""
    for page in PAGES:
        path = None
        for found in _BLOCK.finditer(page.read_text("utf-8")):
            path = found.group(1) or path
            if found.group(2):
                yield page.name, path, found.group(2), found.group(3)


def _documented_rules():
    rules = set()
    for page in PAGES:
        text = page.read_text("utf-8").partition("## What a reader refuses")[2]
        for row in re.findall(r"^\| (`[^|]*) \|", text, re.M):
            rules.update(re.findall(r"`([a-z0-9-]+)`", row))
    return rules


def _rules_of_code():
    """Every rule that some function of kkformats can name."""
    rules = set()
    for path in pathlib.Path(kkformats.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            if name in ("require", "Refused"):
                place = 2 if name == "require" else 1
                constants = ast.walk(node.args[place]) if len(node.args) > place else ()
                rules.update(one.value for one in constants if isinstance(one, ast.Constant))
            if isinstance(node, ast.keyword) and node.arg == "rule":
                rules.add(node.value.value)
    return {rule for rule in rules if isinstance(rule, str)}


@pytest.mark.parametrize("page, path, kind, block", list(_examples()))
def test_examples(page, path, kind, block):
    assert path, f"{page}: an example that names no vector"
    data = _vector(path)
    if kind == "text":
        assert block.encode("utf-8") == data
        return
    for row in block.splitlines():
        found = _ROW.match(row)
        assert found, row
        at, bytes_there = int(found.group(1), 16), bytes.fromhex(found.group(2))
        assert data[at : at + len(bytes_there)] == bytes_there, row


def test_every_page_has_an_example_or_needs_none():
    with_examples = {page for page, _, _, _ in _examples()}
    without = {page.name for page in PAGES} - with_examples
    assert without == {"index.md", "names-and-entries.md"}


def test_digests_in_the_text():
    known = json.dumps(INDEX)
    for page in PAGES:
        for digest in re.findall(r"\b[0-9a-f]{64}\b", page.read_text("utf-8")):
            assert digest in known, f"{page.name}: {digest}"


def test_every_rule_is_documented():
    named = {case.partition("/")[2].partition(".")[0] for case in INDEX["refused"]}
    assert (named | _rules_of_code()) - _documented_rules() == set()


def test_every_documented_rule_exists():
    sources = "".join(
        path.read_text("utf-8") for path in pathlib.Path(kkformats.__file__).parent.glob("*.py")
    )
    assert [rule for rule in sorted(_documented_rules()) if f'"{rule}"' not in sources] == []


def test_links_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([a-z-]+\.md)\)", page.read_text("utf-8")):
            assert (DOCS / target).exists(), f"{page.name}: {target}"
