# SPDX-License-Identifier: MIT
"""server - a real kkartifact-server for a test: started on a free port with a data directory of its
own, given tokens by the command line, stopped or killed by its process id.

    with Server(tmp_path / "data") as server:
        token = server.token("push,pull", project="demo")
        answer = server.request("GET", "/api/v1/projects", token=token)

Programs come from KKARTIFACT_BUILD_DIR (default: build/ of the checkout).
"""

import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
READY = re.compile(r"listening on (https?)://(\S+):(\d+)")
READY_WITHIN_S = 60


def build_directory():
    return pathlib.Path(os.environ.get("KKARTIFACT_BUILD_DIR") or ROOT / "build")


def program(name):
    """The built program's path. A missing one is an error, never a skip."""
    found = sorted(path for path in build_directory().glob(f"**/{name}")
                   if path.is_file() and os.access(path, os.X_OK))
    if not found:
        raise FileNotFoundError(f"{name} is not in {build_directory()}: build it first")
    return found[0]


class Answer:
    """What came back: status, headers (names in lower case), body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The `code` of a problem; None when it is none."""
        if self.headers.get("content-type") != "application/problem+json":
            return None
        return self.json()["code"]

    def __repr__(self):
        return f"<{self.status} {self.headers.get('content-type')} {self.body[:200]!r}>"


class Server:
    """One server process and its data directory. Start it again after stop() or kill()."""

    def __init__(self, data, *, environment=None, arguments=(), config=None, listen="127.0.0.1:0"):
        self.data = pathlib.Path(data)
        self.config = config
        self.listen = listen
        self.arguments = list(arguments)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("KKARTIFACT_")}
        self.environment.update(environment or {})
        self.process = None
        self.scheme = "http"
        self.host = "127.0.0.1"
        self.port = None
        self.log = []
        self._heard = threading.Condition()
        self._reader = None

    # -------------------------------------------------------------- life

    def command(self, *words):
        """Runs a verb of the program to its end on this data directory."""
        line = [str(program("kkartifact-server")), *map(str, words), "--data", str(self.data)]
        if self.config is not None:
            line += ["--config", str(self.config)]
        return subprocess.run(line, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=120, check=False)

    def start(self):
        line = [str(program("kkartifact-server")), "serve", "--data", str(self.data), "--listen",
                self.listen, *self.arguments]
        if self.config is not None:
            line += ["--config", str(self.config)]
        self.process = subprocess.Popen(line, env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True, errors="replace")
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr, ready),
                                        daemon=True)
        self._reader.start()
        if not ready.wait(READY_WITHIN_S) or self.port is None:
            self.kill()
            raise RuntimeError("the server did not start:\n" + "\n".join(self.log[-20:]))
        return self

    def _read(self, stream, ready):
        self.port = None
        for text in stream:
            with self._heard:
                self.log.append(text.rstrip("\n"))
                self._heard.notify_all()
            match = READY.search(text)
            if match and self.port is None:
                self.scheme, self.host = match[1], match[2].strip("[]")
                self.port = int(match[3])
                ready.set()
        ready.set()

    def wait_for_log(self, words, since=0, within=60):
        """Returns when a line behind the first `since` has these words: what a process writes is
        read a moment later. All lines are in `log` after stop() and kill()."""
        with self._heard:
            assert self._heard.wait_for(
                lambda: any(words in line for line in self.log[since:]), within), \
                f"no line with {words!r}:\n" + "\n".join(self.log[-30:])

    def stop(self, timeout=60):
        """SIGTERM; the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._ended(timeout)

    def kill(self):
        """SIGKILL, as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        return self._ended(30)

    def _ended(self, timeout):
        process, self.process = self.process, None
        if process is None:
            return None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        self._reader.join(10)
        process.stderr.close()
        return code

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        if kind is None:
            code = self.stop()
            assert code == 0, f"exit {code}:\n" + "\n".join(self.log[-30:])
        else:
            self.kill()

    # -------------------------------------------------------------- tokens

    def token(self, allow="pull", *, project=None, app=None, expires=None, name="test"):
        """A new token's text."""
        words = ["token", "create", "--name", name, "--allow", allow]
        for flag, value in (("--project", project), ("--app", app), ("--expires", expires)):
            if value is not None:
                words += [flag, value]
        done = self.command(*words)
        if done.returncode != 0:
            raise RuntimeError(f"token create: {done.stderr}")
        return done.stdout.strip()

    def expiring_token(self, use=lambda token: token, allow="pull", name="expiring"):
        """What `use` made of a token that ends soon, and for how many seconds that lives: as many
        as it takes here to make and use it at all. `use(token)` gives None when it came too
        late."""
        for seconds in (2, 8, 40):
            try:
                used = use(self.token(allow, expires=f"{seconds}s", name=name))
            except RuntimeError as failure:
                if "in the past" not in str(failure):
                    raise
                used = None
            if used is not None:
                return used, seconds
        raise AssertionError("it is not used within 40 seconds")

    def revoke(self, token):
        done = self.command("token", "revoke", token.split("_")[1])
        if done.returncode != 0:
            raise RuntimeError(f"token revoke: {done.stderr}")

    # -------------------------------------------------------------- requests

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    def connect(self, timeout=60):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, path, *, token=None, body=None, json_body=None, headers=None,
                connection=None):
        """One request; `path` is sent as it is. A connection of its own unless one is given."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if json_body is not None:
            body = json.dumps(json_body).encode()
            sent.setdefault("Content-Type", "application/json")
        used = connection or self.connect()
        try:
            used.request(method, path, body=body, headers=sent)
            answer = used.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            if connection is None:
                used.close()

    def request_to_its_end(self, method, path, **options):
        """As request(), and the server has ended it when this returns: its line is written, it is
        counted. A client has the answer before that; what follows on the same connection is
        looked at only behind it."""
        connection = self.connect()
        try:
            answer = self.request(method, path, connection=connection, **options)
            assert connection.sock is not None, f"the connection was not kept: {answer}"
            assert self.request("GET", "/healthz", connection=connection).status == 200
            return answer
        finally:
            connection.close()
