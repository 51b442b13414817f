# SPDX-License-Identifier: MIT
"""What the functional tests share: a server a worker, names of their own a test."""

import itertools
import pathlib
import shutil
import sys
import types

import pytest

HERE = pathlib.Path(__file__).resolve().parent
for folder in (HERE / "support", HERE.parent / "support", HERE.parent / "formats"):
    sys.path.insert(0, str(folder))

from agent import Agent  # noqa: E402
from keeper import Keeper  # noqa: E402
from mounts import Mount  # noqa: E402
from server import Server  # noqa: E402


NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def keeper():
    kept = Keeper()
    yield kept
    kept.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory, keeper):
    """One server for all tests of a worker that leave it as they found it."""
    with Server(tmp_path_factory.mktemp("server") / "data") as running:
        keeper.process(running.process.pid)
        running.all_rights = running.token("push,pull")
        yield running


@pytest.fixture
def new_server(tmp_path, keeper):
    """Makes servers that this test may kill: new_server(data=None, **options), started."""
    made = []

    def make(data=None, **options):
        one = Server(data or tmp_path / f"server-{len(made)}", **options)
        made.append(one)
        one.start()
        keeper.process(one.process.pid)
        one.all_rights = one.token("push,pull")
        return one

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def names(request):
    """A project and an app that no other test has."""
    stem = "".join(c if c.isalnum() else "-" for c in request.node.name)[:40].strip("-")
    return types.SimpleNamespace(project=f"{stem}-{next(NUMBERS)}", app="app")


@pytest.fixture
def agent(tmp_path, server):
    return Agent(tmp_path / "agent", server.url, server.all_rights)


@pytest.fixture
def new_mount(tmp_path, keeper):
    """Makes mounts: new_mount(url, token, **options), mounted; gone at the end."""
    made = []

    def make(url, token, *, mounted=True, **options):
        one = Mount(tmp_path / f"mount-{len(made)}", url, token, keeper, **options)
        made.append(one)
        return one.mount() if mounted else one

    yield make
    for one in reversed(made):
        one.drop()


@pytest.fixture
def mount(server, new_mount):
    """The mount of the shared server."""
    return new_mount(server.url, server.all_rights)


@pytest.fixture
def big_tmp(tmp_path):
    """tmp_path for what must not be kept: pytest keeps the folders of three runs."""
    path = tmp_path / "big"
    path.mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)
