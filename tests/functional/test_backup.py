# SPDX-License-Identifier: MIT
"""backup, restore and rebuild against real servers: what was there at the start of a backup can
be had back byte for byte, whatever happens beside it, and a backup that does not come to its end
spoils nothing; a lost database is made again from the store."""

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import threading

import pytest

import trees
from agent import Agent
from mounts import remount, tmpfs
from server import ROOT, Server, program

MIB = 1 << 20
PLACE = ("--project", "p", "--app", "a", "--version")


def sql(data, text, *values):
    with contextlib.closing(sqlite3.connect(data / "kkartifact.db", timeout=30)) as base:
        with base:
            return base.execute(text, values).fetchall()


def versions(data):
    return {name for name, in sql(data, "SELECT name FROM versions")}


def trash(data, *names):
    for name in names:
        sql(data, "UPDATE versions SET state = 'trashed', trashed_at = 0 WHERE name = ?", name)


def verb(data, *words, code=0):
    done = Server(data).command(*words)
    assert done.returncode == code, done
    return done


def backup(server, place, code=0):
    done = verb(server.data, "backup", place, "--json", code=code)
    return json.loads(done.stdout) if code == 0 else done


def check(data):
    verb(data, "fsck", "--full")


def objects(data):
    return {path.name for path in (data / "blobs" / "blobs").rglob("*") if path.is_file()}


def free_lane(server):
    """As if the lease of a backup that was killed were over."""
    sql(server.data, "UPDATE jobs SET leased_until = 0 WHERE state = 'running'")


@pytest.fixture
def world(tmp_path, new_server):
    """A server with two versions, in which nothing waits before it is deleted."""
    server = new_server()
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    for number, name in enumerate(("one", "two")):
        trees.small_tree(tmp_path / name, number)
        agent.push(tmp_path / name, "p", "a", name)
    for name in ("trash_age", "collect_grace"):
        sql(server.data, "INSERT INTO settings (name, value, updated_at) VALUES (?, '0', 0)", name)
    return server, agent, tmp_path


def assert_served(data, tmp_path, *names):
    """A server on that directory gives these versions as they were pushed."""
    with Server(data) as server:
        agent = Agent(tmp_path / f"{data.name}-agent", server.url, server.token("pull"))
        for name in names:
            copy = tmp_path / f"{data.name}-{name}"
            agent.pull(copy, "p", "a", name, "--full-check")
            trees.assert_same(tmp_path / name, copy)


# -------------------------------------------------------------------- beside everything else


class Load:
    """Pushes, deletions and collections, until the end of the block."""

    def __init__(self, server, tmp_path):
        self.server = server
        self.folder = tmp_path / "load"
        self.agent = Agent(tmp_path / "load-agent", server.url, server.all_rights)
        self.over = threading.Event()
        self.under_way = threading.Event()
        self.faults = []
        self.threads = [threading.Thread(target=self.guard, args=(work,))
                        for work in (self.push, self.collect)]

    def guard(self, work):
        try:
            work()
        except Exception as fault:  # noqa: BLE001 - it is told by the test's own thread
            self.faults.append(fault)
            self.under_way.set()

    def push(self):
        number = 0
        while not self.over.is_set():
            tree = self.folder / str(number)
            trees.write(tree, "own", trees.random_bytes(700_000, f"load {number}"))
            trees.write(tree, "sizes/4096", trees.random_bytes(4096, "0/4096"))
            self.agent.push(tree, "p", "a", f"load-{number}")
            trash(self.server.data, f"load-{number - 1}")
            number += 1
            if number == 2:
                self.under_way.set()

    def collect(self):
        while not self.over.is_set():
            verb(self.server.data, "gc")

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        assert self.under_way.wait(60)
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        assert not self.faults, self.faults


def test_backup_under_load_and_restore(world):
    server, _, tmp_path = world
    place = tmp_path / "backup"
    with Load(server, tmp_path):
        for _ in range(2):
            told = backup(server, place)
            assert told["damaged"] == 0
            check(place)
    assert {"one", "two"} <= versions(place)
    server.kill()
    shutil.rmtree(server.data)
    restored = tmp_path / "restored"
    done = verb(restored, "restore", place)
    assert f"serve --data {restored}" in done.stdout
    check(restored)
    assert versions(restored) == versions(place)
    assert sql(restored, "SELECT count(*) FROM pushes") == [(0,)]
    assert sql(restored, "SELECT count(*) FROM audit WHERE operation = 'store.restore'") == [(1,)]
    assert_served(restored, tmp_path, "one", "two")
    assert_served(place, tmp_path, "one", "two")


