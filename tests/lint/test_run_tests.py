# SPDX-License-Identifier: MIT
"""tools/run-tests counts what it is given: a crash, a skip or a missing test is never a pass."""

import importlib.machinery
import importlib.util
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def load(path):
    loader = importlib.machinery.SourceFileLoader("run_tests", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_tests", loader))
    loader.exec_module(module)
    return module


run_tests = load(ROOT / "tools" / "run-tests")


class Suite:
    """What run-tests' own suite is to the functions that read results."""

    name = "unit"

    def __init__(self):
        self.seen = []

    def add(self, name, outcome, message=""):
        self.seen.append((name, outcome, message))

    def count(self, outcome):
        return sum(1 for _, seen, _ in self.seen if seen == outcome)


def meson(tmp_path, **test):
    path = tmp_path / "testlog.json"
    path.write_text(json.dumps({"name": "kkartifact:unit / map", **test}) + "\n")
    suite = Suite()
    run_tests.add_meson_results(suite, path)
    return suite


@pytest.mark.parametrize("result, code, text, passed, failed, skipped", [
    ("OK", 0, "1..2\nok 1 - a\nok 2 - b\n", 2, 0, 0),
    ("ERROR", 1, "1..2\nok 1 - a\nnot ok 2 - b\n# x\n", 1, 1, 0),
    ("FAIL", 0, "1..2\nok 1 - a\nnot ok 2 # SKIP b\n", 1, 0, 1),
    ("OK", 0, "1..1\nok 1 - b # SKIP no kernel\n", 0, 0, 1),
    ("ERROR", -6, "1..2\nok 1 - a\n", 1, 1, 0),
    ("TIMEOUT", -15, "1..2\n", 0, 1, 0),
    ("ERROR", 86, "1..1\nok 1 - a\n", 1, 1, 0),
    ("OK", 0, "1..2\nok 1 - a\n1..1\nok 1 - c\n", 2, 1, 0),
    ("ERROR", -11, "", 0, 1, 0),
    ("OK", 0, "", 1, 0, 0),
    ("SKIP", 77, "", 0, 0, 1),
])
def test_meson(tmp_path, result, code, text, passed, failed, skipped):
    suite = meson(tmp_path, result=result, returncode=code, stdout=text)
    assert (suite.count("passed"), suite.count("failed"), suite.count("skipped")) == (
        passed, failed, skipped), suite.seen


def test_names_of_functions(tmp_path):
    suite = meson(tmp_path, result="FAIL", returncode=0, stdout="1..1\nnot ok 1 # SKIP why\n")
    assert suite.seen[0][0] == "map::why"


def test_no_results(tmp_path):
    with pytest.raises(run_tests.SuiteBroken):
        run_tests.add_meson_results(Suite(), tmp_path / "none")
    with pytest.raises(run_tests.SuiteBroken):
        run_tests.add_junit_results(Suite(), tmp_path / "none")


def test_junit(tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text(
        '<testsuites><testsuite><testcase classname="unit.test_a" name="one"/>'
        '<testcase classname="unit.test_a" name="two"><failure message="m"/></testcase>'
        '<testcase classname="unit.test_a" name="three"><error message="e"/></testcase>'
        '<testcase classname="unit.test_a" name="four"><skipped message="s"/></testcase>'
        "</testsuite></testsuites>")
    suite = Suite()
    run_tests.add_junit_results(suite, path)
    assert suite.seen == [("test_a::one", "passed", ""), ("test_a::two", "failed", "m"),
                          ("test_a::three", "failed", "e"), ("test_a::four", "skipped", "s")]


@pytest.mark.parametrize("strict, allowed, outcome", [
    (False, "", "skipped"),
    (True, "", "failed"),
    (True, "functional/test_x::verity[*] # no fs-verity here", "skipped"),
    (True, "functional/test_x::other # no", "failed"),
])
def test_skips(monkeypatch, tmp_path, strict, allowed, outcome):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "skips.txt").write_text(f"# words\n\n{allowed}\n")
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    skip = run_tests.Result("functional/test_x::verity[a]", "skipped", "why")
    assert [result.outcome for result in run_tests.judge_skips([skip], strict)] == [outcome]


def test_a_skip_without_a_reason(monkeypatch, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "skips.txt").write_text("functional/test_x::y\n")
    monkeypatch.setattr(run_tests, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="no reason"):
        list(run_tests.judge_skips([], True))


def test_the_list_of_skips_can_be_read():
    assert all(isinstance(pattern, re.Pattern) for pattern in run_tests.allowed_skips())
