/* SPDX-License-Identifier: MIT */
#include "server/service/collection.h"
#include "server/service/deletion.h"
#include "server/service/fsck.h"
#include "server/service/jobs.h"
#include "server/service/retention.h"

/* What deletes is in one lane, so that no two of them judge at once. */
/* clang-format off */
const struct job_kind job_kinds[] = {
    {"gc",        "delete", collection_run, false},
    {"retention", "delete", retention_run,  false},
    {"delete",    "delete", deletion_run,   true},
    {"fsck",      "check",  fsck_run,       false},
    {"backup",    "delete", NULL,           false},
};
/* clang-format on */
_Static_assert(sizeof(job_kinds) / sizeof(job_kinds[0]) <= JOB_KINDS_MAX, "room for each");
const size_t job_kind_count = sizeof(job_kinds) / sizeof(job_kinds[0]);
