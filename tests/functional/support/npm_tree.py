# SPDX-License-Identifier: MIT
"""npm_tree - node_modules of real packages, installed once from the registry by npm's client and
kept in .cache/ for the next run."""

import fcntl
import hashlib
import json
import pathlib
import shutil
import subprocess

from agent import clean_environment
from server import ROOT

PACKAGES = {"express": "4.21.2", "semver": "7.6.3"}


def npm_tree():
    """The directory with package.json and node_modules/. Without a registry: an error."""
    package = json.dumps({"name": "tree", "version": "1.0.0", "private": True,
                          "dependencies": PACKAGES}, indent=2, sort_keys=True)
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    tree = cache / f"npm-tree-{hashlib.sha256(package.encode()).hexdigest()[:12]}"
    with open(cache / "npm-tree.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.is_dir():
            _install(tree.with_suffix(".new"), package)
            tree.with_suffix(".new").rename(tree)
    return tree


def _install(directory, package):
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    (directory / "package.json").write_text(package + "\n", encoding="ascii")
    home = pathlib.Path.home()  # a configured registry is the user's
    environment = clean_environment(home, npm_config_cache=str(ROOT / ".cache" / "npm"))
    done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock",
                           "--ignore-scripts"], cwd=directory, env=environment, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"npm install: {done.stderr[-2000:]}"
