# SPDX-License-Identifier: MIT
"""fixtures - what every suite against real programs begins with: a server, servers that may die,
mounts; and somebody who ends them all.

A conftest.py takes them by name:

    from fixtures import keeper, new_mount, new_server, server
"""

import shutil

import pytest

from keeper import Keeper
from mounts import Mount
from server import Server


@pytest.fixture(scope="session")
def keeper():
    kept = Keeper()
    yield kept
    kept.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory, keeper):
    """One server for the tests of a file that leave it as they found it; what they pushed would
    fill a small disk by the end of a run."""
    data = tmp_path_factory.mktemp("server") / "data"
    with Server(data) as running:
        keeper.process(running.process.pid)
        running.all_rights = running.token("push,pull")
        yield running
    shutil.rmtree(data)


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
