# SPDX-License-Identifier: MIT
"""Tokens that do not allow it: the agent's exit code, the mount's, and that nothing changed."""

import os
import time

import pytest

import trees
from keeper import is_mounted

FOREIGN = "kka_000000000000_" + "A" * 43


@pytest.fixture
def pushed(agent, names, tmp_path):
    """A version v1 of `names`, and its source."""
    source = trees.small_tree(tmp_path / "source")
    agent.push(source, names.project, names.app, "v1")
    return source


def tokens(server, names):
    """Kind of token -> (its text, exit code of a pull, exit code of a push)."""
    expired = server.token("push,pull", project=names.project, expires="3s")
    revoked = server.token("push,pull", project=names.project)
    server.revoke(revoked)
    made = {
        "unknown": (FOREIGN, 4, 4),
        "not a token": ("hello", 4, 4),
        "expired": (expired, 4, 4),
        "revoked": (revoked, 4, 4),
        "wrong secret": (server.all_rights[:-4] + "AAAA", 4, 4),
        "foreign project": (server.token("push,pull", project="elsewhere"), 5, 5),
        "foreign app": (server.token("push,pull", project=names.project, app="else"), 5, 5),
        "pull only": (server.token("pull", project=names.project), 0, 4),
        "push only": (server.token("push", project=names.project), 4, 0),
    }
    until = time.monotonic() + 60
    while server.request("GET", "/api/v1/projects", token=expired).status != 401:
        assert time.monotonic() < until, "the token does not expire"
        time.sleep(0.05)
    return made


def test_each_kind_of_token(server, agent, names, pushed, tmp_path):
    """Foreign tokens see 404, so that they learn nothing; the stored version stays as it is."""
    faults = []
    for kind, (token, pull_code, push_code) in tokens(server, names).items():
        agent.use_token(token)
        copy = tmp_path / f"copy-{kind}"
        pull = agent.run("pull", copy, "--project", names.project, "--app", names.app, "--version",
                         "v1", "--json")
        push = agent.run("push", pushed, "--project", names.project, "--app", names.app,
                         "--version", f"by-{kind.replace(' ', '-')}", "--json")
        for done, code in ((pull, pull_code), (push, push_code)):
            if done.code != code:
                faults.append(f"{kind}: exit {done.code}, not {code}: {done!r}")
            if token in done.stdout or token in done.stderr:
                faults.append(f"{kind}: the token is printed")
        if pull_code and copy.exists() and set(os.listdir(copy)) - {".kkartifact"}:
            faults.append(f"{kind}: {os.listdir(copy)} was written")
    assert not faults, "\n".join(faults)
    agent.use_token(server.all_rights)
    listed = agent.run("list", f"{names.project}/{names.app}", "--json").expect(0).stdout
    assert '"v1"' in listed and '"by-push-only"' in listed and "by-revoked" not in listed


def test_a_refusal_names_what_the_token_lacks(server, agent, names, pushed, tmp_path):
    token = server.token("pull", project=names.project)
    path = f"/api/v1/projects/{names.project}/apps/{names.app}"
    answer = server.request("POST", f"{path}/promote", token=token, json_body={"version": "v1"})
    assert answer.status == 403 and answer.json()["detail"].endswith(": promote")
    answer = server.request("GET", "/api/v1/jobs", token=token)
    assert answer.status == 403 and answer.json()["detail"].endswith(": push")
    narrow = server.token("admin", project=names.project)
    answer = server.request("GET", "/api/v1/config", token=narrow)
    assert answer.status == 403
    assert answer.json()["detail"] == "the token is of a part of this only"


def test_revoked_while_it_is_used(server, names, pushed, tmp_path):
    """A token that worked a moment ago is refused by the very next request, without a restart."""
    token = server.token("pull", project=names.project)
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1"
    link = server.connect()
    assert server.request("GET", path, token=token, connection=link).status == 200
    server.revoke(token)
    deadline = time.monotonic() + 2
    while (status := server.request("GET", path, token=token, connection=link).status) != 401:
        assert status == 200 and time.monotonic() < deadline, status
    answer = server.request("GET", path, token=token, connection=link)
    assert (answer.status, answer.code) == (401, "token-revoked")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    link.close()


def test_a_token_is_not_taken_as_a_flag(agent):
    done = agent.run("list", "--token", FOREIGN)
    assert done.code == 2
    assert FOREIGN not in done.stderr


def test_token_by_environment(server, agent, names, pushed, tmp_path):
    environment = {**agent.environment, "KKARTIFACT_SERVER": server.url,
                   "KKARTIFACT_TOKEN": server.all_rights}
    agent.settings = {"project": names.project, "app": names.app}
    agent.write_config()
    done = agent.run("pull", tmp_path / "copy", "--version", "v1", env=environment).expect(0)
    assert server.all_rights not in done.stdout + done.stderr
    trees.assert_same(pushed, tmp_path / "copy")


@pytest.mark.parametrize("kind", ["unknown", "revoked", "not a token"])
def test_mount_with_a_bad_token(kind, server, names, new_mount):
    mount = new_mount(server.url, tokens(server, names)[kind][0], mounted=False)
    done = mount.try_mount()
    assert done.code == 4, done
    assert not is_mounted(mount.path)
    assert tokens(server, names)[kind][0] not in done.stderr


def test_mount_shows_what_the_token_may_see(server, names, pushed, new_mount):
    mine = new_mount(server.url, server.token("pull", project=names.project))
    assert os.listdir(mine.path) == [names.project]
    trees.assert_same(pushed, mine / names.project / names.app / "v1")
    other = new_mount(server.url, server.token("pull", project="elsewhere"))
    assert names.project not in os.listdir(other.path)
    assert not (other / names.project / names.app / "v1").exists()


def test_two_mounts_of_different_rights_share_a_cache_and_no_names(server, names, pushed,
                                                                   new_mount, tmp_path):
    cache = tmp_path / "shared-cache"
    with new_mount(server.url, server.token("pull", project=names.project), cache=cache) as mine:
        trees.assert_same(pushed, mine / names.project / names.app / "v1")
        other = new_mount(server.url, server.token("pull", project="elsewhere"), cache=cache)
        assert not (other / names.project / names.app / "v1").exists()


def test_revoked_mount_keeps_what_it_knows(server, names, pushed, agent, new_mount, tmp_path):
    token = server.token("pull", project=names.project)
    mount = new_mount(server.url, token)
    shown = mount / names.project / names.app / "v1"
    trees.assert_same(pushed, shown)
    server.revoke(token)
    trees.write(pushed, "more", b"x")
    agent.push(pushed, names.project, names.app, "v2")
    time.sleep(2.5)  # lists above a version live two seconds
    with pytest.raises(OSError) as refused:
        (mount / names.project / names.app / "v2").stat()
    assert refused.value.errno in (2, 13)  # ENOENT, EACCES
    assert (shown / "README.md").read_bytes() == b"tree 0\n"


def test_metrics_and_health_need_none_and_tell_no_secret(server):
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/version"):
        answer = server.request("GET", path)
        assert answer.status == 200, path
        assert server.all_rights.encode() not in answer.body


def test_the_log_tells_no_token(server, agent, names, pushed):
    refused = server.request("GET", f"/api/v1/projects/{names.project}/apps/none",
                             token=server.all_rights, headers={"X-Request-Id": names.project})
    assert refused.status == 404
    server.wait_for_log(f"request_id={names.project}")
    assert not any(server.all_rights in line for line in server.log)
