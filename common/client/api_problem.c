/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/problem.h"

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

int api_problem_read(int status, struct span body, const char *content_type,
                     struct api_problem *out, struct error *err)
{
    cleanup(json_release) struct json *json = NULL;
    const struct problem *problem = NULL;
    const struct json_value *root;
    int code;

    api_problem_clear(out);
    if (content_type != NULL && strstr(content_type, "json") != NULL &&
        json_parse(body, &json, NULL) == 0) {
        root = json_root(json);
        take_text(root, "code", out->code, sizeof(out->code));
        take_text(root, "detail", out->detail, sizeof(out->detail));
        take_text(root, "request_id", out->request_id, sizeof(out->request_id));
        take_text(root, "existing_content", out->existing_content, sizeof(out->existing_content));
        take_number(root, "expected_offset", &out->expected_offset);
        take_number(root, "missing", &out->missing);
        problem = problem_by_code(span_text(out->code));
    }
    if (problem == NULL)
        problem = problem_by_status(status);
    code = problem != NULL ? problem->error : -EIO;
    if (out->detail[0] != '\0')
        return error_set(err, code, "%.200s (%d%s%.40s)", out->detail, status,
                         out->code[0] != '\0' ? " " : "", out->code);
    return error_set(err, code, "the server answered %d %s", status,
                     problem != NULL ? problem->title : "");
}
