# SPDX-License-Identifier: MIT
"""A life with kills: agents that push trees with files in common, and meanwhile promotions,
deletions, restores, leases and collections, while the server dies by kill -9 again and again, its
disk fails and dawdles, and its clock jumps.

Whenever it is up again, all that was answered is so, and each version that is there has all its
bytes; what is read is never other bytes; at the end, after quiet, the store has what is referred to
and nothing else. The seed is printed; KKARTIFACT_LIFE_SEED gives the same choices again, though not
the same moments. KKARTIFACT_LIFE_MINUTES is how long those of `make test-long` go on.
"""

import contextlib
import http.client
import json
import os
import random
import shutil
import sqlite3
import subprocess
import threading
import time

import pytest

from agent import Agent
from faulty_disk import FaultyDisk
from mounts import eventually
from outcomes import SAME, UNKNOWN, Outcomes
from server import program

POOL = 30
AGENTS = 3
KILLS, STEPS = 20, 500
LONG_S = 60 * float(os.environ.get("KKARTIFACT_LIFE_MINUTES", 30))
# What an act may be answered with when it has changed nothing: refused, not there, or gone.
REFUSED = (400, 404, 409, 410, 412, 422)


class Life:
    def __init__(self, server, disk, root, seed):
        self.server, self.disk, self.root = server, disk, root
        self.random = random.Random(seed)
        self.admin = server.token("push,pull,promote,admin", name="admin")
        self.pool = [self.random.randbytes(self.random.choice((40, 3000, 70_000, 700_000)))
                     for _ in range(POOL)]
        self.lock = threading.Lock()
        self.trees = {}  # version -> {path: bytes}
        self.outcomes = Outcomes()  # "ready", "trashed": what was answered last
        self.steps = self.pushes = 0  # that were done
        self.ending = False
        self.failures = []

    # ------------------------------------------------------------ pushes

    def pusher(self, number):
        chooser = random.Random(self.random.random())
        agent = Agent(self.root / f"agent-{number}", self.server.url, self.admin)
        try:
            for turn in range(10_000):
                if self.ending:
                    return
                self.push(agent, chooser, f"a{number}-{turn}")
        except Exception as failure:  # told by the main thread
            self.failures.append(failure)

    def push(self, agent, chooser, name):
        with self.lock:
            if self.trees and chooser.random() < 0.2:  # again, under its name
                name = chooser.choice(sorted(self.trees))
            else:
                self.trees[name] = {f"d/{number}": self.pool[number] for number in
                                    chooser.sample(range(POOL), chooser.randint(1, 8))}
            files = self.trees[name]
        tree = self.root / "trees" / f"{name}-{threading.get_ident()}"
        write_tree(tree, files)
        self.outcomes.begin(name)
        outcome = UNKNOWN
        try:
            done = agent.run("push", tree, "--project", "p", "--app", "a", "--version", name)
            # Else the server was away for too long, or its disk failed too often; or a deletion of
            # the version came in between.
            assert done.code in (0, 6, 7), done
            if done.code == 0:
                outcome = "ready"
        finally:
            self.outcomes.end(name, outcome)
        shutil.rmtree(tree)
        with self.lock:
            self.steps += outcome == "ready"
            self.pushes += outcome == "ready"

    # ------------------------------------------------------------ acts

    def request(self, method, path, **options):
        return self.server.request(method, "/api/v1" + path, token=self.admin, **options)

    def act(self):
        name = self.name()
        version = f"/projects/p/apps/a/versions/{name}"
        what = self.random.choice(("delete", "delete", "restore", "promote", "gc", "lease", "look",
                                   "look"))
        if what == "delete":
            answer = self.change(name, "DELETE", version + "?force=1", "trashed")
        elif what == "restore":
            answer = self.change(name, "POST", version + "/restore", "ready")
        elif what == "promote":
            answer = self.request("POST", "/projects/p/apps/a/promote",
                                  json_body={"version": name})
        elif what == "gc":
            answer = self.request("POST", "/gc/run")
        elif what == "lease":
            answer = self.request("PUT", f"/hosts/h{self.random.randint(1, 3)}/leases", json_body={
                "leases": [{"project": "p", "app": "a", "version": name, "place": "/srv",
                            "mode": "mount", "state": "complete"}]})
        else:
            answer = self.look(name, version)
        with self.lock:
            self.steps += answer.status < 300

    def name(self):
        with self.lock:
            return self.random.choice(sorted(self.trees)) if self.trees else "none"

    def change(self, name, method, path, state):
        """An act on a version; a push of it may go on at the same time."""
        self.outcomes.begin(name)
        outcome = UNKNOWN
        try:
            answer = self.request(method, path)
            outcome = state if answer.status == 200 else \
                SAME if answer.status in REFUSED else UNKNOWN
            return answer
        finally:
            self.outcomes.end(name, outcome)

    def look(self, name, version):
        """Whole and right, or not at all."""
        with self.lock:
            files = self.trees.get(name, {"none": b""})
        path = self.random.choice(sorted(files))
        answer = self.request("GET", f"{version}/files/{path}?trashed=1")
        if answer.status == 200:
            assert answer.body == files[path], f"{name}/{path} is shown with other bytes"
        else:
            assert answer.status in (404, 410) or answer.status >= 500, answer
        return answer

    def move_clock(self):
        """Mostly on, sometimes back."""
        self.disk.move_clock(self.random.choice((0, 0, 1, 5, 60, 600, -1, -20)))

    def until(self, moment):
        """Acts, one after the other, until then."""
        while time.monotonic() < moment:
            with contextlib.suppress(OSError, json.JSONDecodeError, http.client.HTTPException):
                self.act()

    # ------------------------------------------------------------ what must be so

    def sql(self, text, *values):
        with contextlib.closing(sqlite3.connect(self.server.data / "kkartifact.db",
                                                timeout=30)) as base, base:
            return base.execute(text, values).fetchall()

    def check(self):
        """The server is down, and the disk is well."""
        done = self.server.command("fsck", "--full", "--json")
        assert done.returncode == 0, done
        rows = dict(self.sql("SELECT name, state FROM versions"))
        for name, state in self.outcomes.known().items():
            if state == "ready":
                assert rows.get(name) == "ready", (name, rows.get(name))
            else:  # thrown away: purged meanwhile, or not
                assert rows.get(name) in ("trashed", None), (name, rows.get(name))
        assert self.sql("SELECT count(*) FROM version_blobs e JOIN blobs b ON b.id = e.blob_id"
                        " WHERE b.state <> 'live'") == [(0,)]
        return {name for name, state in rows.items() if state == "ready"}

    def settle(self):
        """Nothing is under way any more, and nothing has to wait."""
        self.disk.move_clock(86_400)
        self.sql("UPDATE pushes SET expires_at = 0")
        self.sql("DELETE FROM leases")
        self.sql("UPDATE settings SET value = '0' WHERE name IN ('trash_age', 'collect_grace')")
        for _ in range(2):
            done = self.server.command("gc", "--json")
            assert done.returncode == 0, done

    def objects(self):
        return [path.name for path in (self.server.data / "blobs" / "blobs").rglob("*")
                if path.is_file()]

    def check_store(self):
        keys = {key for key, in self.sql("SELECT storage_key FROM blobs")}
        objects = {name for name in self.objects() if not name.endswith((".r", ".d"))}
        assert not [name for name in objects if name[:32] not in keys]
        assert keys == {name for name in objects if "." not in name}
        assert self.sql("SELECT count(*) FROM blobs b WHERE NOT EXISTS"
                        " (SELECT 1 FROM version_blobs e WHERE e.blob_id = b.id)") == [(0,)]
        assert self.sql("SELECT count(*) FROM tombstones") == [(0,)]
        assert list((self.server.data / "blobs" / "tmp").iterdir()) == []

    def are_records_complete(self, ready):
        """One of each version that is there, and a word of each that was: a server writes what a
        kill or a failing disk has left out soon after its start."""
        kinds = [name[-2:] for name in self.objects()]
        [(purged,)] = self.sql("SELECT count(*) FROM names WHERE purged_at IS NOT NULL")
        return (kinds.count(".r") == len(ready) and kinds.count(".d") >= purged
                and self.sql("SELECT count(*) FROM purged_records") == [(0,)])

    def check_content(self, ready):
        agent = Agent(self.root / "reader", self.server.url, self.admin)
        for name in sorted(ready):
            place = self.root / "pulled"
            agent.run("pull", place, "--project", "p", "--app", "a", "--version", name).expect(0)
            assert {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*")
                    if path.is_file() and ".kkartifact" not in path.parts} == self.trees[name]


