# SPDX-License-Identifier: MIT
"""Leases by the agent: a pull says what is in use where; `hosts` shows it, `wait` waits for it."""

import contextlib
import os
import signal
import socket
import sqlite3
import urllib.parse

import pytest

import trees
from agent import Agent
from proxies import LyingProxy
from server import Server

API = "/api/v1"


@pytest.fixture
def two(server, tmp_path):
    """The agents of two hosts."""
    return [Agent(tmp_path / name, server.url, server.all_rights, host=name)
            for name in ("web1", "web2")]


@pytest.fixture
def version(agent, names, tmp_path):
    tree = trees.small_tree(tmp_path / "tree")
    agent.push(tree, names.project, names.app, "v1")
    return f"{names.project}/{names.app}/v1"


def pull(agent, version, dest, *words):
    project, app, name = version.split("/")
    return agent.pull(dest, project, app, name, *words)


def hosts(agent, what):
    return agent.run("hosts", what, "--json").expect().json()["items"]


def pulls_of(server, project):
    """How many events `version.pulled` there are of it."""
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db")) as database:
        return database.execute("SELECT count(*) FROM events WHERE type = 'version.pulled'"
                                " AND project = ?", (project,)).fetchone()[0]


def make_stale(server, host, project):
    """As if that host had missed two renewals."""
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=30)) as database:
        changed = database.execute(
            "UPDATE leases SET renewed_at = renewed_at - 7300 WHERE host = ? AND version_id IN"
            " (SELECT v.id FROM versions v JOIN apps a ON a.id = v.app_id"
            " JOIN projects p ON p.id = a.project_id WHERE p.name = ?)", (host, project))
        assert changed.rowcount == 1
        database.commit()


def test_two_hosts_say_what_they_pulled(server, two, version, names, tmp_path):
    os.symlink(two[0].directory, tmp_path / "way")
    pull(two[0], version, tmp_path / "way" / "copy")
    pull(two[1], version, tmp_path / "b" / "copy", "--exchange")
    items = hosts(two[0], f"{names.project}/{names.app}")
    assert [(item["host"], item["place"]) for item in items] == [
        ("web1", str((two[0].directory / "copy").resolve())),
        ("web2", str((tmp_path / "b" / "copy").resolve()))]
    for item in items:
        assert "/".join(item[key] for key in ("project", "app", "version")) == version
        assert (item["mode"], item["state"], item["stale"]) == ("pull", "complete", False)
    assert pulls_of(server, names.project) == 2


def test_a_table_of_hosts(server, two, version, names, tmp_path):
    for agent in two:
        pull(agent, version, agent.directory / "co\npy")
    make_stale(server, "web1", names.project)
    done = two[0].run("hosts", names.project).expect()
    titles, first, second = (line.split() for line in done.stdout.splitlines())
    assert titles == ["HOST", "VERSION", "MODE", "STATE", "RENEWED", "PLACE"]
    assert first[:4] == ["web1", version, "pull", "complete,stale"]
    assert second[:4] == ["web2", version, "pull", "complete"]
    assert first[5].endswith("/web1/co\\012py")
    assert [item["stale"] for item in hosts(two[0], version)] == [True, False]
    assert two[0].run("hosts", f"{names.project}/none").expect().stdout.splitlines() \
        == ["HOST  VERSION  MODE  STATE  RENEWED  PLACE"]


def test_a_place_does_not_steer_the_terminal(server, agent, version):
    """Whoever may pull names a place as they like."""
    project, app, name = version.split("/")
    place = "/\x1b[2J\u009b2J\u202egnp.\u2028\\/\u00e4"
    server.request("PUT", "/api/v1/hosts/odd/leases", token=server.all_rights, json_body={
        "leases": [{"project": project, "app": app, "version": name, "place": place,
                    "mode": "pull", "state": "complete"}]})
    line, = [line for line in agent.run("hosts", version).expect().stdout.split("\n")
             if line.startswith("odd ")]
    assert line.endswith(" /\\033[2J\\302\\2332J\\342\\200\\256gnp.\\342\\200\\250\\134/\u00e4")
    assert [item["place"] for item in hosts(agent, version) if item["host"] == "odd"] == [place]


