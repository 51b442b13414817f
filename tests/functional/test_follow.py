# SPDX-License-Identifier: MIT
"""pull --follow, and the commands around a pull."""

import contextlib
import json
import os
import queue
import signal
import sqlite3
import threading
import time

import pytest

from agent import Agent
from events import promote
from proxies import Handler, LyingProxy
from server import Server

WITHIN_S = 90


class Follower:
    """A pull that follows: its results line by line, its stderr as it is."""

    def __init__(self, agent, *words, **options):
        self.process = agent.start("pull", *words, **options)
        self.lines = queue.Queue()
        self.errors = []
        self.threads = [threading.Thread(target=self._read, args=(self.process.stdout, True)),
                        threading.Thread(target=self._read, args=(self.process.stderr, False))]
        for thread in self.threads:
            thread.start()

    def _read(self, stream, is_result):
        for line in stream:
            text = line.decode(errors="replace").rstrip("\n")
            if is_result:
                self.lines.put(text)
            else:
                self.errors.append(text)

    def next(self):
        return self.lines.get(timeout=WITHIN_S)

    def until_version(self, version):
        """Results up to that version; those that were promoted in between may be left out."""
        seen = []
        while not seen or seen[-1] != version:
            seen.append(self.next().split("/")[-1])
        return seen

    def wait_for_error(self, words):
        deadline = time.monotonic() + WITHIN_S
        while not any(words in line for line in self.errors):
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.02)

    def send(self, number):
        self.process.send_signal(number)

    def end(self, number=signal.SIGTERM):
        if number is not None:
            self.send(number)
        code = self.process.wait(WITHIN_S)
        for thread in self.threads:
            thread.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@pytest.fixture
def own(tmp_path):
    server = Server(tmp_path / "data", environment={"KKARTIFACT_EVENT_HEARTBEAT": "1s"}).start()
    yield server
    server.stop()


@pytest.fixture
def follow(own, tmp_path):
    """An agent with versions v1 .. v9 of p/a, and what it starts."""
    agent = Agent(tmp_path / "agent", own.url, own.token("push,pull,promote"))
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(1, 10):
        (tree / "file").write_text(f"v{number}\n")
        (tree / f"only-{number}").write_text("x")
        agent.push(tree, "p", "a", f"v{number}")
        (tree / f"only-{number}").unlink()
    started = []

    def start(*words, by=agent, **options):
        started.append(Follower(by, tmp_path / "dest", "--project", "p", "--app", "a", "--follow",
                                *words, **options))
        return started[-1]
    start.agent = agent
    start.dest = tmp_path / "dest"
    start.file = tmp_path / "dest" / "file"
    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.end(None)


def test_promotions_are_applied(own, follow):
    promote(own, "p", "a", "v1")
    follower = follow()
    assert follower.next() == "p/a/v1"
    for version in ("v2", "v5", "v3"):
        promote(own, "p", "a", version)
        assert follower.until_version(version)[-1] == version
        assert follow.file.read_text() == version + "\n"
    assert sorted(path.name for path in follow.dest.iterdir()) == [".kkartifact", "file", "only-3"]
    promote(own, "p", "a", "v4", channel="beta")  # not ours
    promote(own, "p", "a", "v6")
    assert follower.until_version("v6") == ["v6"]
    assert follower.end() == 130
    assert follower.errors[-1:] == ["kkartifact-agent: interrupted"]


def test_a_channel_and_its_json(own, follow):
    promote(own, "p", "a", "v1", channel="beta")
    follower = follow("--version", "@beta", "--json")
    assert json.loads(follower.next())["state"] == "updated"
    promote(own, "p", "a", "v9")
    promote(own, "p", "a", "v2", channel="beta")
    told = json.loads(follower.next())
    assert (told["version"], told["state"], told["written_files"]) == ("v2", "updated", 2)
    assert 0 < told["received_bytes"] < 1 << 16
    assert follower.end(signal.SIGINT) == 130


def test_latest_without_a_promotion(own, follow):
    """It begins with what was pushed last, and goes on with what is promoted."""
    follower = follow("--version", "latest")
    assert follower.next() == "p/a/v9"
    promote(own, "p", "a", "v2")
    assert follower.next() == "p/a/v2"
    assert follower.end() == 130


def test_hangup_does_not_matter(own, follow):
    promote(own, "p", "a", "v1")
    follower = follow()
    follower.next()
    follower.send(signal.SIGHUP)
    promote(own, "p", "a", "v2")
    assert follower.until_version("v2") == ["v2"]
    assert follower.end() == 130


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_server_goes_and_comes_between_promotions(own, follow, how):
    """What was promoted while it was away, or the line was cut, is made up for."""
    promote(own, "p", "a", "v1")
    follower = follow("--exchange")
    follower.next()
    port = own.port
    for version in ("v2", "v3", "v4"):
        promote(own, "p", "a", "v8")
        getattr(own, how)()
        promote(own, "p", "a", version)
        own.listen = f"127.0.0.1:{port}"
        own.start()
        follower.until_version(version)
        assert follow.file.read_text() == version + "\n"
    assert follower.end() == 130


