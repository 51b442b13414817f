/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/client/api_client.h"
#include "common/model/reads.h"

/*
 * api_reads - what starts of a version read, asked of the server and told to it.
 *
 * A hint, both ways: each is tried once, for `timeout_ms` at most, and what comes of it says
 * nothing of the server (api_call_spec.is_hint); one that knows no reads answers -ENOENT. Loop
 * thread; done comes from a later turn. *out_call may be NULL.
 */

/* reads is NULL on failure, else valid until the callback returns; -EBADMSG: it breaks the
 * rules. */
typedef void api_reads_done(void *context, const struct reads *reads, const struct error *err);
int api_reads_get_start(struct api_client *client, const char *project, const char *app,
                        const char *version, uint64_t timeout_ms, api_reads_done *done,
                        void *context, struct api_call **out_call, struct error *err);

/* host: by the rules of names. The list is copied. */
typedef void api_reads_told(void *context, int result, const struct error *err);
int api_reads_put_start(struct api_client *client, const char *project, const char *app,
                        const char *version, const char *host, const struct reads *reads,
                        uint64_t timeout_ms, api_reads_told *done, void *context,
                        struct api_call **out_call, struct error *err);
