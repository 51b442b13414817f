# SPDX-License-Identifier: MIT
"""Names that lead elsewhere, in every place that takes a name, sent as raw bytes."""

import pytest

import trees
import wire

SECRET = b"root:"  # how /etc/passwd begins

# Each stands for a name or a part of one.
CLIMBS = [b"..", b"%2e%2e", b"%2E%2E", b".%2e", b"%2e.", b"..%2f..", b"%2e%2e%2f", b"..%00", b"%00",
          b"a%00b", b"%2Fetc%2Fpasswd", b"..%5c..", b"%252e%252e", b"..;", b"%c0%ae%c0%ae", b".",
          b"%2e", b"", b"%", b"%2", b"%zz", b"%e2%80%ae", b"a%0d%0aX-Injected:%201", b"x" * 5000,
          b"....//....//", b"%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd"]

PLACES = [
    b"/%s",
    b"/api/v1/%s",
    b"/api/v1/projects/%s",
    b"/api/v1/projects/%s/apps",
    b"/api/v1/projects/P/apps/%s",
    b"/api/v1/projects/P/apps/%s/versions",
    b"/api/v1/projects/P/apps/A/versions/%s",
    b"/api/v1/projects/P/apps/A/versions/%s/meta.yaml",
    b"/api/v1/projects/P/apps/A/versions/%s/tree",
    b"/api/v1/projects/P/apps/A/versions/v1/files/%s",
    b"/api/v1/projects/P/apps/A/versions/v1/files/bin/%s",
    b"/api/v1/projects/P/apps/A/versions/v1/blobs/%s",
    b"/api/v1/projects/P/apps/A/versions/v1/blobs/%s/merkle",
    b"/api/v1/projects/P/apps/A/versions/v1/blobs/%s/chunks",
    b"/api/v1/projects/P/apps/A/versions/v1/%s",
    b"/api/v1/projects/P/apps/A/pushes/%s",
    b"/api/v1/projects/P/apps/A/pushes/%s/missing",
]

UNREADABLE = {400, 403, 404, 405, 414, 431}


@pytest.fixture
def pushed(agent, names, tmp_path):
    agent.push(trees.small_tree(tmp_path / "source"), names.project, names.app, "v1")
    return names


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.decode())
def test_in_the_path(place, server, pushed):
    """Nothing outside is read: refused or not there. A listing of its own is no harm."""
    place = place.replace(b"P", pushed.project.encode()).replace(b"A", pushed.app.encode())
    allowed = {b".", b"%2e", b""}  # an empty name may end in the list above it
    for climb in CLIMBS:
        answer = wire.exchange(server.port, wire.request(
            "GET", place.replace(b"%s", climb), server.all_rights))
        status = wire.status_of(answer)
        assert SECRET not in answer, climb
        assert b"\r\nX-Injected" not in answer, climb
        if climb in allowed:
            assert status is None or status < 500, (climb, answer[:300])
        else:
            assert status in UNREADABLE, (climb, answer[:300])
    assert server.request("GET", "/healthz").status == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "POST"])
def test_by_other_methods(method, server, pushed):
    for place in PLACES:
        place = place.replace(b"P", pushed.project.encode()).replace(b"A", pushed.app.encode())
        for climb in (b"..", b"%2e%2e%2f%2e%2e", b"a%00b"):
            data = wire.request(method, place.replace(b"%s", climb), server.all_rights,
                                [("Content-Length", "2"), ("Content-Type", "application/json")],
                                b"{}")
            status = wire.status_of(wire.exchange(server.port, data))
            assert status is not None and 400 <= status < 500, (method, place, climb, status)


@pytest.mark.parametrize("key", ["version", "base"])
@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc", "a\0b", "", "-x", "x" * 129, "a\nb",
                                  ".hidden", "latest", "@live", "é"])
def test_in_the_body_of_a_push(key, name, server, names):
    answer = server.request("POST", f"/api/v1/projects/{names.project}/apps/{names.app}/pushes",
                            token=server.all_rights, json_body={key: name})
    if key == "base" and answer.status == 201:
        return  # a base that is not known is no base
    assert 400 <= answer.status < 500, answer
    assert answer.code in ("validation", "not-found", "bad-request", "malformed-json"), answer


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc/passwd", "", "-x", "x" * 64, "a b",
                                  ".x", "%2e%2e"])
def test_in_the_flags_of_the_agent(name, agent, server, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    for flag in ("--project", "--app", "--version"):
        if flag == "--version" and name == "x" * 64:
            continue  # versions may have 128
        words = {"--project": "p", "--app": "a", "--version": "v", flag: name}
        done = agent.run("push", source, *(word for pair in words.items() for word in pair))
        assert done.code in (2, 3), (flag, done)
        done = agent.run("pull", tmp_path / "copy",
                         *(word for pair in words.items() for word in pair))
        assert done.code in (2, 3), (flag, done)
    assert not (tmp_path / "copy/README.md").exists()


def test_in_the_mount(server, agent, names, pushed, mount):
    """No name above a version that the API would refuse is even asked for."""
    for name in ("...", "-x", ".x", "x" * 200, "a b", "%2e%2e", "a\\b", "\n", "é"):
        for place in (mount.path, mount / names.project, mount / names.project / names.app):
            assert not (place / name).exists(), (place, name)
    assert mount.status()["integrity_failures"] == 0


def test_in_the_command_line_of_the_server(new_server):
    server = new_server()
    for flag in ("--project", "--app"):
        for name in ("..", "a/b", "", "x" * 64):
            words = {"--project": "p", flag: name}
            done = server.command("token", "create", "--name", "t",
                                  *(word for pair in words.items() for word in pair))
            assert done.returncode == 2, (flag, name, done)
            assert done.stdout == ""
