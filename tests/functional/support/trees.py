# SPDX-License-Identifier: MIT
"""trees - directories to push, and a comparison stricter than `diff -r`.

Everything is in bytes: names of files need not be text.
"""

import hashlib
import os
import random
import stat
import subprocess

SHOWN = (b".kkartifact", b"meta.yaml")  # what a mount adds at the top


def write(root, path, data=b"", mode=0o644, mtime=None):
    """A file below `root`, with its directories; the path may be bytes."""
    full = os.path.join(os.fsencode(root), os.fsencode(path))
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "wb") as file:
        file.write(data)
    os.chmod(full, mode)
    if mtime is not None:
        os.utime(full, (mtime, mtime))
    return full


def random_bytes(size, seed=0):
    """The same bytes for the same seed; they do not compress."""
    return random.Random(seed).randbytes(size)


def small_tree(root, seed=0):
    """A dozen files of the sizes where things change: pages, pieces, and one of 3 MiB."""
    sizes = (0, 1, 4095, 4096, 4097, 65536, 524287, 524288, 524289, 3 << 20)
    for size in sizes:
        write(root, f"sizes/{size}", random_bytes(size, f"{seed}/{size}"))
    write(root, "bin/tool", b"#!/bin/sh\necho tool\n", 0o755)
    write(root, "README.md", f"tree {seed}\n".encode())
    os.symlink("bin/tool", os.path.join(root, "link"))
    os.makedirs(os.path.join(root, "empty/inner"))
    return root


def odd_names():
    """Names that are allowed and that something, somewhere, takes for something else."""
    names = [b"a b", b" lead", b"trail ", b"'single'", b'"double"', b"a&b", b"a#b", b"a%b",
             b"%2e%2e", b"%2F", b"%00", b"a\nb", b"\n", b"\t", b"a\\b", b"back\\", b"a?b=c",
             b"a+b", b"a;b", b"a:b", b"*", b"[x]", b"{y}", b"$HOME", b"`id`", b"-rf", b"--",
             b"~", b"...", b"..x", b".hidden", b"\xff\xfe", b"\x80", b"caf\xe9", "café".encode(),
             "cafe\u0301".encode(), "\u2028".encode(), "\ufeff".encode(), "日本語".encode(),
             "\U0001f600".encode(), b"\x01", b"\x7f", b"\xc2\x85", b"\xed\xa0\x80", b"<tag>",
             b"null", b"true", b"0755", b"a,b", b"|", b"x" * 255, b"\xff" * 255, b"latest",
             b"merkle", b".kkartifact-not", b"CON", b"nul.txt"]
    assert len(set(names)) == len(names)
    return names


def describe(root, *, without=()):
    """{path: what is there}: type, mode, size and digest, mtime in whole seconds, target."""
    root = os.fsencode(root)
    found = {}
    pending = [b""]
    while pending:
        directory = pending.pop()
        for entry in os.scandir(os.path.join(root, directory) if directory else root):
            path = os.path.join(directory, entry.name)
            if path in without:
                continue
            info = entry.stat(follow_symlinks=False)
            mode = f"{stat.S_IMODE(info.st_mode) & 0o777:04o}"
            mtime = info.st_mtime_ns // 10**9
            if entry.is_symlink():
                found[path] = ("l", os.readlink(entry.path))
            elif entry.is_dir():
                found[path] = ("d", mode, mtime)
                pending.append(path)
            elif entry.is_file():
                found[path] = ("f", mode, mtime, info.st_size, file_digest(entry.path))
            else:
                found[path] = ("special", stat.S_IFMT(info.st_mode))
    return found


def file_digest(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def assert_same(source, other, *, without=SHOWN, source_without=()):
    """Names, types, modes, sizes, bytes, whole seconds of times and targets are equal."""
    left = describe(source, without=source_without)
    right = describe(other, without=without)
    faults = [f"only in the source: {path!r} {left[path]}" for path in left.keys() - right.keys()]
    faults += [f"only in the other: {path!r} {right[path]}" for path in right.keys() - left.keys()]
    faults += [f"{path!r}: {left[path]} became {right[path]}"
               for path in left.keys() & right.keys() if left[path] != right[path]]
    assert not faults, f"{len(faults)} differences\n" + "\n".join(sorted(faults)[:20])


def diff(source, other):
    """The lines that `diff -r` prints."""
    done = subprocess.run(["diff", "-r", "--no-dereference", source, other], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240)
    return sorted(done.stdout.decode(errors="replace").splitlines())