def test_the_second_is_incremental(world):
    server, agent, tmp_path = world
    place = tmp_path / "backup"
    first = backup(server, place)
    assert first["copied_objects"] == first["objects"] == len(objects(place))
    assert objects(place) == {name for name in objects(server.data)
                              if name[32:] not in (".c", ".n")}
    assert backup(server, place)["copied_objects"] == 0
    three = trees.small_tree(tmp_path / "three", 3)
    agent.push(three, "p", "a", "three")
    trash(server.data, "two")
    verb(server.data, "gc")
    third = backup(server, place)
    assert 0 < third["copied_objects"] < first["objects"] and third["removed_objects"] > 0
    assert third["objects"] == len(objects(place)) and versions(place) == {"one", "three"}
    check(place)
    jobs = server.request("GET", "/api/v1/jobs", token=server.token("admin")).json()["items"]
    told = [job for job in jobs if job["kind"] == "backup"]
    assert len(told) == 3 and told[0]["state"] == "done" and told[0]["result"] == third


def test_open_pushes_are_not_in_it(world, names):
    server, _, tmp_path = world
    open_push = server.request("POST", "/api/v1/projects/p/apps/a/pushes", token=server.all_rights,
                               json_body={"version": "half"})
    assert open_push.status == 201, open_push
    backup(server, tmp_path / "backup")
    assert sql(server.data, "SELECT count(*) FROM pushes") == [(1,)]
    assert sql(tmp_path / "backup", "SELECT count(*) FROM pushes") == [(0,)]
    check(tmp_path / "backup")


# -------------------------------------------------------------------- that do not come to the end


CALLS = "fsync,fdatasync,syncfs,rename,renameat,renameat2,unlink,unlinkat"


def killed(data, words, count):
    """Whether the verb was killed at its `count`-th call of one thread that changes a disk."""
    line = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={CALLS}", "-e",
            f"inject={CALLS}:signal=SIGKILL:when={count}", str(program("kkartifact-server")),
            *map(str, words), "--data", str(data)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, -9, 137), done
    return done.returncode != 0


@pytest.mark.plain_only
def test_a_killed_backup_leaves_the_old_one(world):
    server, agent, tmp_path = world
    place = tmp_path / "backup"
    backup(server, place)
    agent.push(trees.small_tree(tmp_path / "three", 3), "p", "a", "three")
    trash(server.data, "two")
    verb(server.data, "gc")
    count, kills = 1, 0
    while killed(server.data, ["backup", place], count):
        assert versions(place) in ({"one", "two"}, {"one", "three"})
        check(place)
        free_lane(server)
        count += 1 + count // 3
        kills += 1
    assert kills >= 5
    states = sql(server.data, "SELECT state, problem FROM jobs WHERE kind = 'backup'")
    assert ("failed", "the process that did it ended before its end") in states
    assert versions(place) == {"one", "three"}
    check(place)
    assert_served(place, tmp_path, "one", "three")


@pytest.mark.plain_only
def test_a_killed_restore_is_begun_again(world):
    server, _, tmp_path = world
    place, restored = tmp_path / "backup", tmp_path / "restored"
    backup(server, place)
    count = 1
    while killed(restored, ["restore", place], count):
        assert not (restored / "kkartifact.db").exists() or versions(restored) == {"one", "two"}
        if (restored / "kkartifact.db").exists():
            break  # what comes then is only the look at it
        count += 1 + count // 3
    assert count > 5
    check(restored)
    assert objects(restored) == objects(place)
    assert_served(restored, tmp_path, "one", "two")


def test_a_full_disk(world, keeper):
    server, agent, tmp_path = world
    with tmpfs(tmp_path / "disk", "24m", keeper) as disk:
        place = disk / "backup"
        backup(server, place)
        trees.write(tmp_path / "big", "big", trees.random_bytes(30 * MIB))
        agent.push(tmp_path / "big", "p", "a", "big")
        done = backup(server, place, code=1)
        assert "space" in done.stderr or "full" in done.stderr, done
        assert versions(place) == {"one", "two"}
        check(place)
        remount(disk, "size=100m")
        backup(server, place)
        assert versions(place) == {"one", "two", "big"}
        check(place)


# -------------------------------------------------------------------- what is refused


