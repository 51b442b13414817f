# SPDX-License-Identifier: MIT
"""A second reader and writer of the formats, made from the specification alone.

It shares nothing with the C code, and it prefers to be plain: whole files are
held in memory, and nothing is clever where a loop will do.
"""
