/* SPDX-License-Identifier: MIT */

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "server/main/app.h"
#include "server/main/job_wait.h"
#include "server/main/output.h"
#include "server/main/verbs.h"
#include "server/service/collection.h"
#include "server/service/jobs.h"

#define OUTPUT_MAX ((size_t)1 << 20)

static void print_preview(const struct collection_preview *preview, struct buf *out)
{
    const struct sweep_preview *blobs = &preview->blobs;
    char unreferenced[NUMBER_SIZE_TEXT], condemned[NUMBER_SIZE_TEXT], due[NUMBER_SIZE_TEXT];

    number_format_size(blobs->unreferenced_bytes, unreferenced);
    number_format_size(blobs->condemned_bytes, condemned);
    number_format_size(blobs->due_bytes, due);
    buf_format(out, "versions to purge from the trash: %llu\n",
               (unsigned long long)preview->due_versions);
    buf_format(out, "blobs to condemn: %llu (%s), of %llu candidates\n",
               (unsigned long long)blobs->unreferenced, unreferenced,
               (unsigned long long)blobs->candidates);
    buf_format(out, "blobs to delete: %llu (%s), of %llu condemned (%s)\n",
               (unsigned long long)blobs->due, due, (unsigned long long)blobs->condemned,
               condemned);
    buf_format(out, "objects to remove: %llu\n", (unsigned long long)blobs->tombstones);
}

static int look(const struct options *options, struct app *app, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    struct collection_preview preview;
    int r = collection_look(app->services, &preview, err);

    if (r < 0)
        return r;
    if (options_has(options, "json")) {
        collection_write(&writer, NULL, &preview);
        buf_add_byte(&out, '\n');
    } else {
        print_preview(&preview, &out);
    }
    return output_write(&out, err);
}

static int print_result(const struct job *job, struct buf *out, struct error *err)
{
    struct json *json = NULL;
    const struct json_value *result;
    char bytes[NUMBER_SIZE_TEXT];
    int r = job->result != NULL ? json_parse(span_text(job->result), &json, err) : 0;

    if (r < 0 || json == NULL)
        return r;
    result = json_root(json);
    number_format_size((uint64_t)job_number(result, "deleted_bytes"), bytes);
    buf_format(out, "purged versions: %lld\n", (long long)job_number(result, "purged_versions"));
    buf_format(out, "condemned blobs: %lld, of %lld candidates\n",
               (long long)job_number(result, "condemned"),
               (long long)job_number(result, "candidates"));
    buf_format(out, "deleted blobs: %lld (%s)\n", (long long)job_number(result, "deleted_blobs"),
               bytes);
    buf_format(out, "removed objects: %lld\n", (long long)job_number(result, "removed_objects"));
    json_free(json);
    return 0;
}

static int collect(const struct options *options, struct app *app, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    cleanup(job_release) struct job job = { 0 };
    int r = job_wait(app->services, "gc", NULL, &job, err);

    if (r < 0)
        return r;
    if (!options_has(options, "json"))
        r = print_result(&job, &out, err);
    else if (job.result != NULL)
        buf_format(&out, "%s\n", job.result);
    if (r == 0)
        r = output_write(&out, err);
    return r < 0 ? r : job_outcome(&job, err);
}

int verb_gc(const struct options *options, struct settings *settings, struct error *err)
{
    const bool dry = options_has(options, "dry-run");
    cleanup(app_close) struct app app = { 0 };
    int r = app_open(settings, APP_LOOK, &app, err);

    if (r < 0)
        return r;
    return dry ? look(options, &app, err) : collect(options, &app, err);
}
