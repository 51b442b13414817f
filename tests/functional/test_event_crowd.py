# SPDX-License-Identifier: MIT
"""A thousand who follow the events of one server."""

import os

import pytest

from events import Crowd, last_number, write_events
from server import Server

LISTENERS = 1000
EVENTS = 60
MEMORY_MAX = 100 << 20


def private_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        fields = dict(line.split(":", 1) for line in status)
    return sum(int(fields[key].split()[0]) << 10 for key in ("RssAnon", "RssShmem"))


def soft_limit(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        return int(next(line for line in limits if line.startswith("Max open files")).split()[3])


@pytest.mark.plain_only
def test_a_thousand_listeners(tmp_path):
    """Each is told everything; all together cost little memory, one descriptor each, and no
    threads. The server begins with the few descriptors that a shell gives."""
    with Server(tmp_path / "data") as server:
        pid = server.process.pid
        assert soft_limit(pid) >= 2048
        tokens = [server.token("admin", name=f"token-{i}") for i in range(4)]
        server.request("GET", "/api/v1/projects", token=tokens[0])
        threads = len(os.listdir(f"/proc/{pid}/task"))
        crowd = Crowd(server, tokens, LISTENERS)
        crowd.until_all_listen()
        begin = last_number(server)
        write_events(server, "crowd.told", "p", "a", EVENTS // 2)
        crowd.until_all_were_told(EVENTS // 2)
        write_events(server, "crowd.told", "p", "a", EVENTS // 2)
        crowd.until_all_were_told(EVENTS)
        told = last_number(server) - begin
        assert (min(crowd.told), max(crowd.told)) == (told, told)
        assert len(os.listdir(f"/proc/{pid}/task")) == threads
        assert len(os.listdir(f"/proc/{pid}/fd")) < LISTENERS + 200
        assert private_bytes(pid) <= MEMORY_MAX, private_bytes(pid)
        text = server.request("GET", "/metrics").body.decode()
        assert f"kkartifact_event_listeners {LISTENERS}\n" in text
        assert f"kkartifact_events_sent_total {LISTENERS * told}\n" in text
        crowd.close()
