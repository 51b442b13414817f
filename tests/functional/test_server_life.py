# SPDX-License-Identifier: MIT
"""The server's life: started, stopped, started again; its command line and settings."""

import json
import os
import signal
import socket
import time

import pytest

import trees
from agent import Agent, clean_environment, run
from server import Server, program


def serve(data, *words, environment=None, within=30):
    """A server that is expected to end by itself."""
    return run([program("kkartifact-server"), "serve", "--data", data, *words], within=within,
               env=environment or clean_environment(data.parent))


def test_restart_keeps_everything(new_server, names, tmp_path):
    server = new_server()
    source = trees.small_tree(tmp_path / "source")
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    agent.push(source, names.project, names.app, "v1")
    path = f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1"
    before = server.request("GET", path, token=server.all_rights).json()
    store = server.request("GET", "/api/v1/version").json()["store"]
    assert server.stop() == 0
    server.start()
    assert server.request("GET", path, token=server.all_rights).json() == before
    assert server.request("GET", "/api/v1/version").json()["store"] == store
    agent.settings["server"] = server.url
    agent.write_config()
    agent.pull(tmp_path / "copy", names.project, names.app, "v1", "--full-check")
    trees.assert_same(source, tmp_path / "copy")
    assert agent.push(source, names.project, names.app, "v1")["state"] == "exists"


def test_token_with_the_server_stopped(new_server, tmp_path):
    server = new_server()
    server.stop()
    stopped = server.token("pull")
    revoked = server.token("pull")
    server.revoke(revoked)
    server.start()
    running = server.token("pull")
    for token, status in ((stopped, 200), (running, 200), (revoked, 401)):
        assert server.request("GET", "/api/v1/projects", token=token).status == status


def test_token_of_a_new_data_directory(new_server, tmp_path):
    """The very first thing on a new machine; neither project nor app exist yet."""
    server = Server(tmp_path / "new")
    token = server.token("push,pull", project="not", app="yet")
    assert token.startswith("kka_") and "\n" not in token and len(token) == 60
    server = new_server(tmp_path / "new")
    agent = Agent(tmp_path / "agent", server.url, token)
    source = trees.small_tree(tmp_path / "source")
    assert agent.push(source, "not", "yet")["state"] == "created"
    agent.push(source, "not", "other", code=5)


@pytest.mark.parametrize("words", [["fsck"], ["fsck", "--full", "--repair"], ["gc"],
                                   ["gc", "--dry-run"], ["backup", "copy"], ["token", "list"],
                                   ["token", "revoke", "abcdefghijkl"]], ids=" ".join)
@pytest.mark.parametrize("is_there", [False, True])
def test_a_data_directory_that_is_none(words, is_there, tmp_path):
    """A wrong path, or a disk that is not mounted, is no store in which all is well."""
    data = tmp_path / "data"
    if is_there:
        data.mkdir()
    done = run([program("kkartifact-server"), *words, "--data", data], cwd=tmp_path,
               env=clean_environment(tmp_path))
    assert done.code == 1 and done.stdout == ""
    assert f"{data}/kkartifact.db" in done.stderr and "No such file" in done.stderr
    assert not (tmp_path / "copy").exists()
    assert data.exists() == is_there and (not is_there or not any(data.iterdir()))


def test_token_list_and_json(new_server, tmp_path):
    server = new_server()
    made = json.loads(server.command("token", "create", "--name", "ci", "--project", "p",
                                     "--allow", "push", "--expires", "90d", "--json").stdout)
    listed = server.command("token", "list", "--json")
    assert listed.returncode == 0
    secret = made["token"].split("_", 2)[2]
    assert made["token"] not in listed.stdout and secret not in listed.stdout
    entry = [item for item in json.loads(listed.stdout)["items"] if item["name"] == "ci"]
    assert len(entry) == 1 and entry[0]["project"] == "p"
    database = (server.data / "kkartifact.db").read_bytes() + b"".join(
        path.read_bytes() for path in server.data.glob("kkartifact.db-wal"))
    assert secret.encode() not in database


def test_unknown_token_id(new_server):
    server = new_server()
    done = server.command("token", "revoke", "000000000000")
    assert done.returncode == 1 and "no token" in done.stderr


def test_used_port(new_server, tmp_path):
    server = new_server()
    done = serve(tmp_path / "other", "--listen", f"127.0.0.1:{server.port}")
    assert done.code in (1, 2), done
    assert str(server.port) in done.stderr and "in use" in done.stderr
    assert server.request("GET", "/healthz").status == 200


