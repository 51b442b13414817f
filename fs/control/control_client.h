/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct json;

/*
 * control_client - asks a running mount.
 *
 * -ENOENT: no mount of that device, or none that is ours; -EAGAIN: its daemon does not answer; what
 * the daemon says otherwise.
 */

/* question: a JSON object without a line end. The answer is json_free'd by the caller. */
int control_ask(uint64_t device, const char *question, struct json **out_answer, struct error *err);
/* The same of the mount's holder. -ENOENT: it has none. */
int control_ask_holder(uint64_t device, const char *question, struct json **out_answer,
                       struct error *err);

/* For whoever must go on when nobody answers: no step takes longer than `limit_ms`. */
enum control_of { CONTROL_OF_MOUNT, CONTROL_OF_HOLDER };
int control_ask_within(uint64_t device, enum control_of of, const char *question, uint64_t limit_ms,
                       struct json **out_answer, struct error *err);
/* The process that opened the socket, as the kernel has it; nothing is asked, so it may be a
 * stopped one, or one that has died since while another listens. -ESTALE: nobody listens. */
int control_find_owner(uint64_t device, enum control_of of, int64_t *out_pid, struct error *err);

/* Calls each with the device of every socket there is, until it returns non-zero. */
typedef int control_each(void *context, uint64_t device, struct error *err);
int control_list(control_each *each, void *context, struct error *err);
