# SPDX-License-Identifier: MIT
"""sample - the tree of the version that the cases look at."""

from pusher import File

LARGE = bytes((i * 31 + (i >> 8)) & 0xff for i in range(300_000))

TREE = {
    "a-b": File(b"", 0o755),
    "bin": None,
    "bin/app": File(LARGE, 0o755),
    "bin/link": "app",
    "empty": None,
    "hello": File(b"hello"),
    "name with space&#%25": File(b"odd"),
    "new\nline": File(b"n"),
}
