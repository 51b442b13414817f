/* SPDX-License-Identifier: MIT */
/* What is asked of the care through the control socket, and how it stands, as JSON. */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/codec/json.h"
#include "common/model/version_ref.h"
#include "fs/care/care_private.h"
#include "fs/care/scrubber.h"
#include "fs/pins/pins.h"

struct verb {
    const char *name;
    enum care_kind kind;
    bool is_whole_allowed; /* all of the cache, instead of a version */
};

static const struct verb verbs[] = {
    { "prefetch", CARE_PREFETCH, false },
    { "pin", CARE_PIN, false },
    { "verify", CARE_VERIFY, true },
};

static const struct verb *find_verb(const char *ask)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
        if (strcmp(verbs[i].name, ask) == 0)
            return &verbs[i];
    return NULL;
}

static bool is_shown(const struct care *care, const struct version_ref *ref)
{
    const struct care_options *options = &care->options;

    return (options->only_project == NULL || strcmp(options->only_project, ref->project) == 0) &&
           (options->only_app == NULL || strcmp(options->only_app, ref->app) == 0);
}

static int parse_version(const struct care *care, const char *text, struct version_ref *out,
                         struct error *err)
{
    int r = version_ref_parse(span_text(text), out, err);

    if (r < 0)
        return r;
    if (out->kind != VERSION_REF_VERSION || out->path.size > 0)
        return error_set(err, -EINVAL, "\"%s\" is not PROJECT/APP/VERSION", text);
    if (!is_shown(care, out))
        return error_set(err, -ENOENT, "%s is not shown here", text);
    return 0;
}

/* JSON; the job is locked, or over. */
static void tell_wrong(const struct care_job *job, struct json_writer *writer)
{
    size_t left = WRONG_NAMED;

    json_integer(writer, "wrong_count", (int64_t)job->wrong_count);
    json_begin_array(writer, "wrong");
    for (const struct wrong *wrong = job->wrong; wrong != NULL && left > 0; wrong = wrong->next) {
        left--;
        json_begin_object(writer, NULL);
        json_text(writer, "what", wrong->what);
        json_bool(writer, "fetched", wrong->again);
        json_end(writer);
    }
    json_end(writer);
}

static void tell_job(struct care_job *job, struct json_writer *writer)
{
    pthread_mutex_lock(&job->care->lock);
    json_integer(writer, "job", (int64_t)job->id);
    json_bool(writer, "running", !job->is_over);
    json_integer(writer, "bytes", (int64_t)atomic_load(&job->bytes));
    json_integer(writer, "done_bytes", (int64_t)atomic_load(&job->done_bytes));
    json_integer(writer, "files", (int64_t)atomic_load(&job->files));
    json_integer(writer, "done_files", (int64_t)atomic_load(&job->done_files));
    if (job->is_over && job->code < 0) {
        json_begin_object(writer, "failure");
        json_integer(writer, "code", -job->code);
        json_text(writer, "text", job->err.text);
        json_end(writer);
    }
    if (job->kind == CARE_VERIFY && job->is_over)
        tell_wrong(job, writer);
    pthread_mutex_unlock(&job->care->lock);
}

static int unpin(struct care *care, const struct version_ref *ref, struct json_writer *writer,
                 struct error *err)
{
    struct pin pin = { .tree_size = 0 };
    int r;

    (void)snprintf(pin.store, sizeof(pin.store), "%s", care->options.store);
    memcpy(pin.project, ref->project, sizeof(pin.project));
    memcpy(pin.app, ref->app, sizeof(pin.app));
    memcpy(pin.version, ref->version, sizeof(pin.version));
    r = pins_remove(care->options.pins, &pin, err);
    if (r == 0)
        json_bool(writer, "running", false);
    return r;
}

/* One that is asked after is told of; one that is not known (any more) is begun. */
static struct care_job *job_of(struct care *care, const struct verb *verb, int64_t id,
                               const struct version_ref *ref)
{
    struct care_job *job = id > 0 ? care_find(care, (uint64_t)id) : NULL;

    if (job != NULL && job->kind == verb->kind)
        return job;
    care_job_unref(job);
    if (ref == NULL)
        return care_begin(care, verb->kind, NULL, NULL, NULL);
    return care_begin(care, verb->kind, ref->project, ref->app, ref->version);
}

int care_answer(struct care *care, const char *ask, const struct json_value *question,
                struct json_writer *writer, struct error *err)
{
    const struct verb *verb = find_verb(ask);
    const char *version = NULL;
    struct version_ref ref;
    struct care_job *job;
    int64_t id = 0;
    int r = 0;

    json_member_text(question, "version", &version, NULL);
    json_member_integer(question, "job", &id, NULL);
    if (verb == NULL && strcmp(ask, "unpin") != 0)
        return error_set(err, -EINVAL, "this is not asked of a mount");
    if (version != NULL)
        r = parse_version(care, version, &ref, err);
    else if (verb == NULL || !verb->is_whole_allowed)
        r = error_set(err, -EINVAL, "no version is named");
    if (r < 0)
        return r;
    if (verb == NULL)
        return unpin(care, &ref, writer, err);
    job = job_of(care, verb, id, version == NULL ? NULL : &ref);
    if (job == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    tell_job(job, writer);
    care_job_unref(job);
    return 0;
}

static void tell_time(struct json_writer *writer, const char *name, int64_t at_s)
{
    char text[CLOCK_TEXT_SIZE];

    if (at_s == 0 || clock_format(at_s, text, NULL) < 0)
        json_null(writer, name);
    else
        json_text(writer, name, text);
}

void care_scrub_progress(struct care *care, struct scrub_progress *out)
{
    *out = (struct scrub_progress){ .state = SCRUB_WAITS };
    if (care->scrubber != NULL)
        scrubber_progress(care->scrubber, out);
}

void care_status_json(struct care *care, struct json_writer *writer)
{
    static const char *const states[] = {
        [SCRUB_RUNS] = "running", [SCRUB_WAITS] = "waiting", [SCRUB_ELSEWHERE] = "elsewhere"
    };
    struct scrub_progress progress;

    care_scrub_progress(care, &progress);
    json_begin_object(writer, "scrub");
    json_text(writer, "state", states[progress.state]);
    json_integer(writer, "passes", (int64_t)progress.passes);
    json_integer(writer, "percent", progress.done_percent);
    json_integer(writer, "objects", (int64_t)progress.objects);
    json_integer(writer, "bytes", (int64_t)progress.bytes);
    json_integer(writer, "wrong", (int64_t)progress.wrong);
    tell_time(writer, "started_at", progress.started_at_s);
    tell_time(writer, "ended_at", progress.ended_at_s);
    json_end(writer);
}
