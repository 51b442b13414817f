# SPDX-License-Identifier: MIT
"""Where the result cannot be told: a standard output that is full."""

import subprocess

import pytest

import trees


@pytest.fixture
def version(agent, names, tmp_path):
    """A version, a tree that differs from it, and a copy that was pulled."""
    tree = trees.small_tree(tmp_path / "tree")
    agent.push(tree, names.project, names.app, "v1")
    agent.pull(tmp_path / "copy", names.project, names.app, "v1")
    trees.write(tree, "more", b"x")
    return f"{names.project}/{names.app}/v1"


def lines(version, tmp_path):
    """Every verb that has a result."""
    app = version.rpartition("/")[0]
    named = ["--project", app.partition("/")[0], "--app", app.partition("/")[2]]
    return [["list"], ["list", app], ["show", version], ["diff", app, "v1", "v1", "--json"],
            ["verify", tmp_path / "copy"], ["get", version, tmp_path / "got"],
            ["get", f"{version}/README.md", "-"], ["get", f"{version}/meta.yaml", "-"],
            ["push", tmp_path / "tree", *named, "--version", "v2"],
            ["pull", tmp_path / "new", *named, "--version", "v1"],
            ["pull", tmp_path / "dry", *named, "--dry-run", "--json"],
            ["init", tmp_path / "made"], ["version"], ["completion", "bash"], ["list", "--help"]]


def test_a_full_standard_output_is_local(agent, version, tmp_path):
    for line in lines(version, tmp_path):
        words = list(map(str, agent.line(*line)))
        with open("/dev/full", "wb") as full:
            done = subprocess.run(words, env=agent.environment, cwd=tmp_path, stdout=full,
                                  stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == 9, (line, done)
        assert b"standard output: cannot write: No space left on device" in done.stderr, (line, done)