def test_a_revoked_token_ends_it(own, follow, tmp_path):
    token = own.token("pull")
    agent = Agent(tmp_path / "other", own.url, token)
    promote(own, "p", "a", "v1")
    follower = follow(by=agent)
    follower.next()
    own.revoke(token)
    assert follower.end(None) == 4
    assert "revoked" in follower.errors[-1]


def test_usage(follow, own):
    where = [follow.dest, "--project", "p", "--app", "a"]
    run = follow.agent.run
    assert "@CHANNEL" in run("pull", *where, "--follow", "--version", "v1").expect(2).stderr
    assert "--dry-run" in run("pull", *where, "--follow", "--dry-run").expect(2).stderr
    run("pull", *where, "--follow", "--version", "@nothing").expect(5)
    assert not follow.dest.exists()


HOOK = ('echo "$KKARTIFACT_PROJECT/$KKARTIFACT_APP/$KKARTIFACT_VERSION'
        ' before=$KKARTIFACT_PREVIOUS at=$KKARTIFACT_DEST content=$KKARTIFACT_CONTENT'
        ' token=${KKARTIFACT_TOKEN-none} file=$(cat "$KKARTIFACT_DEST/file" 2>/dev/null)"')


@pytest.mark.parametrize("exchange", [[], ["--exchange"]])
def test_commands_around_a_pull(own, follow, exchange):
    agent = follow.agent
    where = [follow.dest, "--project", "p", "--app", "a", *exchange]
    agent.environment["KKARTIFACT_TOKEN"] = own.token("pull")
    hooks = ["--pre", f"printf 'pre '; {HOOK}", "--post", f"printf 'post '; {HOOK}"]
    done = agent.run("pull", *where, "--version", "v1", "--json", *hooks).expect()
    content = done.json()["content"]
    told = f"p/a/v1 before= at={follow.dest} content={content} token=none file="
    assert done.stderr.splitlines() == ["pre " + told, "post " + told + "v1"]
    done = agent.run("pull", *where, "--version", "v1", *hooks).expect()
    assert (done.stdout, done.stderr) == ("p/a/v1\n", "")  # current: neither
    done = agent.run("pull", *where, "--version", "v2", "--dry-run", *hooks).expect()
    assert done.stderr == ""
    done = agent.run("pull", *where, "--version", "v2", *hooks).expect()
    lines = done.stderr.splitlines()
    assert "v2 before=v1" in lines[0] and lines[0].endswith("file=v1")
    assert "v2 before=v1" in lines[1] and lines[1].endswith("file=v2")


@pytest.mark.parametrize("exchange", [[], ["--exchange"]])
def test_commands_that_fail(follow, exchange):
    agent = follow.agent
    where = [follow.dest, "--project", "p", "--app", "a", *exchange]
    agent.run("pull", *where, "--version", "v1").expect()
    done = agent.run("pull", *where, "--version", "v2", "--pre", "exit 3", "--post",
                     "echo never").expect(1)
    assert "--pre: the command ended with 3" in done.stderr and "never" not in done.stderr
    assert done.stdout == ""
    assert follow.file.read_text() == "v1\n" and (follow.dest / "only-1").exists()
    agent.run("verify", follow.dest).expect()
    done = agent.run("pull", *where, "--version", "v2", "--post", "exit 4").expect(1)
    assert "--post: the command ended with 4" in done.stderr
    assert (done.stdout, follow.file.read_text()) == ("p/a/v2\n", "v2\n")
    agent.run("pull", *where, "--version", "v2", "--post", "exit 4").expect()  # current


def test_following_with_commands_that_fail(own, follow, tmp_path):
    """A --pre that says no leaves the version out, a --post that fails is told."""
    promote(own, "p", "a", "v1")
    follower = follow("--pre", 'test "$KKARTIFACT_VERSION" != v2',
                      "--post", 'test "$KKARTIFACT_VERSION" != v3')
    assert follower.next() == "p/a/v1"
    promote(own, "p", "a", "v2")
    follower.wait_for_error("--pre: the command ended with 1")
    assert follow.file.read_text() == "v1\n"
    promote(own, "p", "a", "v3")
    assert follower.next() == "p/a/v3"
    follower.wait_for_error("--post: the command ended with 1")
    promote(own, "p", "a", "v4")
    assert follower.next() == "p/a/v4"
    assert follower.end() == 130


def test_a_failure_is_told_and_tried_again(own, follow):
    """As here, where something is in the way, until it is gone."""
    promote(own, "p", "a", "v1")
    follower = follow()
    assert follower.next() == "p/a/v1"
    (follow.dest / "only-2").write_text("somebody's own")
    promote(own, "p", "a", "v2")
    follower.wait_for_error("only-2")
    assert follow.file.read_text() == "v1\n"
    (follow.dest / "only-2").unlink()
    assert follower.next() == "p/a/v2"
    assert follower.end() == 130


