# SPDX-License-Identifier: MIT
"""rsync_peer - an rsync daemon on loopback: a module to read from, and one to write to."""

import os
import signal
import socket
import subprocess
import time

CONFIGURATION = """
port = {port}
address = 127.0.0.1
use chroot = no
uid = root
gid = root
pid file = {directory}/pid
[from]
path = {directory}/from
read only = yes
[to]
path = {directory}/to
read only = no
"""


class RsyncDaemon:
    """`directory`/from and `directory`/to are the modules' places; links to trees are followed."""

    def __init__(self, directory):
        self.directory = directory

    def __enter__(self):
        self.directory.mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        configuration = self.directory / "rsyncd.conf"
        configuration.write_text(CONFIGURATION.format(directory=self.directory, port=self.port))
        self.process = subprocess.Popen(["rsync", "--daemon", "--no-detach", "--config",
                                         configuration], stdin=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def __exit__(self, kind, value, trace):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def show(self, tree):
        """What `from` is from now on."""
        link = self.directory / "from"
        link.unlink(missing_ok=True)
        os.symlink(tree, link)

    def empty(self, number):
        """A new and empty place behind `to`: removed ones make a file system look for free inodes
        among those that it has just given back."""
        place = self.directory / f"to-{number}"
        place.mkdir()
        link = self.directory / "to"
        link.unlink(missing_ok=True)
        os.symlink(place, link)

    @property
    def url(self):
        return f"rsync://127.0.0.1:{self.port}"
