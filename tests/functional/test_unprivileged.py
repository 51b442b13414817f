# SPDX-License-Identifier: MIT
"""Whoever is not root can run the unit tests: those that mount do it in a world of their own. And
he can pull what he may not read or write once it is there."""

import os
import re

import pytest

import trees
from other_user import OtherUser


@pytest.mark.plain_only
@pytest.mark.parametrize("name", ["test_blob_cache", "test_blob_store_file", "test_file",
                                  "test_object", "test_session"])
def test_unit_tests_of_mounts_run_without_root(name, keeper):
    with OtherUser(keeper) as user:
        user.environment["CMOCKA_MESSAGE_OUTPUT"] = "TAP"
        done = user.run(user.program(name), within=120).expect(0)
        assert re.search("^ok ", done.stdout, re.M), done
        assert "SKIP" not in done.stdout and "not ok" not in done.stdout, done


@pytest.mark.plain_only
def test_modes_that_keep_their_owner_out(agent, server, names, keeper, tmp_path):
    """Twice the same bytes, so that one file is made from the other."""
    source = tmp_path / "source"
    for mode in (0o200, 0o100, 0o444, 0o000):
        for number in range(2):
            trees.write(source, f"{mode:o}-{number}", b"%o" % mode * 500, mode)
    agent.push(source, names.project, names.app, "v1")
    with OtherUser(keeper) as user:
        token = user.write("token", server.all_rights + "\n")
        config = user.write("agent.yml", f"server: {server.url}\ntoken_file: {token}\n"
                                         f"project: {names.project}\napp: {names.app}\n")
        for _ in range(2):
            user.run(user.program("kkartifact-agent"), "pull", user.home / "copy", "--version",
                     "v1", "--config", config).expect(0)
            trees.assert_same(source, user.home / "copy")


@pytest.mark.plain_only
def test_a_directory_that_may_not_be_written_to_stays_as_it_is(agent, server, names, keeper,
                                                               tmp_path):
    """It is refused before the first file changes, not in the middle."""
    for version in ("v1", "v2"):
        trees.write(tmp_path / version, "deep/file", version.encode())
        trees.write(tmp_path / version, "top", version.encode())
        agent.push(tmp_path / version, names.project, names.app, version)
    with OtherUser(keeper) as user:
        token = user.write("token", server.all_rights + "\n")
        config = user.write("agent.yml", f"server: {server.url}\ntoken_file: {token}\n"
                                         f"project: {names.project}\napp: {names.app}\n")

        def pull(version):
            return user.run(user.program("kkartifact-agent"), "pull", user.home / "copy",
                            "--version", version, "--config", config)
        pull("v1").expect(0)
        os.chmod(user.home / "copy", 0o500)
        assert "may not be written" in pull("v2").expect(9).stderr
        trees.assert_same(tmp_path / "v1", user.home / "copy")
        os.chmod(user.home / "copy", 0o700)
        pull("v2").expect(0)
        trees.assert_same(tmp_path / "v2", user.home / "copy")
