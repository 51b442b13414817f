# SPDX-License-Identifier: MIT
"""promote - how long a promotion takes while sixteen clients (connections of wrk) promote at once,
each time on another of sixteen channels, all on one database; the peer is the limit that was set
for all but one of a hundred. The database's disk is synced for each group of them."""

import contextlib
import os
import re
import sqlite3
import statistics
import subprocess

from server import Server

LIMIT_MS = 10
CLIENTS, SECONDS = 16, 4
APP = "/api/v1/projects/p/apps/a"

# Every channel takes the two versions in turn, so that each promotion changes something.
SCRIPT = """
local headers = { Authorization = os.getenv("BENCH_AUTHORIZATION"),
                  ["Content-Type"] = "application/json" }
local clients = tonumber(os.getenv("BENCH_CLIENTS"))
local count = 0
function request()
    local channel, version = count % clients, math.floor(count / clients) % 2
    count = count + 1
    return wrk.format("POST", nil, headers,
                      string.format('{"channel":"c%d","version":"v%d"}', channel, version))
end
function done(summary, latency)
    print(string.format("late %f middle %f requests %d", latency:percentile(99) / 1000,
                        latency:percentile(50) / 1000, summary.requests))
end
"""


def promotions_of(lab, server, token, script):
    """(p99, median) in milliseconds, and how many were answered."""
    ran = subprocess.run(["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", "-s", script,
                          f"{server.url}{APP}/promote"], check=True, capture_output=True,
                         text=True, stdin=subprocess.DEVNULL,
                         env={**os.environ, "BENCH_AUTHORIZATION": f"Bearer {token}",
                              "BENCH_CLIENTS": str(CLIENTS)})
    if "Non-2xx" in ran.stdout or "Socket errors" in ran.stdout:
        raise RuntimeError(ran.stdout)
    late, middle, count = re.search(r"late ([\d.]+) middle ([\d.]+) requests (\d+)",
                                    ran.stdout).groups()
    return float(late), float(middle), int(count)


def run(lab):
    with Server(lab.directory / "promote") as server:
        token = server.token("push,promote,pull")
        tree = lab.directory / "promoted"
        tree.mkdir()
        for number in range(2):
            (tree / "file").write_text(str(number))
            lab.run_agent(lab.agent.line("push", tree, "--project", "p", "--app", "a", "--version",
                                         f"v{number}", "--server", server.url, "--token-file",
                                         write_token(lab, token), "--json"))
        script = lab.directory / "promote.lua"
        script.write_text(SCRIPT)
        seen, answered = [], 0
        for _ in range(lab.rounds):
            late, middle, count = promotions_of(lab, server, token, script)
            seen.append((late, middle))
            answered += count
        changed = changes(server)
        if changed < 0.99 * answered:
            raise RuntimeError(f"{changed} changes by {answered} promotions")
    late, middle = (statistics.median(column) for column in zip(*seen))
    lab.say("promote-p99-of-16", f"{late:.1f}ms", f"{LIMIT_MS}ms", late / LIMIT_MS, "<=1.00")
    lab.say("promote-median-of-16", f"{middle:.1f}ms", "none", None, "none")


def changes(server):
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=60)) as base:
        return base.execute("SELECT count(*) FROM promotions").fetchone()[0]


def write_token(lab, token):
    path = lab.directory / "promote-token"
    path.write_text(token)
    path.chmod(0o600)
    return path
