/* SPDX-License-Identifier: MIT */
#include "common/client/api_pushes.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/client/tests/asked.h"
#include "common/net/http_loop.h"
#include "tests/support/unit.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define VERSION                                                                                   \
    "{\"project\":\"p\",\"app\":\"a\",\"version\":\"v\",\"content\":\"" HEX "\",\"times\":\"" HEX \
    "\",\"tree\":\"" HEX "\",\"tree_size\":8192,\"file_count\":3,\"bytes\":99,"                   \
    "\"created_at\":\"2024-01-02T03:04:05Z\",\"state\":\"ready\"}"

struct world {
    struct asked at;
    int status;
    const char *body, *lines;
    char path[2048], method[16], sent[4096], offset[32], length[32], coding[32], part_length[24];
    char repr_digest[80];
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;

    memcpy(world->path, request->path, sizeof(world->path));
    memcpy(world->method, request->method, sizeof(world->method));
    memset(world->sent, 0, sizeof(world->sent));
    if (request->body_size < sizeof(world->sent) && request->body != NULL)
        memcpy(world->sent, request->body, request->body_size);
    world->coding[0] = world->repr_digest[0] = '\0';
    origin_header(request, "Upload-Offset", world->offset, sizeof(world->offset));
    origin_header(request, "Upload-Length", world->length, sizeof(world->length));
    origin_header(request, "Content-Encoding", world->coding, sizeof(world->coding));
    origin_header(request, "Upload-Part-Length", world->part_length, sizeof(world->part_length));
    origin_header(request, "Repr-Digest", world->repr_digest, sizeof(world->repr_digest));
    return origin_reply(request, world->status, world->lines, world->body, strlen(world->body));
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->status = 200;
    world->body = "";
    asked_start(&world->at, answer, world, NULL);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    asked_stop(&world->at);
    free(world);
    return 0;
}

