/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"

/*
 * api_jobs - long work that the server does when it is asked: asking for it, and waiting until it
 * has ended. Errors as in api_client.h.
 */
struct json_value;

/* What the job has as its result. A failure is the server's fault: -EBADMSG, but for -ENOMEM. */
typedef int api_job_result(void *context, const struct json_value *result, struct error *err);

/* Makes the call, which asks for a job, waits until that is done, and reads its result. A job that
 * failed or was cancelled is -EINVAL, one that a rule of the API stopped as it says: -EBUSY where
 * that is a conflict. Interrupted (-ECANCELED), the server goes on. app may be NULL. */
int api_job_run(struct api_client *client, const struct api_call_spec *spec, const char *project,
                const char *app, api_job_result *read, void *context, struct error *err);

/* A number that counts something: -EINVAL when it is none. */
int api_read_count(const struct json_value *value, const char *what, uint64_t *out,
                   struct error *err);

/* The names that a result lists: one more, copied; and all of them, with the array. */
int api_names_add(char ***io_names, size_t *io_count, const char *name, struct error *err);
void api_names_free(char **names, size_t count);
