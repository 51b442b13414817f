# SPDX-License-Identifier: MIT
"""The mount, against a real server and a real kernel. Servers, mounts and proxies are those of the
functional tests; here stands what is the mount's own business."""

import itertools
import os
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
for folder in (HERE, TESTS / "functional" / "support", TESTS / "support", TESTS / "formats"):
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
    with Server(tmp_path_factory.mktemp("server") / "data") as running:
        keeper.process(running.process.pid)
        running.all_rights = running.token("push,pull")
        yield running


@pytest.fixture
def new_server(tmp_path, keeper):
    """Makes servers that this test may kill."""
    made = []

    def make(data=None, **options):
        one = Server(data or tmp_path / f"server-{len(made)}", **options)
        made.append(one)
        one.start()
        keeper.process(one.process.pid)
        one.all_rights = one.token("push,pull,admin")
        return one

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def project():
    """A project that no other test has."""
    return f"p{os.getpid()}-{next(NUMBERS)}"


@pytest.fixture
def new_mount(tmp_path, keeper):
    """new_mount(url, token, **options): mounted; gone at the end."""
    made = []

    def make(url, token, *, mounted=True, **options):
        one = Mount(tmp_path / f"mount-{len(made)}", url, token, keeper, **options)
        made.append(one)
        return one.mount() if mounted else one

    yield make
    for one in reversed(made):
        one.drop()


@pytest.fixture
def push(tmp_path):
    """push(server, "P/A/V", {path: bytes}): through the agent."""
    counter = itertools.count()

    def make(server, name, files):
        number = next(counter)
        source = tmp_path / f"source-{number}"
        source.mkdir()
        for path, data in files.items():
            where = source / path
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_bytes(data)
        agent = Agent(tmp_path / f"agent-{number}", server.url, server.all_rights)
        agent.push(source, *name.split("/"))
        return source

    return make


@pytest.fixture
def agent_push(tmp_path):
    """agent_push(server, folder, project, app, version)."""
    counter = itertools.count()

    def make(server, folder, *names):
        agent = Agent(tmp_path / f"pusher-{next(counter)}", server.url, server.all_rights)
        return agent.push(folder, *names)

    return make
