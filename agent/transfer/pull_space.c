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

/* Whether the plan writes a blob of this digest. */
static bool is_written(const struct pull_plan *plan, const struct digest *sha256)
{
    size_t low = 0, high = pull_plan_write_count(plan);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = digest_compare(&pull_plan_write(plan, middle)->sha256, sha256);

        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

struct sweeping {
    const struct pull_plan *plan;
    struct directory *stage;
};

static int sweep_one(void *context, const char *name, enum file_kind kind, struct error *err)
{
    const struct sweeping *sweeping = context;
    const struct span hex = span_slice(span_text(name), 0, DIGEST_HEX_SIZE - 1);
    const char *end = name + hex.size;
    struct digest sha256;

    if (digest_parse(hex, &sha256, NULL) < 0 || !is_written(sweeping->plan, &sha256) ||
        (*end != '\0' && strcmp(end, PULL_FETCH_PART) != 0))
        directory_remove_file(sweeping->stage, name, NULL);
    return 0;
}

int pull_space_check(struct transfer *transfer, struct directory *at, struct directory *stage,
                     const struct pull_plan *plan, const struct pull_space_need *need,
                     struct error *err)
{
    struct sweeping sweeping = { plan, stage };
    struct volume_space space;
    int r;

    if (volume_space(at, &space, NULL) < 0)
        return 0;
    r = pull_space_compare(need, &space, err);
    if (r < 0 && stage != NULL) {
        directory_list(stage, "", sweep_one, &sweeping, NULL);
        r = volume_space(at, &space, NULL) < 0 ? 0 : pull_space_compare(need, &space, err);
    }
    return transfer_local(transfer, r);
}
