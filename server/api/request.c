/* SPDX-License-Identifier: MIT */
#include "server/api/request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/digest.h"
#include "common/codec/json.h"
#include "server/api/api_state.h"
#include "server/api/json_answer.h"
#include "server/http/http_answer.h"
#include "server/http/url.h"
#include "server/service/services.h"

struct request *request_of(const struct http_exchange *exchange)
{
    return http_exchange_state(exchange);
}

struct services *request_services(const struct http_exchange *exchange)
{
    return request_of(exchange)->api->options.services;
}

static void request_release(void *state)
{
    memory_free(state);
}

/* The client's memory of a version is per store: whatever is said below the base says which
 * store. */
static int store_header(struct http_exchange *exchange, const struct api *api, struct error *err)
{
    const struct url *url = http_exchange_url(exchange);

    if (url->segment_count < 2 || !span_equal_text(url->segments[0], "api") ||
        !span_equal_text(url->segments[1], "v1"))
        return 0;
    return http_answer_header(exchange, "X-Kkartifact-Store",
                              services_store_id(api->options.services), err);
}

/* Copies a name of the path; what fits no name is remembered and refused after the token. */
static void take_name(struct request *request, struct span segment, char *out, size_t size)
{
    if (segment.size == 0 || segment.size >= size ||
        memchr(segment.bytes, '\0', segment.size) != NULL ||
        memchr(segment.bytes, '/', segment.size) != NULL) {
        request->name_impossible = true;
        return;
    }
    memcpy(out, segment.bytes, segment.size);
    out[segment.size] = '\0';
}

static bool parameter_is(const struct route_parameter *parameter, const char *name)
{
    return parameter->name_size == strlen(name) &&
           memcmp(parameter->name, name, parameter->name_size) == 0;
}

static void take_names(struct request *request, const struct url *url)
{
    for (size_t i = 0; i < request->match.parameter_count; i++) {
        const struct route_parameter *parameter = &request->match.parameters[i];
        const struct span segment = url->segments[parameter->first];

        if (parameter_is(parameter, "p"))
            take_name(request, segment, request->project, sizeof(request->project));
        else if (parameter_is(parameter, "a"))
            take_name(request, segment, request->app, sizeof(request->app));
        else if (parameter_is(parameter, "v"))
            take_name(request, segment, request->reference, sizeof(request->reference));
        else if (parameter_is(parameter, "id"))
            take_name(request, segment, request->push, sizeof(request->push));
        else if (parameter_is(parameter, "job"))
            take_name(request, segment, request->job, sizeof(request->job));
        else if (parameter_is(parameter, "host"))
            take_name(request, segment, request->host, sizeof(request->host));
    }
}

static int answer_method(struct http_exchange *exchange, unsigned allowed, struct error *err)
{
    struct buf names = buf_init(128);
    int r;

    for (unsigned method = 0; method < HTTP_OTHER; method++) {
        if ((allowed & 1u << method) != 0)
            buf_format(&names, "%s%s", names.size > 0 ? ", " : "",
                       http_method_name((enum http_method)method));
    }
    r = http_answer_header(exchange, "Allow", buf_text(&names), err);
    if (r == 0)
        r = http_answer_problem(exchange, "method-not-allowed", "this path has other methods", NULL,
                                NULL, err);
    buf_release(&names);
    return r;
}

int request_match(struct http_exchange *exchange, void *context,
                  const struct http_operation **out_operation, struct error *err)
{
    struct api *api = context;
    struct route_match match = { 0 };
    struct request *request;
    unsigned allowed = 0;
    int r = store_header(exchange, api, err);

    if (r < 0)
        return r;
    r = route_find(http_exchange_url(exchange), http_exchange_method(exchange), &match, &allowed);
    if (r == -ENOTSUP)
        return answer_method(exchange, allowed, err);
    if (r < 0)
        return error_set(err, r, "there is nothing at this path");
    request = memory_new(sizeof(*request));
    if (request == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    request->api = api;
    request->route = &routes[match.index];
    request->match = match;
    take_names(request, http_exchange_url(exchange));
    http_exchange_set_state(exchange, request, request_release);
    *out_operation = &api->operations[match.index];
    return 0;
}

/* The credentials of `Authorization: Bearer ...`; false without them. */
static bool bearer(const struct http_exchange *exchange, struct span *out)
{
    const char *header = http_exchange_header(exchange, "Authorization");

    if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
        return false;
    *out = span_trim(span_text(header + 7));
    return out->size > 0;
}

static int admit_metrics(struct http_exchange *exchange, const struct api *api, struct error *err)
{
    const char *wanted = api->options.metrics_token;
    struct span token;

    if (wanted == NULL || wanted[0] == '\0')
        return 0;
    if (bearer(exchange, &token) && token.size == strlen(wanted) &&
        memory_equal_secret(token.bytes, wanted, token.size))
        return 0;
    return error_set(err, -EPERM, "the metrics need their token");
}

static int identify(struct http_exchange *exchange, struct request *request, struct error *err)
{
    struct services *services = request->api->options.services;
    struct identity *identity = &request->caller.identity;
    struct span token;
    int r;

    if (!bearer(exchange, &token))
        return refusal_set(&request->why, REFUSAL_UNAUTHENTICATED,
                           error_set(err, -EPERM,
                                     "the request needs a token: Authorization: Bearer"));
    if (http_exchange_may_block(exchange))
        r = access_identify(services, token, identity, &request->why, err);
    else
        r = access_identify_cached(services, token, identity, &request->why, err);
    if (r == -EAGAIN && !http_exchange_may_block(exchange))
        return HTTP_BLOCKS;
    if (r == 0)
        http_exchange_set_actor(exchange, identity->id);
    return r;
}

static void copy_text(char *out, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);

    memcpy(out, text, length);
    out[length] = '\0';
}

