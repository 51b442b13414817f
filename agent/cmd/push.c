/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/build_facts.h"
#include "agent/cmd/changes.h"
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/transfer/change.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/names.h"
#include "common/model/problem.h"
#include "common/model/record.h"
#include "common/net/http_loop.h"

#define OUTPUT_MAX (1 << 30)

CLEANUP_DEFINE(directory, directory_close);

static enum scan_links links_of(const struct settings *settings)
{
    const char *text = settings_text(settings, "links");

    if (strcmp(text, "refuse") == 0)
        return SCAN_LINKS_REFUSE;
    return strcmp(text, "skip") == 0 ? SCAN_LINKS_SKIP : SCAN_LINKS_KEEP;
}

/* --label K=V ... */
static int add_labels(struct job *job, struct record *record, struct error *err)
{
    const char *label;
    int r = 0;

    for (size_t i = 0; r == 0 && (label = options_list(job->command->options, "label", i)) != NULL;
         i++) {
        const char *equals = strchr(label, '=');
        if (equals == NULL)
            r = error_set(err, -EINVAL, "--label is KEY=VALUE, not \"%s\"", label);
        else
            r = labels_add(&record->labels, span_of(label, (size_t)(equals - label)),
                           span_text(equals + 1), err);
    }
    return job_failed(job, r, EXIT_USAGE);
}

static int add_given(struct job *job, struct record *record, struct error *err)
{
    static const char *const flags[][2] = { { "git-commit", "git_commit" },
                                            { "build-time", "build_time" },
                                            { "builder", "builder" } };
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(flags) / sizeof(flags[0]); i++) {
        const char *value = options_get(job->command->options, flags[i][0]);
        if (value != NULL)
            r = record_set_field(record, flags[i][1], span_text(value), err);
        if (r < 0)
            error_prefix(err, r, "--%s", flags[i][0]);
    }
    return job_failed(job, r, EXIT_USAGE);
}

static int find_metadata(struct job *job, const char *path, struct record *record,
                         struct error *err)
{
    int r = job_failed(job, build_facts_find(path, getenv, record, err), EXIT_CONFIGURATION);

    if (r == 0)
        r = add_given(job, record, err);
    return r < 0 ? r : add_labels(job, record, err);
}

static int find_version(struct job *job, const char **out_version, struct error *err)
{
    const char *version = options_get(job->command->options, "version");

    *out_version = version;
    if (version == NULL)
        return 0;
    return job_failed(job, name_check(NAME_VERSION, span_text(version), err), EXIT_USAGE);
}

/* Where what was hashed is remembered, apart from the tree. Without such a place everything is
 * hashed. A relative one is none, as the XDG base directory specification has it. A dry run makes
 * none. */
static struct directory *open_cache(bool dry_run)
{
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    struct directory *cache = NULL;
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

#ifdef _WIN32
    xdg = getenv("LOCALAPPDATA");
#endif
    if (xdg != NULL && configuration_is_absolute(xdg))
        buf_format(&path, "%s/kkartifact/agent", xdg);
    else if (home != NULL && configuration_is_absolute(home))
        buf_format(&path, "%s/.cache/kkartifact/agent", home);
    if (path.size == 0 || buf_check(&path, NULL) < 0 ||
        (!dry_run && file_make_directories(buf_text(&path), 0700, NULL) < 0) ||
        directory_open(buf_text(&path), &cache, NULL) < 0)
        return NULL;
    return cache;
}

static void give_notice(const struct output *output, bool dry_run, const struct push_result *result)
{
    cleanup(buf_release) struct buf text = buf_init(256);
    char size[NUMBER_SIZE_TEXT];

    if (result->exists) {
        output_notice(output, "this version exists already, with this content");
    } else if (dry_run) {
        number_format_size(result->would_send_bytes, size);
        buf_format(&text, "a dry run: nothing was sent; a push would send %s at most", size);
        output_notice(output, buf_text(&text));
    }
}

/* On stderr: on stdout stands the version alone. */
static void tell_entries(const struct output *output, const struct change_list *entries)
{
    cleanup(buf_release) struct buf text = buf_init(OUTPUT_MAX);

    changes_write_text(entries, &text);
    output_list(output, &text);
}

