# SPDX-License-Identifier: MIT
"""The settings that are changed while the server runs."""

import pytest

PATH = "/api/v1/config"


def settings(answer):
    assert answer.status == 200, answer
    return {item["key"]: item for item in answer.json()["items"]}


def patch(server, token, **members):
    return server.request("PATCH", PATH, token=token, json_body=members)


def test_what_is_shown(server, admin):
    shown = settings(server.request("GET", PATH, token=admin))
    assert set(shown) == {"trash_age", "collect_grace", "retain_versions", "retain_min_age",
                          "job_age", "event_age", "audit_age", "retention_schedule", "time_zone"}
    for item in shown.values():
        assert item["value"] == item["default"]
        assert item["help"]
        assert item["max"] > 0
        assert "updated_at" not in item
    assert shown["retain_versions"]["default"] == "10"
    assert shown["retention_schedule"]["default"] == "0 3 * * *"


def test_changing_and_back(server, admin):
    shown = settings(patch(server, admin, retain_versions=3, trash_age="3d",
                           time_zone="Asia/Tokyo"))
    assert shown["retain_versions"]["value"] == "3"
    assert shown["trash_age"]["value"] == "3d"
    assert shown["time_zone"]["value"] == "Asia/Tokyo"
    assert shown["trash_age"]["updated_at"].endswith("Z")
    assert shown["trash_age"]["updated_by"] == "admin"
    assert settings(server.request("GET", PATH, token=admin)) == shown
    back = settings(patch(server, admin, retain_versions=None, trash_age=None, time_zone=None))
    assert all(item["value"] == item["default"] for item in back.values())


@pytest.mark.parametrize("members, pointer", [
    ({"trash_age": "soon"}, "/trash_age"), ({"retain_versions": -1}, "/retain_versions"),
    ({"retain_versions": 1_000_001}, "/retain_versions"),
    ({"retention_schedule": "61 * * * *"}, "/retention_schedule"),
    ({"time_zone": "../../../etc/passwd"}, "/time_zone"), ({"listen": "0.0.0.0:1"}, ""),
    ({"retention.next": "0"}, ""), ({"trash_age": True}, ""),
    ({"job_age": "5d", "trash_age": "x" * 200}, "/trash_age"),
])
def test_what_is_refused_changes_nothing(server, admin, members, pointer):
    answer = patch(server, admin, **members)
    assert (answer.status, answer.code) == (422, "validation")
    assert answer.json()["errors"][0]["pointer"] == pointer
    shown = settings(server.request("GET", PATH, token=admin))
    assert all(item["value"] == item["default"] for item in shown.values())
