/* SPDX-License-Identifier: MIT */
#pragma once

struct buf;
struct error;

/* output - a verb's result, whole, to standard output. -EIO when that cannot be written. */
int output_write(struct buf *out, struct error *err);
