# SPDX-License-Identifier: MIT
"""kkartifact-server as a program: verbs, exit codes, signals, TLS."""

import json
import os
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest

from server import Server, program


@pytest.fixture()
def stopped(tmp_path):
    return Server(tmp_path / "data")


def run(*words, environment=None):
    return subprocess.run([str(program("kkartifact-server")), *map(str, words)],
                          env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          check=False)


def test_version_help_and_completions():
    assert run("version").stdout.startswith("kkartifact-server ")
    assert run("--version").returncode == 0
    assert "token create" in run("--help").stdout
    for shell in ("bash", "zsh", "fish"):
        assert "serve" in run("completion", shell).stdout
    assert run("completion", "tcsh").returncode == 2


@pytest.mark.parametrize("words", [
    (), ("nonsense",), ("serve", "--nonsense"), ("serve", "operand"), ("token", "revoke"),
    ("token", "create"), ("token", "create", "--name", "x", "--allow", "fly"),
    ("token", "create", "--name", "x", "--app", "a"),
    ("token", "create", "--name", "x", "--expires", "soon"),
    ("token", "create", "--name", "x", "--project", "latest"),
    ("serve", "--listen", "nowhere"), ("config", "--config", "/no/such/file"),
])
def test_wrong_use_is_exit_2(words, tmp_path):
    done = run(*words, *(["--data", tmp_path / "d"] if words else []))
    assert done.returncode == 2, done
    assert done.stderr.startswith("kkartifact-server: ") or not words


@pytest.mark.parametrize("text, named", [
    ("nonsense: 1\n", "nonsense"), ("part_size: huge\n", "part_size"), ("listen: [a]\n", "listen"),
    ("log_level: loud\n", "log_level"), ("listen: 1\nlisten: 2\n", "listen"),
    ("- a\n", "server.yml"),
])
def test_wrong_settings_are_exit_2(text, named, tmp_path):
    path = tmp_path / "server.yml"
    path.write_text(text)
    done = run("config", "--config", path, "--data", tmp_path / "d")
    assert done.returncode == 2 and named in done.stderr, done


def test_config_tells_where_a_value_comes_from(tmp_path):
    path = tmp_path / "server.yml"
    path.write_text("part_size: 1MiB\nmetrics_token: secret-word\n")
    done = run("config", "--json", "--config", path, "--data", tmp_path / "d",
               environment={"KKARTIFACT_LOG_LEVEL": "debug"})
    settings = json.loads(done.stdout)
    assert settings["part_size"]["place"].endswith("server.yml:1")
    assert settings["log_level"]["place"] == "environment KKARTIFACT_LOG_LEVEL"
    assert settings["data"]["place"] == "flag --data"
    assert "secret-word" not in done.stdout
    assert "secret-word" not in run("config", "--config", path, "--data", tmp_path / "d").stdout


def test_tokens(stopped):
    done = stopped.command("token", "create", "--name", "ci", "--project", "p", "--app", "a",
                           "--allow", "push,pull", "--expires", "90d", "--json")
    made = json.loads(done.stdout)
    assert made["token"].startswith(f"kka_{made['id']}_") and len(made["token"]) == 60
    assert (made["project"], made["app"], made["allow"]) == ("p", "a", ["pull", "push"])
    plain = stopped.token("pull")
    listed = json.loads(stopped.command("token", "list", "--json").stdout)["items"]
    assert {item["id"] for item in listed} == {made["id"], plain.split("_")[1]}
    assert made["token"][17:] not in stopped.command("token", "list").stdout
    assert stopped.command("token", "revoke", made["id"]).returncode == 0
    assert "revoked" in stopped.command("token", "list").stdout
    assert stopped.command("token", "revoke", "A" * 12).returncode == 1


def test_migrate(stopped):
    assert stopped.command("migrate", "--check").returncode == 1
    assert not stopped.data.exists()
    assert stopped.command("migrate").returncode == 0
    assert stopped.command("migrate", "--check").returncode == 0


