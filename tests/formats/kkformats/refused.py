# SPDX-License-Identifier: MIT
"""The one way in which a reader says no."""


class Refused(Exception):
    """Bytes that no writer would have written: where, and which rule they break.

    `offset` counts bytes from the start of the object that was read; `rule` is a
    short name with dashes, as in the tables of docs/formats.
    """

    def __init__(self, offset, rule):
        super().__init__(f"offset {offset}: {rule}")
        self.offset = offset
        self.rule = rule


def require(condition, offset, rule):
    """Raises Refused unless `condition` holds."""
    if not condition:
        raise Refused(offset, rule)
