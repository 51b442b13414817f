# SPDX-License-Identifier: MIT
"""Listing and times of a push go as deltas from those of the last push from here; whatever does not
work out, they go in zstd."""

import os
import random
import shutil

import pytest

from support import write

NUMBERS = random.Random(7)


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    for number in range(1000):
        write(root, f"{number % 20}/file {number}", NUMBERS.randbytes(20), mtime=1_600_000_000)
    return root


def put(origin, what):
    return sum(request.startswith("PUT") and request.endswith(what)
               for request in origin.state.requests)


@pytest.fixture
def changed(agent, origin, source):
    agent.push(source, "v1")
    write(source, "7/file 7", b"changed")
    origin.state.requests.clear()
    return source


def hints(agent):
    return agent.token.parent / ".cache/kkartifact/agent/hints"


def test_deltas_from_the_last_push(agent, origin, changed):
    assert agent.push(changed, "v2")["sent_bytes"] < 4000
    assert origin.state.taken == ["listing", "times"]
    write(changed, "3/new", b"new")
    done = agent.run("push", changed, "--verbose", "--version", "v3")
    assert "the listing: delta, " in done.words and "the times: delta, " in done.words
    assert origin.state.taken == ["listing", "times"] * 2
    assert sorted(name[65:] for name in os.listdir(hints(agent))) == ["listing", "times"]


def test_a_server_that_has_the_last_ones_no_more(agent, origin, changed):
    for name in ("content", "times"):
        del origin.state.blobs[origin.state.versions["p", "a", "v1"][0][name]]
    agent.push(changed, "v2")
    assert not origin.state.taken and put(origin, "listing") == put(origin, "times") == 2


@pytest.mark.parametrize("status", [404, 403, 413, 415, 422, 500])
def test_deltas_that_are_refused(agent, origin, changed, status):
    agent.config.write_text(agent.config.read_text() + "retries: 0\n")
    origin.state.fail = lambda request: (status if request.startswith("PUT")
                                         and put(origin, request[-5:]) == 1 else None)
    assert agent.push(changed, "v2")["state"] == "created"
    assert not origin.state.taken and put(origin, "listing") == put(origin, "times") == 2


def test_another_app_knows_nothing_of_it(agent, origin, changed):
    agent.push(changed, "v1", "--app", "other")
    assert not origin.state.taken and put(origin, "listing") == 1


def test_damaged_and_lost_hints(agent, origin, changed):
    for name in os.listdir(hints(agent)):
        (hints(agent) / name).write_bytes(b"damage" * 10)
    agent.push(changed, "v2")
    shutil.rmtree(hints(agent))
    write(changed, "7/file 7", b"changed again")
    agent.push(changed, "v3")
    assert not origin.state.taken
    write(changed, "7/file 7", b"and again")
    agent.push(changed, "v4")
    assert origin.state.taken == ["listing", "times"]


def test_a_tree_with_nothing_in_common(agent, origin, changed, tmp_path):
    for number in range(300):
        write(tmp_path / "another", f"other {number}", NUMBERS.randbytes(20), mtime=number)
    agent.push(tmp_path / "another", "v2")
    assert "listing" not in origin.state.taken
    assert ("p", "a", "v2") in origin.state.versions
