/* SPDX-License-Identifier: MIT */
#include "common/client/tree_fetch.h"
#include "fs/ops/question.h"
#include "fs/reader/reader.h"

struct version_state version_state_of(struct ops *ops, struct tree_mount *mount)
{
    const struct tree *tree = &tree_mount_view(mount)->tree;
    struct version_state state = { "remote", 0 };
    bool all = tree_fetch_is_complete(tree_mount_fetch(mount));

    for (uint32_t i = 0; i < tree->header.record_count; i++) {
        struct tree_record record = tree_record(tree, i);
        struct reader_file file = { tree_mount_fetch(mount), record.digest_index, record.size };
        uint64_t cached = 0;
        if (record.kind != ENTRY_FILE || record.size == 0)
            continue;
        if (reader_cached_bytes(ops->options.reader, &file, &cached) < 0)
            cached = 0;
        if (cached < record.size)
            all = false;
        state.cached_bytes += cached;
    }
    if (all)
        state.text = "complete";
    else if (state.cached_bytes > 0)
        state.text = "partial";
    return state;
}
