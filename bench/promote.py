# SPDX-License-Identifier: MIT
"""promote - how long a promotion takes while sixteen clients promote at once, each on a channel of
its own and all on one database; the peer is the limit that was set for all but one of a hundred.
The database's disk is synced for each group of them."""

import http.client
import json
import threading
import time

from server import Server

LIMIT_S = 0.010
CLIENTS, ACTS = 16, 200
APP = "/api/v1/projects/p/apps/a"


def promote_on(server, token, channel, times):
    """Two versions in turn, so that each promotion changes something."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    for number in range(ACTS):
        body = json.dumps({"version": f"v{number % 2}", "channel": channel})
        began = time.perf_counter()
        connection.request("POST", f"{APP}/promote", body,
                           {"Authorization": f"Bearer {token}",
                            "Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        times.append(time.perf_counter() - began)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} of a promotion")
    connection.close()


def run(lab):
    with Server(lab.directory / "promote") as server:
        token = server.token("push,promote")
        tree = lab.directory / "promoted"
        tree.mkdir()
        for number in range(2):
            (tree / "file").write_text(str(number))
            lab.run_agent(lab.agent.line("push", tree, "--project", "p", "--app", "a", "--version",
                                         f"v{number}", "--server", server.url, "--token-file",
                                         write_token(lab, token), "--json"))
        times = []
        clients = [threading.Thread(target=promote_on, args=(server, token, f"c{number}", times))
                   for number in range(CLIENTS)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    times.sort()
    late = times[len(times) * 99 // 100]
    lab.say("promote-p99-of-16", f"{late * 1000:.1f}ms", f"{LIMIT_S * 1000:.0f}ms", late / LIMIT_S,
            "<=1.00")
    lab.say("promote-median-of-16", f"{times[len(times) // 2] * 1000:.1f}ms", "none", None, "none")


def write_token(lab, token):
    path = lab.directory / "promote-token"
    path.write_text(token)
    path.chmod(0o600)
    return path
