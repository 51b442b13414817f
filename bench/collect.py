# SPDX-License-Identifier: MIT
"""collect - a collection after one version of a hundred was purged, of a store of 20,000 versions:
what it looks at beside what was purged, and its time beside that of the same purge in a store of
2,000."""

import concurrent.futures
import contextlib
import http.client
import json
import sqlite3
import time

from server import Server

PURGED = 200
FEW, MANY = 2_000, 20_000
APP = "/api/v1/projects/p/apps/a"


def ask(server, token, method, path, body=None, kept=[]):
    if not kept or kept[0].host != server.host or kept[0].port != server.port:
        kept[:] = [http.client.HTTPConnection(server.host, server.port, timeout=120)]
    kept[0].request(method, APP + path, None if body is None else json.dumps(body),
                    {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    answer = kept[0].getresponse()
    answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{answer.status} of {method} {path}")


def push_all(lab, server, token_file):
    """What will be purged: each with a file of its own, and one that they share."""
    tree = lab.directory / f"collected-{server.port}"
    tree.mkdir()
    (tree / "shared").write_text("shared")
    for number in range(PURGED + 1):
        (tree / "own").write_text(f"{number} {server.port}")
        lab.run_agent(lab.agent.line("push", tree, "--project", "p", "--app", "a", "--version",
                                     f"v{number}", "--server", server.url, "--token-file",
                                     token_file, "--json"))


def fill(server, token, count):
    """The others are copies of one: rows and edges like any."""
    def copy(numbers):
        connection = []
        for number in numbers:
            ask(server, token, "POST", f"/versions/v{PURGED}/copy",
                {"project": "p", "app": "a", "version": f"c{number}"}, connection)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(copy, [range(start, count, 8) for start in range(8)]))


def collect(lab, count):
    """(candidates, edges of what was purged, seconds)"""
    with Server(lab.directory / f"collect-{count}") as server:
        token = server.token("admin")
        token_file = lab.directory / "collect-token"
        token_file.write_text(token)
        token_file.chmod(0o600)
        push_all(lab, server, token_file)
        fill(server, token, count - PURGED - 1)
        edges = sql(server, "SELECT count(DISTINCT e.blob_id) FROM version_blobs e JOIN versions v"
                            f" ON v.id = e.version_id WHERE v.name LIKE 'v%' AND v.name <> "
                            f"'v{PURGED}'")[0][0]
        for number in range(PURGED):
            ask(server, token, "DELETE", f"/versions/v{number}")
        for name in ("trash_age", "collect_grace"):
            sql(server, f"INSERT INTO settings (name, value, updated_at) VALUES ('{name}', '0', 0)")
        began = time.perf_counter()
        done = server.command("gc", "--json")
        took = time.perf_counter() - began
        result = json.loads(done.stdout)
        if result["purged_versions"] != PURGED:
            raise RuntimeError(f"not all were purged: {result}")
    return result["candidates"], edges, took


def sql(server, text):
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=60)) as base:
        with base:
            return base.execute(text).fetchall()


def run(lab):
    _, _, before = collect(lab, FEW)
    candidates, edges, took = collect(lab, MANY)
    lab.say("collect-looked-at", candidates, edges, candidates / edges, "<=1.00")
    lab.say("collect-of-20000", f"{took:.2f}s", f"{before:.2f}s", took / before, "<=1.50")
