/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "server/main/app.h"
#include "server/main/job_wait.h"
#include "server/main/output.h"
#include "server/main/verbs.h"
#include "server/service/jobs.h"

#define OUTPUT_MAX ((size_t)4 << 20)

static void print_broken(const struct json_value *version, struct buf *out)
{
    const char *project = "", *app = "", *name = "";

    json_member_text(version, "project", &project, NULL);
    json_member_text(version, "app", &app, NULL);
    json_member_text(version, "version", &name, NULL);
    buf_format(out, "broken: %s/%s/%s (%lld blobs)\n", project, app, name,
               (long long)job_number(version, "blobs"));
}

static void print_lists(const struct json_value *result, struct buf *out)
{
    const struct json_value *found = json_member(result, "found");
    const struct json_value *broken = json_member(result, "broken_versions");
    const struct json_value *at = NULL;
    const char *text;

    while ((at = json_next(found, at)) != NULL) {
        if (json_get_text(at, "found", &text, NULL) == 0)
            buf_format(out, "%s\n", text);
    }
    at = NULL;
    while ((at = json_next(broken, at)) != NULL)
        print_broken(at, out);
}

static void print_result(const struct json_value *result, struct buf *out)
{
    print_lists(result, out);
    buf_format(out,
               "%lld blobs looked at: %lld missing, %lld corrupt, %lld unreadable,"
               " %lld right after all\n",
               (long long)job_number(result, "blobs"), (long long)job_number(result, "missing"),
               (long long)job_number(result, "corrupt"),
               (long long)job_number(result, "unreadable"),
               (long long)job_number(result, "recovered"));
    buf_format(out, "%lld objects looked at: %lld without a row, %lld moved aside\n",
               (long long)job_number(result, "objects"), (long long)job_number(result, "strays"),
               (long long)job_number(result, "moved_aside"));
}

/* What is lost stays so until somebody pushes it again; strays are harmless once they are aside. */
static int outcome(const struct json_value *result, struct error *err)
{
    const int64_t lost = job_number(result, "missing") + job_number(result, "corrupt");
    const int64_t unreadable = job_number(result, "unreadable");
    const int64_t strays = job_number(result, "strays") - job_number(result, "moved_aside");

    if (lost > 0 && unreadable > 0)
        return error_set(err, -EIO, "%lld blobs are missing or corrupt, %lld cannot be read",
                         (long long)lost, (long long)unreadable);
    if (lost > 0)
        return error_set(err, -EIO, "%lld blobs are missing or corrupt", (long long)lost);
    if (unreadable > 0)
        return error_set(err, -EIO, "%lld blobs cannot be read", (long long)unreadable);
    return strays > 0 ? error_set(err, -EIO, "%lld objects have no row", (long long)strays) : 0;
}

static int tell(const struct options *options, const struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json *json = NULL;
    int r = json_parse(span_text(job->result), &json, err);

    if (r < 0)
        return r;
    if (options_has(options, "json"))
        buf_format(&out, "%s\n", job->result);
    else
        print_result(json_root(json), &out);
    r = output_write(&out, err);
    if (r == 0)
        r = outcome(json_root(json), err);
    json_free(json);
    return r;
}

int verb_fsck(const struct options *options, struct settings *settings, struct error *err)
{
    cleanup(job_release) struct job job = { 0 };
    cleanup(app_close) struct app app = { 0 };
    char params[64];
    int r = app_open(settings, APP_LOOK, &app, err);

    if (r < 0)
        return r;
    snprintf(params, sizeof(params), "{\"full\":%s,\"repair\":%s}",
             options_has(options, "full") ? "true" : "false",
             options_has(options, "repair") ? "true" : "false");
    r = job_wait(app.services, "fsck", params, &job, err);
    if (r == 0)
        r = job_outcome(&job, err);
    if (r == 0 && job.result == NULL)
        r = error_set(err, -EIO, "the run left no result");
    return r < 0 ? r : tell(options, &job, err);
}