def test_one_server_on_a_data_directory(tmp_path):
    server = Server(tmp_path / "data").start()
    second = server.command("serve", "--listen", "127.0.0.1:0")
    assert second.returncode == 1, second
    assert "served by another process" in second.stderr and "listening" not in second.stderr
    token = server.token("pull")  # verbs that do not serve work beside it
    assert server.request("GET", "/api/v1/projects", token=token).status == 200
    server.kill()
    server.start()  # the lock went with the process
    assert any("ended without a stop" in line for line in server.log), server.log
    assert server.stop() == 0
    before = len(server.log)
    server.start()
    assert not any("ended without a stop" in line for line in server.log[before:]), server.log
    assert server.stop() == 0


def test_used_port(stopped, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = stopped.command("serve", "--listen", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"127.0.0.1 port {port}" in done.stderr and "in use" in done.stderr


def test_signals(tmp_path):
    config = tmp_path / "server.yml"
    config.write_text("log_level: info\n")
    server = Server(tmp_path / "data", config=config).start()
    server.request_to_its_end("GET", "/healthz", headers={"X-Request-Id": "quiet"})
    config.write_text("log_level: debug\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("were read again")
    server.request("GET", "/healthz", headers={"X-Request-Id": "loud"})
    server.wait_for_log("loud")
    config.write_text("log_level: wrong\n")
    server.process.send_signal(signal.SIGHUP)  # said, and nothing changes
    server.wait_for_log("not read again")
    server.request("GET", "/healthz", headers={"X-Request-Id": "still-loud"})
    server.wait_for_log("still-loud")
    assert server.stop() == 0
    assert not any("quiet" in line for line in server.log)


def test_every_line_is_json(tmp_path):
    """From the start to the stop, reloads and failures among them."""
    config = tmp_path / "server.yml"
    config.write_text("log_format: json\nlog_level: debug\n")
    server = Server(tmp_path / "data", config=config).start()
    server.request_to_its_end("GET", "/api/v1/projects")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("were read again")
    config.write_text("log_format: json\nlog_level: wrong\n")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("not read again")
    port = server.port
    second = run("serve", "--data", tmp_path / "other", "--listen", f"127.0.0.1:{port}",
                 environment={"KKARTIFACT_LOG_FORMAT": "json"})
    assert second.returncode == 1
    assert server.stop() == 0
    config.write_text("log_format: json\nlog_level: error\n")
    server.start()
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.log + second.stderr.splitlines()]
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    messages = [line["message"] for line in lines]
    assert messages[0] == f"listening on http://127.0.0.1:{port}" and "stopping" in messages
    # Of the second run the one line that is always written; then the one that did not start.
    assert messages[-2] == f"listening on {server.url}"
    assert str(port) in messages[-1] and lines[-1]["level"] == "error"


def test_metrics_token(tmp_path):
    with Server(tmp_path / "data", environment={"KKARTIFACT_METRICS_TOKEN": "m3trics"}) as server:
        assert server.request_to_its_end("GET", "/metrics").status == 401
        assert server.request_to_its_end("GET", "/metrics", token="m3tricz").status == 401
        answer = server.request("GET", "/metrics", token="m3trics")
        assert answer.status == 200
        assert b'http_requests_total{route="/metrics",method="GET",code="401"} 2' in answer.body
    log = "\n".join(server.log)
    assert "GET /metrics" in log and "m3trics" not in log


def test_killed_and_started_again(tmp_path):
    server = Server(tmp_path / "data").start()
    token = server.token("pull")
    server.kill()
    server.start()
    assert any("without a stop" in line for line in server.log)
    assert server.request("GET", "/api/v1/projects", token=token).status == 200
    assert server.stop() == 0


def test_tls(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
                    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", certificate],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Server(tmp_path / "data", environment={"KKARTIFACT_TLS_CERT": str(certificate),
                                                "KKARTIFACT_TLS_KEY": str(key)}) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(server.url + "/api/v1/version", context=context) as answer:
            assert json.load(answer)["name"] == "kkartifact-server"
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((urllib.error.URLError, ssl.SSLError)):
            urllib.request.urlopen(server.url + "/healthz", context=context)
    wrong = Server(tmp_path / "data", environment={"KKARTIFACT_TLS_CERT": str(key),
                                                   "KKARTIFACT_TLS_KEY": str(key)})
    assert wrong.command("serve", "--listen", "127.0.0.1:0").returncode == 1
