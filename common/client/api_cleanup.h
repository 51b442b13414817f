/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"

/*
 * api_cleanup - having the versions of an app that are too many go to the trash, or seeing which
 * would. Errors as in api_client.h; -EBUSY also when more would go than may without force.
 */
#define API_CLEANUP_REASONS_MAX 16

struct api_cleanup {
    uint64_t trashed, bytes;
    struct {
        char reason[32];
        uint64_t count;
    } kept[API_CLEANUP_REASONS_MAX]; /* how many stay, by reason */
    size_t kept_count;
    char **versions; /* names of those that went, or would; of very many the first thousand */
    size_t version_count;
    char safety_limit[256]; /* of a look: why it would be refused; or "" */
};
void api_cleanup_release(struct api_cleanup *cleanup); /* of a zeroed one too */

/* Changes nothing. Release *out, also of a failure. */
int api_cleanup_look(struct api_client *client, const char *project, const char *app,
                     struct api_cleanup *out, struct error *err);

/* Asks for it and waits until the server has done it. A job that failed or was cancelled is
 * -EINVAL. Interrupted (-ECANCELED), the server goes on. Release *out, also of a failure. */
int api_cleanup_run(struct api_client *client, const char *project, const char *app, bool force,
                    struct api_cleanup *out, struct error *err);