def test_two_servers_on_one_data_directory(new_server):
    """Refused, or both are right (the database arbitrates); never a damaged store."""
    server = new_server()
    done = run(["timeout", "-s", "TERM", "3", program("kkartifact-server"), "serve", "--data",
                server.data, "--listen", "127.0.0.1:0"], env=clean_environment(server.data.parent))
    assert done.code in (0, 1, 2, 124), done
    assert server.request("GET", "/readyz").status == 200


@pytest.mark.parametrize("text, key", [
    ("unknown_key: 1\n", "unknown_key"), ("listen: [1, 2]\n", "listen"),
    ("listen: nowhere\n", "listen"), ("log_level: loud\n", "log_level"),
    ("log_format: xml\n", "log_format"), ("database: mysql:x\n", "database"),
    ("storage: ftp://x\n", "storage"), ("cache: memcached\n", "cache"),
    ("listen: 127.0.0.1:99999\n", "listen"), ("listen: \"127.0.0.1:0\"\nlisten: x\n", "listen"),
    ("a: &x 1\nb: *x\n", ""), ("listen: !!str x\n", ""), ("- a\n", ""), ("\t\n:", ""),
    ("{" * 5000, "")])
def test_wrong_settings_file(text, key, tmp_path):
    """Exit 2; the key, its place (file and line) and what is allowed."""
    config = tmp_path / "server.yml"
    config.write_text(text)
    done = serve(tmp_path / "data", "--listen", "127.0.0.1:0", "--config", config) \
        if "listen" not in text else serve(tmp_path / "data", "--config", config)
    assert done.code == 2, done
    assert str(config) in done.stderr and key in done.stderr, done
    assert not (tmp_path / "data").exists(), "nothing is made before the settings are right"


def test_settings_file_that_cannot_be_read(tmp_path):
    done = serve(tmp_path / "data", "--config", tmp_path / "absent.yml")
    assert done.code == 2 and "absent.yml" in done.stderr


def test_wrong_environment(tmp_path):
    environment = clean_environment(tmp_path, KKARTIFACT_LOG_LEVEL="loud")
    done = serve(tmp_path / "data", "--listen", "127.0.0.1:0", environment=environment)
    assert done.code == 2 and "KKARTIFACT_LOG_LEVEL" in done.stderr, done


def test_precedence_and_config_verb(tmp_path):
    """Flag > environment > file > default; `config` says where each comes from, and no secret."""
    config = tmp_path / "server.yml"
    config.write_text("log_level: warning\nlog_format: json\nmetrics_token: hush-hush\n")
    environment = clean_environment(tmp_path, KKARTIFACT_LOG_LEVEL="error")
    done = run([program("kkartifact-server"), "config", "--json", "--config", config, "--data",
                tmp_path / "data"], env=environment).expect(0)
    settings = done.json()
    assert settings["log_level"]["value"] == "error"
    assert "KKARTIFACT_LOG_LEVEL" in settings["log_level"]["place"]
    assert settings["log_format"]["value"] == "json"
    assert str(config) in settings["log_format"]["place"]
    assert "data" in settings["data"]["place"]
    assert "hush-hush" not in done.stdout + done.stderr
    plain = run([program("kkartifact-server"), "config", "--config", config], env=environment)
    assert plain.code == 0 and "hush-hush" not in plain.stdout


@pytest.mark.parametrize("name, words", [
    (name, words) for name in ("server", "agent", "fs") for words in (
        ["--no-such-flag"], ["no-such-verb"], [], ["version", "--no-such-flag"])])
def test_unknown_flags_and_verbs(name, words, tmp_path):
    done = run([program(f"kkartifact-{name}"), *words], env=clean_environment(tmp_path))
    assert done.code == 2, done
    assert done.stdout == "" and done.stderr
    if words:
        assert words[-1] in done.stderr


@pytest.mark.parametrize("name", ["server", "agent", "fs"])
def test_help_and_version(name, tmp_path):
    environment = clean_environment(tmp_path)
    help_text = run([program(f"kkartifact-{name}"), "--help"], env=environment).expect(0)
    assert f"kkartifact-{name}" in help_text.stdout and help_text.stderr == ""
    version = run([program(f"kkartifact-{name}"), "version"], env=environment).expect(0)
    assert version.stdout.strip()
    for shell in ("bash", "zsh", "fish"):
        assert run([program(f"kkartifact-{name}"), "completion", shell],
                   env=environment).expect(0).stdout


