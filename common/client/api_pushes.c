/* SPDX-License-Identifier: MIT */
#include "common/client/api_pushes.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/client/api_private.h"
#include "common/codec/json.h"
#include "common/model/delta.h"
#include "common/model/pack.h"
#include "common/model/repr_digest.h"
#include "common/net/url.h"

#define PATH_MAXIMUM (64 * 1024)
#define PART_MAX (64ull * 1024 * 1024)
#define BITMAP_MAX (2 * 1024 * 1024 + 64) /* of 16,777,216 files */

static void json_release(struct json **at)
{
    json_free(*at);
}

void api_push_release(struct api_push *push)
{
    api_version_release(&push->version);
    memory_free(push->id);
    memory_free(push->name);
    memset(push, 0, sizeof(*push));
}

static void push_path(struct buf *out, const struct api_push_spec *spec, const char *id,
                      const char *rest)
{
    api_path_app(out, spec->project, spec->app);
    buf_add_text(out, "/pushes");
    if (id != NULL)
        url_add_step(out, id);
    if (rest != NULL)
        buf_add_text(out, rest);
}

static void blob_path(struct buf *out, const struct api_push_spec *spec, const char *id,
                      const struct digest *sha256)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(sha256, hex);
    push_path(out, spec, id, "/blobs/");
    buf_add_text(out, hex);
}

static void part_path(struct buf *out, const struct api_push_spec *spec, const char *id,
                      const struct api_push_part *part)
{
    char name[24];

    if (!part->is_new) {
        blob_path(out, spec, id, part->sha256);
        return;
    }
    (void)snprintf(name, sizeof(name), "/blobs/new-%u", (unsigned)part->number);
    push_path(out, spec, id, name);
}

/* Runs a call on `path`; keeps what the server said about a failure. */
static int run(struct api_client *client, struct api_call_spec *call, struct buf *path,
               struct api_result *result, struct api_problem *out_problem, struct error *err)
{
    int r;

    call->path = buf_text(path);
    r = buf_check(path, err);
    if (r == 0)
        r = api_call_run(client, call, result, err);
    if (out_problem != NULL)
        *out_problem = result->problem;
    return r;
}

/* Answers ------------------------------------------------------------------ */

static int copy_text(const struct json_value *object, const char *name, char **out,
                     struct error *err)
{
    const char *text = NULL;
    int r = json_member_text(object, name, &text, err);

    if (r < 0 || text == NULL)
        return r;
    *out = memory_text(text);
    return *out == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static int read_open(const struct json_value *root, struct api_push *out, struct error *err)
{
    const struct json_value *wanted = json_member(root, "wanted"), *item = NULL;
    const char *expires = NULL, *text;
    int64_t part_size = 0;
    int r;

    r = copy_text(root, "id", &out->id, err);
    if (r == 0 && out->id == NULL)
        r = error_set(err, -EBADMSG, "a push without an id");
    if (r == 0)
        r = copy_text(root, "version", &out->name, err);
    if (r == 0)
        r = json_get_integer(json_member(root, "part_size"), "part_size", &part_size, err);
    if (r == 0 && (part_size < 1 || (uint64_t)part_size > PART_MAX))
        r = error_set(err, -EBADMSG, "a part size that cannot be");
    if (r == 0)
        r = json_member_text(root, "expires_at", &expires, err);
    if (r == 0 && expires != NULL)
        r = clock_parse(span_text(expires), &out->expires_at_s, err);
    out->part_size = (uint64_t)part_size;
    while (r == 0 && json_is_array(wanted) && (item = json_next(wanted, item)) != NULL) {
        r = json_get_text(item, "wanted", &text, err);
        if (r == 0 && strcmp(text, "listing") == 0)
            out->wants_listing = true;
        else if (r == 0 && strcmp(text, "times") == 0)
            out->wants_times = true;
    }
    return r;
}

static int read_answer(struct span text, const struct api_push_spec *spec, struct api_push *out,
                       struct error *err)
{
    cleanup(json_release) struct json *json = NULL;
    const char *state;
    int r;

