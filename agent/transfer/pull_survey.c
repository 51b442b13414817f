/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_survey.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/pattern.h"
#include "agent/transfer/pull_names.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/model/tree.h"

struct surveying {
    const struct pull_survey_options *options;
    struct buf found;
    struct buf path;
    uint64_t device;
    bool saw_protected; /* below the directory that is looked into */
};

void pull_survey_release(struct pull_survey *survey)
{
    buf_release(&survey->found);
}

const char *pull_survey_next(const struct pull_survey *survey, size_t *at,
                             enum survey_kind *out_kind)
{
    const char *path;

    if (*at >= survey->found.size)
        return NULL;
    *out_kind = (enum survey_kind)survey->found.bytes[*at];
    path = (const char *)survey->found.bytes + *at + 1;
    *at += 1 + strlen(path) + 1;
    return path;
}

static void add(struct surveying *surveying, enum survey_kind kind)
{
    buf_add_byte(&surveying->found, (uint8_t)kind);
    buf_add_span(&surveying->found, buf_span(&surveying->path));
    buf_add_byte(&surveying->found, 0);
}

static int look_into(struct surveying *surveying, struct error *err);

/* A directory, noted at `noted` of found unless the version has it. */
static int look_below(struct surveying *surveying, size_t noted, bool is_noted, struct error *err)
{
    bool before = surveying->saw_protected;
    int r;

    surveying->saw_protected = false;
    r = look_into(surveying, err);
    if (surveying->saw_protected && is_noted && noted < surveying->found.size)
        surveying->found.bytes[noted] = SURVEY_WAY;
    surveying->saw_protected |= before;
    return r;
}

static int look_at(struct surveying *surveying, enum file_kind kind, struct error *err)
{
    const struct pull_survey_options *options = surveying->options;
    struct span path = buf_span(&surveying->path);
    bool is_directory = kind == FILE_DIRECTORY, has, both;
    size_t noted = surveying->found.size;
    uint32_t index;

    has = tree_find_path(options->tree, path, &index) == 0;
    both = has && is_directory && tree_record(options->tree, index).kind == ENTRY_DIRECTORY;
    if (options->protect != NULL && pattern_list_covers(options->protect, path, is_directory) &&
        !both) {
        add(surveying, SURVEY_PROTECTED);
        surveying->saw_protected = true;
        return 0;
    }
    if (!has && pull_names_has(options->dest, options->tree, path))
        has = true; /* it is that entry, under another spelling */
    if (!has)
        add(surveying, pulled_is_ours(options->pulled, path, kind) ? SURVEY_OURS : SURVEY_FOREIGN);
    return is_directory ? look_below(surveying, noted, !has, err) : 0;
}

static bool is_agents(const char *name)
{
    return strcmp(name, ".kkartifact") == 0 || strcmp(name, ".kkartifact.yml") == 0;
}

static int each_name(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct surveying *surveying = context;
    size_t size = surveying->path.size;
    struct file_info info;
    int r;

    if (size == 0 && is_agents(name))
        return 0;
    buf_format(&surveying->path, size == 0 ? "%s" : "/%s", name);
    r = buf_check(&surveying->path, err);
    if (r == 0)
        r = transfer_stopped(surveying->options->transfer, err);
    if (r == 0)
        r = directory_info(surveying->options->dest, buf_text(&surveying->path), &info, err);
    if (r == 0 && info.kind == FILE_DIRECTORY && info.device != surveying->device)
        add(surveying, SURVEY_MOUNT);
    if (r == 0)
        r = look_at(surveying, info.kind, err);
    else if (r == -ENOENT)
        r = 0; /* gone meanwhile */
    surveying->path.size = size;
    return r;
}

static int look_into(struct surveying *surveying, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    int r;

    buf_add_span(&path, buf_span(&surveying->path));
    r = buf_check(&path, err);
    return r < 0 ? r
                 : directory_list(surveying->options->dest, buf_text(&path), each_name, surveying,
                                  err);
}

int pull_survey_make(const struct pull_survey_options *options, struct pull_survey *out,
                     struct error *err)
{
    struct surveying surveying = { .options = options,
                                   .found = buf_init(BUF_UNLIMITED),
                                   .path = buf_init(BUF_UNLIMITED) };
    struct file_info info;
    int r = directory_info(options->dest, "", &info, err);

    surveying.device = info.device;
    if (r == 0)
        r = look_into(&surveying, err);
    if (r == 0)
        r = buf_check(&surveying.found, err);
    buf_release(&surveying.path);
    if (r < 0) {
        buf_release(&surveying.found);
        return transfer_local(options->transfer, r);
    }
    out->found = surveying.found;
    return 0;
}