/* Else a handler would take the value for one that is not there. */
static bool query_is_text(const struct url *url)
{
    for (size_t i = 0; i < url->query_count; i++) {
        if (memchr(url->query[i].value.bytes, '\0', url->query[i].value.size) != NULL)
            return false;
    }
    return true;
}

static int check(struct request *request, const struct url *url, struct error *err)
{
    static const struct {
        uint32_t permissions;
        enum access_reach reach;
    } needs[] = {
        [PERMIT_OPEN] = { 0, ACCESS_WHOLE },
        [PERMIT_METRICS] = { 0, ACCESS_WHOLE },
        [PERMIT_SEE] = { ACCESS_PULL, ACCESS_VISIBLE },
        [PERMIT_SEE_PUSH] = { ACCESS_PUSH, ACCESS_VISIBLE },
        [PERMIT_SEE_ADMIN] = { ACCESS_ADMIN, ACCESS_VISIBLE },
        [PERMIT_PULL] = { ACCESS_PULL, ACCESS_WHOLE },
        [PERMIT_PUSH] = { ACCESS_PUSH, ACCESS_WHOLE },
        [PERMIT_PROMOTE] = { ACCESS_PROMOTE, ACCESS_WHOLE },
        [PERMIT_ADMIN] = { ACCESS_ADMIN, ACCESS_WHOLE },
    };
    const enum permit permit = request->route->permit;

    if (request->name_impossible)
        return refusal_set(&request->why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "there is nothing at this path"));
    if (!query_is_text(url))
        return refusal_at(&request->why, "",
                          error_set(err, -EINVAL, "a value of the query holds a NUL"));
    return access_check(request->api->options.services, &request->caller.identity,
                        needs[permit].permissions, needs[permit].reach,
                        request->project[0] != '\0' ? request->project : NULL,
                        request->app[0] != '\0' ? request->app : NULL, &request->why, err);
}

int request_admit(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    int r;

    if (request->route->permit == PERMIT_OPEN)
        return 0;
    if (request->route->permit == PERMIT_METRICS)
        return admit_metrics(exchange, request->api, err);
    r = identify(exchange, request, err);
    if (r != 0)
        return r;
    request->caller.identity.sees_trash = request_flag(exchange, "trashed");
    copy_text(request->caller.request_id, sizeof(request->caller.request_id),
              http_exchange_request_id(exchange));
    copy_text(request->caller.address, sizeof(request->caller.address),
              http_exchange_peer(exchange));
    return check(request, http_exchange_url(exchange), err);
}

bool request_flag(struct http_exchange *exchange, const char *name)
{
    const char *value = http_exchange_query(exchange, name);

    return value != NULL && strcmp(value, "1") == 0;
}

static void names_member(struct json_writer *writer, const char *name, size_t count,
                         const char *names)
{
    const char *at = names;

    json_begin_array(writer, name);
    for (size_t i = 0; i < count; i++) {
        json_text(writer, NULL, at);
        at += strlen(at) + 1;
    }
    json_end(writer);
}

struct failed {
    const struct refusal *why;
    const char *detail;
};

static void failed_members(void *context, struct json_writer *writer)
{
    const struct failed *failed = context;
    const struct refusal *why = failed->why;

    if (why->code == REFUSAL_OFFSET_MISMATCH)
        json_integer(writer, "expected_offset", (int64_t)why->expected_offset);
    if (why->code == REFUSAL_MISSING_BLOBS)
        json_integer(writer, "missing", (int64_t)why->missing);
    if (why->code == REFUSAL_PROMOTED)
        names_member(writer, "channels", why->name_count, why->names);
    if (why->code == REFUSAL_LEASED)
        names_member(writer, "hosts", why->name_count, why->names);
    if (why->version_count > 0)
        names_member(writer, "versions", why->version_count, why->versions);
    if (why->code == REFUSAL_PRECONDITION)
        json_text(writer, "current", why->names);
    if (why->code == REFUSAL_VERSION_EXISTS)
        json_write_digest(writer, "existing_content", &why->existing_content);
    if (why->code == REFUSAL_DIGEST_MISMATCH) {
        json_write_digest(writer, "expected", &why->expected);
        json_write_digest(writer, "actual", &why->actual);
    }
    if (why->code == REFUSAL_VALIDATION || why->pointer[0] != '\0') {
        json_begin_array(writer, "errors");
        json_begin_object(writer, NULL);
        json_text(writer, "pointer", why->pointer);
        json_text(writer, "detail", failed->detail);
        json_end(writer);
        json_end(writer);
    }
}