def test_what_backup_refuses(world, new_server):
    server, _, tmp_path = world
    for place in (server.data, server.data / "inside", server.data / "blobs" / "x", tmp_path):
        assert "overlap" in backup(server, place, code=1).stderr
    assert not (server.data / "inside").exists()
    foreign = tmp_path / "foreign"
    trees.write(foreign, "letters/one", b"mine")
    assert "letters" in backup(server, foreign, code=1).stderr
    assert [path.name for path in foreign.iterdir()] == ["letters"]
    other = new_server()
    other.stop()
    assert "belongs to store" in backup(server, other.data, code=1).stderr
    place = tmp_path / "backup"
    backup(server, place)
    with Server(place):
        assert "served by another" in backup(server, place, code=1).stderr
    backup(server, place)
    link = tmp_path / "link"
    link.symlink_to(server.data)
    assert "overlap" in backup(server, link / "inside", code=1).stderr


def test_what_restore_refuses(world):
    server, _, tmp_path = world
    place, restored = tmp_path / "backup", tmp_path / "restored"
    assert "is no backup" in verb(restored, "restore", tmp_path / "none", code=1).stderr
    backup(server, place)
    assert "is there" in verb(server.data, "restore", place, code=1).stderr
    assert "overlap" in verb(place / "x", "restore", place, code=1).stderr
    with Server(place):
        assert "served by another" in verb(restored, "restore", place, code=1).stderr
    verb(restored, "restore", place)
    (restored / "kkartifact.db").unlink()  # the objects are there
    assert "objects already" in verb(restored, "restore", place, code=1).stderr
    assert not (restored / "kkartifact.db").exists()


def test_what_is_damaged_is_not_copied(world):
    server, agent, tmp_path = world
    place, restored = tmp_path / "backup", tmp_path / "restored"
    [(key,)] = sql(server.data, "SELECT storage_key FROM blobs WHERE size = 524287"
                                " ORDER BY id LIMIT 1")
    [victim] = (server.data / "blobs" / "blobs").rglob(key)
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)
    done = backup(server, place, code=1)
    assert "complete but for 1 blobs" in done.stderr and json.loads(done.stdout)["damaged"] == 1
    assert json.loads(done.stdout)["lacking"] == [f"corrupt: {key}"]
    assert key not in objects(place) and versions(place) == {"one", "two"}
    verb(restored, "restore", place, code=1)
    with Server(restored) as again:
        healer = Agent(tmp_path / "healer", again.url, again.token("push,pull"))
        healer.push(tmp_path / "one", "p", "a", "one")
    check(restored)
    assert_served(restored, tmp_path, "one", "two")


# -------------------------------------------------------------------- without a backup


def lose_database(server):
    server.stop()
    for path in server.data.glob("kkartifact.db*"):
        path.unlink()


def rebuild(data, code=0):
    done = verb(data, "rebuild", "--json", code=code)
    return json.loads(done.stdout)


def listed(server, token):
    path = "/api/v1/projects/p/apps/a/versions"
    return server.request("GET", path, token=token).json()["items"]


def test_rebuild(world):
    """What was there is there, what was purged is not, and names mean what they meant."""
    server, agent, tmp_path = world
    agent.push(trees.small_tree(tmp_path / "three", 3), "p", "a", "three", "--label", "team=web")
    trash(server.data, "two")
    verb(server.data, "gc")
    before = listed(server, server.all_rights)
    server.stop()
    assert "move it away" in verb(server.data, "rebuild", code=1).stderr
    lose_database(server)
    told = rebuild(server.data)
    assert told["found"] == [] and told["versions"] == 2 and told["purged"] == 1, told
    assert told["blobs"] == told["objects"]
    assert sql(server.data, "SELECT count(*) FROM gc_candidates") == [(0,)]
    assert sql(server.data, "SELECT count(*) FROM tokens") == [(0,)]
    assert sql(server.data, "SELECT count(*) FROM audit WHERE operation = 'store.rebuild'") == \
        [(1,)]
    check(server.data)
    server.start()
    agent = Agent(tmp_path / "again", server.url, server.token("push,pull"))
    assert listed(server, server.token("pull")) == before
    for name in ("one", "three"):
        agent.pull(tmp_path / f"copy-{name}", "p", "a", name, "--full-check")
        trees.assert_same(tmp_path / name, tmp_path / f"copy-{name}")
    assert agent.push(tmp_path / "one", "p", "a", "one")["state"] == "exists"
    agent.push(tmp_path / "one", "p", "a", "three", code=6)
    agent.push(tmp_path / "one", "p", "a", "two", code=6)
    agent.pull(tmp_path / "gone", "p", "a", "two", code=5)
    verb(server.data, "gc")
    check(server.data)
    assert agent.push(tmp_path / "two", "p", "a", "two")["state"] == "created"


