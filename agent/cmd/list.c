/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/client/api_acts.h"
#include "common/client/api_versions.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"

#include <errno.h>
#include <string.h>

#define OUTPUT_MAX (256 * 1024 * 1024)

/* What the items go to: a name a line, with --verbose more of it; or one JSON object. */
struct listing {
    const struct command *command;
    struct buf *out;
    struct json_writer writer;
    const char *member; /* "project", "app" */
    const char *count;  /* "app_count", "version_count" */
    struct api_channels channels;
};

/* A column of its own, on promoted ones alone: `cut -f1` gives the names. */
static void mark(const struct listing *listing, const char *version, const char *separator)
{
    for (size_t i = 0; i < listing->channels.count; i++) {
        if (strcmp(listing->channels.items[i].version, version) != 0)
            continue;
        buf_format(listing->out, "%s@%s", separator, listing->channels.items[i].name);
        separator = ",";
    }
}

static void list_channels(struct listing *listing, const char *version)
{
    json_begin_array(&listing->writer, "channels");
    for (size_t i = 0; i < listing->channels.count; i++) {
        if (strcmp(listing->channels.items[i].version, version) == 0)
            json_text(&listing->writer, NULL, listing->channels.items[i].name);
    }
    json_end(&listing->writer);
}

static void put_time(struct buf *out, int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];

    if (clock_format(time_s, text, NULL) == 0)
        buf_format(out, "\t%s", text);
}

static int add_name(void *context, const struct api_name *item, struct error *err)
{
    struct listing *listing = context;
    char time[CLOCK_TEXT_SIZE];

    if (listing->command->output.json) {
        json_begin_object(&listing->writer, NULL);
        json_text(&listing->writer, listing->member, item->name);
        if (clock_format(item->created_at_s, time, NULL) == 0)
            json_text(&listing->writer, "created_at", time);
        json_integer(&listing->writer, listing->count, (int64_t)item->count);
        json_text(&listing->writer, "latest", item->latest);
        json_text(&listing->writer, "live", item->live);
        json_end(&listing->writer);
    } else {
        buf_add_text(listing->out, item->name);
        if (listing->command->output.verbose) {
            put_time(listing->out, item->created_at_s);
            buf_format(listing->out, "\t%llu", (unsigned long long)item->count);
            if (item->latest != NULL)
                buf_format(listing->out, "\t%s", item->latest);
        }
        buf_add_byte(listing->out, '\n');
    }
    return buf_check(listing->out, err);
}

static int add_version(void *context, const struct api_version *version, struct error *err)
{
    struct listing *listing = context;
    const struct record *record = &version->record;
    char size[NUMBER_SIZE_TEXT], hex[DIGEST_HEX_SIZE];

    if (listing->command->output.json) {
        json_begin_object(&listing->writer, NULL);
        record_write_json(record, &listing->writer);
        json_text(&listing->writer, "state", version->trashed ? "trashed" : "ready");
        json_bool(&listing->writer, "pinned", version->pinned);
        list_channels(listing, record->version);
        json_end(&listing->writer);
        return buf_check(listing->out, err);
    }
    buf_add_text(listing->out, record->version);
    if (listing->command->output.verbose) {
        digest_hex(&record->content, hex);
        number_format_size(record->bytes, size);
        put_time(listing->out, record->created_at_s);
        buf_format(listing->out, "\t%llu\t%s\t%.12s", (unsigned long long)record->file_count, size,
                   hex);
        if (version->trashed)
            buf_add_text(listing->out, "\ttrashed");
    }
    mark(listing, record->version, "\t");
    buf_add_byte(listing->out, '\n');
    return buf_check(listing->out, err);
}

/* An app that was deleted has no channels any more, and its trash still. */
static int fill_versions(struct api_client *client, const struct version_ref *ref, bool trashed,
                         struct listing *listing, struct error *err)
{
    struct error why = { 0 };
    int r = api_channels_get(client, ref->project, ref->app, &listing->channels, &why);

    if (r < 0 && !(trashed && r == -ENOENT))
        return error_set(err, r, "%s", why.text);
    return (trashed ? api_trash_list : api_versions_list)(client, ref->project, ref->app,
                                                          add_version, listing, err);
}

static int fill(struct job *job, const struct version_ref *ref, bool all, struct listing *listing,
                struct error *err)
{
    struct api_client *client = job->session.client;

    if (all) {
        listing->member = "project";
        listing->count = "app_count";
        return api_projects_list(client, add_name, listing, err);
    }
    if (ref->kind == VERSION_REF_PROJECT) {
        listing->member = "app";
        listing->count = "version_count";
        return api_apps_list(client, ref->project, add_name, listing, err);
    }
    return fill_versions(client, ref, options_has(job->command->options, "trashed"), listing, err);
}

static int list(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct listing listing = { .command = job->command,
                               .out = &out,
                               .writer = json_writer_init(&out) };
    const char *said = options_operand(job->command->options, 0);
    struct version_ref ref = { .kind = VERSION_REF_PROJECT };
    int r = said != NULL ? version_ref_parse(span_text(said), &ref, err) : 0;

    if (r == 0 && ref.kind != VERSION_REF_PROJECT && ref.kind != VERSION_REF_APP)
        r = error_set(err, -EINVAL, "list takes P or P/A, not \"%s\"", said);
    if (r == 0 && ref.kind != VERSION_REF_APP && options_has(job->command->options, "trashed"))
        r = error_set(err, -EINVAL, "list --trashed takes P/A");
    if (r < 0)
        return job_failed(job, r, EXIT_USAGE);
    r = job_open(job, err);
    if (r < 0)
        return r;
    if (job->command->output.json) {
        json_begin_object(&listing.writer, NULL);
        json_begin_array(&listing.writer, "items");
    }
    r = fill(job, &ref, said == NULL, &listing, err);
    api_channels_release(&listing.channels);
    if (r < 0)
        return r;
    if (job->command->output.json) {
        json_end(&listing.writer);
        json_end(&listing.writer);
        buf_add_byte(&out, '\n');
    }
    return job_write(job, &out, err);
}

int command_list(struct command *command, struct error *err)
{
    return job_run(command, list, err);
}
