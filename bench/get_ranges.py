# SPDX-License-Identifier: MIT
"""get_ranges - ranges of 64 KiB at random offsets of 1 GiB by wrk, beside nginx."""

import re
import subprocess

from rounds import in_turns

CONNECTIONS = 8
SECONDS = 4

SCRIPT = """
local authorization = os.getenv("BENCH_AUTHORIZATION")
local pages = 1024 * 1024 * 1024 / 4096 - 16
local function next_request()
    local offset = math.random(0, pages) * 4096
    local headers = { Range = "bytes=" .. offset .. "-" .. (offset + 65535) }
    if authorization then headers.Authorization = authorization end
    return wrk.format("GET", nil, headers)
end
request = next_request
"""


def run(lab):
    script = lab.directory / "ranges.lua"
    script.write_text(SCRIPT)

    def requests_a_second(url, environment):
        done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", script,
                               url], check=True, capture_output=True, text=True, env=environment,
                              stdin=subprocess.DEVNULL)
        if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
            raise RuntimeError(done.stdout)
        count, size = re.search(r"(\d+) requests in [\d.]+s, ([\d.]+)GB read", done.stdout).groups()
        assert 65536 <= float(size) * 2**30 / int(count) < 70000, "these are not the ranges"
        return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])

    ours_url, peer_url = lab.file_url(), f"{lab.nginx().url}/file"
    token = lab.authorization().partition(": ")[2]

    def ours():
        return requests_a_second(ours_url, {"BENCH_AUTHORIZATION": token})

    def peer():
        return requests_a_second(peer_url, {})

    ours(), peer()
    mine, other = in_turns(lab.rounds, ours, peer)
    lab.say("get-64kib-ranges", f"{mine:.0f}/s", f"{other:.0f}/s", mine / other, ">=0.90")
