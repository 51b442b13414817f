# SPDX-License-Identifier: MIT
"""LIFECYCLE "Promotion" with the agent: what promote and rollback print, their exit codes, and what
`@CHANNEL` and `latest` pull."""

import json

import pytest

import trees
from agent import Agent


class App:
    """Versions v1 to v3 of an app, each with its own tree, and an agent that may do everything."""

    def __init__(self, agent, names, tmp_path):
        self.agent = agent
        self.name = f"{names.project}/{names.app}"
        self.names = names
        self.tmp_path = tmp_path
        self.trees = {}
        for version in ("v1", "v2", "v3"):
            tree = tmp_path / f"tree-{version}"
            trees.write(tree, "which", version.encode())
            self.agent.push(tree, names.project, names.app, version)
            self.trees[version] = tree

    def run(self, verb, what="", *words, code=0):
        return self.agent.run(verb, f"{self.name}{what}", *words).expect(code)

    def pulled(self, reference):
        """The version that a pull of `reference` makes of a directory, and what is in it."""
        copy = self.tmp_path / f"copy-{reference.strip('@')}"
        version = self.agent.pull(copy, self.names.project, self.names.app, reference)["version"]
        trees.assert_same(self.trees[version], copy, without=trees.SHOWN)
        return version


@pytest.fixture
def app(server, names, tmp_path):
    token = server.token("admin", project=names.project)
    return App(Agent(tmp_path / "admin", server.url, token), names, tmp_path)


def test_promote_prints_the_version_and_one_object(app):
    assert app.run("promote", "/v1").stdout == f"{app.name}/v1\n"
    project, name = app.name.split("/")
    assert app.run("promote", "/v2", "--json", "--note", "why").json() == {
        "project": project, "app": name, "version": "v2", "channel": "live", "previous": "v1",
        "state": "promoted"}
    again = app.run("promote", "/v2", "--json")
    assert again.json()["state"] == "current"
    assert again.stderr == ""


def test_a_channel_points_at_a_ready_version(app):
    app.run("promote", "/v1", "--channel", "beta")
    assert app.pulled("@beta") == "v1"
    app.run("delete", "/v2")
    refused = app.run("promote", "/v2", "--channel", "beta", code=5)
    assert refused.stdout == "" and "in the trash" in refused.stderr
    app.run("promote", "/v9", code=5)
    assert app.pulled("@beta") == "v1"


def test_the_default_channel_is_live(app):
    app.run("promote", "/v2")
    assert app.pulled("@live") == "v2"
    app.agent.pull(app.tmp_path / "none", app.names.project, app.names.app, "@beta", code=5)


def test_expect_that_differs_is_a_conflict(app):
    refused = app.run("promote", "/v1", "--expect", "v2", code=6)
    assert "nothing is on channel live yet" in refused.stderr and refused.stdout == ""
    app.run("promote", "/v1", "--expect", "")
    refused = app.run("promote", "/v2", "--expect", "v3", code=6)
    assert "channel live is at v1" in refused.stderr
    app.run("promote", "/v2", "--expect", "v1")
    assert app.pulled("@live") == "v2"


def test_rollback_goes_to_the_previous_one_and_back(app):
    assert "nothing stood on channel live before" in app.run("rollback", code=6).stderr
    app.run("promote", "/v1")
    app.run("rollback", code=6)
    app.run("promote", "/v2")
    assert app.run("rollback").stdout == f"{app.name}/v1\n"
    assert app.pulled("@live") == "v1"
    back = app.run("rollback", "", "--json").json()
    assert (back["version"], back["previous"], back["state"]) == ("v2", "v1", "rolled-back")
    app.run("rollback", "", "--channel", "beta", code=6)


def test_rollback_to_a_version(app):
    for version in ("v1", "v2", "v3"):
        app.run("promote", f"/{version}", "--channel", "beta")
    assert app.run("rollback", "", "--channel", "beta", "--to", "v1").stdout == f"{app.name}/v1\n"
    assert app.pulled("@beta") == "v1"
    app.run("rollback", "", "--channel", "beta", "--to", "v9", code=5)


def test_rollback_without_the_right_to_pull(server, app):
    for version in ("v1", "v2"):
        app.run("promote", f"/{version}")
    app.agent.use_token(server.token("promote", project=app.names.project))
    assert app.run("rollback").stdout == f"{app.name}/v1\n"
    app.run("list", code=4)


