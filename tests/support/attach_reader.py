# SPDX-License-Identifier: MIT
"""attach_reader - looks at what is attached, as fast as it can, while it is switched.

    attach_reader.py TARGET COUNT

The versions shown are 0 to COUNT - 1, one after the other and from the beginning again; each says
in `version` which it is, and in `dir/version` the same a thousand times. Every look is one whole
version, and never an older one than the look before. Ends with its standard input: prints how many
looks there were, and how many saw a newer version than the one before.
"""

import os
import select
import sys


def read(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


def main():
    target, count = sys.argv[1], int(sys.argv[2])
    last, looks, newer = None, 0, 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for name, times in (("version", 1), ("dir/version", 1000)):
            data = read(f"{target}/{name}")
            word = data[:2]
            assert data == word * times, f"{name}: {data[:8]!r}, {len(data)} bytes"
            now = int(word)
            step = 0 if last is None else (now - last) % count
            assert step <= count // 2, f"{name}: from {last} back to {now}"
            newer += step > 0
            last = now
        looks += 1
        assert sorted(os.listdir(target)) == [".kkartifact", "dir", "meta.yaml", "version"]
    print(looks, newer)


if __name__ == "__main__":
    main()
