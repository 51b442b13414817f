/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct refusal;

/* lease_words - what a host, a state and a place may be called (leases.h). -EINVAL when it is no
 * such word; of a host *why says at which member of the request, too. */
int lease_check_host(const char *host, struct refusal *why, struct error *err);
int lease_check_state(const char *state, struct error *err);
int lease_check_place(const char *place, struct error *err);
