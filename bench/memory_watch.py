# SPDX-License-Identifier: MIT
"""memory_watch - the most RssAnon + RssShmem that processes were seen to have, each 20 ms."""

import threading

EVERY_S = 0.02


def private_bytes(pid):
    """RssAnon + RssShmem of a process now; None when it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            fields = dict(line.split(":", 1) for line in status)
    except (FileNotFoundError, ProcessLookupError):
        return None
    if "RssAnon" not in fields:
        return None  # it ended and was not waited for
    return sum(int(fields[key].split()[0]) << 10 for key in ("RssAnon", "RssShmem"))


class MemoryWatch:
    """`most` is name -> bytes, over all processes that were added under the name."""

    def __init__(self):
        self.most = {}
        self._processes = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, name, pid):
        with self._lock:
            self._processes[pid] = name

    def _run(self):
        while not self._ended.wait(EVERY_S):
            with self._lock:
                processes = list(self._processes.items())
            for pid, name in processes:
                now = private_bytes(pid)
                if now is None:
                    with self._lock:
                        self._processes.pop(pid, None)
                else:
                    self.most[name] = max(self.most.get(name, 0), now)

    def close(self):
        self._ended.set()
        self._thread.join()