    r = json_parse(text, &json, err);
    if (r == 0)
        r = json_get_text(json_member(json_root(json), "state"), "state", &state, err);
    if (r < 0)
        return api_bad_answer(r, err);
    if (strcmp(state, "exists") == 0 || strcmp(state, "created") == 0) {
        out->exists = state[0] == 'e';
        return api_version_read_member(text, "version", spec->project, spec->app, spec->version,
                                       &out->version, err);
    }
    if (strcmp(state, "open") != 0)
        return error_set(err, -EBADMSG, "the server's answer: a push in a state that is not known");
    r = read_open(json_root(json), out, err);
    return r < 0 ? api_bad_answer(r, err) : 0;
}

/* Calls -------------------------------------------------------------------- */

static void add_digest(struct json_writer *writer, const char *name, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];

    if (digest == NULL)
        return;
    digest_hex(digest, hex);
    json_text(writer, name, hex);
}

/* `metadata` is JSON already: it goes in before the closing brace. */
static void write_create(const struct api_push_spec *spec, struct buf *out)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    json_text(&writer, "version", spec->version);
    add_digest(&writer, "content", spec->content);
    add_digest(&writer, "times", spec->times);
    json_text(&writer, "base", spec->base);
    if (spec->metadata.size > 0) {
        bool first = out->size == 0 || out->bytes[out->size - 1] == '{';

        buf_add_text(out, first ? "\"metadata\":" : ",\"metadata\":");
        buf_add_span(out, spec->metadata);
    }
    json_end(&writer);
}

int api_push_create(struct api_client *client, const struct api_push_spec *spec,
                    struct api_push *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(buf_release) struct buf body = buf_init(1024 * 1024);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec call = { .method = HTTP_POST,
                                  .accept = "application/json",
                                  .content_type = "application/json",
                                  .repeatable = true };
    struct api_push push = { 0 };
    int r;

    write_create(spec, &body);
    r = buf_check(&body, err);
    if (r < 0)
        return r;
    call.body =
        (struct http_body){ .kind = HTTP_BODY_SPAN, .size = body.size, .span = buf_span(&body) };
    push_path(&path, spec, NULL, NULL);
    r = run(client, &call, &path, &result, &push.problem, err);
    if (r < 0)
        api_problem_about(&push.problem, r, spec->project, spec->app, NULL, err);
    else
        r = read_answer(buf_span(&result.body), spec, &push, err);
    if (r < 0) {
        struct api_problem problem = push.problem;

        api_push_release(&push);
        out->problem = problem;
        return r;
    }
    *out = push;
    return 0;
}

static int put_bytes(struct api_client *client, const struct api_push_spec *spec, const char *id,
                     const char *what, struct http_body body, enum api_push_coding coding,
                     struct api_problem *out_problem, struct error *err)
{
    static const struct http_header zstd = { "Content-Encoding", "zstd" };
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec call = { .method = HTTP_PUT,
                                  .content_type = coding == API_PUSH_DELTA
                                                      ? DELTA_MEDIA_TYPE
                                                      : "application/octet-stream",
                                  .headers = &zstd,
                                  .header_count = coding == API_PUSH_ZSTD ? 1 : 0,
                                  .body = body };

    push_path(&path, spec, id, what);
    return run(client, &call, &path, &result, out_problem, err);
}

int api_push_put_listing(struct api_client *client, const struct api_push_spec *spec,
                         const char *id, struct http_body body, enum api_push_coding coding,
                         struct api_problem *out_problem, struct error *err)
{
    return put_bytes(client, spec, id, "/listing", body, coding, out_problem, err);
}

int api_push_put_times(struct api_client *client, const struct api_push_spec *spec, const char *id,
                       struct http_body body, enum api_push_coding coding,
                       struct api_problem *out_problem, struct error *err)
{
    return put_bytes(client, spec, id, "/times", body, coding, out_problem, err);
}

int api_push_missing(struct api_client *client, const struct api_push_spec *spec, const char *id,
                     uint64_t file_count, struct buf *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec call = { .method = HTTP_GET, .body_maximum = BITMAP_MAX };
    int r;

    push_path(&path, spec, id, "/missing");
    r = run(client, &call, &path, &result, NULL, err);
    if (r < 0)
        return r;
    if (result.body.size != (file_count + 7) / 8)
        return error_set(err, -EBADMSG, "the server's answer: a bitmap of %zu bytes for %llu files",
                         result.body.size, (unsigned long long)file_count);
    buf_add_span(out, buf_span(&result.body));
    return buf_check(out, err);
}