static void a_push_is_opened(void **state)
{
    struct world *world = *state;
    struct digest digest = { { 1, 2, 3 } };
    struct api_push_spec spec = { .project = "p",
                                  .app = "a",
                                  .version = "v",
                                  .content = &digest,
                                  .metadata = span_text("{\"git_commit\":\"abc\"}") };
    struct api_push push = { 0 };

    world->status = 201;
    world->body =
        "{\"state\":\"open\",\"id\":\"id1\",\"version\":\"v\",\"part_size\":8388608,"
        "\"expires_at\":\"2024-01-02T03:04:05Z\",\"wanted\":[\"listing\",\"something-new\"]}";
    assert_int_equal(api_push_create(world->at.client, &spec, &push, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/pushes");
    assert_string_equal(
        world->sent,
        "{\"version\":\"v\",\"content\":\"0102030000000000000000000000000000000000000000000"
        "000000000000000\",\"metadata\":{\"git_commit\":\"abc\"}}");
    assert_false(push.exists);
    assert_string_equal(push.id, "id1");
    assert_string_equal(push.name, "v");
    assert_int_equal(push.part_size, 8388608);
    assert_true(push.wants_listing);
    assert_false(push.wants_times);
    api_push_release(&push);
    /* metadata alone: no comma in front */
    spec = (struct api_push_spec){ .project = "p", .app = "a", .metadata = span_text("{}") };
    assert_int_equal(api_push_create(world->at.client, &spec, &push, NULL), 0);
    assert_string_equal(world->sent, "{\"metadata\":{}}");
    api_push_release(&push);
}

static void it_exists_or_is_taken(void **state)
{
    struct world *world = *state;
    struct api_push_spec spec = { .project = "p", .app = "a", .version = "v" };
    struct api_push push = { 0 };
    struct error err = { 0 };

    world->body = "{\"state\":\"exists\",\"version\":" VERSION "}";
    assert_int_equal(api_push_create(world->at.client, &spec, &push, NULL), 0);
    assert_true(push.exists);
    assert_string_equal(push.version.record.version, "v");
    api_push_release(&push);
    world->status = 409;
    world->lines = "Content-Type: application/problem+json\r\n";
    world->body = "{\"code\":\"version-exists\",\"status\":409,\"existing_content\":\"" HEX "\"}";
    assert_int_equal(api_push_create(world->at.client, &spec, &push, NULL), -EEXIST);
    assert_string_equal(push.problem.code, "version-exists");
    assert_string_equal(push.problem.existing_content, HEX);
    assert_null(push.id);
    world->status = 403;
    world->body = "{\"code\":\"insufficient-scope\",\"detail\":\"no\"}";
    assert_int_equal(api_push_create(world->at.client, &spec, &push, &err), -EACCES);
    assert_string_equal(err.text, "p/a: no (403 insufficient-scope)");
    world->lines = NULL;
}

static void answers_that_break_the_rules(void **state)
{
    static const char *const bodies[] = {
        "",
        "{}",
        "{\"state\":\"what\"}",
        "{\"state\":\"open\"}",
        "{\"state\":\"open\",\"id\":\"x\"}",
        "{\"state\":\"open\",\"id\":\"x\",\"part_size\":0}",
        "{\"state\":\"open\",\"id\":\"x\",\"part_size\":99999999999}",
        "{\"state\":\"open\",\"id\":5,\"part_size\":1}",
        "{\"state\":\"exists\"}",
        "{\"state\":\"exists\",\"version\":{}}",
    };
    struct world *world = *state;
    struct api_push_spec spec = { .project = "p", .app = "a", .version = "v" };
    struct api_push push = { 0 };

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        /* what is no object at all is not from a kkArtifact server */
        int expected = bodies[i][0] == '{' ? -EBADMSG : -EIO;

        world->body = bodies[i];
        if (api_push_create(world->at.client, &spec, &push, NULL) != expected)
            fail_msg("taken: %s", bodies[i]);
    }
}

static void listing_and_bitmap(void **state)
{
    struct world *world = *state;
    struct api_push_spec spec = { .project = "p", .app = "a" };
    struct http_body body = { .kind = HTTP_BODY_SPAN, .size = 7, .span = span_text("listing") };
    struct buf bitmap = buf_init(1024);

    world->status = 204;
    assert_int_equal(api_push_put_listing(world->at.client, &spec, "id/1", body, API_PUSH_ZSTD,
                                          NULL, NULL),
                     0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/pushes/id%2F1/listing");
    assert_string_equal(world->sent, "listing");
    assert_string_equal(world->coding, "zstd");
    assert_int_equal(api_push_put_times(world->at.client, &spec, "id", body, API_PUSH_DELTA, NULL,
                                        NULL),
                     0);
    assert_string_equal(world->coding, "");
    world->status = 200;
    world->body = "ab";
    assert_int_equal(api_push_missing(world->at.client, &spec, "id", 9, &bitmap, NULL), 0);
    assert_int_equal(bitmap.size, 2);
    assert_int_equal(api_push_missing(world->at.client, &spec, "id", 17, &bitmap, NULL), -EBADMSG);
    buf_release(&bitmap);
}

struct part {
    bool done;
    int code;
    uint64_t offset, expected;
};

static void part_done(void *context, const struct api_answer *answer)
{
    struct part *part = context;

    part->done = true;
    part->code = answer->code;
    part->expected = answer->problem.expected_offset;
    if (answer->code == 0)
        part->code = api_push_part_offset(answer, &part->offset, NULL);
}

static bool is_done(void *context)
{
    return ((struct part *)context)->done;
}

static struct part send_part(struct world *world, const struct api_push_part *sent)
{
    struct api_push_spec spec = { .project = "p", .app = "a" };
    struct http_body body = { .kind = HTTP_BODY_SPAN, .size = 4, .span = span_text("part") };
    struct part part = { 0 };

    assert_int_equal(api_push_part_start(world->at.client, &spec, "id", sent, body, part_done,
                                         &part, NULL, NULL),
                     0);
    assert_int_equal(http_loop_run_until(world->at.loop, is_done, &part,
                                         clock_monotonic_ms() + 10000, NULL),
                     0);
    return part;
}

static void offset_done(void *context, const struct api_answer *answer)
{
    struct part *part = context;

    part->done = true;
    part->code = answer->code;
    if (answer->code == 0)
        part->code = api_push_offset_read(answer, 10, &part->offset, NULL);
}

static struct part ask_offset(struct world *world, const struct api_push_part *asked)
{
    struct api_push_spec spec = { .project = "p", .app = "a" };
    struct part part = { 0 };

    assert_int_equal(api_push_offset_start(world->at.client, &spec, "id", asked, offset_done, &part,
                                           NULL, NULL),
                     0);
    assert_int_equal(http_loop_run_until(world->at.loop, is_done, &part,
                                         clock_monotonic_ms() + 10000, NULL),
                     0);
    return part;
}

static void offsets_are_asked(void **state)
{
    static const char *const bad[] = {
        "Upload-Offset: 11\r\nUpload-Length: 10\r\n",
        "Upload-Offset: 5\r\nUpload-Length: 11\r\n",
        "Upload-Offset: 5\r\n",
        "Upload-Length: 10\r\n",
        "Upload-Offset: x\r\nUpload-Length: 10\r\n",
        NULL,
    };
    struct world *world = *state;
    struct digest digest = { { 255 } };
    const struct api_push_part asked = { .sha256 = &digest };
    const struct api_push_part fresh = { .is_new = true, .number = 7 };
    struct part part;

    world->status = 200;
    world->body = "";
    world->lines = "Upload-Offset: 5\r\nUpload-Length: 10\r\n";
    part = ask_offset(world, &asked);
    assert_int_equal(part.code, 0);
    assert_int_equal(part.offset, 5);
    assert_string_equal(world->method, "HEAD");
    part = ask_offset(world, &fresh);
    assert_int_equal(part.code, 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/pushes/id/blobs/new-7");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        world->lines = bad[i];
        assert_int_equal(ask_offset(world, &asked).code, -EBADMSG);
    }
}

static void parts_are_sent_once(void **state)
{
    struct world *world = *state;
    struct digest digest = { { 255 } };
    struct api_push_part sent = { .sha256 = &digest, .offset = 100, .total = 104 };

    world->status = 204;
    world->lines = "Upload-Offset: 104\r\n";
    struct part part = send_part(world, &sent);
    assert_int_equal(part.code, 0);
    assert_int_equal(part.offset, 104);
    assert_string_equal(world->method, "PATCH");
    assert_string_equal(world->offset, "100");
    assert_string_equal(world->length, "104");
    assert_string_equal(world->sent, "part");
    assert_string_equal(world->coding, "");
    sent.unpacked = 4;
    part = send_part(world, &sent);
    assert_string_equal(world->coding, "zstd");
    assert_string_equal(world->part_length, "4");
    world->status = 409;
    world->lines = "Content-Type: application/problem+json\r\n";
    world->body = "{\"code\":\"offset-mismatch\",\"expected_offset\":50}";
    part = send_part(world, &sent);
    assert_true(part.code < 0);
    assert_int_equal(part.expected, 50);
    unsigned before = origin_requests(world->at.origin);
    world->status = 503;
    world->lines = NULL;
    world->body = "";
    part = send_part(world, &sent);
    assert_int_equal(part.code, -EAGAIN);
    assert_int_equal(origin_requests(world->at.origin), before + 1);
}

static void parts_of_what_has_no_digest(void **state)
{
    struct world *world = *state;
    struct digest digest = digest_of("", 0);
    struct api_push_part sent = { .is_new = true, .number = 12, .offset = 100, .total = 108 };

    world->status = 204;
    world->lines = "Upload-Offset: 104\r\n";
    assert_int_equal(send_part(world, &sent).code, 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/pushes/id/blobs/new-12");
    assert_string_equal(world->repr_digest, "");
    sent.sha256 = &digest;
    sent.unpacked = 4;
    assert_int_equal(send_part(world, &sent).code, 0);
    assert_string_equal(world->repr_digest,
                        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:");
    assert_string_equal(world->part_length, "4");
    /* by its digest there is nothing to tell */
    sent.is_new = false;
    assert_int_equal(send_part(world, &sent).code, 0);
    assert_non_null(strstr(world->path, "/blobs/e3b0c44298fc"));
    assert_string_equal(world->repr_digest, "");
}

static void commit_and_delete(void **state)
{
    struct world *world = *state;
    struct digest digest = { { 1 } };
    struct api_push_spec spec = { .project = "p", .app = "a", .content = &digest };
    struct api_push push = { 0 };

    world->status = 201;
    world->body = "{\"state\":\"created\",\"version\":" VERSION "}";
    assert_int_equal(api_push_commit(world->at.client, &spec, "id", &push, NULL), 0);
    assert_false(push.exists);
    assert_string_equal(push.version.record.version, "v");
    assert_non_null(strstr(world->sent, "\"content\":\"01000"));
    api_push_release(&push);
    world->status = 409;
    world->lines = "Content-Type: application/problem+json\r\n";
    world->body = "{\"code\":\"missing-blobs\",\"missing\":12}";
    assert_true(api_push_commit(world->at.client, &spec, "id", &push, NULL) < 0);
    assert_int_equal(push.problem.missing, 12);
    world->status = 204;
    world->lines = NULL;
    world->body = "";
    assert_int_equal(api_push_delete(world->at.client, &spec, "id", NULL), 0);
    assert_string_equal(world->method, "DELETE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(a_push_is_opened),
        CASE(it_exists_or_is_taken),
        CASE(answers_that_break_the_rules),
        CASE(listing_and_bitmap),
        CASE(offsets_are_asked),
        CASE(parts_are_sent_once),
        CASE(parts_of_what_has_no_digest),
        CASE(commit_and_delete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
