# SPDX-License-Identifier: MIT
"""mounts - a kkartifact mount, or another file system, for the length of a test.

Whatever happens they are gone at the end: detached, the connection of a daemon that does not
answer aborted, the daemon's end awaited.
"""

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import time

from agent import clean_environment, run
from keeper import abort, connection_of, detach, is_mounted, start_time
from server import program

ANSWER_WITHIN_S = 60


class Mount:
    """The mount of one server. As a context it is mounted at the start and gone at the end."""

    def __init__(self, directory, url, token, keeper, *, cache=None, prefix=(), **options):
        self.directory = pathlib.Path(directory)
        self.path = self.directory / "mnt"
        self.cache = pathlib.Path(cache or self.directory / "cache")
        self.url = url
        self.keeper = keeper
        self.options = {"deadline": "20s", **options}
        self.prefix = prefix  # of the command that mounts: where its daemon lives
        self.home = self.directory / "home"
        self.path.mkdir(parents=True, exist_ok=True)
        self.home.mkdir(exist_ok=True)
        self.token_file = self.directory / "mount-token"
        self.token_file.touch(0o600)
        self.token_file.write_text(token + "\n")
        self.line_program = program("kkartifact-fs")
        self.daemon = None

    def line(self):
        options = {"token_file": self.token_file, "cache": self.cache, **self.options}
        words = [name if value is True else f"{name}={value}" for name, value in options.items()]
        return [*self.prefix, self.line_program, "mount", self.url, self.path, "-o",
                ",".join(words)]

    def try_mount(self):
        """Mounts; what the program said."""
        self.keeper.mount(self.path)
        done = run(self.line(), env=clean_environment(self.home), within=ANSWER_WITHIN_S)
        if done.code == 0:
            self.note_daemon()
        return done

    def note_daemon(self):
        """What lasts as long as the mount is waited for, and ended, with it."""
        status = self.status()
        pid = (status["holder"] or status["worker"])["pid"]
        self.daemon = (pid, start_time(pid))
        self.keeper.process(pid)

    def worker(self):
        """The process that answers now."""
        return self.status()["worker"]["pid"]

    def mount(self):
        self.try_mount().expect(0)
        return self

    def status(self):
        return run([program("kkartifact-fs"), "status", self.path, "--json"],
                   env=clean_environment(self.home), within=ANSWER_WITHIN_S).expect(0).json()

    def log(self):
        """What the daemon has logged so far."""
        [log] = pathlib.Path("/run/kkartifact").glob(f"*-{self.daemon[0]}.log")
        return log.read_text(encoding="utf-8")

    def kill(self):
        """Nobody is left: a dead mount. The holder first, since it follows its worker."""
        status = self.status()
        for process in (status["holder"], status["worker"]):
            if process is not None:
                os.kill(process["pid"], signal.SIGKILL)
        self.await_end()

    def verb(self, *words):
        return run([program("kkartifact-fs"), *words], env=clean_environment(self.home),
                   within=ANSWER_WITHIN_S)

    def umount(self):
        """The proper way: the verb, and then no daemon is left."""
        self.verb("umount", self.path).expect(0)
        self.await_end()
        self.keeper.unmounted(self.path)

    def await_end(self, within=60):
        if self.daemon is None:
            return
        pid, started = self.daemon
        until = time.monotonic() + within
        while start_time(pid) == started:
            assert time.monotonic() < until, f"the daemon {pid} outlives its mount"
            time.sleep(0.02)
        self.daemon = None

    def drop(self):
        """Away, whatever state it is in."""
        while is_mounted(self.path):
            connection = connection_of(self.path)
            with contextlib.suppress(subprocess.TimeoutExpired):
                if detach(self.path):
                    try:
                        self.await_end(5)
                    except AssertionError:
                        abort(connection)
        self.await_end()
        self.keeper.unmounted(self.path)

    def __enter__(self):
        return self if self.daemon else self.mount()

    def __exit__(self, kind, value, trace):
        self.drop()

    def __truediv__(self, name):
        return self.path / name


def fails_with(number, function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        assert error.errno == number, error
    else:
        raise AssertionError(f"it does not fail with {errno.errorcode[number]}")


def eventually(condition, within=60):
    """What a mount does beside its answers: fetching lists again, keeping what it gave."""
    until = time.monotonic() + within
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def forget_pages():
    """Drops clean pages and names of every file system, so that reads ask again."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


@contextlib.contextmanager
def tmpfs(path, size, keeper):
    """A small disk at `path`."""
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "test", path],
                   check=True)
    keeper.mount(path)
    try:
        yield path
    finally:
        detach(path)
        keeper.unmounted(path)


def remount(path, options):
    subprocess.run(["mount", "-o", f"remount,{options}", path], check=True)
