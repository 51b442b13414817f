/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_part.h"

#include <errno.h>

#include "agent/transfer/pull_plan.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

static void add(struct pull_plan *plan, const struct tree *tree, uint32_t index)
{
    struct tree_record record = tree_record(tree, index);

    if (record.kind == ENTRY_DIRECTORY) {
        buf_add(&plan->makes, &index, sizeof(index));
    } else if (record.kind == ENTRY_LINK) {
        buf_add(&plan->links, &index, sizeof(index));
    } else {
        struct pull_write write = { tree_sha256(tree, record.digest_index), index };
        buf_add(&plan->writes, &write, sizeof(write));
        plan->write_bytes += record.size;
    }
}

/* Parents first. */
static void add_above(struct pull_plan *plan, const struct tree *tree, uint32_t index)
{
    if (index == TREE_ROOT)
        return;
    add_above(plan, tree, tree_record(tree, index).parent);
    add(plan, tree, index);
}

int pull_part_make(const struct tree *tree, uint32_t index, struct pull_plan *out,
                   struct error *err)
{
    cleanup(pull_plan_release) struct pull_plan plan = pull_plan_init();
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    struct entry entry;
    int r;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    add_above(&plan, tree, index);
    if (tree_record(tree, index).kind == ENTRY_DIRECTORY) {
        tree_walk_init(walk, tree, index);
        while (tree_walk_next(walk, &entry))
            add(&plan, tree, walk->index);
    }
    r = pull_plan_end(&plan, err);
    if (r < 0)
        return r;
    *out = plan;
    plan = (struct pull_plan){ 0 };
    return 0;
}
