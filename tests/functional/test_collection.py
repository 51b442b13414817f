# SPDX-License-Identifier: MIT
"""gc and fsck against a real store: what nothing refers to goes, what is lost is found and healed.

Ages are set to nothing where a test cannot wait for days.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import sqlite3
import time

import pytest

from agent import Agent
from faulty_disk import FaultyDisk

SIZE = 900_000


def trees(root, *names):
    """A tree each, with a file of its own and one that they share."""
    for number, name in enumerate(names):
        tree = root / name
        (tree / "d").mkdir(parents=True)
        (tree / "d" / "own").write_bytes(name.encode() * (SIZE // len(name)))
        (tree / "shared").write_bytes(b"the same" * 1000)
        (tree / f"small-{number}").write_text(name)


def sql(server, text, *values):
    with contextlib.closing(sqlite3.connect(server.data / "kkartifact.db", timeout=30)) as base:
        with base:
            return base.execute(text, values).fetchall()


def at_once(server):
    """Nothing waits in the trash, and nothing condemned."""
    for name in ("trash_age", "collect_grace"):
        sql(server, "INSERT INTO settings (name, value, updated_at) VALUES (?, '0', 0)", name)


def trash(server, name):
    sql(server, "UPDATE versions SET state = 'trashed', trashed_at = 0 WHERE name = ?", name)


def objects(server):
    return {path.name: path for path in (server.data / "blobs" / "blobs").rglob("*")
            if path.is_file()}


def verb(server, *words, code=0):
    done = server.command(*words)
    assert done.returncode == code, done
    return done


def collect(server):
    return json.loads(verb(server, "gc", "--json").stdout)


@pytest.fixture
def world(tmp_path, new_server):
    server = new_server()
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    trees(tmp_path, "one", "two")
    for name in ("one", "two"):
        agent_ok(agent, "push", tmp_path / name, "--project", "p", "--app", "a", "--version", name)
    return server, agent, tmp_path


def agent_ok(agent, *words):
    agent.run(*words).expect(0)


def pulled(agent, tmp_path, name):
    place = tmp_path / f"pulled-{name}"
    agent_ok(agent, "pull", place, "--project", "p", "--app", "a", "--version", name)
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*")
            if path.is_file() and ".kkartifact" not in path.parts}


def expected(tmp_path, name):
    tree = tmp_path / name
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*")
            if path.is_file()}


@pytest.mark.parametrize("running", [True, False], ids=["beside a server", "alone"])
def test_what_was_deleted_goes_and_nothing_else(world, running):
    server, agent, tmp_path = world
    before = set(objects(server))
    trash(server, "two")
    if not running:
        server.stop()
    at_once(server)
    found = collect(server)
    assert found["purged_versions"] == 1 and found["condemned"] == found["deleted_blobs"] > 0
    left = set(objects(server))
    assert len(before - left) == found["removed_objects"] + 2  # a merkle object, and the record
    assert [name for name in left - before if not name.endswith(".d")] == []
    if not running:
        server.start()
        agent = Agent(tmp_path / "agent-2", server.url, server.all_rights)
    assert pulled(agent, tmp_path, "one") == expected(tmp_path, "one")
    gone = agent.run("pull", tmp_path / "x", "--project", "p", "--app", "a", "--version", "two")
    assert gone.code == 5, gone
    verb(server, "fsck", "--full")
    # The name may come back with the same content, and with no other.
    agent_ok(agent, "push", tmp_path / "two", "--project", "p", "--app", "a", "--version", "two")
    assert pulled(agent, tmp_path, "two") == expected(tmp_path, "two")
    (tmp_path / "two" / "more").write_text("other")
    other = agent.run("push", tmp_path / "two", "--project", "p", "--app", "a", "--version", "two")
    assert other.code == 6, other


def test_a_dry_run_writes_nothing(world):
    server, _, _ = world
    trash(server, "two")
    at_once(server)
    server.stop()
    collected = (server.data / "kkartifact.db").read_bytes(), sorted(objects(server))
    told = json.loads(verb(server, "gc", "--dry-run", "--json").stdout)
    assert told["due_versions"] == 1 and told["trash_age"] == 0
    assert ((server.data / "kkartifact.db").read_bytes(), sorted(objects(server))) == collected
    assert "versions to purge from the trash: 1" in verb(server, "gc", "--dry-run").stdout


@pytest.mark.parametrize("harm", ["other sentinel", "no sentinel", "empty", "no directory"])
def test_a_store_that_is_another_loses_nothing(world, harm, tmp_path):
    """An unmounted disk, or the wrong one: the run ends, and the database has lost nothing."""
    server, agent, _ = world
    trash(server, "two")
    at_once(server)
    store = server.data / "blobs"
    if harm == "other sentinel":
        sentinel = store / ".kkartifact-store"
        kept = sentinel.read_text()
        sentinel.write_text("00000000-0000-4000-8000-000000000000\n")
    elif harm == "no sentinel":
        kept = (store / ".kkartifact-store").read_text()
        (store / ".kkartifact-store").unlink()
    else:
        store.rename(server.data / "elsewhere")
        if harm == "empty":
            store.mkdir()
    rows = sql(server, "SELECT count(*) FROM blobs")
    for words in (["gc"], ["fsck", "--repair"]):
        done = server.command(*words)
        assert done.returncode == 1, done
    assert sql(server, "SELECT count(*) FROM blobs") == rows
    assert sql(server, "SELECT count(*) FROM blobs WHERE state <> 'live'") == [(0,)]
    assert sql(server, "SELECT count(*) FROM versions") == [(2,)]
    if harm in ("other sentinel", "no sentinel"):
        (store / ".kkartifact-store").write_text(kept)
    else:
        if harm == "empty":
            store.rmdir()
        (server.data / "elsewhere").rename(store)
    assert collect(server)["purged_versions"] == 1
    assert pulled(agent, tmp_path, "one") == expected(tmp_path, "one")


@pytest.mark.plain_only
@pytest.mark.parametrize("words", [["gc"], ["fsck", "--full", "--repair"]], ids=["gc", "fsck"])
def test_a_disk_that_fails_loses_nothing(tmp_path, new_server, words):
    """Whichever of the calls on the store fails: reading the sentinel, listing, opening, reading.
    The run ends, or has done what it could; nothing that is needed is deleted or called lost."""
    disk = FaultyDisk(tmp_path / "disk", tmp_path / "data" / "blobs", 1)
    server = new_server(tmp_path / "data", environment=disk.environment)
    agent = Agent(tmp_path / "agent", server.url, server.all_rights)
    trees(tmp_path, "one", "two")
    for name in ("one", "two"):
        agent_ok(agent, "push", tmp_path / name, "--project", "p", "--app", "a", "--version", name)
    server.stop()
    trash(server, "two")
    at_once(server)
    broken = "SELECT count(*) FROM blobs WHERE state IN ('missing', 'corrupt')"
    rows = sql(server, "SELECT count(*) FROM blobs")
    disk.set(fail=1)
    assert server.command(*words).returncode == 1
    assert (sql(server, "SELECT count(*) FROM blobs"), sql(server, broken)) == (rows, [(0,)])
    failed = 0
    for seed in range(30):  # now and then, at other calls each time
        disk.seed(seed)
        disk.set(fail=0.1)
        failed += server.command(*words).returncode != 0
        assert sql(server, broken) == [(0,)]
    assert failed > 0
    disk.heal()
    collect(server)
    verb(server, "fsck", "--full")
    assert sql(server, "SELECT name FROM versions") == [("one",)]
    server.start()
    agent = Agent(tmp_path / "agent-2", server.url, server.all_rights)
    assert pulled(agent, tmp_path, "one") == expected(tmp_path, "one")


def key_of(server, size):
    [(key,)] = sql(server, "SELECT storage_key FROM blobs WHERE size = ?", size)
    return key


def test_fsck_finds_and_a_push_heals(world):
    server, agent, tmp_path = world
    shared = (tmp_path / "one" / "shared").stat().st_size
    lost = objects(server)[key_of(server, shared)]
    lost.unlink()
    done = verb(server, "fsck", code=1)
    assert f"missing: {lost.name}" in done.stdout
    assert "broken: p/a/one (1 blobs)" in done.stdout and "broken: p/a/two" in done.stdout
    assert "are missing or corrupt" in done.stderr
    assert sql(server, "SELECT count(*) FROM blobs WHERE state = 'missing'") == [(0,)]
    done = verb(server, "fsck", "--repair", code=1)
    assert "broken: p/a/one" in done.stdout and "broken: p/a/two" in done.stdout
    told = json.loads(verb(server, "fsck", "--json", code=1).stdout)
    assert told["missing"] >= 1 and len(told["broken_versions"]) == 2
    agent_ok(agent, "push", tmp_path / "one", "--project", "p", "--app", "a", "--version", "one")
    verb(server, "fsck", "--full")
    assert pulled(agent, tmp_path, "two") == expected(tmp_path, "two")


def test_fsck_full_reads_every_byte(world):
    server, agent, tmp_path = world
    victim = objects(server)[key_of(server, (tmp_path / "one" / "shared").stat().st_size)]
    data = bytearray(victim.read_bytes())
    data[100] ^= 1
    victim.chmod(0o644)
    victim.write_bytes(data)
    verb(server, "fsck")
    done = verb(server, "fsck", "--full", "--repair", code=1)
    assert f"corrupt: {victim.name}" in done.stdout
    agent_ok(agent, "push", tmp_path / "two", "--project", "p", "--app", "a", "--version", "two")
    verb(server, "fsck", "--full")
    assert pulled(agent, tmp_path, "one") == expected(tmp_path, "one")


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_what_was_open_when_it_was_healed_is_served_healed(world, damage):
    """Another process finds the damage. The server has the object open, and learns of it only from
    the push that heals."""
    server, agent, tmp_path = world
    token = server.token("pull")
    path = "/api/v1/projects/p/apps/a/versions/one/files/d/own"
    data = (tmp_path / "one" / "d" / "own").read_bytes()
    assert server.request("GET", path, token=token).body == data
    [(key,)] = sql(server, "SELECT storage_key FROM blobs WHERE sha256 = ?",
                   hashlib.sha256(data).digest())
    victim = objects(server)[key]
    victim.chmod(0o644)
    with victim.open("r+b") as file:
        if damage == "cut":
            file.truncate(1000)
        else:
            file.seek(500_000)
            file.write(b"#")
    verb(server, "fsck", "--full", "--repair", code=1)
    agent_ok(agent, "push", tmp_path / "one", "--project", "p", "--app", "a", "--version", "one")
    verb(server, "fsck", "--full")
    assert server.request("GET", path, token=token).body == data


def test_an_object_without_a_row_is_moved_aside(world):
    server, _, _ = world
    stray = pathlib.Path(server.data / "blobs" / "blobs" / "ab" / ("ab" * 16))
    stray.parent.mkdir(exist_ok=True)
    stray.write_text("whose?")
    verb(server, "fsck")  # it may be about to get its row
    os.utime(stray, (0, 0))
    done = verb(server, "fsck", code=1)
    assert f"without a row: {stray.name}" in done.stdout and stray.exists()
    verb(server, "fsck", "--repair")
    assert not stray.exists()
    assert (server.data / "blobs" / "aside" / stray.name).read_text() == "whose?"


def test_a_job_of_everything_over_http(world):
    server, _, tmp_path = world
    admin = server.token("admin")
    trash(server, "two")
    at_once(server)
    told = server.request("POST", "/api/v1/gc/preview", token=admin).json()
    assert told["due_versions"] == 1
    asked = server.request("POST", "/api/v1/gc/run", token=admin)
    assert asked.status == 202
    job = finished(server, admin, asked.json()["id"])
    assert job["state"] == "done" and job["result"]["purged_versions"] == 1
    listed = server.request("GET", "/api/v1/jobs", token=admin).json()["items"]
    assert job in listed
    # What has ended is not cancelled any more; and a narrower token sees nothing of it.
    cancelled = server.request("DELETE", f"/api/v1/jobs/{job['id']}", token=admin)
    assert cancelled.status == 200 and cancelled.json()["state"] == "done"
    narrow = server.token("push", project="p")
    assert server.request("GET", f"/api/v1/jobs/{job['id']}", token=narrow).status == 404
    assert server.request("GET", "/api/v1/jobs", token=narrow).json()["items"] == []
    wide = server.token("pull,push,promote")
    for method in ("GET", "DELETE"):
        assert server.request(method, f"/api/v1/jobs/{job['id']}", token=wide).status == 404
    assert server.request("GET", "/api/v1/jobs", token=wide).json()["items"] == []
    assert sql(server, "SELECT count(*) FROM audit WHERE operation IN ('gc.run', 'gc.end')") == \
        [(2,)]


def test_metrics_tell_of_a_run_that_failed(world):
    """What ends a run before anything is deleted is to be seen by who watches."""
    server, _, _ = world
    admin = server.token("admin")
    sentinel = server.data / "blobs" / ".kkartifact-store"
    kept = sentinel.read_text()
    sentinel.unlink()
    asked = server.request("POST", "/api/v1/gc/run", token=admin).json()
    job = finished(server, admin, asked["id"])
    assert job["state"] == "failed" and job["problem"], job
    assert metric(server, 'kkartifact_jobs_total{kind="gc",state="failed"}') == 1
    sentinel.write_text(kept)
    asked = server.request("POST", "/api/v1/gc/run", token=admin).json()
    assert finished(server, admin, asked["id"])["state"] == "done"
    assert metric(server, 'kkartifact_jobs_total{kind="gc",state="done"}') == 1
    done_at = metric(server, 'kkartifact_job_last_done_timestamp_seconds{kind="gc"}')
    assert 0 <= time.time() - done_at < 300
    assert metric(server, "kkartifact_blobs_broken") == 0


def metric(server, name):
    text = server.request("GET", "/metrics").body.decode()
    [value] = [line.rpartition(" ")[2] for line in text.splitlines()
               if line.rpartition(" ")[0] == name]
    return int(value)


def finished(server, token, number):
    """The job, when it has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job = server.request("GET", f"/api/v1/jobs/{number}", token=token).json()
        if "finished_at" in job:
            return job
        time.sleep(0.05)
    raise AssertionError(f"it does not end: {job}")
