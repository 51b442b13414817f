# SPDX-License-Identifier: MIT
"""Whoever is not root can run the unit tests: those that mount do it in a world of their own."""

import re

import pytest

from other_user import OtherUser


@pytest.mark.plain_only
@pytest.mark.parametrize("name", ["test_blob_cache", "test_blob_store_file", "test_file",
                                  "test_session"])
def test_unit_tests_of_mounts_run_without_root(name, keeper):
    with OtherUser(keeper) as user:
        user.environment["CMOCKA_MESSAGE_OUTPUT"] = "TAP"
        done = user.run(user.program(name), within=120).expect(0)
        assert re.search("^ok ", done.stdout, re.M), done
        assert "SKIP" not in done.stdout and "not ok" not in done.stdout, done
