# SPDX-License-Identifier: MIT
"""outcomes - what is known of names that several act on at once.

    outcomes.begin("v1")
    ...
    outcomes.end("v1", "ready")     # or SAME: it was refused; or UNKNOWN: nobody heard of it

Acts on one name that overlap may have happened in either order: what they leave is known when all
that changed anything say the same. After one whose answer was lost it is not known, until a later
act, which nothing overlaps, is answered.
"""

import threading

SAME, UNKNOWN = "same", "unknown"


class Outcomes:
    def __init__(self):
        self._lock = threading.Lock()
        self._under_way = {}  # name -> [acts in flight, what those that overlap have ended with]
        self._known = {}

    def begin(self, name):
        with self._lock:
            self._under_way.setdefault(name, [0, []])[0] += 1

    def end(self, name, outcome):
        with self._lock:
            acts = self._under_way[name]
            acts[0] -= 1
            acts[1].append(outcome)
            if acts[0] > 0:
                return
            del self._under_way[name]
            changed = {outcome for outcome in acts[1] if outcome is not SAME}
            if len(changed) == 1:
                self._known[name] = changed.pop()
            elif changed:
                self._known[name] = UNKNOWN

    def known(self):
        """{name: outcome} of those that nothing is under way for, and whose outcome is known."""
        with self._lock:
            return {name: outcome for name, outcome in self._known.items()
                    if name not in self._under_way and outcome is not UNKNOWN}
