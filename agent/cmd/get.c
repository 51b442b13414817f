/* SPDX-License-Identifier: MIT */
#include "agent/transfer/get.h"

#include <errno.h>
#include <string.h>

#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "agent/cmd/path_text.h"
#include "agent/transfer/get_manifest.h"
#include "agent/transfer/remote_entry.h"
#include "agent/transfer/remote_tree.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/tree.h"
#include "common/model/version_ref.h"
#include "common/net/http_loop.h"

CLEANUP_DEFINE(directory, directory_close);

/* What is wanted, and where it goes. */
struct wanted {
    struct version_ref ref;
    struct buf version;
    const char *dest;
    bool streams;     /* to standard output */
    bool is_manifest; /* meta.yaml, which is no entry of the tree */
};

static void wanted_release(struct wanted *wanted)
{
    buf_release(&wanted->version);
}

static int parse(struct job *job, struct wanted *out, struct error *err)
{
    const struct options *options = job->command->options;
    const char *said = options_operand(options, 0);
    struct span text = span_text(said);
    int r;

    while (text.size > 0 && text.bytes[text.size - 1] == '/')
        text.size--;
    r = version_ref_parse(text, &out->ref, err);
    if (r == 0 && (out->ref.kind == VERSION_REF_PROJECT || out->ref.kind == VERSION_REF_APP))
        r = error_set(err, -EINVAL, "get takes P/A/V or P/A/V/PATH, not \"%s\"", said);
    out->dest = options_operand(options, 1);
    if (out->dest == NULL)
        out->dest = ".";
    out->streams = strcmp(out->dest, "-") == 0;
    if (r == 0 && out->streams && job->command->output.json)
        r = error_set(err, -EINVAL, "the file itself goes to standard output: no --json beside it");
    if (r == 0) {
        version_ref_format_version(&out->ref, &out->version);
        r = buf_check(&out->version, err);
    }
    return job_failed(job, r, EXIT_USAGE);
}

static int find_entry(struct wanted *wanted, const struct remote_tree *tree, uint32_t *out_index,
                      struct error *err)
{
    int r;

    wanted->is_manifest = get_manifest_is_path(tree, wanted->ref.path);
    if (wanted->is_manifest)
        return 0;
    r = tree_find_path(&tree->image.tree, wanted->ref.path, out_index);
    if (r < 0)
        return error_set(err, -ENOENT, "%s/%s/%s has no entry \"%.*s\"", wanted->ref.project,
                         wanted->ref.app, tree->version.record.version, (int)wanted->ref.path.size,
                         (const char *)wanted->ref.path.bytes);
    return 0;
}

/* The name that the entry has where DEST is a directory. */
static int add_own_name(const struct wanted *wanted, const struct remote_tree *tree,
                        struct buf *out, struct error *err)
{
    struct span path = wanted->ref.path;
    size_t at = path.size;

    while (at > 0 && path.bytes[at - 1] != '/')
        at--;
    if (path.size > 0)
        buf_add_span(out, span_slice(path, at, path.size));
    else
        buf_add_text(out, tree->version.record.version);
    return buf_check(out, err);
}

/* The directory that gets the entry, its path, and the entry's name there. */
static int find_place(const struct wanted *wanted, const struct remote_tree *tree,
                      bool is_directory, struct directory **out_parent, struct buf *out_place,
                      struct buf *out_name, struct error *err)
{
    size_t given = strlen(wanted->dest), size = path_trim(wanted->dest, given);
    size_t start = path_last_name(wanted->dest, size);
    int r;

    if (directory_open(wanted->dest, out_parent, NULL) == 0) {
        buf_add_text(out_place, wanted->dest);
        return add_own_name(wanted, tree, out_name, err);
    }
    if (given > size && !is_directory)
        return error_set(err, -ENOTDIR, "%s: is not a directory", wanted->dest);
    buf_add_text(out_place, start > 0 ? "" : ".");
    buf_add(out_place, wanted->dest, start);
    buf_add(out_name, wanted->dest + start, size - start);
    r = buf_check(out_name, err);
    return r < 0 ? r : path_open(wanted->dest, start, out_parent, err);
}

