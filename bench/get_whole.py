# SPDX-License-Identifier: MIT
"""get_whole - GET of 1 GiB by curl from the server, beside nginx; both from the page cache."""

from lab import GIB
from rounds import in_turns, rate, seconds


def run(lab):
    def get(url, *words):
        return seconds(["curl", "-sSf", "-o", "/dev/null", *words, url])

    ours_url, peer_url = lab.file_url(), f"{lab.nginx().url}/file"

    def ours():
        return get(ours_url, "-H", lab.authorization())

    def peer():
        return get(peer_url)

    ours(), peer()  # into the page cache
    mine, other = in_turns(max(lab.rounds, 3) * 2 - 1, ours, peer)
    lab.say("get-1gib", rate(GIB, mine), rate(GIB, other), other / mine, ">=0.90")
