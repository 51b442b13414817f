# SPDX-License-Identifier: MIT
"""rounds - ours and the peer in turns, and their medians."""

import statistics
import subprocess
import time


def in_turns(rounds, ours, peer):
    """Medians of what the two functions give, called in turns; who begins changes."""
    results = {ours: [], peer: []}
    for number in range(rounds):
        for function in (ours, peer) if number % 2 == 0 else (peer, ours):
            results[function].append(function())
    return statistics.median(results[ours]), statistics.median(results[peer])


def seconds(line, **options):
    """How long a command takes; one that fails is an error."""
    start = time.perf_counter()
    subprocess.run([str(word) for word in line], check=True, stdin=subprocess.DEVNULL, **options)
    return time.perf_counter() - start


def rate(size, took):
    return f"{size / took / 1e6:.0f}MB/s"
