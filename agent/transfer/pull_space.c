/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_space.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/pull_fetch.h"
#include "agent/transfer/pull_plan.h"
#include "agent/transfer/transfer.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/volume.h"
#include "common/model/tree.h"

static bool is_staged(struct directory *stage, const struct digest *sha256, uint64_t size)
{
    struct file_info info;
    char hex[DIGEST_HEX_SIZE];

    if (stage == NULL)
        return false;
    digest_hex(sha256, hex);
    return directory_info(stage, hex, &info, NULL) == 0 && info.size == size;
}

/* Bytes of it that broke off, and that it goes on from. */
static uint64_t staged_part(struct directory *stage, const struct digest *sha256, uint64_t size)
{
    struct file_info info;
    char name[DIGEST_HEX_SIZE + sizeof(PULL_FETCH_PART)];

    if (stage == NULL)
        return 0;
    digest_hex(sha256, name);
    memcpy(name + DIGEST_HEX_SIZE - 1, PULL_FETCH_PART, sizeof(PULL_FETCH_PART));
    return directory_info(stage, name, &info, NULL) == 0 && info.size <= size ? info.size : 0;
}

struct pull_space_need pull_space_need(const struct pull_plan *plan, const struct tree *tree,
                                       struct directory *stage, bool fresh)
{
    struct pull_space_need need = { .files = pull_plan_count(&plan->makes) +
                                             pull_plan_count(&plan->links) };
    size_t count = pull_plan_write_count(plan);

    for (size_t i = 0; i < count; i++) {
        const struct pull_write *write = pull_plan_write(plan, i);
        uint64_t size = tree_record(tree, write->index).size;
        bool again = i > 0 && digest_equal(&write->sha256, &pull_plan_write(plan, i - 1)->sha256);
        if (again ? !fresh : is_staged(stage, &write->sha256, size))
            continue;
        need.bytes += again ? size : size - staged_part(stage, &write->sha256, size);
        need.files++;
    }
    return need;
}

int pull_space_compare(const struct pull_space_need *need, const struct volume_space *space,
                       struct error *err)
{
    char wanted[NUMBER_SIZE_TEXT], left[NUMBER_SIZE_TEXT];

    if (need->bytes > space->bytes) {
        number_format_size(need->bytes, wanted);
        number_format_size(space->bytes, left);
        return error_set(err, -ENOSPC,
                         "not enough space: %llu bytes (%s) are needed, %llu bytes (%s) are free",
                         (unsigned long long)need->bytes, wanted, (unsigned long long)space->bytes,
                         left);
    }
    if (need->files > space->files)
        return error_set(err, -ENOSPC,
                         "not enough space: %llu inodes are needed, %llu inodes are free",
                         (unsigned long long)need->files, (unsigned long long)space->files);
    return 0;
}

int pull_space_check(struct transfer *transfer, struct directory *at,
                     const struct pull_space_need *need, struct error *err)
{
    struct volume_space space;

    if (volume_space(at, &space, NULL) < 0)
        return 0;
    return transfer_local(transfer, pull_space_compare(need, &space, err));
}
