/* SPDX-License-Identifier: MIT */
#include "common/client/api_jobs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/problem.h"

#define LOOK_MS 200
#define ID_DIGITS 32

CLEANUP_DEFINE(json, json_free);

int api_read_count(const struct json_value *value, const char *what, uint64_t *out,
                   struct error *err)
{
    int64_t number = 0;
    int r = json_get_integer(value, what, &number, err);

    if (r == 0 && number < 0)
        r = error_set(err, -EINVAL, "%s is negative", what);
    if (r == 0)
        *out = (uint64_t)number;
    return r;
}

int api_names_add(char ***io_names, size_t *io_count, const char *name, struct error *err)
{
    char **grown = memory_resize(*io_names, *io_count + 1, sizeof(*grown));

    if (grown == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *io_names = grown;
    grown[*io_count] = memory_text(name);
    if (grown[*io_count] == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    (*io_count)++;
    return 0;
}

void api_names_free(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memory_free(names[i]);
    memory_free(names);
}

static int get(struct api_client *client, const char *id, struct json **out, struct error *err)
{
    cleanup(api_result_release) struct api_result result = api_result_init();
    char path[64];
    const struct api_call_spec spec = { .method = HTTP_GET,
                                        .path = path,
                                        .accept = "application/json" };
    int r;

    snprintf(path, sizeof(path), "/jobs/%s", id);
    r = api_call_run(client, &spec, &result, err);
    if (r < 0)
        return r;
    r = json_parse(buf_span(&result.body), out, err);
    return r < 0 ? api_bad_answer(r, err) : 0;
}

/* A problem that begins with the code of a refusal: the job met what the request would have been
 * refused for. */
static int fail(const char *state, const char *problem, struct error *err)
{
    const char *colon = strchr(problem, ':');
    const struct problem *known =
        colon != NULL ? problem_by_code(span_of(problem, (size_t)(colon - problem))) : NULL;

    if (known != NULL)
        return error_set(err, known->error, "%s", problem);
    return error_set(err, -EINVAL, "the server's job has ended as %s: %s",
                     strcmp(state, "cancelled") == 0 ? state : "failed", problem);
}

/* 1: it is done; 0: not yet. */
static int check(const struct json_value *job, struct error *err)
{
    const char *state = "", *problem = "";
    int r = json_get_text(json_member(job, "state"), "state", &state, err);

    if (r == 0)
        r = json_member_text(job, "problem", &problem, err);
    if (r < 0)
        return api_bad_answer(r, err);
    if (strcmp(state, "queued") == 0 || strcmp(state, "running") == 0)
        return 0;
    return strcmp(state, "done") == 0 ? 1 : fail(state, problem, err);
}

static bool is_interrupted(void *context)
{
    return api_client_is_interrupted(context);
}

static int wait_for(struct api_client *client, const char *id, api_job_result *read, void *context,
                    struct error *err)
{
    int r;

    for (;;) {
        cleanup(cleanup_json) struct json *json = NULL;

        r = get(client, id, &json, err);
        if (r == 0)
            r = check(json_root(json), err);
        if (r < 0)
            return r;
        if (r == 1) {
            r = read(context, json_member(json_root(json), "result"), err);
            return r < 0 ? api_bad_answer(r, err) : 0;
        }
        http_loop_run_until(api_client_loop(client), is_interrupted, client,
                            clock_monotonic_ms() + LOOK_MS, NULL);
    }
}

static bool is_id(const char *text)
{
    return strlen(text) == ID_DIGITS && strspn(text, "0123456789abcdef") == ID_DIGITS;
}

int api_job_run(struct api_client *client, const struct api_call_spec *spec, const char *project,
                const char *app, api_job_result *read, void *context, struct error *err)
{
    cleanup(api_result_release) struct api_result result = api_result_init();
    cleanup(cleanup_json) struct json *json = NULL;
    const char *id = "";
    int r = api_call_run(client, spec, &result, err);

    if (r < 0)
        return api_problem_about(&result.problem, r, project, app, NULL, err);
    r = json_parse(buf_span(&result.body), &json, err);
    if (r == 0)
        r = json_get_text(json_member(json_root(json), "id"), "id", &id, err);
    if (r == 0 && !is_id(id))
        r = error_set(err, -EINVAL, "a job without an id");
    return r < 0 ? api_bad_answer(r, err) : wait_for(client, id, read, context, err);
}