static int header_number(const struct http_headers *headers, const char *name, uint64_t *out,
                         struct error *err)
{
    const char *value = http_headers_get(headers, name);

    if (value == NULL || number_parse(span_text(value), UINT64_MAX, out, NULL) < 0)
        return error_set(err, -EBADMSG, "the server's answer: no %s", name);
    return 0;
}

int api_push_offset_start(struct api_client *client, const struct api_push_spec *spec,
                          const char *id, const struct api_push_part *part, api_call_done *done,
                          void *context, struct api_call **out_call, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct api_call_spec call = {
        .method = HTTP_HEAD, .once = true, .done = done, .context = context
    };
    int r;

    part_path(&path, spec, id, part);
    call.path = buf_text(&path);
    r = buf_check(&path, err);
    return r < 0 ? r : api_call_start(client, &call, out_call, err);
}

int api_push_offset_read(const struct api_answer *answer, uint64_t size, uint64_t *out_offset,
                         struct error *err)
{
    uint64_t offset, length;
    int r = header_number(answer->headers, "Upload-Offset", &offset, err);

    if (r == 0)
        r = header_number(answer->headers, "Upload-Length", &length, err);
    if (r == 0 && (length != size || offset > length))
        r = error_set(err, -EBADMSG, "the server's answer: an impossible offset or length");
    if (r < 0)
        return r;
    *out_offset = offset;
    return 0;
}

int api_push_part_start(struct api_client *client, const struct api_push_spec *spec, const char *id,
                        const struct api_push_part *part, struct http_body body,
                        api_call_done *done, void *context, struct api_call **out_call,
                        struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    char offset_text[24], total_text[24], part_text[24], digest_text[REPR_DIGEST_SIZE];
    struct http_header headers[5] = { { "Upload-Offset", offset_text },
                                      { "Upload-Length", total_text } };
    size_t count = 2;
    struct api_call_spec call = { .method = HTTP_PATCH,
                                  .content_type = "application/octet-stream",
                                  .headers = headers,
                                  .body = body,
                                  .once = true,
                                  .on_sent = part->on_sent,
                                  .done = done,
                                  .context = context };
    int r;

    (void)snprintf(offset_text, sizeof(offset_text), "%llu", (unsigned long long)part->offset);
    (void)snprintf(total_text, sizeof(total_text), "%llu", (unsigned long long)part->total);
    if (part->unpacked > 0) {
        (void)snprintf(part_text, sizeof(part_text), "%llu", (unsigned long long)part->unpacked);
        headers[count++] = (struct http_header){ "Upload-Part-Length", part_text };
        headers[count++] = (struct http_header){ "Content-Encoding", "zstd" };
    }
    if (part->is_new && part->sha256 != NULL) {
        repr_digest_write(part->sha256, digest_text);
        headers[count++] = (struct http_header){ "Repr-Digest", digest_text };
    }
    call.header_count = count;
    part_path(&path, spec, id, part);
    call.path = buf_text(&path);
    r = buf_check(&path, err);
    return r < 0 ? r : api_call_start(client, &call, out_call, err);
}

int api_push_pack_start(struct api_client *client, const struct api_push_spec *spec, const char *id,
                        struct span pack, api_call_done *done, void *context,
                        struct api_call **out_call, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct api_call_spec call = {
        .method = HTTP_POST,
        .content_type = PACK_MEDIA_TYPE,
        .body = { .kind = HTTP_BODY_SPAN, .span = pack, .size = pack.size },
        .once = true,
        .done = done,
        .context = context
    };
    int r;

    push_path(&path, spec, id, "/blobs:batch");
    call.path = buf_text(&path);
    r = buf_check(&path, err);
    return r < 0 ? r : api_call_start(client, &call, out_call, err);
}

