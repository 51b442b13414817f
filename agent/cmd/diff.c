/* SPDX-License-Identifier: MIT */
#include "agent/transfer/tree_diff.h"

#include <errno.h>

#include "agent/cmd/changes.h"
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/transfer/change.h"
#include "agent/transfer/remote_tree.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"

#define OUTPUT_MAX (1 << 30)

/* What is compared: two versions of one app. */
struct pair {
    struct version_ref app;
    struct buf from, to; /* as in a URL */
};

static void pair_release(struct pair *pair)
{
    buf_release(&pair->from);
    buf_release(&pair->to);
}

static int parse_version(const char *text, struct buf *out, struct error *err)
{
    struct version_ref ref = { .kind = VERSION_REF_LATEST };
    int r = version_ref_parse_version(span_text(text), &ref, err);

    if (r < 0)
        return r;
    version_ref_format_version(&ref, out);
    return buf_check(out, err);
}

static int parse(struct job *job, struct pair *pair, struct error *err)
{
    const struct options *options = job->command->options;
    const char *app = options_operand(options, 0);
    int r = version_ref_parse(span_text(app), &pair->app, err);

    if (r == 0 && pair->app.kind != VERSION_REF_APP)
        r = error_set(err, -EINVAL, "diff takes P/A and two versions of it, not \"%s\"", app);
    if (r == 0)
        r = parse_version(options_operand(options, 1), &pair->from, err);
    if (r == 0)
        r = parse_version(options_operand(options, 2), &pair->to, err);
    return job_failed(job, r, EXIT_USAGE);
}

static int write_result(struct job *job, const struct remote_tree *from,
                        const struct remote_tree *to, const struct change_list *list,
                        struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);

    if (!job->command->output.json) {
        changes_write_text(list, &out);
        return job_write(job, &out, err);
    }
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", to->version.record.project);
    json_text(&writer, "app", to->version.record.app);
    json_text(&writer, "from", from->version.record.version);
    json_text(&writer, "to", to->version.record.version);
    json_text(&writer, "state", change_list_count(list) == 0 ? "same" : "different");
    changes_write_json(list, &writer);
    json_end(&writer);
    buf_add_byte(&out, '\n');
    return job_write(job, &out, err);
}

static int diff(struct job *job, bool *out_different, struct error *err)
{
    cleanup(pair_release) struct pair pair = { .from = buf_init(256), .to = buf_init(256) };
    cleanup(remote_tree_release) struct remote_tree from = { 0 };
    cleanup(remote_tree_release) struct remote_tree to = { 0 };
    cleanup(change_list_release) struct change_list list = change_list_init();
    int r = parse(job, &pair, err);

    if (r == 0)
        r = job_open(job, err);
    if (r == 0)
        r = job_show_progress(job, err);
    if (r == 0)
        r = remote_tree_fetch(&job->transfer, pair.app.project, pair.app.app, buf_text(&pair.from),
                              &from, err);
    if (r == 0)
        r = remote_tree_fetch(&job->transfer, pair.app.project, pair.app.app, buf_text(&pair.to),
                              &to, err);
    if (r == 0)
        r = tree_diff(&from.image.tree, &to.image.tree, &list, err);
    if (r == 0)
        r = change_list_end(&list, err);
    job_hide_progress(job);
    if (r < 0)
        return r;
    *out_different = change_list_count(&list) > 0;
    return write_result(job, &from, &to, &list, err);
}

int command_diff(struct command *command, struct error *err)
{
    cleanup(job_release) struct job job;
    bool different = false;
    int r;

    job_init(&job, command);
    r = diff(&job, &different, err);
    return r == 0 && different ? EXIT_DIFFERENT : job_exit(&job, r);
}
