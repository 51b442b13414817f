# SPDX-License-Identifier: MIT
"""What every text of the repository keeps to: a licence line, 100 columns, no machine's names."""

import pathlib
import re
import subprocess
import urllib.parse

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

COLUMNS = 100
SPDX = "SPDX-License-Identifier: MIT"

# Kept byte for byte, or written by tools: no style applies.
EXEMPT = re.compile(
    r"^(tests/(vectors|fuzz|formats/corpus)/.*\.(bin|yaml|yml|json|txt|listing|times|tree)$"
    r"|tests/(vectors|corpus|fuzz/corpus)/|ui/|subprojects/|LICENSE$|.*\.(png|svg|ico|lock)$"
    r"|.*package-lock\.json$|api/openapi\.yaml$)")

# Words that tie a text to the place or the day it was written in.
BANNED = [
    (re.compile(r"\bissues?\s+#?\d+\b", re.IGNORECASE), "the number of an issue"),
    (re.compile(r"(?<![\w./&-])#\d{1,4}\b(?![\w-])"), "the number of an issue"),
    (re.compile(r"(?<![\w.])/" + r"work/(main|shared|\.)"), "a path of one machine"),
    (re.compile(r"/tmp/(brief|build-)"), "a path of one machine"),
]


def tracked_files():
    """What git knows or would add; without git, everything that is no build product."""
    done = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached",
                           "--others", "--exclude-standard"],
                          cwd=ROOT, capture_output=True, check=False)
    if done.returncode == 0:
        names = done.stdout.decode(errors="surrogateescape").split("\0")
        names = [name for name in names if name]
    else:
        skipped = {".git", ".cache", ".run", "build", "subprojects", "__pycache__"}
        names = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")
                 if not skipped & set(path.relative_to(ROOT).parts)]
    return [name for name in names if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


def texts(pattern=r".*"):
    """(name, text) of every UTF-8 file whose name matches and that is not exempt."""
    for name in tracked_files():
        if EXEMPT.search(name) or not re.search(pattern, name):
            continue
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            yield name, text


def mirror_hosts():
    """The hosts that this machine's apt uses: none of them belongs in a file."""
    try:
        done = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)"],
                              capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return set()
    hosts = {urllib.parse.urlsplit(line).hostname for line in done.stdout.splitlines()}
    return {host for host in hosts if host and "." in host and host != "localhost"}


def test_files_are_found():
    assert "Makefile" in tracked_files()


def test_licence_line():
    faults = []
    for name, text in texts(r"(\.(c|h|py|sh)|meson\.build|meson\.options|^tools/[^.]*)$"):
        lines = text.split("\n", 2)
        place = lines[1:2] if text.startswith("#!") else lines[:1]
        wanted = f"/* {SPDX} */" if name.endswith((".c", ".h")) else f"# {SPDX}"
        if not text or place == [wanted] or name.endswith("__init__.py"):
            continue
        faults.append(name)
    assert not faults, "no SPDX line at the top: " + " ".join(faults)


def test_columns_tabs_and_ends():
    faults = []
    for name, text in texts(r"(\.(c|h|py|sh)|^tools/[^.]*|^\.ci/run)$"):
        if text and not text.endswith("\n"):
            faults.append(f"{name}: no newline at the end")
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > COLUMNS:
                faults.append(f"{name}:{number}: {len(line)} columns")
            if "\t" in line:
                faults.append(f"{name}:{number}: a tab")
            if line != line.rstrip():
                faults.append(f"{name}:{number}: space at the end")
    assert not faults, "\n".join(faults)


def test_comments_and_pragma():
    """`//` comments are not used; a header is guarded by #pragma once."""
    faults = []
    for name, text in texts(r"\.[ch]$"):
        bare = re.sub(r'"(\\.|[^"\\\n])*"|\'(\\.|[^\'\\\n])*\'|/\*.*?\*/',
                      lambda match: re.sub(r"[^\n]", " ", match.group(0)), text, flags=re.DOTALL)
        for number, line in enumerate(bare.split("\n"), 1):
            if "//" in line:
                faults.append(f"{name}:{number}: a // comment")
        if name.endswith(".h") and "#pragma once" not in text:
            faults.append(f"{name}: no #pragma once")
    assert not faults, "\n".join(faults)


def test_nothing_of_one_machine():
    faults = []
    hosts = mirror_hosts()
    for name, text in texts():
        if name.startswith("tests/lint/"):
            continue
        for number, line in enumerate(text.split("\n"), 1):
            faults += [f"{name}:{number}: {what}: {line.strip()[:120]}"
                       for pattern, what in BANNED if pattern.search(line)]
            faults += [f"{name}:{number}: a package mirror: {host}"
                       for host in hosts if host in line]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("line", ["see issue 3", "Issues #12", "(#7)", "fixes #45",
                                  "/" + "work/main/x", "cd /" + "work/shared", "/tmp/brief/a"])
def test_banned_words_are_seen(line):
    assert any(pattern.search(line) for pattern, _ in BANNED)


@pytest.mark.parametrize("line", ["issues a token", "#123abc", "&#10;", "#!/bin/sh", "a#1",
                                  "network/" + "work/main", "# 3 things", "color: #1234567"])
def test_harmless_words_pass(line):
    assert not any(pattern.search(line) for pattern, _ in BANNED)
