/* SPDX-License-Identifier: MIT */
#include "agent/transfer/verify.h"

#include <errno.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/problem.h"

#define OUTPUT_MAX (256 * 1024 * 1024)

CLEANUP_DEFINE(directory, directory_close);

/* Differences, as they are found. */
struct report {
    const struct command *command;
    struct buf *lines;          /* text */
    struct json_writer *writer; /* inside the array "differences" */
};

static void put_json(struct json_writer *writer, enum verify_difference difference,
                     struct span path)
{
    json_begin_object(writer, NULL);
    json_text(writer, "difference", verify_difference_name(difference));
    output_json_path(writer, path);
    json_end(writer);
}

static void put_line(struct buf *out, enum verify_difference difference, struct span path)
{
    buf_format(out, "%s\t", verify_difference_name(difference));
    output_add_path(out, path);
    buf_add_byte(out, '\n');
}

static void on_difference(void *context, enum verify_difference difference, struct span path)
{
    struct report *report = context;

    if (report->command->output.json)
        put_json(report->writer, difference, path);
    else
        put_line(report->lines, difference, path);
}

static void put_totals(const struct verify_result *result, struct json_writer *writer)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&result->content, hex);
    json_text(writer, "project", result->project);
    json_text(writer, "app", result->app);
    json_text(writer, "version", result->version);
    json_text(writer, "content", hex);
    json_text(writer, "state", result->differences == 0 ? "same" : "different");
    json_integer(writer, "files", (int64_t)result->files);
    json_integer(writer, "bytes", (int64_t)result->bytes);
}

static int verify(struct job *job, uint64_t *out_differences, struct error *err)
{
    cleanup(pattern_list_release) struct pattern_list protect = pattern_list_init();
    cleanup(cleanup_directory) struct directory *root = NULL;
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    const char *said = options_operand(job->command->options, 0);
    const char *path = said != NULL ? said : ".";
    struct json_writer writer = json_writer_init(&out);
    struct report report = { job->command, &out, &writer };
    struct verify_options options = {
        .transfer = &job->transfer, .protect = &protect, .report = on_difference, .context = &report
    };
    struct verify_result result;
    int r = job_configure(job, path, CONFIGURATION_OPTIONAL, err);

    if (r == 0)
        r = job_patterns(job, "ignore", &protect, err);
    if (r == 0)
        r = job_local(job, directory_open(path, &root, err));
    if (r == 0)
        r = job_show_progress(job, err);
    if (r < 0)
        return r;
    options.root = root;
    if (job->command->output.json) {
        json_begin_object(&writer, NULL);
        json_begin_array(&writer, "differences");
    }
    r = verify_run(&options, &result, err);
    job_hide_progress(job);
    if (r == -ENOENT)
        return error_prefix(err, r, "%s", path); /* what no pull has ended in */
    if (r < 0)
        return job_local_below(job, r, path, err);
    if (job->command->output.json) {
        json_end(&writer);
        put_totals(&result, &writer);
        json_end(&writer);
        buf_add_byte(&out, '\n');
    } else if (result.differences == 0) {
        buf_format(&out, "%s/%s/%s\n", result.project, result.app, result.version);
    }
    *out_differences = result.differences;
    return job_write(job, &out, err);
}

int command_verify(struct command *command, struct error *err)
{
    cleanup(job_release) struct job job;
    uint64_t differences = 0;
    int r;

    job_init(&job, command);
    r = verify(&job, &differences, err);
    if (r == 0 && differences > 0)
        return EXIT_DIFFERENT;
    return job_exit(&job, r);
}
