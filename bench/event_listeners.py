# SPDX-License-Identifier: MIT
"""event_listeners - RssAnon + RssShmem of a server that a thousand follow, all of whom were just
told something; and how long the telling of each event to all of them took. The peer of the first
is the limit that was set."""

import time

from events import Crowd, write_events
from memory_watch import private_bytes
from server import Server

MIB = 1 << 20
LIMIT = 100 * MIB
LISTENERS = 1000
EVENTS = 100


def run(lab):
    with Server(lab.directory / "events") as server:
        tokens = [server.token("admin", name=f"token-{i}") for i in range(4)]
        alone = private_bytes(server.process.pid)
        crowd = Crowd(server, tokens, LISTENERS)
        crowd.until_all_listen()
        waiting = private_bytes(server.process.pid)
        began = time.monotonic()
        write_events(server, "bench.told", "p", "a", EVENTS)
        crowd.until_all_were_told(EVENTS)
        took = time.monotonic() - began
        most = private_bytes(server.process.pid)
        crowd.close()
    lab.say("memory-1000-listeners", f"{most / MIB:.1f}MiB", f"{LIMIT / MIB:.0f}MiB",
            most / LIMIT, "<=1.00")
    lab.say("memory-a-listener", f"{(waiting - alone) / LISTENERS / 1024:.1f}KiB", "none", None,
            "none")
    lab.say("events-to-1000", f"{LISTENERS * EVENTS / took:.0f}/s", "none", None, "none")