def write_tree(tree, files):
    for path, data in files.items():
        place = tree / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def live(root, new_server, seed):
    """One life, from an empty store to what is left of it."""
    print(f"seed {seed}", flush=True)
    root.mkdir()
    disk = FaultyDisk(root / "disk", root / "data" / "blobs", seed)
    server = new_server(root / "data", environment=disk.environment)
    life = Life(server, disk, root, seed)
    life.sql("INSERT INTO settings (name, value, updated_at) VALUES ('trash_age', '1', 0),"
             " ('collect_grace', '1', 0)")
    server.listen = f"127.0.0.1:{server.port}"
    threads = [threading.Thread(target=life.pusher, args=(number,)) for number in range(AGENTS)]
    for thread in threads:
        thread.start()
    kills = 0
    try:
        while kills < KILLS or life.steps < STEPS:
            if life.random.random() < 0.6:
                disk.set(fail=life.random.choice((0.001, 0.005, 0.03)), delay=0.03)
            life.until(time.monotonic() + life.random.uniform(0.2, 2.5))
            server.kill()
            kills += 1
            disk.heal()
            life.check()
            assert not life.failures, life.failures
            life.move_clock()
            server.start()
    finally:
        life.ending = True
        disk.heal()
        for thread in threads:
            thread.join()
    assert not life.failures, life.failures
    server.stop()
    ready = life.check()
    life.settle()
    assert life.check() == ready
    life.check_store()
    server.start()
    assert ready
    life.check_content(ready)
    eventually(lambda: life.are_records_complete(ready), within=60)
    server.stop()
    calls, failed, delayed = disk.counts
    assert failed > 0 and delayed > 0, "the disk was well all the time"
    print(f"{life.steps} steps, {life.pushes} of them pushes, {kills} kills, {len(ready)} versions"
          f" at the end; of {calls} calls {failed} failed and {delayed} took long", flush=True)


