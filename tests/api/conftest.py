# SPDX-License-Identifier: MIT
"""One running server for the cases of a file, with tokens of every kind and a version in it."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))

from pusher import Pusher  # noqa: E402
from sample import TREE  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server") / "data",
                environment={"KKARTIFACT_LOG_LEVEL": "debug"}) as running:
        yield running


@pytest.fixture(scope="module")
def admin(server):
    return server.token("push,pull,promote,admin", name="admin")


@pytest.fixture(scope="module")
def version(server, admin):
    """demo/app/v1 with TREE; the version object of its commit."""
    pusher = Pusher(server, admin, "demo", "app")
    return pusher.push(TREE, version="v1")
