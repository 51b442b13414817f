/* SPDX-License-Identifier: MIT */
#include "common/model/prefetch_list.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/names.h"
#include "common/model/tree.h"

struct reading {
    const struct tree *tree;
    struct tree_walk *walk;
    prefetch_list_function *function;
    void *context;
    size_t files, steps; /* that are left; a directory costs a step, too */
};

int prefetch_list_find(const struct tree *tree, uint32_t *out_index)
{
    struct tree_record record;
    uint32_t index;
    int r = tree_find_child(tree, TREE_ROOT, span_text(PREFETCH_LIST_NAME), &index);

    if (r < 0)
        return r;
    record = tree_record(tree, index);
    if (record.kind != ENTRY_FILE || record.size == 0 || record.size > PREFETCH_LIST_SIZE_MAX)
        return -ENOENT;
    *out_index = index;
    return 0;
}

static int give(struct reading *reading, uint32_t index)
{
    if (reading->files == 0)
        return 0;
    reading->files--;
    return reading->function(reading->context, index);
}

static int give_directory(struct reading *reading, uint32_t index)
{
    struct entry entry;
    int r = 0;

    tree_walk_init(reading->walk, reading->tree, index);
    while (r == 0 && reading->files > 0 && reading->steps > 0 &&
           tree_walk_next(reading->walk, &entry)) {
        reading->steps--;
        if (entry.kind == ENTRY_FILE)
            r = give(reading, reading->walk->index);
    }
    return r;
}

/* What stands in a line; empty: a comment, or nothing. */
static struct span path_of(struct span line)
{
    line = span_trim(line);
    if (line.size > 0 && line.bytes[0] == '#')
        return span_of("", 0);
    while (line.size > 1 && line.bytes[0] == '/')
        line = span_slice(line, 1, line.size);
    while (line.size > 1 && line.bytes[line.size - 1] == '/')
        line.size--;
    return line;
}

static int read_line(struct reading *reading, struct span line)
{
    struct span path = path_of(line);
    uint32_t index;

    if (span_equal_text(path, ".") || span_equal_text(path, "/"))
        return give_directory(reading, TREE_ROOT);
    if (path.size == 0 || name_check_path(path, NULL) < 0 ||
        tree_find_path(reading->tree, path, &index) < 0)
        return 0;
    switch (tree_record(reading->tree, index).kind) {
    case ENTRY_FILE:
        return give(reading, index);
    case ENTRY_DIRECTORY:
        return give_directory(reading, index);
    case ENTRY_LINK:
        return 0;
    }
    return 0;
}

int prefetch_list_read(struct span text, const struct tree *tree, prefetch_list_function *function,
                       void *context, struct error *err)
{
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    struct reading reading = { .tree = tree,
                               .walk = walk,
                               .function = function,
                               .context = context,
                               .files = PREFETCH_LIST_FILES_MAX,
                               .steps = 4 * PREFETCH_LIST_FILES_MAX };
    struct span line;
    int r = 0;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (text.size > PREFETCH_LIST_SIZE_MAX)
        text.size = PREFETCH_LIST_SIZE_MAX;
    for (size_t i = 0; r == 0 && i < PREFETCH_LIST_LINES_MAX && span_cut(&text, '\n', &line); i++)
        r = read_line(&reading, line);
    return r;
}
