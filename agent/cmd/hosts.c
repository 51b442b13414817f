/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_hosts.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"

#include <errno.h>
#include <string.h>

#define OUTPUT_MAX (256 * 1024 * 1024)
#define CELL_MAX (16 * 1024)

enum { HOST, VERSION, MODE, STATE, RENEWED, PLACE, COLUMNS };

/* Rows of cells, each ended by a NUL, until the widths are known; or one JSON object. */
struct table {
    bool json;
    struct buf cells;
    size_t widths[COLUMNS];
    struct buf *out;
    struct json_writer writer;
};

static void add_cell(struct table *table, unsigned column, const char *text)
{
    size_t size = strlen(text);

    if (size > table->widths[column])
        table->widths[column] = size;
    buf_add(&table->cells, text, size + 1);
}

static void write_json(struct json_writer *writer, const struct api_lease *lease)
{
    json_begin_object(writer, NULL);
    json_text(writer, "host", lease->host);
    json_text(writer, "place", lease->place);
    json_text(writer, "project", lease->project);
    json_text(writer, "app", lease->app);
    json_text(writer, "version", lease->version);
    json_text(writer, "mode", lease->mode);
    json_text(writer, "state", lease->state);
    json_time(writer, "since", lease->since_s);
    json_time(writer, "renewed_at", lease->renewed_at_s);
    json_time(writer, "expires_at", lease->expires_at_s);
    json_bool(writer, "stale", lease->stale);
    json_text(writer, "token", lease->token);
    json_end(writer);
}

/* Texts that no rule of names bounds, for a line. */
static void add_plain(struct table *table, unsigned column, const char *text, const char *mark)
{
    cleanup(buf_release) struct buf cell = buf_init(CELL_MAX);

    output_add_path(&cell, span_text(text));
    buf_add_text(&cell, mark);
    if (cell.failure == 0)
        add_cell(table, column, buf_text(&cell));
    else if (table->cells.failure == 0)
        table->cells.failure = cell.failure;
}

static void add_row(struct table *table, const struct api_lease *lease)
{
    cleanup(buf_release) struct buf version = buf_init(CELL_MAX);
    char time[CLOCK_TEXT_SIZE] = "";

    buf_format(&version, "%s/%s/%s", lease->project, lease->app, lease->version);
    clock_format(lease->renewed_at_s, time, NULL);
    add_cell(table, HOST, lease->host);
    add_cell(table, VERSION, version.failure == 0 ? buf_text(&version) : "");
    add_plain(table, MODE, lease->mode, "");
    add_plain(table, STATE, lease->state, lease->stale ? ",stale" : "");
    add_cell(table, RENEWED, time);
    add_plain(table, PLACE, lease->place, "");
}

static int add_lease(void *context, const struct api_lease *lease, struct error *err)
{
    struct table *table = context;

    if (table->json) {
        write_json(&table->writer, lease);
        return buf_check(table->out, err);
    }
    add_row(table, lease);
    return buf_check(&table->cells, err);
}

/* Nothing is behind the last column, so that its width does not matter. */
static void write_table(struct table *table)
{
    const char *at = (const char *)table->cells.bytes;
    const char *end = at + table->cells.size;

    for (unsigned column = 0; at != end; column = (column + 1) % COLUMNS) {
        if (column == COLUMNS - 1)
            buf_format(table->out, "%s\n", at);
        else
            buf_format(table->out, "%-*s  ", (int)table->widths[column], at);
        at += strlen(at) + 1;
    }
}

static void begin(struct table *table)
{
    static const char *const titles[COLUMNS] = { "HOST",  "VERSION", "MODE",
                                                 "STATE", "RENEWED", "PLACE" };

    if (table->json) {
        json_begin_object(&table->writer, NULL);
        json_begin_array(&table->writer, "items");
        return;
    }
    for (unsigned i = 0; i < COLUMNS; i++)
        add_cell(table, i, titles[i]);
}

static void end(struct table *table)
{
    if (!table->json) {
        write_table(table);
        return;
    }
    json_end(&table->writer);
    json_end(&table->writer);
    buf_add_byte(table->out, '\n');
}

static int parse(struct job *job, struct version_ref *ref, struct error *err)
{
    const char *said = options_operand(job->command->options, 0);
    int r = said == NULL ? 0 : version_ref_parse(span_text(said), ref, err);

    if (r == 0 &&
        (ref->kind == VERSION_REF_LATEST || ref->kind == VERSION_REF_CHANNEL || ref->path.size > 0))
        r = error_set(err, -EINVAL, "hosts takes P, P/A or P/A/V, not \"%s\"", said);
    return job_failed(job, r, EXIT_USAGE);
}

static int hosts(struct job *job, struct table *table, struct error *err)
{
    struct version_ref ref = { .kind = VERSION_REF_PROJECT };
    int r = parse(job, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r < 0)
        return r;
    begin(table);
    r = api_hosts_list(job->session.client, ref.project[0] != '\0' ? ref.project : NULL,
                       ref.app[0] != '\0' ? ref.app : NULL,
                       ref.version[0] != '\0' ? ref.version : NULL, add_lease, table, err);
    if (r < 0)
        return r;
    end(table);
    return job_write(job, table->out, err);
}

int command_hosts(struct command *command, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct table table = { .json = command->output.json,
                           .cells = buf_init(OUTPUT_MAX),
                           .out = &out,
                           .writer = json_writer_init(&out) };
    cleanup(job_release) struct job job;
    int r;

    job_init(&job, command);
    r = hosts(&job, &table, err);
    buf_release(&table.cells);
    return job_exit(&job, r);
}
