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

/* Calls each with the device of every socket there is, until it returns non-zero. */
typedef int control_each(void *context, uint64_t device, struct error *err);
int control_list(control_each *each, void *context, struct error *err);
