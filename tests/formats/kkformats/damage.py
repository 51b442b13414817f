# SPDX-License-Identifier: MIT
"""Damage that knows no format, and what the mutators of all formats share."""

INTEGERS = [0, 1, 2**31, 2**32 - 1, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1]


def _flip(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _set_byte(rng, data):
    at = rng.randrange(len(data))
    value = rng.choice(b"\x00\x01\x7f\x80\xff /0\n\"'#:-.")
    return data[:at] + bytes([value]) + data[at + 1 :]


def _truncate(rng, data):
    return data[: rng.randrange(len(data))]


def _extend(rng, data):
    return data + rng.choice([b"\0", b"x", b"\n", bytes(8), data[-8:], bytes(4096)])


def _insert(rng, data):
    at = rng.randrange(len(data) + 1)
    return (
        data[:at] + rng.choice([b"\0", b"0", b" ", b"/", b"\n", b"\xff", b"..", b"-"]) + data[at:]
    )


def _remove(rng, data):
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice([1, 1, 2, 8, 32]) :]


def _repeat(rng, data):
    at = rng.randrange(len(data))
    size = rng.choice([1, 8, 32, 64])
    return data[:at] + data[at : at + size] + data[at:]


_BLIND = [_flip, _flip, _set_byte, _set_byte, _truncate, _extend, _insert, _remove, _repeat]


def blind(rng, data):
    """Damage that knows no format."""
    return rng.choice(_BLIND)(rng, data) if data else b"\0"


def spoil_integer(rng, image, at, size):
    old = int.from_bytes(image[at : at + size], "little")
    near = [old + 1, old - 1, old ^ 1 << rng.randrange(8 * size), old * 2]
    new = rng.choice(near if rng.random() < 0.6 else INTEGERS) % 2 ** (8 * size)
    return image[:at] + new.to_bytes(size, "little") + image[at + size :]


def swap(rng, image, start, size, count):
    if count < 2:
        return image
    one, two = sorted(rng.sample(range(count), 2))
    one, two = start + size * one, start + size * two
    middle = image[one + size : two]
    return (
        image[:one]
        + image[two : two + size]
        + middle
        + image[one : one + size]
        + image[two + size :]
    )