def test_rebuild_with_a_damaged_object(world):
    """It is named, as are the versions that need it, and no bytes of it are given."""
    server, _, tmp_path = world
    [(key, digest)] = sql(server.data, "SELECT b.storage_key, b.sha256 FROM blobs b"
                                       " JOIN version_blobs e ON e.blob_id = b.id"
                                       " JOIN versions v ON v.id = e.version_id"
                                       " WHERE b.size = 524287 AND v.name = 'one'")
    lose_database(server)
    [victim] = (server.data / "blobs" / "blobs").rglob(key)
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)
    told = rebuild(server.data, code=1)
    assert (told["versions"], told["incomplete"], told["damaged"]) == (1, 1, 1)
    assert any(line.startswith(f"damaged: {key}") for line in told["found"])
    assert any(line.startswith("incomplete: p/a/one") for line in told["found"])
    server.start()
    agent = Agent(tmp_path / "again", server.url, server.token("push,pull"))
    assert [item["version"] for item in listed(server, server.token("pull"))] == ["two"]
    agent.push(tmp_path / "two", "p", "a", "one", code=6)
    assert agent.push(tmp_path / "one", "p", "a", "one")["state"] == "created"
    for name in ("one", "two"):
        agent.pull(tmp_path / f"copy-{name}", "p", "a", name, "--full-check")
        trees.assert_same(tmp_path / name, tmp_path / f"copy-{name}")
    check(server.data)


def test_rebuild_behind_a_start_without_the_database(world):
    """A start beside the store makes an empty database and ends; that one is in nobody's way."""
    server, _, tmp_path = world
    lose_database(server)
    with pytest.raises(RuntimeError, match="belongs to"):
        server.start()
    assert (server.data / "kkartifact.db").exists()
    assert rebuild(server.data)["versions"] == 2
    with Server(server.data) as running:
        assert "served by another" in verb(running.data, "rebuild", code=1).stderr
    assert_served(server.data, tmp_path, "one", "two")


def test_the_log_of_a_lost_database_is_not_taken_for_the_new_one_s(world):
    server, _, tmp_path = world
    server.kill()
    (server.data / "kkartifact.db").unlink()
    assert (server.data / "kkartifact.db-wal").stat().st_size > 0
    assert "moved away" in verb(server.data, "rebuild", code=1).stderr
    assert not (server.data / "kkartifact.db").exists()
    lose_database(server)
    rebuild(server.data)
    check(server.data)
    assert_served(server.data, tmp_path, "one", "two")


@pytest.mark.plain_only
def test_a_killed_rebuild_is_begun_again(world):
    server, _, tmp_path = world
    lose_database(server)
    count = 1
    while killed(server.data, ["rebuild"], count):
        count += 1 + count // 3
        if (server.data / "kkartifact.db").exists():
            break
    assert count > 5
    if not (server.data / "kkartifact.db").exists():
        rebuild(server.data)
    check(server.data)
    assert_served(server.data, tmp_path, "one", "two")


def test_rebuild_of_a_restored_store(world):
    """A backup has the records, too."""
    server, _, tmp_path = world
    place = tmp_path / "backup"
    backup(server, place)
    for path in place.glob("kkartifact.db*"):
        path.unlink()
    assert rebuild(place)["versions"] == 2
    assert_served(place, tmp_path, "one", "two")


# -------------------------------------------------------------------- as it is written


def drill():
    text = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")
    return re.findall(r"^kkartifact-server (.*)$", text.split("## The drill")[1].split("\n## ")[0],
                      re.M)


def test_the_drill_of_the_manual(world):
    server, _, tmp_path = world
    lines = drill()
    assert len(lines) == 4
    for line in lines:
        words = [word.replace("/srv/kk", str(server.data)).replace("/backup", str(tmp_path / "b"))
                 for word in line.split()]
        done = subprocess.run([program("kkartifact-server"), *words], capture_output=True,
                              text=True, timeout=120, check=False)
        assert done.returncode == 0, (line, done)
    assert_served(server.data.with_name(server.data.name + "-drill"), tmp_path, "one", "two")
