/* SPDX-License-Identifier: MIT */
/* What goes, of pull_plan.h. */
#include <string.h>

#include "agent/transfer/pull_names.h"
#include "agent/transfer/pull_planning.h"
#include "agent/transfer/pull_survey.h"
#include "agent/transfer/pulled.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/tree.h"

static bool is_below_cleared(const struct planning *planning, struct span path)
{
    const char *at = (const char *)planning->cleared.bytes;
    const char *end = at + planning->cleared.size;

    for (; at < end; at += strlen(at) + 1) {
        size_t size = strlen(at);
        if (path.size > size && memcmp(path.bytes, at, size) == 0 && path.bytes[size] == '/')
            return true;
    }
    return false;
}

/* Where the version's tree has what an older one has in a directory: mostly one child after the
 * other. */
struct counterpart {
    uint32_t of;        /* record of the old directory */
    bool found;         /* the version has its path, as a directory: */
    uint32_t directory; /* this record */
    uint32_t next, end; /* its children that were not met yet */
};

static void find_counterpart(const struct tree *tree, uint32_t of, struct span path,
                             struct counterpart *out)
{
    struct tree_record record;

    *out = (struct counterpart){ .of = of };
    if (tree_find_path(tree, path, &out->directory) < 0)
        return;
    record = tree_record(tree, out->directory);
    out->found = record.kind == ENTRY_DIRECTORY;
    out->next = record.first_child;
    out->end = record.first_child + record.child_count;
}

static bool version_has(const struct tree *tree, const struct tree *old, uint32_t index,
                        struct span path, struct counterpart *counterpart)
{
    struct tree_record record = tree_record(old, index);
    uint32_t found;

    if (counterpart->of != record.parent)
        find_counterpart(tree, record.parent, name_parent(path), counterpart);
    if (!counterpart->found)
        return false;
    found = counterpart->next;
    if ((found >= counterpart->end || !span_equal(tree_record(tree, found).name, record.name)) &&
        tree_find_child(tree, counterpart->directory, record.name, &found) < 0)
        return false;
    counterpart->next = found + 1;
    return true;
}

/* What an older tree has and the version lacks. */
static int plan_removals_of(struct planning *planning, const struct tree *old, struct error *err)
{
    const struct pull_plan_options *options = planning->options;
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_SIZE + 1);
    struct counterpart counterpart;
    struct entry entry;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    find_counterpart(options->tree, TREE_ROOT, span_of(NULL, 0), &counterpart);
    tree_walk_init(walk, old, TREE_ROOT);
    while (tree_walk_next(walk, &entry)) {
        struct file_info info;
        if (version_has(options->tree, old, walk->index, entry.path, &counterpart) ||
            pull_names_has(options->dest, options->tree, entry.path))
            continue;
        buf_clear(&path);
        buf_add_span(&path, entry.path);
        if (directory_info(options->dest, buf_text(&path), &info, NULL) < 0) {
            if (entry.kind == ENTRY_DIRECTORY)
                tree_walk_skip(walk);
            continue;
        }
        if (info.kind != entry_file_kind(entry.kind) ||
            planning_protects(planning, entry.path, entry.kind == ENTRY_DIRECTORY))
            continue;
        pull_plan_add_removal(planning->plan, entry.path, entry.kind == ENTRY_DIRECTORY,
                              is_below_cleared(planning, entry.path));
    }
    return buf_check(&planning->plan->removals, err);
}

/* Everything that is there and that the version lacks. */
static int plan_extra_removals(struct planning *planning, struct error *err)
{
    const struct pull_survey *survey = planning->options->extra;
    enum survey_kind kind;
    const char *path;
    size_t at = 0;

    while ((path = pull_survey_next(survey, &at, &kind)) != NULL) {
        struct file_info info;
        if ((kind != SURVEY_OURS && kind != SURVEY_FOREIGN) ||
            directory_info(planning->options->dest, path, &info, NULL) < 0)
            continue;
        pull_plan_add_removal(planning->plan, span_text(path), info.kind == FILE_DIRECTORY,
                              is_below_cleared(planning, span_text(path)));
    }
    return buf_check(&planning->plan->removals, err);
}

int planning_removals(struct planning *planning, struct error *err)
{
    const struct pulled *pulled = planning->options->pulled;
    int r = 0;

    if (planning->options->extra != NULL)
        return plan_extra_removals(planning, err);
    if (pulled->has_current && &pulled->current.tree != planning->options->tree)
        r = plan_removals_of(planning, &pulled->current.tree, err);
    for (size_t i = 0; r == 0 && i < pulled->pending_count; i++) {
        if (&pulled->pending[i].tree != planning->options->tree)
            r = plan_removals_of(planning, &pulled->pending[i].tree, err);
    }
    return r;
}
