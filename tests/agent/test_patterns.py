# SPDX-License-Identifier: MIT
"""The agent's patterns against git's own: random lists, random paths, one verdict."""

import os
import random
import subprocess

import pytest

from support import program

ALPHABET = ["a", "b", "ab", "abc", "foo", "bar", "foo.c", "x",
            "é", "A1", "-", "z z", ".h", "[", "b]"]
PIECES = ["a", "b", "c", "foo", "bar", "*", "?", "**", "/", "[ab]", "[!a]", "[^b]", "[a-c]",
          "[[:alpha:]]", "[[:digit:]x]", "[]-a]", "\\a", "\\*", ".", "-",
          "x", "[a", "é", " ", "\\ ", "!",
          "#", "]", "[a-", "[\\]b]", "[[:nope:]]", "[b-a]", "\\", "[--0]", "[a\\-c]"]


def random_pattern(rng):
    text = "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 5)))
    if rng.random() < 0.25:
        text = "/" + text
    if rng.random() < 0.25:
        text += "/"
    if rng.random() < 0.2:
        text = "!" + text
    return text


def random_paths(rng):
    """Paths with kinds that fit together: what is a directory once is one everywhere."""
    kinds = {}
    for _ in range(60):
        parts = [rng.choice(ALPHABET) for _ in range(rng.randint(1, 4))]
        path = "/".join(parts)
        if any(kinds.get("/".join(parts[:n])) == "file" for n in range(1, len(parts))):
            continue
        if path in kinds:
            continue
        for n in range(1, len(parts)):
            kinds["/".join(parts[:n])] = "directory"
        kinds[path] = rng.choice(["file", "directory"])
    return kinds


def make_tree(root, kinds):
    for path, kind in sorted(kinds.items()):
        if kind == "directory":
            os.makedirs(root / path, exist_ok=True)
    for path, kind in kinds.items():
        if kind == "file":
            (root / path).touch()


def git_verdicts(root, patterns, paths):
    exclude = root / ".git" / "info" / "exclude"
    exclude.write_text("".join(p + "\n" for p in patterns), encoding="utf-8")
    done = subprocess.run(["git", "check-ignore", "--no-index", "--stdin", "-z"], cwd=root,
                          check=False, stdout=subprocess.PIPE,
                          input="\0".join(paths).encode() + b"\0")
    assert done.returncode in (0, 1)
    named = set(done.stdout.decode().split("\0"))
    return [path in named for path in paths]


def our_verdicts(patterns, paths, kinds):
    lines = "".join(p + ("/" if kinds[p] == "directory" else "") + "\n" for p in paths)
    done = subprocess.run([program("pattern_probe"), *patterns], input=lines.encode(), check=True,
                          stdout=subprocess.PIPE)
    return [line == b"1" for line in done.stdout.split()]


@pytest.mark.parametrize("seed", range(8))
def test_random_patterns_agree_with_git(tmp_path, seed):
    rng = random.Random(seed)
    for number in range(40):
        root = tmp_path / str(number // 10)
        if number % 10 == 0:
            kinds = random_paths(rng)
            root.mkdir()
            subprocess.run(["git", "init", "-q", root], check=True)
            make_tree(root, kinds)
            paths = sorted(kinds)
        patterns = [random_pattern(rng) for _ in range(rng.randint(1, 5))]
        theirs = git_verdicts(root, patterns, paths)
        ours = our_verdicts(patterns, paths, kinds)
        wrong = [(path, kinds[path], git)
                 for path, git, own in zip(paths, theirs, ours) if git != own]
        assert not wrong, f"{patterns}: git says {wrong[:5]}"
