# SPDX-License-Identifier: MIT
"""support - the agent's programs, and running them."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def program(name):
    build = pathlib.Path(os.environ.get("KKARTIFACT_BUILD_DIR") or ROOT / "build")
    found = sorted(path for path in build.glob(f"**/{name}")
                   if path.is_file() and os.access(path, os.X_OK))
    if not found:
        raise FileNotFoundError(f"{name} is not in {build}: build it first")
    return str(found[0])


class Agent:
    """Runs kkartifact-agent against an origin, with a home of its own."""

    def __init__(self, origin, tmp_path):
        from origin import TOKEN
        self.origin = origin
        home = tmp_path / "home"
        home.mkdir()
        self.token = home / "token"
        self.token.write_text(TOKEN + "\n")
        self.config = home / "agent.yml"
        self.config.write_text(f'server: "{origin.url}"\ntoken_file: "token"\n'
                               'project: "p"\napp: "a"\n')
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.environment[name] = os.environ[name]

    def line(self, *words):
        return [program("kkartifact-agent"), *map(str, words), "--config", str(self.config)]

    def run(self, *words, code=0, **options):
        done = subprocess.run(self.line(*words), env=self.environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=120, check=False, **options)
        text = done.stderr.decode(errors="replace")
        assert done.returncode == code, f"exit {done.returncode}: {text}{done.stdout!r}"
        done.words = text
        return done

    def json(self, *words, **options):
        return json.loads(self.run(*words, "--json", **options).stdout)

    def push(self, tree, version=None, *words, **options):
        named = ["--version", version] if version else []
        return self.json("push", tree, *named, *words, **options)

    def pull(self, destination, version="latest", *words, **options):
        return self.json("pull", destination, "--version", version, *words, **options)


def write(root, path, data, mode=0o644, mtime=None):
    at = root / path
    at.parent.mkdir(parents=True, exist_ok=True)
    at.write_bytes(data)
    at.chmod(mode)
    if mtime is not None:
        os.utime(at, (mtime, mtime))


def describe(root, without=(".kkartifact",)):
    """path -> what it is, without what is named at the top."""
    found = {}
    for directory, names, files in os.walk(os.fsencode(root)):
        if directory == os.fsencode(root):
            names[:] = [name for name in names if os.fsdecode(name) not in without]
            files = [name for name in files if os.fsdecode(name) not in without]
        for name in names + files:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            if os.path.islink(path):
                what = ("link", os.readlink(path))
            elif os.path.isdir(path):
                what = ("directory", status.st_mode & 0o777, int(status.st_mtime))
            else:
                with open(path, "rb") as file:
                    what = ("file", status.st_mode & 0o777, int(status.st_mtime // 1), file.read())
            found[os.path.relpath(path, os.fsencode(root))] = what
    return found
