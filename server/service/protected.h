/* SPDX-License-Identifier: MIT */
#pragma once

struct protection;
struct refusal;

/* protected - what protects versions from being deleted, as a refusal. Returns r, which is what the
 * database said (-EBUSY). */
int refuse_protected(const struct protection *protection, struct refusal *why, int r);
