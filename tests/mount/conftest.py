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

from agent import Agent, clean_environment  # noqa: E402
from fixtures import keeper, new_mount, new_server, server  # noqa: E402, F401
from mount_load import make_tree  # noqa: E402

WITHOUT_RESEND = "KKARTIFACT_FS_WITHOUT_RESEND"
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


@pytest.fixture
def tree(tmp_path):
    """A directory for the load (mount_load)."""
    return make_tree(tmp_path / "copy")


@pytest.fixture
def pushed(server, project, agent_push, tree):
    """(P, A, V) of that tree."""
    agent_push(server, tree, project, "app", "v1")
    return project, "app", "v1"


@pytest.fixture(params=["resend", "ring"])
def kernel(request, monkeypatch):
    """A kernel that sends again what was read, and one that cannot."""
    if request.param == "ring":
        monkeypatch.setenv(WITHOUT_RESEND, "1")
        # Mounts of tests leave out what could change them.
        monkeypatch.setattr("mounts.clean_environment",
                            lambda home: clean_environment(home, **{WITHOUT_RESEND: "1"}))
    return request.param
