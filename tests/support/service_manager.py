# SPDX-License-Identifier: MIT
"""service_manager - what systemd is to a service of Type=notify, for a test: it starts the program,
hears what it tells (NOTIFY_SOCKET), and keeps the descriptors that it is given (FDSTORE) for the
next start (LISTEN_FDS)."""

import array
import os
import pathlib
import select
import signal
import socket
import subprocess
import tempfile
import time

from agent import clean_environment

READY_WITHIN_S = 30
FIRST = 3  # descriptors begin there


class ServiceManager:
    """One service. As a context: the program is gone at the end, and what was kept is closed."""

    def __init__(self, directory, line, keeper):
        self.directory = pathlib.Path(directory)
        self.line = [str(word) for word in line]
        self.keeper = keeper
        # The path of a socket must be short.
        self.place = tempfile.TemporaryDirectory(prefix="kka")
        self.path = f"{self.place.name}/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.stored = {}  # name -> descriptor
        self.ready = False
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.stop()
        for descriptor in self.stored.values():
            os.close(descriptor)
        self.socket.close()
        self.place.cleanup()

    def hear(self, within=0.0):
        """Takes what was told; True when there was something."""
        heard = False
        while select.select([self.socket], [], [], 0 if heard else within)[0]:
            heard = True
            data, rights, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(64))
            got = array.array("i")
            for level, kind, content in rights:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    got.frombytes(content)
            self._take(dict(line.split("=", 1) for line in data.decode().splitlines()), list(got))
        return heard

    def _take(self, told, descriptors):
        name = told.get("FDNAME")
        self.ready = self.ready or told.get("READY") == "1"
        if told.get("FDSTOREREMOVE") == "1" and name in self.stored:
            os.close(self.stored.pop(name))
        if told.get("FDSTORE") == "1":
            for descriptor in descriptors:
                if name in self.stored:
                    os.close(self.stored[name])
                self.stored[name] = descriptor
        else:
            assert not descriptors

    def start(self):
        """Starts it with what was kept; returns when it is ready."""
        self.hear()
        names = sorted(self.stored)
        # From the end of the table first, so that none is overwritten before it was copied.
        high = [os.dup(self.stored[name]) for name in names]

        def place():
            copies = [os.dup2(number, 900 + i) for i, number in enumerate(high)]
            for i, copy in enumerate(copies):
                os.dup2(copy, FIRST + i)
                os.close(copy)

        environment = clean_environment(self.directory, NOTIFY_SOCKET=self.path)
        script = 'LISTEN_PID=$$ exec "$@"'
        if names:
            environment.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
        self.ready = False
        self.process = subprocess.Popen(
            ["sh", "-c", script, "sh", *self.line], env=environment, stdin=subprocess.DEVNULL,
            preexec_fn=place, close_fds=False)
        for number in high:
            os.close(number)
        self.keeper.process(self.process.pid)
        until = time.monotonic() + READY_WITHIN_S
        while not self.ready:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}"
            assert time.monotonic() < until, "it is not ready"
            self.hear(0.1)

    def kill(self):
        """The main process only."""
        self.process.kill()
        self.process.wait(20)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.hear()
