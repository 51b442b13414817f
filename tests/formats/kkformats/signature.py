# SPDX-License-Identifier: MIT
"""What an Ed25519 key signs when it vouches for a version."""

import struct

MAGIC = b"kkartifact-signature-1\0"


def message(project, app, version, content, tree, tree_size, time):
    """The signed bytes; names and digests as bytes, the size and the time as integers."""
    names = b"".join(name + b"\0" for name in (project, app, version))
    return MAGIC + names + content + tree + struct.pack("<Qq", tree_size, time)