static const char *state_of(const struct push_options *options, const struct push_result *result)
{
    if (result->exists)
        return "exists";
    return options->dry_run ? "dry-run" : "created";
}

static int write_result(struct job *job, const struct push_options *options,
                        const struct push_result *result, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    char hex[DIGEST_HEX_SIZE];

    if (!job->command->output.json) {
        if (options->dry_run)
            tell_entries(&job->command->output, options->changes);
        give_notice(&job->command->output, options->dry_run, result);
        buf_format(&out, "%s/%s/%s\n", options->project, options->app, result->version);
        return job_write(job, &out, err);
    }
    digest_hex(&result->content, hex);
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", options->project);
    json_text(&writer, "app", options->app);
    json_text(&writer, "version", result->version);
    json_text(&writer, "content", hex);
    json_text(&writer, "state", state_of(options, result));
    json_integer(&writer, "files", (int64_t)result->files);
    json_integer(&writer, "bytes", (int64_t)result->bytes);
    json_integer(&writer, "sent_bytes", (int64_t)http_loop_sent_bytes(job->session.loop));
    if (options->dry_run)
        json_integer(&writer, "would_send_bytes", (int64_t)result->would_send_bytes);
    json_integer(&writer, "duration_ms", (int64_t)job_elapsed_ms(job));
    if (options->dry_run)
        changes_write_json(options->changes, &writer);
    json_end(&writer);
    buf_add_byte(&out, '\n');
    return job_write(job, &out, err);
}

static int push(struct job *job, const char *path, struct push_options *options, struct error *err)
{
    cleanup(record_release) struct record record;
    cleanup(cleanup_directory) struct directory *root = NULL;
    cleanup(cleanup_directory) struct directory *cache = NULL;
    cleanup(change_list_release) struct change_list changes = change_list_init();
    struct push_result result;
    int r;

    record_init(&record);
    r = find_metadata(job, path, &record, err);
    if (r == 0)
        r = job_names(job, &options->project, &options->app, err);
    if (r == 0)
        r = find_version(job, &options->version, err);
    if (r == 0)
        r = job_connect(job, err);
    if (r == 0)
        r = job_local(job, directory_open(path, &root, err));
    if (r == 0)
        r = job_show_progress(job, err);
    if (r < 0)
        return r;
    cache = open_cache(options->dry_run);
    options->root = root;
    options->cache = cache;
    options->metadata = &record;
    options->links = links_of(job->configuration.settings);
    options->changes = &changes;
    r = job_local_below(job, push_run(options, &result, err), path, err);
    if (r == 0)
        r = change_list_end(&changes, err);
    job_hide_progress(job);
    if (r == -ESTALE)
        return job_failed(job, r, EXIT_CONFLICT);
    return r < 0 ? r : write_result(job, options, &result, err);
}

static int prepare(struct job *job, const char *path, struct pattern_list *ignore,
                   struct pattern_list *executable, struct error *err)
{
    int r = job_configure(job, path, CONFIGURATION_REQUIRED, err);

    if (r == 0)
        r = pattern_list_add(ignore, ".git/", err); /* first, so that "!.git" takes it back */
    if (r == 0)
        r = job_patterns(job, "ignore", ignore, err);
    return r < 0 ? r : job_patterns(job, "executable", executable, err);
}

int command_push(struct command *command, struct error *err)
{
    cleanup(pattern_list_release) struct pattern_list ignore = pattern_list_init();
    cleanup(pattern_list_release) struct pattern_list executable = pattern_list_init();
    const char *path =
        options_operand_count(command->options) > 0 ? options_operand(command->options, 0) : ".";
    struct push_options options = { .ignore = &ignore, .executable = &executable };
    cleanup(job_release) struct job job;
    int r;

    job_init(&job, command);
    options.transfer = &job.transfer;
    options.full_check = options_has(command->options, "full-check");
    options.dry_run = options_has(command->options, "dry-run");
    r = prepare(&job, path, &ignore, &executable, err);
    if (r == 0)
        r = push(&job, path, &options, err);
    return job_exit_resumable(&job, r, err);
}