@pytest.mark.parametrize("words", [
    ["push", ".", "--concurrency", "none"], ["push", ".", "--concurrency", "0"],
    ["push", ".", "--links", "maybe"], ["push", ".", "--progress", "loud"],
    ["push", ".", "--timeout", "soon"], ["push", ".", "a", "b"], ["push", "--project", ""],
    ["show"], ["show", "p"], ["show", "p/a/v/x/y"], ["list", "p/a/v/x"]])
def test_wrong_flags_of_the_agent(words, agent):
    agent.settings.update(project="p", app="a")
    agent.write_config()
    done = agent.run(*words)
    assert done.code == 2 and done.stdout == "", done


@pytest.mark.parametrize("text", ["no_such_key: 1\n", "concurrency: many\n", "concurrency: 0\n",
                                  "links: maybe\n", "server: 7\n", "a: b: c\n", "x: *y\n",
                                  "project: ../up\n", "ignore: {a: b}\n"])
def test_wrong_configuration_of_the_agent(text, agent, tmp_path):
    agent.config.write_text(text)
    done = agent.run("push", trees.small_tree(tmp_path / "source"))
    assert done.code == 3, done
    assert str(agent.config) in done.stderr, done


def test_configuration_is_missing(agent, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    done = agent.run("push", source, config=False).expect(3)
    assert "init" in done.stderr


def test_init_makes_what_push_wants(agent, server, names, tmp_path):
    source = trees.small_tree(tmp_path / "source")
    agent.run("init", source, config=False).expect(0)
    written = (source / ".kkartifact.yml").read_text()
    assert written.count("#") > 10
    again = agent.run("init", source, config=False)
    assert again.code != 0 and (source / ".kkartifact.yml").read_text() == written
    done = agent.run("push", source, "--server", server.url, "--token-file", agent.token_file,
                     "--project", names.project, "--app", names.app, "--json", config=False)
    assert done.expect(0).json()["files"] == 12


@pytest.mark.parametrize("option", ["no_such=1", "no_such", "cache_size=lots", "deadline=never",
                                    "xattr=maybe", "umask=9", "only=../x", "token_file="])
def test_unknown_mount_options(option, server, new_mount):
    mount = new_mount(server.url, server.all_rights, mounted=False)
    line = mount.line()
    line[-1] += f",{option}"
    done = run(line, env=clean_environment(mount.home))
    assert done.code == 2, done
    assert option.partition("=")[0] in done.stderr
    assert not os.path.ismount(mount.path)


def test_mount_point_that_is_none(server, new_mount, tmp_path):
    mount = new_mount(server.url, server.all_rights, mounted=False)
    mount.path.rmdir()
    done = run(mount.line(), env=clean_environment(mount.home))
    assert done.code == 9 and str(mount.path) in done.stderr, done


def test_umount_of_what_is_no_mount(server, new_mount):
    mount = new_mount(server.url, server.all_rights, mounted=False)
    assert mount.verb("umount", mount.path).code in (1, 5, 9)
    assert mount.verb("umount", "/").code != 0, "not ours"
    assert os.path.ismount("/")


def test_server_not_reached(tmp_path, agent):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    agent.settings.update(server=f"http://127.0.0.1:{port}", retries=0)
    agent.write_config()
    done = agent.run("list")
    assert done.code == 7 and str(port) in done.stderr, done


def test_stops_in_the_middle_of_an_answer(new_server, names, tmp_path):
    """SIGTERM: what is in flight is finished, nothing new is taken, exit 0."""
    server = new_server(environment={"KKARTIFACT_STOP_TIMEOUT": "200s"})
    source = tmp_path / "source"
    trees.write(source, "big", trees.random_bytes(32 << 20))
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    agent.push(source, names.project, names.app, "v1")
    link = server.connect()
    link.request("GET", f"/api/v1/projects/{names.project}/apps/{names.app}/versions/v1/files/big",
                 headers={"Authorization": f"Bearer {server.all_rights}"})
    answer = link.getresponse()
    start = answer.read(1 << 20)
    server.process.send_signal(signal.SIGTERM)
    until = time.monotonic() + 60
    with pytest.raises(OSError):
        while time.monotonic() < until:
            socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    assert len(start + answer.read()) == 32 << 20
    link.close()
    assert server.process.wait(60) == 0


def test_hangup_keeps_it_running(new_server):
    server = new_server()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("were read again")
    assert server.request("GET", "/healthz").status == 200


def test_log_is_json_when_asked(new_server):
    server = new_server(environment={"KKARTIFACT_LOG_FORMAT": "json"})
    server.request("GET", "/api/v1/projects", token=server.all_rights)
    server.stop()
    assert len(server.log) >= 2
    assert all(json.loads(line) for line in server.log), server.log
