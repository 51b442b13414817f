# SPDX-License-Identifier: MIT
"""metrics=ADDR: what a monitor is told, in the form it expects, also while workers come and go."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import urllib.request

import pytest

from mounts import eventually, forget_pages
from server import program

SAMPLE = re.compile(r'([a-z_]+)(?:\{(.*)\})? (\d+(?:\.\d+)?)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\[\\"n])*)"')
OF_HISTOGRAM = ("_bucket", "_sum", "_count")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


def parse(text):
    """{name: {labels: value}}; each line by the rules that promtool checks."""
    helps, kinds, samples = {}, {}, {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            _, what, name, rest = line.split(" ", 3)
            into = {"HELP": helps, "TYPE": kinds}[what]
            assert name not in into and name not in samples, f"{name} twice"
            into[name] = rest
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        family = name
        for end in OF_HISTOGRAM:
            if kinds.get(name.removesuffix(end)) == "histogram":
                family = name.removesuffix(end)
        assert family in kinds and family in helps, f"{family} without HELP or TYPE"
        pairs = tuple(LABEL.findall(labels or ""))
        assert labels is None or ",".join(f'{k}="{v}"' for k, v in pairs) == labels
        assert pairs not in samples.setdefault(name, {}), f"{line} twice"
        samples[name][pairs] = float(value)
        assert (kinds[family] == "counter") == family.endswith("_total"), family
        assert family.startswith("kkartifact_fs_")
    assert set(kinds) == set(helps)
    return samples


def one(samples, name, **labels):
    return samples[f"kkartifact_fs_{name}"][tuple(labels.items())]


@pytest.fixture
def watched(server, project, push, new_mount):
    push(server, f"{project}/app/v1", {"a": b"1" * 1000, "b": os.urandom(700_000)})
    port = free_port()
    mount = new_mount(server.url, server.all_rights, metrics=f"127.0.0.1:{port}")
    mount.port = port
    mount.top = mount / project / "app" / "v1"
    return mount


def test_what_is_told(watched, project):
    before = parse(scrape(watched.port))
    assert one(before, "versions_open") == 0 and one(before, "read_wait_seconds_count") == 0
    assert (watched.top / "a").read_bytes() == b"1" * 1000
    assert len((watched.top / "b").read_bytes()) == 700_000
    watched.verb("pin", watched.path, f"{project}/app/v1").expect(0)
    forget_pages()
    assert (watched.top / "a").read_bytes() == b"1" * 1000
    os.statvfs(watched.path)
    after = parse(scrape(watched.port))
    version = subprocess.run([program("kkartifact-fs"), "version"], capture_output=True, text=True,
                             check=True).stdout.split()[1]
    assert one(after, "build_info", version=version) == 1
    for kind in ("lookup", "read", "statfs"):
        assert one(after, "requests_total", kind=kind) > one(before, "requests_total", kind=kind)
    assert one(after, "http_requests_total") > 0
    assert one(after, "fetched_bytes_total") >= 701_000
    assert one(after, "hit_bytes_total") >= 1000
    assert one(after, "versions_open") == one(after, "versions_shown") == 1
    assert one(after, "pins") == 1
    assert (one(after, "online"), one(after, "offline"), one(after, "holder_up")) == (1, 0, 1)
    assert one(after, "integrity_failures_total") == 0 and one(after, "cache_degraded") == 0
    assert one(after, "worker_restarts_total") == 0
    waits = after["kkartifact_fs_read_wait_seconds_bucket"]
    assert one(after, "read_wait_seconds_count") > 0
    assert list(waits.values()) == sorted(waits.values())
    assert waits[(("le", "+Inf"),)] == one(after, "read_wait_seconds_count")
    eventually(lambda: one(parse(scrape(watched.port)), "cache_bytes") >= 701_000)
    assert one(parse(scrape(watched.port)), "questions_waiting") == 0
    # As status tells it.
    assert watched.status()["fetched_bytes"] == one(after, "fetched_bytes_total")


def test_nothing_secret_is_told(watched, server):
    text = scrape(watched.port)
    for secret in (server.all_rights, server.url, str(watched.path), str(watched.cache)):
        assert secret not in text


def test_it_outlives_the_worker(watched):
    for number in range(1, 4):
        os.kill(watched.worker(), signal.SIGKILL)
        # Whoever comes between two workers waits for the next one; who was being answered by the
        # one that died sees that.
        told = []

        def is_told(told=told):
            with contextlib.suppress(OSError, http.client.HTTPException):
                told.append(parse(scrape(watched.port)))
            return bool(told)

        eventually(is_told)
        eventually(lambda n=number: watched.status()["worker"]["restarts"] == n)
    assert one(parse(scrape(watched.port)), "worker_restarts_total") == 3
    watched.verb("upgrade", watched.path).expect(0)
    eventually(lambda: watched.status()["worker"]["restarts"] == 4)
    assert one(parse(scrape(watched.port)), "worker_restarts_total") == 4
    os.kill(watched.daemon[0], signal.SIGKILL)
    eventually(lambda: one(parse(scrape(watched.port)), "holder_up") == 0)


def test_at_a_path(server, new_mount, tmp_path):
    place = tmp_path / "m.sock"
    mount = new_mount(server.url, server.all_rights, metrics=place)
    assert place.stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as one_socket:
        one_socket.connect(str(place))
        one_socket.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        text = b"".join(iter(lambda: one_socket.recv(65536), b"")).decode()
    head, _, body = text.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200 OK\r\n") and one(parse(body), "holder_up") == 1
    mount.umount()
    assert not place.exists()


def test_an_address_that_is_taken(server, new_mount):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        mount = new_mount(server.url, server.all_rights, mounted=False,
                          metrics=f":{taken.getsockname()[1]}")
        done = mount.try_mount().expect(9)
    assert "metrics" in done.stderr and "in use" in done.stderr


def test_silent_clients_do_not_shut_others_out(watched):
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(("127.0.0.1", watched.port)))
        assert one(parse(scrape(watched.port)), "holder_up") == 1
        assert watched.status()["worker"]["pid"]