def test_several_promotions_during_a_pull_are_one(own, follow, tmp_path):
    promote(own, "p", "a", "v1")
    gate = tmp_path / "gate"
    follower = follow("--pre", f'test "$KKARTIFACT_VERSION" != v2 || while test ! -e {gate};'
                               ' do sleep 0.02; done')
    follower.next()
    promote(own, "p", "a", "v2")
    follow_stage = follow.dest / ".kkartifact" / "stage"
    deadline = time.monotonic() + WITHIN_S
    while not follow_stage.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for version in ("v3", "v4", "v5"):
        promote(own, "p", "a", version)
    gate.touch()
    assert follower.until_version("v5") in (["v2", "v5"], ["v2", "v3", "v5"], ["v2", "v4", "v5"])
    assert follower.end() == 130


def test_an_interrupted_command_ends_it(own, follow, tmp_path):
    """The command is asked to end, and nothing is changed."""
    promote(own, "p", "a", "v1")
    at = tmp_path / "at"
    follower = follow("--pre", f'test "$KKARTIFACT_VERSION" = v1 || {{ touch {at}; sleep 600; }}')
    follower.next()
    promote(own, "p", "a", "v2")
    deadline = time.monotonic() + WITHIN_S
    while not at.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert follower.end() == 130
    assert follow.file.read_text() == "v1\n"


class Events(Handler):
    """Events as a test has them told; the rest is passed on. `turns`: when a version was asked for,
    `renewals`: when a lease was."""

    def do_GET(self):
        server = self.server
        if not self.path.startswith("/api/v1/events"):
            if self.path.endswith("/versions/@live"):
                server.turns.append(time.monotonic())
            self._pass_on()
            return
        self.send_response_only(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        number = 1
        with contextlib.suppress(OSError):
            while not server.ending.wait(server.pause):
                number += 1
                event = {"number": number, "data": {"channel": "live"}}
                kind = "event: version.promoted\n" if server.floods else ": beat\n"
                told = f"data: {json.dumps(event)}\n" if server.floods else ""
                self.wfile.write(f"{kind}id: {number}\n{told}\n".encode())
                self.wfile.flush()

    def do_PUT(self):
        if self.path.endswith("/leases"):
            self.server.renewals.append(time.monotonic())
        self._pass_on()


class EventProxy(LyingProxy):
    handler = Events

    def __init__(self, server, *, pause, floods):
        self.turns, self.renewals = [], []
        self.ending = threading.Event()
        self.pause, self.floods = pause, floods
        super().__init__(server)

    def __exit__(self, *what):
        self.ending.set()
        super().__exit__(*what)


def wait_until(condition):
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_flood_of_promotions_is_one_pull_a_second(own, follow, tmp_path):
    promote(own, "p", "a", "v1")
    with EventProxy(own, pause=0.002, floods=True) as proxy:
        agent = Agent(tmp_path / "flooded", proxy.url, own.token("pull"))
        follower = follow(by=agent)
        assert follower.next() == "p/a/v1"
        wait_until(lambda: len(proxy.turns) >= 5)
        promote(own, "p", "a", "v2")
        promote(own, "p", "a", "v3")
        assert follower.until_version("v3") in (["v3"], ["v2", "v3"])
        turns = proxy.turns[1:]  # behind the pull that it begins with
        assert follower.end() == 130
    assert min(later - earlier for earlier, later in zip(turns, turns[1:])) > 0.9, turns


def test_a_lease_is_renewed_while_nothing_is_promoted(own, follow, tmp_path):
    """As often as the server says; one that cannot be renewed is tried again."""
    def often(reply):
        reply.body = json.dumps({**json.loads(reply.body), "renew_in_s": 1}).encode()

    def away(reply):
        reply.status = 503

    promote(own, "p", "a", "v1")
    with EventProxy(own, pause=0.2, floods=False) as proxy:
        proxy.lie("/leases$", often, method="PUT")
        agent = Agent(tmp_path / "renewing", proxy.url, own.token("pull"), host="renewing")
        follower = follow(by=agent)
        assert follower.next() == "p/a/v1"
        wait_until(lambda: len(proxy.renewals) >= 4)
        with contextlib.closing(sqlite3.connect(own.data / "kkartifact.db",
                                                timeout=30)) as database:
            database.execute("UPDATE leases SET renewed_at = 5")
            database.commit()
            proxy.lie("/leases$", away, method="PUT", times=1)
            count = len(proxy.renewals)
            wait_until(lambda: len(proxy.renewals) >= count + 3)
            [(renewed_at,)] = database.execute("SELECT renewed_at FROM leases").fetchall()
        assert renewed_at > 5
        assert len(proxy.turns) <= 3
        assert follower.end() == 130
        told = [line for line in follower.errors if "was not told" in line]
        assert len(told) == 1, follower.errors
        times = proxy.renewals[2:]
        assert 0.4 < min(later - earlier for earlier, later in zip(times, times[1:]))


def test_a_dead_line_is_noticed(own, follow):
    """Nothing is lost when the server only seems to be there: it is stopped in its tracks."""
    promote(own, "p", "a", "v1")
    follower = follow()
    follower.next()
    os.kill(own.process.pid, signal.SIGSTOP)
    try:
        assert follower.end() == 130
    finally:
        os.kill(own.process.pid, signal.SIGCONT)