def test_history_is_kept(server, app):
    app.run("promote", "/v1", "--note", "the first")
    app.run("promote", "/v2")
    app.run("promote", "/v2")
    app.run("rollback", "", "--note", "it broke")
    path = f"/api/v1/projects/{app.names.project}/apps/{app.names.app}/promotions"
    rows = server.request("GET", path, token=server.token("pull")).json()["items"]
    assert [(row["action"], row["version"], row.get("note")) for row in rows] == [
        ("rollback", "v1", "it broke"), ("promote", "v2", None), ("promote", "v1", "the first")]


def test_latest_is_what_is_live_else_the_newest_ready(app):
    assert app.pulled("latest") == "v3"
    app.run("promote", "/v2", "--channel", "beta")
    assert app.pulled("latest") == "v3"
    app.run("promote", "/v1")
    assert app.pulled("latest") == "v1"
    app.run("delete", "/v1", "--force")
    assert app.pulled("latest") == "v3"
    app.run("restore", "/v1")
    assert app.pulled("latest") == "v1"


def test_a_pulled_channel_follows_it(app):
    copy = app.tmp_path / "follows"
    pull = [copy, app.names.project, app.names.app, "@live"]
    for act, version in ((["promote", "/v1"], "v1"), (["promote", "/v3"], "v3"),
                         (["rollback"], "v1")):
        app.run(*act)
        assert app.agent.pull(*pull)["version"] == version
        assert (copy / "which").read_text() == version
    assert app.agent.pull(*pull)["state"] == "current"


def test_what_stands_on_another_channel_is_promoted(app):
    app.run("promote", "/v2", "--channel", "beta")
    assert app.run("promote", "@beta").stdout == f"{app.name}/v2\n"
    assert app.pulled("@live") == "v2"
    app.run("promote", "@none", code=5)


def test_list_and_show_tell_what_is_promoted(app):
    assert app.run("list").stdout == "v3\nv2\nv1\n"
    app.run("promote", "/v1")
    app.run("promote", "/v1", "--channel", "beta")
    app.run("promote", "/v3", "--channel", "next")
    assert app.run("list").stdout == "v3\t@next\nv2\nv1\t@beta,@live\n"
    listed = {item["version"]: item["channels"]
              for item in app.run("list", "", "--json").json()["items"]}
    assert listed == {"v1": ["beta", "live"], "v2": [], "v3": ["next"]}
    shown = app.run("show", "/v1").stdout
    assert "\nstate: ready\nchannels:\n  - beta\n  - live\n" in shown
    assert app.run("show", "/v1", "--json").json()["channels"] == ["beta", "live"]
    assert "channels" not in app.run("show", "/v2").stdout


@pytest.mark.parametrize("words", [
    ["promote", "P/A"], ["promote", "P"], ["promote", "P/A/latest"], ["promote", "P/A/v/path"],
    ["promote"], ["promote", "P/A/v1", "P/A/v2"], ["rollback", "P/A/v1"], ["rollback", "P/A@live"],
    ["rollback", "P"], ["delete", "P/A"], ["delete", "P/A/latest"], ["delete", "P/A@live"],
    ["restore", "P/A@live"], ["restore", "P/A/v1", "--force"], ["promote", "P/A/v1", "--to", "v"],
    ["delete", "P/A/../v1"]])
def test_wrong_use_is_exit_2(agent, words):
    done = agent.run(*words).expect(2)
    assert done.stdout == "" and done.stderr


@pytest.mark.parametrize("allow, words", [
    ("pull,push", ["promote", "/v2"]), ("pull,push", ["rollback"]),
    ("pull,push,promote", ["delete", "/v2"]), ("pull,push,promote", ["delete", "/v2", "--force"]),
    ("pull,push,promote", ["restore", "/v2"])])
def test_without_the_right_it_is_exit_4(server, app, allow, words):
    app.run("promote", "/v1")
    app.run("promote", "/v2")
    before = app.run("list", "", "--json").stdout
    app.agent.use_token(server.token(allow, project=app.names.project))
    assert app.run(*words, code=4).stdout == ""
    assert json.loads(app.run("list", "", "--json").stdout) == json.loads(before)


def test_a_foreign_token_sees_nothing(server, app):
    app.agent.use_token(server.token("admin", project="elsewhere"))
    for words in (["promote", "/v1"], ["rollback"], ["delete", "/v1"], ["restore", "/v1"]):
        assert app.run(*words, code=5).stdout == ""
