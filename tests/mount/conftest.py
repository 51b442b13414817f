# SPDX-License-Identifier: MIT
"""The mount, against a real server and a real kernel: what the tests of it share beside
tests/support."""

import contextlib
import itertools
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))

from agent import Agent  # noqa: E402
from fixtures import keeper, new_mount, new_server, server  # noqa: E402, F401

NUMBERS = itertools.count(1)


@pytest.fixture
def project():
    """A project that no other test has."""
    return f"p{os.getpid()}-{next(NUMBERS)}"


@pytest.fixture
def stack():
    """For what a test begins in a loop, to be ended at its end."""
    with contextlib.ExitStack() as made:
        yield made


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
    """agent_push(server, folder, project, app, version), with settings of the agent."""
    counter = itertools.count()

    def make(server, folder, *names, **settings):
        agent = Agent(tmp_path / f"pusher-{next(counter)}", server.url, server.all_rights,
                      **settings)
        return agent.push(folder, *names)

    return make
