/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "common/base/error.h"
#include "common/codec/digest.h"
#include "common/codec/json.h"
#include "server/api/request.h"
#include "server/http/http_answer.h"

static int member_refused(struct http_exchange *exchange, const char *name, int result)
{
    char pointer[64];

    snprintf(pointer, sizeof(pointer), "/%s", name);
    return refusal_at(&request_of(exchange)->why, pointer, result);
}

int request_member_text(struct http_exchange *exchange, const struct json_value *object,
                        const char *name, const char **out, struct error *err)
{
    int r = json_member_text(object, name, out, err);

    return r < 0 ? member_refused(exchange, name, r) : 0;
}

int request_member_integer_or_null(struct http_exchange *exchange, const struct json_value *object,
                                   const char *name, int64_t null_value, int64_t *out,
                                   bool *out_said, struct error *err)
{
    const struct json_value *member = json_member(object, name);
    int r;

    *out_said = member != NULL;
    if (json_is_null(member)) {
        *out = null_value;
        return 0;
    }
    r = json_get_integer(member, name, out, err);
    if (r == 0 && *out < 0)
        r = error_set(err, -EINVAL, "%s has to be 0 or more", name);
    return r < 0 ? member_refused(exchange, name, r) : 0;
}

int request_member_bool(struct http_exchange *exchange, const struct json_value *object,
                        const char *name, bool *out, struct error *err)
{
    int r = json_member_bool(object, name, out, err);

    return r < 0 ? member_refused(exchange, name, r) : 0;
}

int request_member_digest(struct http_exchange *exchange, const struct json_value *object,
                          const char *name, struct digest *digest, const struct digest **out,
                          struct error *err)
{
    const char *text = NULL;
    int r = request_member_text(exchange, object, name, &text, err);

    if (r < 0 || text == NULL)
        return r;
    if (digest_parse(span_text(text), digest, NULL) < 0)
        return member_refused(exchange, name,
                              error_set(err, -EINVAL, "%s has to be 64 lower-case hex digits",
                                        name));
    *out = digest;
    return 0;
}

int request_json(struct http_exchange *exchange, struct json **out, struct error *err)
{
    struct span body = http_exchange_body(exchange);
    struct error fault = { 0 };
    struct json *json = NULL;
    int r = json_parse(body.size > 0 ? body : span_text("{}"), &json, &fault);

    if (r == -ENOMEM)
        return error_set(err, r, "out of memory");
    if (r < 0) {
        r = http_answer_problem(exchange, "malformed-json", fault.text, NULL, NULL, err);
        return r < 0 ? r : 1;
    }
    if (!json_is_object(json_root(json))) {
        json_free(json);
        return refusal_at(&request_of(exchange)->why, "",
                          error_set(err, -EINVAL, "the body has to be a JSON object"));
    }
    *out = json;
    return 0;
}
