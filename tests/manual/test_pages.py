# SPDX-License-Identifier: MIT
"""The man pages, the help, the completions and the file of `init` name the same verbs, flags and
keys; nothing is in one and not in the other."""

import re
import subprocess

import pytest

from server import ROOT, program

PAGES = {"kkartifact-agent": "kkartifact-agent.1", "kkartifact-fs": "kkartifact-fs.8",
         "kkartifact-server": "kkartifact-server.8"}
SHELLS = ("bash", "zsh", "fish")
OF_EVERY_PROGRAM = {"help", "h", "version"}  # no line of a table

every_program = pytest.mark.parametrize("name", sorted(PAGES))


def run(name, *words):
    done = subprocess.run([program(name), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done
    return done.stdout


def page(name):
    return (ROOT / "man" / PAGES[name]).read_text(encoding="utf-8")


def verbs_of_help(name):
    """`token create ID` is the verb "token create": operands are no plain words."""
    listed = run(name, "--help").split("Commands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  ([a-z]+(?: [a-z]+(?=\s|$))*)(?: |$)", listed, re.M)


def flags_of_help(name, verb):
    """Those of the verb and those of every verb, each as (short or "", long)."""
    own, _, common = run(name, *verb.split(), "--help").partition("Options of every command:")
    return [set(re.findall(r"^  (?:-(\w),|   ) --([a-z-]+)", text, re.M)) for text in (own, common)]


def all_flags_of_help(name):
    return set().union(*(set().union(*flags_of_help(name, verb)) for verb in verbs_of_help(name)))


def flags_written(text):
    """`Fl f` and `Fl -foreground`, without the dashes."""
    return set(re.findall(r"\bFl -?([a-zA-Z][a-z-]*)", text))


def synopsis(name):
    """verb -> its lines."""
    text = page(name).split(".Sh SYNOPSIS\n")[1].split(".Sh ")[0]
    blocks = [block for block in re.split(r"^\.Nm\n", text, flags=re.M) if block.strip()]
    return {re.match(r"\.Cm (.*)\n", block)[1]: block for block in blocks}


@every_program
def test_verbs(name):
    verbs = verbs_of_help(name)
    assert len(verbs) >= 6
    assert sorted(synopsis(name)) == sorted(verbs)
    described = re.findall(rf"^\.It (?:Cm|Li {name}) ([a-z ]+)$", page(name), re.M)
    assert set(verbs) <= set(described)


@every_program
def test_flags_of_each_verb(name):
    for verb, block in synopsis(name).items():
        own, common = flags_of_help(name, verb)
        written = flags_written(block)
        for short, long in own:
            assert {short, long} & written, f"{verb}: --{long} is not in the synopsis"
        known = {flag for pair in own | common for flag in pair}
        assert written <= known, f"{verb}: {written - known} is no flag of it"


@every_program
def test_flags(name):
    flags = all_flags_of_help(name)
    written = flags_written(page(name))
    assert {long for short, long in flags} <= written | {long for short, long in flags
                                                         if short in written}
    known = {flag for pair in flags for flag in pair} | OF_EVERY_PROGRAM
    assert written <= known, written - known


@every_program
@pytest.mark.parametrize("shell", SHELLS)
def test_completion_names_every_flag(name, shell):
    text = run(name, "completion", shell)
    for _, long in all_flags_of_help(name):
        assert long in text
    for verb in verbs_of_help(name):
        assert all(word in text for word in verb.split())


def test_keys(tmp_path):
    run("kkartifact-agent", "init", tmp_path)
    text = (tmp_path / ".kkartifact.yml").read_text(encoding="utf-8")
    keys = set(re.findall(r"^#?([a-z_]+):", text, re.M))
    file_page = (ROOT / "man/kkartifact.yml.5").read_text(encoding="utf-8")
    described = " ".join(re.findall(r"^\.It (Cm .*)$", file_page, re.M))
    assert keys == set(re.findall(r"Cm ([a-z_]+)", described))


def test_mount_options():
    """The table's and the manual's."""
    told = set(re.findall(r"^  ([a-z_]+)", run("kkartifact-fs", "mount", "-o", "help"), re.M))
    options = page("kkartifact-fs").split(".Sh OPTIONS OF THE MOUNT")[1].split(".Sh ")[0]
    assert told == set(re.findall(r"^\.It Cm ([a-z_]+)$", options, re.M))


def test_bash_completion_works():
    script = run("kkartifact-agent", "completion", "bash") + """
        complete_at() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kkartifact_agent; echo "${COMPREPLY[@]}"
        }
        complete_at kkartifact-agent pu
        complete_at kkartifact-agent push --dr
        complete_at kkartifact-agent --config push sh
    """
    done = subprocess.run(["bash", "-u"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["push pull", "--dry-run", "show"], done.stderr