int api_push_delta_start(struct api_client *client, const struct api_push_spec *spec,
                         const char *id, const struct digest *sha256, struct span delta,
                         api_call_done *done, void *context, struct api_call **out_call,
                         struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct api_call_spec call = {
        .method = HTTP_PUT,
        .content_type = DELTA_MEDIA_TYPE,
        .body = { .kind = HTTP_BODY_SPAN, .span = delta, .size = delta.size },
        .done = done,
        .context = context
    };
    int r;

    blob_path(&path, spec, id, sha256);
    call.path = buf_text(&path);
    r = buf_check(&path, err);
    return r < 0 ? r : api_call_start(client, &call, out_call, err);
}

static int read_failures(const struct json_value *root, struct buf *out, size_t *out_count,
                         struct error *err)
{
    const struct json_value *list = json_member(root, "failures"), *item = NULL;
    const char *hex = NULL;
    struct digest sha256;
    int r = 0;

    *out_count = 0;
    while (r == 0 && (item = json_next(list, item)) != NULL) {
        r = json_get_text(json_member(item, "sha256"), "sha256", &hex, err);
        if (r == 0)
            r = digest_parse(span_text(hex), &sha256, err);
        if (r == 0) {
            buf_add(out, &sha256, sizeof(sha256));
            (*out_count)++;
        }
    }
    return r < 0 ? r : buf_check(out, err);
}

int api_push_pack_read(const struct api_answer *answer, struct buf *out_failed, bool *out_all_named,
                       struct error *err)
{
    cleanup(json_release) struct json *json = NULL;
    int64_t failed = 0;
    size_t named = 0;
    int r = json_parse(answer->body, &json, err);

    if (r == 0)
        r = json_get_integer(json_member(json_root(json), "failed"), "failed", &failed, err);
    if (r == 0)
        r = read_failures(json_root(json), out_failed, &named, err);
    if (r < 0)
        return api_bad_answer(r, err);
    *out_all_named = failed >= 0 && (uint64_t)failed <= named;
    return 0;
}

int api_push_part_offset(const struct api_answer *answer, uint64_t *out_offset, struct error *err)
{
    return header_number(answer->headers, "Upload-Offset", out_offset, err);
}

int api_push_commit(struct api_client *client, const struct api_push_spec *spec, const char *id,
                    struct api_push *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(buf_release) struct buf body = buf_init(1024);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec call = { .method = HTTP_POST,
                                  .accept = "application/json",
                                  .content_type = "application/json",
                                  .repeatable = true };
    struct json_writer writer = json_writer_init(&body);
    struct api_push push = { 0 };
    int r;

    json_begin_object(&writer, NULL);
    add_digest(&writer, "content", spec->content);
    json_end(&writer);
    r = buf_check(&body, err);
    if (r < 0)
        return r;
    call.body =
        (struct http_body){ .kind = HTTP_BODY_SPAN, .size = body.size, .span = buf_span(&body) };
    push_path(&path, spec, id, "/commit");
    r = run(client, &call, &path, &result, &push.problem, err);
    if (r == 0)
        r = read_answer(buf_span(&result.body), spec, &push, err);
    if (r < 0) {
        struct api_problem problem = push.problem;

        api_push_release(&push);
        out->problem = problem;
        return r;
    }
    *out = push;
    return 0;
}

int api_push_get(struct api_client *client, const struct api_push_spec *spec, const char *id,
                 struct api_push *out, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    cleanup(api_push_release) struct api_push push = { 0 };
    struct api_call_spec call = { .method = HTTP_GET };
    int r;

    push_path(&path, spec, id, NULL);
    r = run(client, &call, &path, &result, &push.problem, err);
    if (r == 0)
        r = read_answer(buf_span(&result.body), spec, &push, err);
    if (r == 0 && push.id == NULL)
        r = error_set(err, -ENOENT, "the push is not open any more");
    if (r < 0)
        return r;
    *out = push;
    push = (struct api_push){ 0 };
    return 0;
}

int api_push_delete(struct api_client *client, const struct api_push_spec *spec, const char *id,
                    struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec call = { .method = HTTP_DELETE };

    push_path(&path, spec, id, NULL);
    return run(client, &call, &path, &result, NULL, err);
}