def first_seed():
    return int(os.environ.get("KKARTIFACT_LIFE_SEED", time.time_ns() % 1_000_000))


@pytest.mark.plain_only
def test_a_life_with_kills(tmp_path, new_server):
    live(tmp_path / "life", new_server, first_seed())


@pytest.mark.slow
@pytest.mark.plain_only
@pytest.mark.timeout(LONG_S + 900)
def test_lives_with_kills_for_long(tmp_path, new_server):
    """One after the other; each has its seed."""
    end, seed = time.monotonic() + LONG_S, first_seed()
    while time.monotonic() < end:
        live(tmp_path / "life", new_server, seed)
        shutil.rmtree(tmp_path / "life")
        seed += 1


@pytest.mark.slow
@pytest.mark.plain_only
@pytest.mark.timeout(LONG_S + 900)
def test_random_lives_of_the_services_for_long():
    """server/service/tests/test_life.c, seed after seed; by one it is the same again."""
    end, seed = time.monotonic() + LONG_S, first_seed()
    while time.monotonic() < end:
        done = subprocess.run([program("test_life"), str(seed)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, f"test_life {seed}\n{done.stdout}\n{done.stderr}"
        print(f"test_life {seed}", flush=True)
        seed += 1


# ------------------------------------------------------------ what the life goes by

def after(*acts):
    """What is known of a name after acts that are begun ("+") and ended, each with its outcome."""
    outcomes = Outcomes()
    for act in acts:
        if act == "+":
            outcomes.begin("v")
        else:
            outcomes.end("v", act)
    return outcomes.known().get("v")


@pytest.mark.parametrize("acts, known", [
    (("+", "ready"), "ready"),
    (("+",), None),
    (("+", "ready", "+", "trashed"), "trashed"),
    (("+", "+", "ready", "trashed"), None),
    (("+", "+", "ready", "ready"), "ready"),
    (("+", "+", "ready"), None),
    (("+", "+", "ready", "+", "trashed", "ready"), None),
    (("+", "+", "ready", "trashed", "+", "ready"), "ready"),
    (("+", "ready", "+", UNKNOWN), None),
    (("+", "ready", "+", SAME), "ready"),
    (("+", UNKNOWN, "+", SAME), None),
    (("+", "+", "ready", SAME), "ready"),
    (("+", UNKNOWN, "+", "ready"), "ready"),
    (("+", "+", UNKNOWN, "ready"), None),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value))
def test_what_is_known_of_acts_that_overlap(acts, known):
    assert after(*acts) == known
