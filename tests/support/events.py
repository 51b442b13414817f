# SPDX-License-Identifier: MIT
"""events - streams of events for a test, and events made at the database.

    with Listener(server, token, "?type=version.*") as listener:
        event = listener.next()

A Listener reads on a thread of its own; what came is in `events`, the last id in `last_id`.
"""

import http.client
import json
import resource
import selectors
import socket
import sqlite3
import threading
import time


class Event:
    def __init__(self, kind, number, data):
        self.type = kind
        self.number = number
        self.data = data

    def __repr__(self):
        return f"<{self.number} {self.type} {self.data}>"


class Listener:
    """One stream. Use as a context, or close() it."""

    def __init__(self, server, token, query="", *, last_id=None, timeout=60):
        headers = {"Authorization": f"Bearer {token}"}
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=timeout)
        self.connection.request("GET", "/api/v1/events" + query, headers=headers)
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.headers = {name.lower(): value for name, value in self.answer.getheaders()}
        self.events = []
        self.beats = 0
        self.last_id = None
        self.ended = False
        self.whole = False  # the body came to its end
        self._changed = threading.Condition()
        self._taken = 0
        self._reader = None
        if self.status == 200:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
            self.wait(lambda: self.last_id is not None or self.ended)

    def _read(self):
        try:
            self._read_lines()
            self.whole = True
        except (OSError, http.client.HTTPException, ValueError, AttributeError):
            pass
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def _read_lines(self):
        kind, number, data, beat = None, None, None, False
        while line := self.answer.readline():
            text = line.decode().rstrip("\n")
            if text.startswith(":"):
                beat = True
            elif text.startswith("id: "):
                number = int(text[4:])
            elif text.startswith("event: "):
                kind = text[7:]
            elif text.startswith("data: "):
                assert data is None, "more than one line of data"
                data = text[6:]
            else:
                assert text == "", text
                with self._changed:
                    self.last_id = number
                    self.beats += beat
                    if data is not None:
                        self.events.append(Event(kind, number, json.loads(data)))
                    self._changed.notify_all()
                kind, data, beat = None, None, False

    def wait(self, condition, within=60):
        with self._changed:
            assert self._changed.wait_for(condition, within), \
                f"{self.status} {self.events[-5:]} {self.last_id}"

    def next(self, within=60):
        """The next event that was not taken yet."""
        self.wait(lambda: len(self.events) > self._taken or self.ended, within)
        assert len(self.events) > self._taken, "the stream ended"
        self._taken += 1
        return self.events[self._taken - 1]

    def wait_for_number(self, number, within=60):
        """It has come to this event, told or not."""
        self.wait(lambda: self.last_id is not None and self.last_id >= number, within)

    def wait_for_end(self, within=60):
        self.wait(lambda: self.ended, within)

    def close(self):
        if self.connection.sock is not None:
            try:
                self.connection.sock.shutdown(2)
            except OSError:
                pass
        if self._reader is not None:
            self._reader.join(10)
        self.answer.close()
        self.connection.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()


def database(server):
    return sqlite3.connect(server.data / "kkartifact.db", timeout=60)


def write_events(server, kind, project, app, count=1, data=None):
    """Events as another process on the same database would write them, without numbers."""
    connection = database(server)
    with connection:
        connection.executemany(
            "INSERT INTO events (type, project, app, version, actor, data, at)"
            " VALUES (?, ?, ?, ?, 'test', ?, ?)",
            [(kind, project, app, f"v{i}", data, int(time.time())) for i in range(count)])
    connection.close()


def last_number(server):
    connection = database(server)
    try:
        return connection.execute("SELECT last_number FROM sequencer").fetchone()[0]
    finally:
        connection.close()


def promote(server, project, app, version, channel="live"):
    """Points a channel at a version: by the server, or as another server of its database would
    while this one is away."""
    if server.process is None or server.process.poll() is not None:
        promote_beside(server, project, app, version, channel)
        return
    if not hasattr(server, "promoter"):
        server.promoter = server.token("promote", name="promoter")
    answer = server.request("POST", f"/api/v1/projects/{project}/apps/{app}/promote",
                            token=server.promoter,
                            json_body={"version": version, "channel": channel})
    assert answer.status == 200, answer


def promote_beside(server, project, app, version, channel):
    """In the database, with history and event."""
    connection = database(server)
    connection.isolation_level = None
    connection.execute("BEGIN IMMEDIATE")
    app_id, version_id = connection.execute(
        "SELECT a.id, v.id FROM versions v JOIN apps a ON a.id = v.app_id"
        " JOIN projects p ON p.id = a.project_id"
        " WHERE p.name = ? AND a.name = ? AND v.name = ?", (project, app, version)).fetchone()
    before = connection.execute(
        "SELECT v.id, v.name FROM channels c JOIN versions v ON v.id = c.version_id"
        " WHERE c.app_id = ? AND c.name = ?", (app_id, channel)).fetchone() or (None, None)
    now = int(time.time())
    connection.execute(
        "INSERT INTO channels (app_id, name, version_id, previous_id, updated_at, updated_by)"
        " VALUES (?, ?, ?, ?, ?, 'test') ON CONFLICT (app_id, name) DO UPDATE SET"
        " version_id = excluded.version_id, previous_id = excluded.previous_id",
        (app_id, channel, version_id, before[0], now))
    connection.execute(
        "INSERT INTO promotions (app_id, channel, action, version, previous, actor, at)"
        " VALUES (?, ?, 'promote', ?, ?, 'test', ?)", (app_id, channel, version, before[1], now))
    connection.execute(
        "INSERT INTO events (type, project, app, version, actor, data, at)"
        " VALUES ('version.promoted', ?, ?, ?, 'test', ?, ?)",
        (project, app, version, json.dumps({"channel": channel, "previous": before[1]}), now))
    connection.execute("COMMIT")
    connection.close()


class Crowd:
    """Many streams in one thread: what each was told is counted, not kept."""

    def __init__(self, server, tokens, count):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = min(hard, max(soft, count + 256))
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        self.told = []  # events of each
        self._selector = selectors.DefaultSelector()
        self._began = 0
        self._ends = [b""] * count
        self._began_of = [False] * count
        for i in range(count):
            connection = socket.create_connection((server.host, server.port))
            token = tokens[i % len(tokens)]
            connection.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n"
                               f"Authorization: Bearer {token}\r\n\r\n".encode())
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, i)
            self.told.append(0)
            if i % 100 == 99:  # no more than may wait for a worker
                self.until_all_listen()

    def _read(self, connection, i):
        data = connection.recv(1 << 16)
        assert data, f"stream {i} ended"
        data = self._ends[i] + data
        if not self._began_of[i] and len(data) > 12:
            assert data.startswith(b"HTTP/1.1 200"), data[:200]
        if not self._began_of[i] and b": beat\n" in data:
            self._began_of[i] = True
            self._began += 1
        self.told[i] += data.count(b"\nevent: ")
        # what a mark that is cut needs, and no more than could be one
        self._ends[i] = data[-7:] if self._began_of[i] else data

    def until(self, condition, within=120):
        deadline = time.monotonic() + within
        while not condition():
            assert time.monotonic() < deadline, (self._began, min(self.told), max(self.told))
            for key, _ in self._selector.select(0.2):
                self._read(key.fileobj, key.data)

    def until_all_listen(self):
        self.until(lambda: self._began == len(self.told))

    def until_all_were_told(self, count):
        self.until(lambda: min(self.told) >= count)

    def close(self):
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()
