# SPDX-License-Identifier: MIT
"""agent - kkartifact-agent for a test: run to its end with a home, a token file and a
configuration of its own, so that nothing of the machine's user is seen or changed."""

import json
import os
import pathlib
import subprocess

from server import program

WITHIN_S = 240


class Done:
    """A program that ended: exit code, stdout, stderr (bytes that are not text are replaced)."""

    def __init__(self, line, code, stdout, stderr):
        self.line = line
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    def json(self):
        return json.loads(self.stdout)

    def expect(self, code=0):
        assert self.code == code, f"exit {self.code}, not {code}\n{self!r}"
        return self

    def __repr__(self):
        words = " ".join(map(str, self.line))
        return f"$ {words}\n{self.stdout[-3000:]}\n--- stderr\n{self.stderr[-3000:]}\n---"


def clean_environment(home, **more):
    """The environment without settings of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("KKARTIFACT_", "XDG_", "GIT_", "CI", "http_", "https_",
                                    "HTTP_", "HTTPS_"))}
    kept.update(HOME=str(home), XDG_CACHE_HOME=f"{home}/.cache", XDG_DATA_HOME=f"{home}/.data",
                XDG_STATE_HOME=f"{home}/.state", XDG_CONFIG_HOME=f"{home}/.config",
                LC_ALL="C.UTF-8")
    kept.update(more)
    return kept


def run(line, *, within=WITHIN_S, **options):
    """Runs a program to its end; one that hangs is killed and fails the test."""
    line = [word if isinstance(word, bytes) else str(word) for word in line]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=within, check=False, **options)
    return Done(line, done.returncode, done.stdout.decode(errors="replace"),
                done.stderr.decode(errors="replace"))


class Agent:
    """An agent that speaks to `url` with `token`. `settings` are keys of .kkartifact.yml."""

    def __init__(self, directory, url, token, **settings):
        self.directory = pathlib.Path(directory)
        self.home = self.directory / "home"
        self.home.mkdir(parents=True, exist_ok=True)
        self.environment = clean_environment(self.home)
        self.token_file = self.directory / "token"
        self.config = self.directory / "agent.yml"
        self.settings = {"server": url, "token_file": self.token_file, **settings}
        self.use_token(token)
        self.write_config()

    def use_token(self, token):
        self.token_file.touch(0o600)
        self.token_file.write_text(token + "\n")

    def write_config(self, path=None):
        """As YAML: JSON scalars and lists are that, too."""
        lines = [f"{key}: {json.dumps(value, default=str)}\n"
                 for key, value in self.settings.items()]
        (path or self.config).write_text("".join(lines))

    def line(self, *words, config=True):
        end = ["--config", self.config] if config else []
        return [program("kkartifact-agent"), *words, *end]

    def run(self, *words, config=True, within=WITHIN_S, **options):
        options.setdefault("env", self.environment)
        options.setdefault("cwd", self.directory)
        return run(self.line(*words, config=config), within=within, **options)

    def start(self, *words, **options):
        """The process, still running; the caller ends it."""
        options.setdefault("env", self.environment)
        return subprocess.Popen([str(word) for word in self.line(*words)], cwd=self.directory,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, **options)

    def push(self, tree, project, app, version=None, *words, code=0):
        """The JSON answer of a push that must end with `code` (Done when that is not 0)."""
        named = ["--version", version] if version else []
        done = self.run("push", tree, "--project", project, "--app", app, *named, "--json",
                        *words).expect(code)
        return done if code else done.json()

    def pull(self, destination, project, app, version, *words, code=0):
        done = self.run("pull", destination, "--project", project, "--app", app, "--version",
                        version, "--json", *words).expect(code)
        return done if code else done.json()
