# SPDX-License-Identifier: MIT
"""The man pages, the help and the file of `init` name the same verbs, flags and keys."""

import re
import subprocess

import pytest

from support import ROOT, program

PAGE = (ROOT / "man/kkartifact-agent.1").read_text(encoding="utf-8")
FILE_PAGE = (ROOT / "man/kkartifact.yml.5").read_text(encoding="utf-8")


def agent(*words, **options):
    return subprocess.run([program("kkartifact-agent"), *words], capture_output=True, text=True,
                          check=False, **options)


def verbs():
    listed = agent("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in listed.splitlines()]


def flags_of_help():
    texts = [agent(verb, "--help") for verb in verbs()]
    assert all(done.returncode == 0 and not done.stderr for done in texts)
    text = "".join(done.stdout for done in texts)
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", text, re.M))


def test_verbs():
    assert set(re.findall(r"^\.Cm (\w+)$", PAGE.split(".Sh DESCRIPTION")[0], re.M)) == set(verbs())
    assert set(verbs()) <= set(re.findall(r"^\.It Cm (\w+)$", PAGE, re.M))


def test_flags():
    assert set(re.findall(r"Fl -([a-z-]+)", PAGE)) == flags_of_help() | {"help"}


def test_keys(tmp_path):
    assert agent("init", tmp_path).returncode == 0
    text = (tmp_path / ".kkartifact.yml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^#?([a-z_]+):", text, re.M))
    described = " ".join(re.findall(r"^\.It (Cm .*)$", FILE_PAGE, re.M))
    assert keys == set(re.findall(r"Cm ([a-z_]+)", described))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_flag(shell):
    text = agent("completion", shell).stdout
    for flag in flags_of_help() - {"help"}:
        assert flag in text
    for verb in verbs():
        assert verb in text


def test_bash_completion_works():
    script = agent("completion", "bash").stdout + """
        complete_at() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kkartifact_agent; echo "${COMPREPLY[@]}"
        }
        complete_at kkartifact-agent pu
        complete_at kkartifact-agent push --dr
        complete_at kkartifact-agent --config push sh
    """
    done = subprocess.run(["bash", "-u"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["push pull", "--dry-run", "show"], done.stderr


def test_pages_are_well_formed():
    for page in ("kkartifact-agent.1", "kkartifact.yml.5"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(ROOT / "man" / page)],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
