# SPDX-License-Identifier: MIT
"""keeper - what a test started must not outlive it, even when pytest itself is killed.

A small process in a session of its own reads what is to be ended from a pipe: "pid N STARTTIME"
and "mount PATH", taken back by "done ...". When the pipe closes, for whatever reason, it detaches
the mounts and kills the processes that are left. A process is known by its id and its start time.
"""

import os
import subprocess
import sys


def start_time(pid):
    """The start time of a process, which tells it from a later one of the same id; or None."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


class Keeper:
    """The other end of the pipe."""

    def __init__(self):
        self._process = subprocess.Popen([sys.executable, "-S", __file__], stdin=subprocess.PIPE,
                                         start_new_session=True, text=True)

    def _say(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def process(self, pid):
        self._say("pid", pid, start_time(pid))

    def mount(self, path):
        self._say("mount", path)

    def unmounted(self, path):
        self._say("done", "mount", path)

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)


def detach(path):
    """Takes a mount away and, when its daemon does not answer, ends whoever waits for it."""
    done = subprocess.run(["umount", "-l", path], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False, timeout=30)
    return done.returncode == 0


def is_mounted(path):
    """Asks the table of mounts, never the mount."""
    wanted = os.fsencode(path).replace(b" ", b"\\040")
    with open("/proc/self/mountinfo", "rb") as table:
        return any(line.split()[4] == wanted for line in table)


def connection_of(path):
    """The number of the FUSE connection below /sys/fs/fuse/connections, or None."""
    wanted = os.fsencode(path).replace(b" ", b"\\040")
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            words = line.split()
            if words[4] == wanted:
                return int(words[2].split(b":")[1])
    return None


def abort(connection):
    """Ends every request of a hung FUSE connection with an error."""
    directory = "/sys/fs/fuse/connections"
    if not os.listdir(directory):
        subprocess.run(["mount", "-t", "fusectl", "none", directory], check=False,
                       stderr=subprocess.DEVNULL)
    try:
        with open(f"{directory}/{connection}/abort", "w", encoding="ascii") as control:
            control.write("1")
    except FileNotFoundError:
        pass  # it ended by itself


def main():
    processes, mounts = {}, []
    for line in sys.stdin:
        words = line.split(maxsplit=1)
        rest = words[1].rstrip("\n")
        if words[0] == "pid":
            pid, _, start = rest.partition(" ")
            processes[int(pid)] = start
        elif words[0] == "mount":
            mounts.append(rest)
        elif words[0] == "done" and rest.removeprefix("mount ") in mounts:
            mounts.remove(rest.removeprefix("mount "))
    for path in reversed(mounts):
        while is_mounted(path):
            connection = connection_of(path)
            if not detach(path):
                break
            abort(connection)
    for pid, start in processes.items():
        if start_time(pid) == start:
            os.kill(pid, 9)


if __name__ == "__main__":
    main()
