/* SPDX-License-Identifier: MIT */
/* What metrics tell of the kernel's questions. */
#include "fs/ops/question.h"
#include "fs/tree_mount/tree_set.h"

static const char *const names[] = {
    [QUESTION_LOOKUP] = "lookup",   [QUESTION_ATTRIBUTES] = "attributes",
    [QUESTION_LINK] = "link",       [QUESTION_READ] = "read",
    [QUESTION_OPEN] = "open",       [QUESTION_DIRECTORY] = "directory",
    [QUESTION_XATTR_GET] = "xattr", [QUESTION_XATTR_LIST] = "xattr_list",
    [QUESTION_STATFS] = "statfs",
};
_Static_assert(sizeof(names) / sizeof(*names) == OPS_REQUEST_KINDS, "one name a kind");

static int count_version(void *context, const struct tree_set_version *version)
{
    struct ops_counts *counts = context;

    counts->versions_shown++;
    counts->versions_open += version->mount != NULL;
    return 0;
}

void ops_count(struct ops *ops, struct ops_counts *out)
{
    *out = (struct ops_counts){ .waiting = 0 };
    for (size_t i = 0; i < OPS_REQUEST_KINDS; i++) {
        out->requests[i].name = names[i];
        out->requests[i].count = atomic_load(&ops->requests[i]);
    }
    tree_set_walk(ops->options.trees, count_version, out);
    pthread_mutex_lock(&ops->lock);
    for (const struct question *at = ops->parked; at != NULL; at = at->next)
        out->waiting += at->request != NULL;
    out->waits = ops->waits;
    pthread_mutex_unlock(&ops->lock);
}