void request_fail(struct http_exchange *exchange, void *context, const struct error *failure)
{
    static const struct refusal none = { .code = REFUSAL_NONE };
    const struct request *request = request_of(exchange);
    const struct refusal *why = request != NULL ? &request->why : &none;
    struct failed failed = { why, failure->text };
    char number[24];

    if (store_header(exchange, context, NULL) < 0)
        return;
    if (why->code == REFUSAL_OFFSET_MISMATCH) {
        snprintf(number, sizeof(number), "%llu", (unsigned long long)why->expected_offset);
        if (http_answer_header(exchange, "Upload-Offset", number, NULL) < 0)
            return;
    }
    if (why->retry_after_s > 0) {
        snprintf(number, sizeof(number), "%u", (unsigned)why->retry_after_s);
        if (http_answer_header(exchange, "Retry-After", number, NULL) < 0)
            return;
    }
    if (why->code == REFUSAL_NONE)
        http_answer_error(exchange, failure, NULL);
    else
        http_answer_problem(exchange, refusal_name(why->code), failure->text, failed_members,
                            &failed, NULL);
}

static const struct route_parameter *parameter(const struct request *request, const char *name)
{
    for (size_t i = 0; i < request->match.parameter_count; i++) {
        if (parameter_is(&request->match.parameters[i], name))
            return &request->match.parameters[i];
    }
    return NULL;
}

struct span request_blob_text(struct http_exchange *exchange)
{
    const struct route_parameter *d = parameter(request_of(exchange), "d");

    return d == NULL ? span_of("", 0) : http_exchange_url(exchange)->segments[d->first];
}

int request_digest(struct http_exchange *exchange, struct digest *out, struct error *err)
{
    if (digest_parse(request_blob_text(exchange), out, NULL) < 0)
        return refusal_set(&request_of(exchange)->why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "a blob is named by 64 lower-case hex digits"));
    return 0;
}

int request_place(struct http_exchange *exchange, char *out, size_t size, struct error *err)
{
    struct request *request = request_of(exchange);
    const struct route_parameter *place = parameter(request, "place");
    const struct span text = http_exchange_url(exchange)->segments[place->first];

    if (text.size >= size || memchr(text.bytes, '\0', text.size) != NULL)
        return refusal_set(&request->why, REFUSAL_NOT_FOUND,
                           error_set(err, -ENOENT, "no host has such a place"));
    memcpy(out, text.bytes, text.size);
    out[text.size] = '\0';
    return 0;
}

int request_path(struct http_exchange *exchange, struct buf *out, struct error *err)
{
    struct request *request = request_of(exchange);
    const struct route_parameter *path = parameter(request, "path");
    const struct url *url = http_exchange_url(exchange);

    for (size_t i = 0; path != NULL && i < path->count; i++) {
        const struct span part = url->segments[path->first + i];

        if (part.size == 0 || memchr(part.bytes, '\0', part.size) != NULL ||
            memchr(part.bytes, '/', part.size) != NULL)
            return refusal_set(&request->why, REFUSAL_NOT_FOUND,
                               error_set(err, -ENOENT, "no file has such a path"));
        if (i > 0)
            buf_add_byte(out, '/');
        buf_add_span(out, part);
    }
    return buf_check(out, err);
}

int request_page(struct http_exchange *exchange, struct page_request *out, struct error *err)
{
    struct request *request = request_of(exchange);
    const char *limit = http_exchange_query(exchange, "limit");
    struct page_request page = { 0, http_exchange_query(exchange, "cursor") };
    uint64_t number = 0;

    if (limit != NULL) {
        if (number_parse(span_text(limit), PAGE_LIMIT_MAX, &number, NULL) < 0 || number == 0)
            return refusal_at(&request->why, "",
                              error_set(err, -EINVAL, "limit is a number from 1 to %d",
                                        PAGE_LIMIT_MAX));
        page.limit = (uint32_t)number;
    }
    *out = page;
    return 0;
}

int request_header_number(struct http_exchange *exchange, const char *name, uint64_t *out,
                          struct error *err)
{
    struct request *request = request_of(exchange);
    const char *text = http_exchange_header(exchange, name);

    if (text == NULL || number_parse(span_text(text), INT64_MAX, out, NULL) < 0)
        return refusal_at(&request->why, "",
                          error_set(err, -EINVAL, "the header %s has to be a number of bytes",
                                    name));
    return 0;
}

enum request_coding request_coding_of(struct http_exchange *exchange)
{
    const char *coding = http_exchange_header(exchange, "Content-Encoding");

    if (coding == NULL || strcasecmp(coding, "identity") == 0)
        return REQUEST_CODING_NONE;
    return strcasecmp(coding, "zstd") == 0 ? REQUEST_CODING_ZSTD : REQUEST_CODING_OTHER;
}
