/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull.h"

#include <errno.h>
#include <string.h>

#include "agent/cli/interrupt.h"
#include "agent/cmd/changes.h"
#include "agent/cmd/command.h"
#include "agent/cmd/dest.h"
#include "agent/cmd/follow.h"
#include "agent/cmd/hooks.h"
#include "agent/cmd/in_use.h"
#include "agent/cmd/job.h"
#include "agent/transfer/beside.h"
#include "agent/transfer/change.h"
#include "agent/transfer/scratch.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"

#define OUTPUT_MAX (1 << 30)

CLEANUP_DEFINE(directory, directory_close);

static int find_version(struct job *job, struct version_ref *out_ref, struct buf *out,
                        struct error *err)
{
    const char *version = options_get(job->command->options, "version");
    int r = 0;

    *out_ref = (struct version_ref){ .kind = VERSION_REF_LATEST };
    if (version != NULL)
        r = version_ref_parse_version(span_text(version), out_ref, err);
    if (r < 0)
        return job_failed(job, r, EXIT_USAGE);
    version_ref_format_version(out_ref, out);
    return buf_check(out, err);
}

/* DEST, or deploy_path of the configuration, or here. */
static int find_dest(struct job *job, char **out_path, struct error *err)
{
    const char *said = options_operand(job->command->options, 0);
    int r = 0;

    if (said == NULL) {
        r = configuration_path(&job->configuration, "deploy_path", out_path, err);
        if (r < 0 || *out_path != NULL)
            return r;
        said = ".";
    }
    *out_path = memory_text(said);
    return *out_path == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

/* Instead of a DEST that a dry run does not make. */
static int open_nothing(struct job *job, struct scratch *out_nothing, struct directory **out,
                        struct error *err)
{
    int r = scratch_make(out_nothing, err);

    if (r == 0)
        r = directory_open_below(out_nothing->at, "", out, err);
    return job_local(job, r);
}

static int open_dest(struct job *job, const struct pull_options *options, const char *path,
                     struct dest *out_made, struct directory **out, struct beside *out_beside,
                     struct scratch *out_nothing, struct error *err)
{
    int r = 0;

    if (!options->dry_run)
        r = dest_make(path, out_made, err);
    if (r == 0)
        r = directory_open(path, out, err);
    if (r == -ENOENT && options->dry_run)
        return open_nothing(job, out_nothing, out, err);
    if (r < 0)
        return job_local(job, r);
    /* Without --exchange the place beside matters only where there is one. */
    r = beside_open(path, *out, out_beside, options->exchange ? err : NULL);
    if (r == -ENOTSUP && options->exchange)
        error_set(err, r, "this system cannot exchange two directories: pull without --exchange");
    return options->exchange ? job_local(job, r) : 0;
}

static const char *state_of(const struct pull_options *options, const struct pull_result *result)
{
    if (result->current)
        return "current";
    return options->dry_run ? "dry-run" : "updated";
}

static int write_result(struct job *job, const struct pull_options *options,
                        const struct pull_result *result, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    struct json_writer writer = json_writer_init(&out);
    char hex[DIGEST_HEX_SIZE];

    if (!job->command->output.json) {
        if (options->dry_run)
            changes_write_text(options->changes, &out);
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
    json_integer(&writer, "received_bytes", (int64_t)job_received_bytes(job));
    json_integer(&writer, "written_files", (int64_t)result->written_files);
    json_integer(&writer, "deleted_files", (int64_t)result->deleted_files);
    json_integer(&writer, "duration_ms", (int64_t)job_elapsed_ms(job));
    if (options->dry_run)
        changes_write_json(options->changes, &writer);
    json_end(&writer);
    buf_add_byte(&out, '\n');
    return job_write(job, &out, err);
}

/* With --verbose: what was done, on stderr. */
static int tell_changes(struct job *job, const struct change_list *changes, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(OUTPUT_MAX);
    struct span rest, line;
    int r;

    changes_write_text(changes, &text);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    rest = buf_span(&text);
    while (rest.size > 0 && span_cut(&rest, '\n', &line))
        output_detail(&job->command->output, "%.*s", (int)line.size, (const char *)line.bytes);
    return 0;
}

/* All of a pull that stays the same from turn to turn. */
struct pull_job {
    struct job *job;
    struct pull_options options;
    struct hooks hooks;
    struct version_ref ref; /* that --version names */
    struct buf version;     /* the same as the API takes it */
    struct dest made;
    char *path; /* of DEST */
    struct in_use in_use;
    bool follow;
};

static void pull_job_release(struct pull_job *self)
{
    buf_release(&self->version);
    dest_release(&self->made);
    memory_free(self->path);
}

static int run_pull(struct pull_job *self, struct change_list *changes, struct pull_result *out,
                    struct error *err)
{
    struct job *job = self->job;
    struct pull_options *options = &self->options;
    cleanup(cleanup_directory) struct directory *dest = NULL;
    cleanup(beside_release) struct beside beside = { 0 };
    cleanup(scratch_release) struct scratch nothing = { 0 };
    struct dest made = { 0 };
    int r = open_dest(job, options, self->path, &made, &dest, &beside, &nothing, err);

    if (self->made.path == NULL)
        self->made = made;
    else
        dest_release(&made);
    if (r == 0)
        r = job_show_progress(job, err);
    if (r < 0)
        return r;
    options->dest = dest;
    options->beside = &beside;
    options->version = buf_text(&self->version);
    if (options->dry_run || job->command->output.verbose)
        options->changes = changes;
    r = job_local_below(job, pull_run(options, out, err), self->path, err);
    job_hide_progress(job);
    options->changes = NULL;
    options->dest = NULL;
    options->beside = NULL;
    return r;
}

static int after(struct pull_job *self, const struct pull_result *result, struct error *err)
{
    const struct pull_change change = { .project = self->options.project,
                                        .app = self->options.app,
                                        .version = result->version,
                                        .previous = result->previous,
                                        .content = result->content };

    return result->current || self->options.dry_run ? 0 : hooks_after(&self->hooks, &change, err);
}

static void say_in_use(struct pull_job *self, const struct pull_result *result)
{
    if (!self->options.dry_run)
        in_use_say(&self->in_use, result->version);
}

/* `quiet`: of one that found nothing to do nothing is said. */
static int pull_once(struct pull_job *self, bool quiet, struct error *err)
{
    struct job *job = self->job;
    cleanup(change_list_release) struct change_list changes = change_list_init();
    struct pull_result result;
    int r = run_pull(self, &changes, &result, err);

    if (r < 0)
        return r;
    if (quiet && result.current) {
        say_in_use(self, &result);
        return 0;
    }
    self->options.changes = &changes;
    r = change_list_end(&changes, err);
    if (r == 0 && !self->options.dry_run && job->command->output.verbose)
        r = tell_changes(job, &changes, err);
    if (r == 0) {
        output_detail(&job->command->output, "%llu %s written, %llu removed",
                      (unsigned long long)result.written_files,
                      result.written_files == 1 ? "file" : "files",
                      (unsigned long long)result.deleted_files);
        r = write_result(job, &self->options, &result, err);
    }
    self->options.changes = NULL;
    if (r == 0)
        say_in_use(self, &result);
    if (r == 0)
        r = after(self, &result, err);
    /* What is pulled stays so: with --follow that is told, and it goes on. */
    if (r < 0 && self->follow && job_exit(job, r) != EXIT_INTERRUPTED) {
        output_error(err->text);
        r = 0;
    }
    return r;
}

static int turn(void *context, bool *out_again, struct error *err)
{
    struct pull_job *self = context;
    int r = pull_once(self, true, err);

    *out_again = !self->hooks.refused; /* a --pre that said no is asked at the next promotion */
    self->hooks.refused = false;
    return r;
}

static uint64_t renewal_ms(void *context)
{
    return ((const struct pull_job *)context)->in_use.pace.due_ms;
}

static void renew(void *context)
{
    in_use_renew(&((struct pull_job *)context)->in_use);
}

/* What is followed is the channel, also where `latest` began with what was pushed last. */
static int follow(struct pull_job *self, struct error *err)
{
    const char *channel =
        self->ref.kind == VERSION_REF_CHANNEL ? self->ref.channel : CHANNEL_DEFAULT;
    const struct follow_options options = { .job = self->job,
                                            .project = self->options.project,
                                            .app = self->options.app,
                                            .channel = channel,
                                            .turn = turn,
                                            .renewal_ms = renewal_ms,
                                            .renew = renew,
                                            .context = self };
    int r;

    buf_clear(&self->version);
    buf_format(&self->version, "@%s", channel);
    buf_text(&self->version);
    r = buf_check(&self->version, err);
    return r < 0 ? r : follow_run(&options, err);
}

static int check_follow(struct pull_job *self, struct error *err)
{
    if (!self->follow)
        return 0;
    if (self->ref.kind == VERSION_REF_VERSION)
        return job_failed(self->job,
                          error_set(err, -EINVAL,
                                    "--follow needs a channel: --version latest or @CHANNEL"),
                          EXIT_USAGE);
    if (self->options.dry_run)
        return job_failed(self->job,
                          error_set(err, -EINVAL, "--follow and --dry-run exclude each other"),
                          EXIT_USAGE);
    interrupt_ignore_hangup();
    self->job->lasting = 1;
    return 0;
}

static int pull(struct pull_job *self, struct error *err)
{
    struct job *job = self->job;
    int r = job_names(job, &self->options.project, &self->options.app, err);

    if (r == 0)
        r = find_version(job, &self->ref, &self->version, err);
    if (r == 0)
        r = check_follow(self, err);
    if (r == 0)
        r = job_connect(job, err);
    if (r == 0)
        r = job_local(job, find_dest(job, &self->path, err));
    if (r < 0)
        return r;
    self->hooks.dest = self->path;
    self->in_use = in_use_of(job, self->options.project, self->options.app, self->path);
    r = pull_once(self, false, err);
    if (r < 0)
        dest_unmake(&self->made);
    return r < 0 || !self->follow ? r : follow(self, err);
}

int command_pull(struct command *command, struct error *err)
{
    cleanup(pattern_list_release) struct pattern_list protect = pattern_list_init();
    const char *said = options_operand(command->options, 0);
    cleanup(pull_job_release) struct pull_job self = { .version = buf_init(256) };
    struct pull_options *options = &self.options;
    cleanup(job_release) struct job job;
    int r;

    job_init(&job, command);
    self.job = &job;
    self.follow = options_has(command->options, "follow");
    self.hooks = (struct hooks){ .job = &job,
                                 .pre = options_get(command->options, "pre"),
                                 .post = options_get(command->options, "post") };
    options->protect = &protect;
    options->transfer = &job.transfer;
    options->before = (struct pull_hook){ hooks_before, &self.hooks };
    options->full_check = options_has(command->options, "full-check");
    options->exchange = options_has(command->options, "exchange");
    options->delete_extra = options_has(command->options, "delete-extra");
    options->dry_run = options_has(command->options, "dry-run");
    r = job_configure(&job, said != NULL ? said : ".", CONFIGURATION_REQUIRED, err);
    if (r == 0)
        r = job_patterns(&job, "ignore", &protect, err);
    if (r == 0)
        r = pull(&self, err);
    return self.follow && r == -ECANCELED ? job_exit(&job, r) : job_exit_resumable(&job, r, err);
}
