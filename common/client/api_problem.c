/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/problem.h"

#define PROBLEM_TYPE "application/problem+json"

void api_problem_clear(struct api_problem *out)
{
    memset(out, 0, sizeof(*out));
    out->expected_offset = UINT64_MAX;
    out->missing = UINT64_MAX;
}

/* What a stranger sent is shown to people: no control characters. */
static void take_text(const struct json_value *object, const char *name, char *out, size_t size)
{
    const char *text = NULL;
    size_t length;

    if (json_member_text(object, name, &text, NULL) < 0 || text == NULL)
        return;
    length = strlen(text);
    if (length >= size)
        length = size - 1;
    for (size_t i = 0; i < length; i++)
        out[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
    out[length] = '\0';
}

static void take_number(const struct json_value *object, const char *name, uint64_t *out)
{
    int64_t value = -1;

    if (json_member_integer(object, name, &value, NULL) == 0 && value >= 0)
        *out = (uint64_t)value;
}

static void json_release(struct json **at)
{
    json_free(*at);
}

bool api_problem_is_ours(const struct http_headers *headers)
{
    const char *type = http_headers_get(headers, "Content-Type");

    return type != NULL && strstr(type, PROBLEM_TYPE) != NULL;
}

/* False when the body is none of the API's. */
static bool take_problem(const struct api_refused *refused, struct api_problem *out)
{
    cleanup(json_release) struct json *json = NULL;
    const char *type = http_headers_get(refused->headers, "Content-Type");
    const struct json_value *root;

    if (refused->body.size == 0 && type != NULL && strstr(type, PROBLEM_TYPE) != NULL)
        return true; /* to a HEAD */
    if (type == NULL || strstr(type, "json") == NULL || json_parse(refused->body, &json, NULL) < 0)
        return false;
    root = json_root(json);
    take_text(root, "code", out->code, sizeof(out->code));
    if (strstr(type, PROBLEM_TYPE) == NULL && problem_by_code(span_text(out->code)) == NULL) {
        api_problem_clear(out);
        return false;
    }
    take_text(root, "detail", out->detail, sizeof(out->detail));
    take_text(root, "request_id", out->request_id, sizeof(out->request_id));
    take_text(root, "existing_content", out->existing_content, sizeof(out->existing_content));
    take_number(root, "expected_offset", &out->expected_offset);
    take_number(root, "missing", &out->missing);
    return true;
}

/* What stands in the way of a server, or in its place, says these. */
static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        { 400, " Bad Request" },
        { 401, " Unauthorized" },
        { 403, " Forbidden" },
        { 404, " Not Found" },
        { 405, " Method Not Allowed" },
        { 407, " Proxy Authentication Required" },
        { 408, " Request Timeout" },
        { 411, " Length Required" },
        { 413, " Content Too Large" },
        { 414, " URI Too Long" },
        { 421, " Misdirected Request" },
        { 429, " Too Many Requests" },
        { 431, " Request Header Fields Too Large" },
        { 500, " Internal Server Error" },
        { 501, " Not Implemented" },
        { 502, " Bad Gateway" },
        { 503, " Service Unavailable" },
        { 504, " Gateway Timeout" },
        { 507, " Insufficient Storage" },
        { 511, " Network Authentication Required" },
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "";
}

/* Of the target no more than the origin: a path or a query may hold what is secret. */
static int redirected(const struct api_refused *refused, struct error *err)
{
    const char *location = http_headers_get(refused->headers, "Location");
    struct url_base target = { 0 };
    bool told = location != NULL && url_origin_parse(location, &target, NULL) == 0;

    return error_set(err, -EIO,
                     "%.100s: redirects%s%.60s (%d), which is not followed: is the address right?",
                     refused->server, told ? " to " : "", target.text, refused->status);
}

int api_problem_read(const struct api_refused *refused, struct api_problem *out, struct error *err)
{
    const struct problem *problem;
    bool is_ours;

    api_problem_clear(out);
    if (refused->status < 400)
        return redirected(refused, err);
    is_ours = take_problem(refused, out);
    problem = is_ours ? problem_by_code(span_text(out->code)) : NULL;
    if (problem == NULL)
        problem = problem_by_status(refused->status);
    if (!is_ours)
        return error_set(err, problem->error,
                         "%.100s: answered %d%s, but not as kkArtifact does: a proxy?",
                         refused->server, refused->status, reason_of(refused->status));
    if (refused->status == 401 && !refused->had_token && strcmp(out->code, "unauthenticated") == 0)
        return error_set(err, problem->error,
                         "%.100s wants a token, and none is set (401): see token_file",
                         refused->server);
    if (out->detail[0] != '\0')
        return error_set(err, problem->error, "%.200s (%d%s%.40s)", out->detail, refused->status,
                         out->code[0] != '\0' ? " " : "", out->code);
    return error_set(err, problem->error, "the server answered %d %s", refused->status,
                     problem->title);
}

int api_problem_about(const struct api_problem *problem, int r, const char *project,
                      const char *app, const char *version, struct error *err)
{
    bool is_channel = version != NULL && version[0] == '@';

    if (problem->code[0] == '\0' || (r != -ENOENT && r != -ESTALE && r != -EACCES))
        return r;
    return error_prefix(err, r, "%s%s%s%s%s", project, app != NULL ? "/" : "",
                        app != NULL ? app : "", version != NULL && !is_channel ? "/" : "",
                        version != NULL ? version : "");
}