def test_the_name_of_the_system_is_the_host(agent, version, names, tmp_path):
    pull(agent, version, tmp_path / "copy")
    item, = hosts(agent, version)
    assert item["host"] == socket.gethostname()


def test_the_setting_host(agent, version, tmp_path):
    agent.environment["KKARTIFACT_HOST"] = "from-environment"
    pull(agent, version, tmp_path / "copy")
    assert [item["host"] for item in hosts(agent, version)] == ["from-environment"]
    agent.environment["KKARTIFACT_HOST"] = "a b"
    done = agent.run("pull", tmp_path / "copy").expect(3)
    assert "host" in done.stderr


def test_a_later_pull_renews_also_when_it_is_current(server, two, version, tmp_path):
    admin = server.token("admin")
    pull(two[0], version, tmp_path / "copy")
    item, = hosts(two[0], version)
    place = urllib.parse.quote(item["place"], safe="")
    assert server.request("DELETE", f"{API}/hosts/web1/leases/{place}", token=admin).status == 204
    assert hosts(two[0], version) == []
    assert pull(two[0], version, tmp_path / "copy")["state"] == "current"
    assert [item["place"] for item in hosts(two[0], version)] == [str(tmp_path / "copy")]


def test_another_version_takes_the_place(server, agent, two, version, names, tmp_path):
    tree = trees.small_tree(tmp_path / "more")
    trees.write(tree, "more", b"x")
    agent.push(tree, names.project, names.app, "v2")
    pull(two[0], version, tmp_path / "copy")
    pull(two[0], version.replace("/v1", "/v2"), tmp_path / "copy")
    item, = hosts(two[0], names.project)
    assert item["version"] == "v2"
    assert pulls_of(server, names.project) == 2


def test_a_pull_is_counted_once(server, two, version, names, tmp_path):
    for copy in ("one", "two", "one"):
        pull(two[0], version, tmp_path / copy)
    assert pulls_of(server, names.project) == 1
    assert len(hosts(two[0], version)) == 2


def test_a_dry_run_says_nothing(server, two, version, names, tmp_path):
    pull(two[0], version, tmp_path / "copy", "--dry-run")
    assert hosts(two[0], version) == []
    assert pulls_of(server, names.project) == 0


def test_a_report_that_fails_is_a_warning(server, version, tmp_path):
    def fail(reply):
        reply.status, reply.body, reply.headers = 503, b"", []

    with LyingProxy(server) as proxy:
        agent = Agent(tmp_path / "behind", proxy.url, server.all_rights)
        proxy.lie("/leases$", fail, method="PUT")
        words = ["--project", version.split("/")[0], "--app", "app"]
        done = agent.run("pull", tmp_path / "copy", *words).expect()
        assert done.stdout == f"{version}\n"
        assert "warning: the server was not told that this version is in use here" in done.stderr
        done = agent.run("pull", tmp_path / "copy", *words, "--quiet").expect()
        assert done.stderr == ""


def test_a_server_that_knows_no_leases_is_no_failure(server, version, tmp_path):
    def unknown(reply):
        reply.status, reply.body, reply.headers = 404, b"", []

    with LyingProxy(server) as proxy:
        agent = Agent(tmp_path / "behind", proxy.url, server.all_rights)
        proxy.lie("/leases$", unknown, method="PUT")
        proxy.lie("/pulls$", unknown, method="POST")
        words = ["--project", version.split("/")[0], "--app", "app"]
        done = agent.run("pull", tmp_path / "copy", *words).expect()
        assert (done.stdout, done.stderr) == (f"{version}\n", "")
        done = agent.run("pull", tmp_path / "copy", *words, "--verbose").expect()
        assert "the server was not told" in done.stderr


def line_of(process):
    return process.stderr.readline().decode()


