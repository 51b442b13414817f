# SPDX-License-Identifier: MIT
"""A life with kills: agents that push trees with files in common, and meanwhile promotions,
deletions, restores and collections, while the server dies by kill -9 again and again.

Whenever it is up again, all that was answered is so, and each version that is there has all its
bytes; at the end, after quiet, the store has what is referred to and nothing else. The seed is
printed; KKARTIFACT_LIFE_SEED gives the same choices again, though not the same moments.
"""

import contextlib
import json
import os
import random
import sqlite3
import threading
import time

import pytest

from agent import Agent

POOL = 30
AGENTS = 3
KILLS, STEPS = 20, 500


class Life:
    def __init__(self, server, root, seed):
        self.server, self.root = server, root
        self.random = random.Random(seed)
        self.admin = server.token("push,pull,promote,admin", name="admin")
        self.pool = [self.random.randbytes(self.random.choice((40, 3000, 70_000, 700_000)))
                     for _ in range(POOL)]
        self.lock = threading.Lock()
        self.trees = {}  # version -> {path: bytes}
        self.answered = {}  # version -> "ready", "trashed": what was answered last
        self.unsure = set()  # the server died during an act on it
        self.steps = 0
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
        if self.trees and chooser.random() < 0.2:  # again, under its name
            with self.lock:
                name = chooser.choice(sorted(self.trees))
                files = self.trees[name]
        else:
            files = {f"d/{number}": self.pool[number]
                     for number in chooser.sample(range(POOL), chooser.randint(1, 8))}
        tree = self.root / "trees" / f"{name}-{threading.get_ident()}-{self.steps}"
        for path, data in files.items():
            place = tree / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        with self.lock:
            self.trees[name] = files
            self.unsure.add(name)
        done = agent.run("push", tree, "--project", "p", "--app", "a", "--version", name)
        with self.lock:
            self.steps += 1
            if done.code == 0:
                self.answered[name] = "ready"
                self.unsure.discard(name)
            else:
                # The server was away for too long; or a deletion of it came in between.
                assert done.code in (6, 7), done

    # ------------------------------------------------------------ acts

    def request(self, method, path, **options):
        return self.server.request(method, "/api/v1" + path, token=self.admin, **options)

    def act(self):
        version = f"/projects/p/apps/a/versions/{self.name()}"
        what = self.random.choice(("delete", "delete", "restore", "promote", "gc", "look"))
        if what == "delete":
            self.change(version, "DELETE", version + "?force=1", "trashed")
        elif what == "restore":
            self.change(version, "POST", version + "/restore", "ready")
        elif what == "promote":
            self.request("POST", "/projects/p/apps/a/promote",
                         json_body={"version": version.rpartition("/")[2]})
        elif what == "gc":
            self.request("POST", "/gc/run")
        else:
            self.request("GET", version)
        with self.lock:
            self.steps += 1

    def name(self):
        with self.lock:
            return self.random.choice(sorted(self.trees)) if self.trees else "none"

    def change(self, version, method, path, state):
        """An act on a version; a push of it may go on at the same time."""
        name = version.rpartition("/")[2]
        with self.lock:
            if name in self.unsure:
                return
            self.unsure.add(name)
        answer = self.request(method, path)
        with self.lock:
            if answer.status == 200:
                self.answered[name] = state
                self.unsure.discard(name)

    def until(self, moment):
        """Acts, one after the other, until then."""
        while time.monotonic() < moment:
            with contextlib.suppress(OSError, json.JSONDecodeError):
                self.act()

    # ------------------------------------------------------------ what must be so

    def sql(self, text, *values):
        with contextlib.closing(sqlite3.connect(self.server.data / "kkartifact.db",
                                                timeout=30)) as base:
            return base.execute(text, values).fetchall()

    def check(self):
        """The server is down."""
        done = self.server.command("fsck", "--full", "--json")
        assert done.returncode == 0, done
        rows = dict(self.sql("SELECT name, state FROM versions"))
        with self.lock:
            for name, state in self.answered.items():
                if name in self.unsure:
                    continue
                if state == "ready":
                    assert rows.get(name) == "ready", (name, rows.get(name))
                else:  # thrown away: purged meanwhile, or not
                    assert rows.get(name) in ("trashed", None), (name, rows.get(name))
        assert self.sql("SELECT count(*) FROM version_blobs e JOIN blobs b ON b.id = e.blob_id"
                        " WHERE b.state <> 'live'") == [(0,)]
        return {name for name, state in rows.items() if state == "ready"}

    def settle(self):
        """Nothing is under way any more, and nothing has to wait."""
        self.sql_change("UPDATE pushes SET expires_at = 0")
        self.sql_change("UPDATE settings SET value = '0' WHERE name IN ('trash_age',"
                        " 'collect_grace')")
        for _ in range(2):
            done = self.server.command("gc", "--json")
            assert done.returncode == 0, done

    def sql_change(self, text, *values):
        with contextlib.closing(sqlite3.connect(self.server.data / "kkartifact.db",
                                                timeout=30)) as base, base:
            base.execute(text, values)

    def check_store(self):
        keys = {key for key, in self.sql("SELECT storage_key FROM blobs")}
        found = [path.name for path in (self.server.data / "blobs" / "blobs").rglob("*")
                 if path.is_file()]
        stray = [name for name in found if name[-2:] not in (".r", ".d") and name[:32] not in keys]
        assert not stray
        assert keys == {name for name in found if "." not in name}
        assert self.sql("SELECT count(*) FROM blobs b WHERE NOT EXISTS"
                        " (SELECT 1 FROM version_blobs e WHERE e.blob_id = b.id)") == [(0,)]
        assert self.sql("SELECT count(*) FROM tombstones") == [(0,)]
        assert list((self.server.data / "blobs" / "tmp").iterdir()) == []


@pytest.mark.plain_only
def test_a_life_with_kills(tmp_path, new_server):
    seed = int(os.environ.get("KKARTIFACT_LIFE_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}")
    server = new_server()
    life = Life(server, tmp_path, seed)
    life.sql_change("INSERT INTO settings (name, value, updated_at) VALUES ('trash_age', '1', 0),"
                    " ('collect_grace', '1', 0)")
    server.listen = f"127.0.0.1:{server.port}"
    threads = [threading.Thread(target=life.pusher, args=(number,)) for number in range(AGENTS)]
    for thread in threads:
        thread.start()
    try:
        kills = 0
        while kills < KILLS or life.steps < STEPS:
            life.until(time.monotonic() + life.random.uniform(0.2, 2.5))
            server.kill()
            kills += 1
            life.check()
            assert not life.failures, life.failures
            server.start()
    finally:
        life.ending = True
        for thread in threads:
            thread.join()
    assert not life.failures, life.failures
    server.stop()
    ready = life.check()
    life.settle()
    assert life.check() == ready
    life.check_store()
    server.start()
    agent = Agent(tmp_path / "reader", server.url, life.admin)
    assert ready
    for name in sorted(ready):
        place = tmp_path / "pulled"
        agent.run("pull", place, "--project", "p", "--app", "a", "--version", name).expect(0)
        assert {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*")
                if path.is_file() and ".kkartifact" not in path.parts} == life.trees[name]
    print(f"{life.steps} steps, {kills} kills, {len(ready)} versions at the end")
