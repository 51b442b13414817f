/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"

/* api_deletion - having an app, or a project with all its apps, go to the trash. Errors as in
 * api_client.h; -EBUSY: something protects a version of it. */
struct api_deletion {
    uint64_t trashed, apps; /* versions, and apps, that went */
    char **versions;        /* P/A/V; of very many the first thousand */
    size_t version_count;
};
void api_deletion_release(struct api_deletion *deletion); /* of a zeroed one too */

/* Asks for it and waits until the server has done it. app NULL: the project. As api_job_run()
 * (api_jobs.h). Release *out, also of a failure. */
int api_deletion_run(struct api_client *client, const char *project, const char *app, bool force,
                     struct api_deletion *out, struct error *err);
