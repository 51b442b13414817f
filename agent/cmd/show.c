/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "agent/cmd/job.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/client/api_versions.h"
#include "common/codec/json.h"
#include "common/codec/yaml.h"
#include "common/model/problem.h"
#include "common/model/version_ref.h"

#include <errno.h>

CLEANUP_DEFINE(json, json_free);

#define OUTPUT_MAX (16 * 1024 * 1024)

static int parse(struct job *job, struct version_ref *ref, struct error *err)
{
    const char *said = options_operand(job->command->options, 0);
    int r = version_ref_parse(span_text(said), ref, err);

    if (r == 0 &&
        (ref->kind == VERSION_REF_PROJECT || ref->kind == VERSION_REF_APP || ref->path.size > 0))
        r = error_set(err, -EINVAL, "show takes P/A/V, P/A/latest or P/A@CHANNEL, not \"%s\"",
                      said);
    return job_failed(job, r, EXIT_USAGE);
}

static void add_text(const struct json_value *object, const char *member, struct buf *out)
{
    const char *text = NULL;

    if (json_member_text(object, member, &text, NULL) == 0 && text != NULL &&
        yaml_text_is_plain(span_text(text)))
        yaml_add_quoted_line(out, 0, member, span_text(text));
}

/* What the version is now, beside what it is for ever. */
static int add_state(const struct api_version *version, struct buf *out, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const struct json_value *channels, *at = NULL;
    const char *channel;
    int r = json_parse(buf_span(&version->json), &json, err);

    if (r < 0)
        return r;
    buf_format(out, "state: %s\n", version->trashed ? "trashed" : "ready");
    if (version->pinned)
        buf_add_text(out, "pinned: true\n");
    channels = json_member(json_root(json), "channels");
    for (bool is_first = true; (at = json_next(channels, at)) != NULL; is_first = false) {
        r = json_get_text(at, "channel", &channel, err);
        if (r == 0)
            r = name_check(NAME_CHANNEL, span_text(channel), err);
        if (r < 0)
            return error_prefix(err, -EBADMSG, "the server's answer");
        buf_format(out, "%s  - %s\n", is_first ? "channels:\n" : "", channel);
    }
    add_text(json_root(json), "note", out);
    add_text(json_root(json), "trashed_at", out);
    add_text(json_root(json), "trashed_by", out);
    add_text(json_root(json), "trash_reason", out);
    add_text(json_root(json), "purge_at", out);
    return 0;
}

static int show(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(OUTPUT_MAX);
    cleanup(buf_release) struct buf name = buf_init(256);
    cleanup(api_version_release) struct api_version version = { 0 };
    struct version_ref ref;
    int r = parse(job, &ref, err);

    if (r == 0)
        r = job_open(job, err);
    if (r < 0)
        return r;
    version_ref_format_version(&ref, &name);
    r = buf_check(&name, err);
    if (r == 0)
        r = (options_has(job->command->options, "trashed") ? api_version_get_any : api_version_get)(
            job->session.client, ref.project, ref.app, buf_text(&name), &version, err);
    if (r < 0)
        return r;
    if (job->command->output.json) {
        buf_add_span(&out, span_trim(buf_span(&version.json)));
        buf_add_byte(&out, '\n');
    } else {
        record_write(&version.record, &out);
        r = add_state(&version, &out, err);
    }
    return r < 0 ? r : job_write(job, &out, err);
}

int command_show(struct command *command, struct error *err)
{
    return job_run(command, show, err);
}
