# SPDX-License-Identifier: MIT
"""other_user - an ordinary user for a test, who is entered nowhere: an id that nobody has, a home
of his own, and a mount namespace in which he may open /dev/fuse. Root gets no user of the machine
to do it, and what the user mounts or leaves behind goes with him.

    with OtherUser(keeper) as user:
        user.run(user.program("kkartifact-fs"), "version").expect(0)
"""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from agent import clean_environment, run
from server import program

# The node is made anew since the machine's may be root's alone; fusermount3 wants to know the
# user's name.
NAMESPACE = """
set -e
mount -t tmpfs -o mode=0755 test "$1"
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
cp /etc/passwd "$1/passwd"
echo "test-user:x:$2:$2::$3:/bin/sh" >>"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
echo ready
exec sleep infinity
"""


def unused_id():
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(number for number in range(61234, 61999) if number not in taken)


class OtherUser:
    """As a context: gone at the end, with all of his processes' mounts."""

    def __init__(self, keeper):
        self.id = unused_id()
        self.keeper = keeper
        # Not below pytest's directories: they are root's alone.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="kkartifact-user-", dir="/var/tmp"))
        self.home.chmod(0o755)
        self.give(self.home)
        self.environment = clean_environment(self.home, XDG_RUNTIME_DIR=str(self.home))
        self.namespace = None

    def __enter__(self):
        system = self.home / "system"
        system.mkdir()
        self.namespace = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", NAMESPACE, "sh",
             system, str(self.id), self.home],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.keeper.process(self.namespace.pid)
        if self.namespace.stdout.readline() != "ready\n":
            raise RuntimeError(self.namespace.communicate(timeout=60)[1])
        return self

    def __exit__(self, kind, value, trace):
        self.namespace.kill()
        self.namespace.communicate(timeout=60)
        shutil.rmtree(self.home)

    def give(self, path):
        """Makes what is there his."""
        os.chown(path, self.id, self.id)
        for directory, names, files in os.walk(path):
            for name in names + files:
                os.lchown(os.path.join(directory, name), self.id, self.id)
        return path

    def write(self, name, text):
        path = self.home / name
        path.touch(0o600)
        path.write_text(text)
        return self.give(path)

    def copy(self, tree, name):
        return self.give(shutil.copytree(tree, self.home / name, symlinks=True))

    def program(self, name):
        """A copy of the built program: where that lies he may not go."""
        path = self.home / name
        if not path.exists():
            shutil.copy(program(name), path)
        return path

    def run(self, *words, within=60):
        """As he, to its end."""
        return self.run_as_root("setpriv", "--reuid", self.id, "--regid", self.id,
                                "--clear-groups", "--", *words, within=within)

    def run_as_root(self, *words, within=60):
        """Root, who sees what he sees."""
        return run(["nsenter", f"--mount=/proc/{self.namespace.pid}/ns/mnt", "--", *words],
                   within=within, env=self.environment)