def test_wait_for_two_hosts(two, agent, version, tmp_path):
    with agent.start("wait", version, "--hosts", "2") as waiting:
        assert line_of(waiting) == f"kkartifact-agent: 0 of 2 hosts have {version}\n"
        pull(two[0], version, tmp_path / "a")
        pull(two[0], version, tmp_path / "b")  # the same host again
        assert line_of(waiting) == f"kkartifact-agent: 1 of 2 hosts have {version}\n"
        pull(two[1], version, tmp_path / "c")
        output, words = waiting.communicate(timeout=120)
    assert (waiting.returncode, output) == (0, b"web1\nweb2\n")
    assert words.decode() == f"kkartifact-agent: 2 of 2 hosts have {version}\n"
    project, app, name = version.split("/")
    told = agent.run("wait", version, "--hosts", "2", "--json").expect().json()
    assert told.pop("duration_ms") >= 0
    assert told == {"project": project, "app": app, "version": name, "wanted": 2,
                    "hosts": ["web1", "web2"]}


def test_wait_ends_at_its_limit(two, agent, version, tmp_path):
    pull(two[0], version, tmp_path / "a")
    done = agent.run("wait", version, "--hosts", "2", "--timeout", "1s", "--progress",
                     "none").expect(1)
    assert done.stdout == "web1\n"
    assert done.stderr == f"kkartifact-agent: 1 of 2 hosts have {version} after 1s\n"
    agent.run("wait", version, "--timeout", "1s").expect()  # one is enough


def test_wait_does_not_count_the_stale(server, two, agent, version, names, tmp_path):
    for one in two:
        pull(one, version, tmp_path / one.settings["host"])
    make_stale(server, "web1", names.project)
    done = agent.run("wait", version, "--hosts", "2", "--timeout", "1s").expect(1)
    assert done.stdout == "web2\n"


def test_wait_for_what_latest_was_when_it_began(two, agent, version, names, tmp_path):
    pull(two[0], version, tmp_path / "a")
    told = agent.run("wait", f"{names.project}/{names.app}/latest", "--json").expect().json()
    assert told["version"] == "v1"


def test_wait_is_interrupted(agent, version):
    with agent.start("wait", version) as waiting:
        assert line_of(waiting).endswith(f"0 of 1 hosts have {version}\n")
        waiting.send_signal(signal.SIGINT)
        output, words = waiting.communicate(timeout=60)
    assert (waiting.returncode, output) == (130, b"")


def test_wait_outlives_a_server_that_goes_and_comes(new_server, tmp_path):
    server = new_server()
    agent = Agent(tmp_path / "agent", server.url, server.all_rights, retries=0)
    agent.push(trees.small_tree(tmp_path / "tree"), "p", "a", "v1")
    with agent.start("wait", "p/a/v1", "--timeout", "5m", "--verbose") as waiting:
        assert "0 of 1 hosts" in line_of(waiting)
        port = server.port
        server.kill()
        while "127.0.0.1" not in (line := line_of(waiting)):
            assert line, "it ended"
        with Server(server.data, listen=f"127.0.0.1:{port}"):
            agent.pull(tmp_path / "copy", "p", "a", "v1")
            waiting.communicate(timeout=120)
    assert waiting.returncode == 0


@pytest.mark.parametrize("words, code", [
    (["wait"], 2), (["wait", "p/a"], 2), (["wait", "p/a/v/path"], 2),
    (["wait", "p/a/v", "--hosts", "0"], 2), (["wait", "p/a/v", "--hosts", "x"], 2),
    (["wait", "p/a/v", "--timeout", "soon"], 2), (["wait", "p/a/v", "--progress", "x"], 2),
    (["wait", "no-such/a/v"], 5), (["wait", "no-such/a/latest"], 5),
    (["hosts", "p/a/latest"], 2), (["hosts", "p/a/v/path"], 2), (["hosts", ".."], 2),
    (["hosts", "p", "a"], 2)])
def test_what_is_said_wrong(agent, words, code):
    agent.run(*words).expect(code)


def test_a_token_that_may_not_pull(server, agent, version):
    agent.use_token(server.token("push"))
    agent.run("hosts").expect(4)
    agent.run("wait", version).expect(4)