static int write_result(struct job *job, const struct wanted *wanted,
                        const struct remote_tree *tree, const struct get_result *result,
                        struct error *err)
{
    const struct record *record = &tree->version.record;
    cleanup(buf_release) struct buf out = buf_init(1 << 16);
    struct json_writer writer = json_writer_init(&out);

    if (!job->command->output.json) {
        buf_format(&out, "%s/%s/%s", record->project, record->app, record->version);
        buf_add_text(&out, wanted->ref.path.size > 0 ? "/" : "");
        output_add_path(&out, wanted->ref.path);
        buf_add_byte(&out, '\n');
        return job_write(job, &out, err);
    }
    json_begin_object(&writer, NULL);
    json_text(&writer, "project", record->project);
    json_text(&writer, "app", record->app);
    json_text(&writer, "version", record->version);
    output_json_path(&writer, wanted->ref.path);
    json_integer(&writer, "files", (int64_t)result->files);
    json_integer(&writer, "bytes", (int64_t)result->bytes);
    json_integer(&writer, "received_bytes", (int64_t)http_loop_received_bytes(job->session.loop));
    json_integer(&writer, "duration_ms", (int64_t)job_elapsed_ms(job));
    json_end(&writer);
    buf_add_byte(&out, '\n');
    return job_write(job, &out, err);
}

static int stream(struct job *job, const struct wanted *wanted, struct get_options *options,
                  struct error *err)
{
    struct get_result result;

    if (wanted->is_manifest) {
        job_hide_progress(job);
        return get_manifest_stream(options, 1, &result, err);
    }
    if (tree_record(&options->tree->image.tree, options->index).kind != ENTRY_FILE)
        return job_failed(job, error_set(err, -EINVAL, "only a file goes to standard output"),
                          EXIT_USAGE);
    return get_stream(options, 1, &result, err);
}

static int save(struct job *job, const struct wanted *wanted, struct get_options *options,
                struct error *err)
{
    cleanup(cleanup_directory) struct directory *parent = NULL;
    cleanup(buf_release) struct buf name = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf place = buf_init(BUF_UNLIMITED);
    struct get_result result;
    bool is_directory =
        !wanted->is_manifest &&
        tree_record(&options->tree->image.tree, options->index).kind == ENTRY_DIRECTORY;
    int r = job_local(job,
                      find_place(wanted, options->tree, is_directory, &parent, &place, &name, err));

    if (r < 0)
        return r;
    options->parent = parent;
    options->name = buf_text(&name);
    r = wanted->is_manifest ? get_manifest_run(options, &result, err)
                            : get_run(options, &result, err);
    job_hide_progress(job);
    if (r < 0)
        return job_local_below(job, r, buf_text(&place), err);
    return write_result(job, wanted, options->tree, &result, err);
}

/* The manifest is made of the whole tree. */
static int fetch_tree(struct job *job, struct wanted *wanted, struct remote_tree *out,
                      struct error *err)
{
    struct transfer *transfer = &job->transfer;
    const struct version_ref *ref = &wanted->ref;
    const char *version = buf_text(&wanted->version);
    int r = -ENOENT;

    if (!span_equal_text(ref->path, VERSION_REF_MANIFEST))
        r = remote_entry_fetch(transfer, ref->project, ref->app, version, ref->path, out, err);
    if (r == -ENOENT && get_manifest_may_be(ref->path))
        r = remote_tree_fetch(transfer, ref->project, ref->app, version, out, err);
    return r;
}

static int get(struct job *job, struct error *err)
{
    cleanup(wanted_release) struct wanted wanted = { .version = buf_init(256) };
    cleanup(remote_tree_release) struct remote_tree tree = { 0 };
    struct get_options options = { .transfer = &job->transfer, .tree = &tree };
    int r = parse(job, &wanted, err);

    if (r == 0)
        r = job_open(job, err);
    if (r == 0)
        r = job_show_progress(job, err);
    if (r == 0)
        r = fetch_tree(job, &wanted, &tree, err);
    if (r == 0)
        r = find_entry(&wanted, &tree, &options.index, err);
    if (r < 0)
        return r;
    return wanted.streams ? stream(job, &wanted, &options, err) : save(job, &wanted, &options, err);
}

int command_get(struct command *command, struct error *err)
{
    return job_run(command, get, err);
}
