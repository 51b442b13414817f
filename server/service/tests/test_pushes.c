/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/bitmap.h"
#include "common/model/record.h"
#include "server/service/push_door.h"
#include "server/service/push_files.h"
#include "server/service/tests/world.h"

static struct world world;

static int setup_memory(void **state)
{
    world_open(&world, WORLD_MEMORY);
    return 0;
}

static int setup_file(void **state)
{
    world_open(&world, WORLD_FILE);
    return 0;
}

static int teardown(void **state)
{
    world_close(&world);
    return 0;
}

static int push(const struct caller *caller, const char *app, const char *version,
                const struct sample *sample, enum pushes_outcome *outcome, size_t *sent,
                struct refusal *why)
{
    struct error err = { 0 };
    int r;

    memset(why, 0, sizeof(*why));
    r = sample_push(&world, caller, "shop", app, version, sample, outcome, sent, why, &err);
    if (r < 0)
        assert_string_not_equal(err.text, "");
    return r;
}

static void test_whole_flow(void **state)
{
    struct sample sample;
    struct refusal why;
    enum pushes_outcome outcome;
    struct version_info info;
    size_t sent;

    sample_make(&sample, 1, 20, 3000);
    assert_int_equal(push(&world.caller, "api", "1.0", &sample, &outcome, &sent, &why), 0);
    assert_int_equal(outcome, PUSHES_CREATED);
    assert_int_equal(sent, 20);
    sample_check(&world, "shop", "api", "1.0", &sample);
    assert_int_equal(versions_get(world.services, &world.caller.identity, "shop", "api", "1.0",
                                  &info, NULL, NULL),
                     0);
    assert_string_equal(info.record.version, "1.0");
    assert_string_equal(info.record.pushed_by, "tester");
    assert_int_equal(info.record.file_count, 20);
    assert_true(digest_equal(&info.record.times, &sample.times_sha256));
    assert_int_equal(info.record.created_at_s, world_now());
    assert_int_equal(record_check(&info.record, NULL), 0);
    version_info_release(&info);

    /* Again: nothing moves. Under another name: nothing is sent, another version is there. */
    assert_int_equal(push(&world.caller, "api", "1.0", &sample, &outcome, &sent, &why), 0);
    assert_int_equal(outcome, PUSHES_EXISTS);
    assert_int_equal(push(&world.caller, "api", "1.1", &sample, &outcome, &sent, &why), 0);
    assert_int_equal(outcome, PUSHES_CREATED);
    assert_int_equal(sent, 0);
    sample_check(&world, "shop", "api", "1.1", &sample);
    sample_release(&sample);
}

static void test_other_content_is_refused(void **state)
{
    struct sample first, second;
    struct push_info open;
    struct refusal why;
    enum pushes_outcome outcome;
    struct version_info info = { 0 };
    struct error err = { 0 };

    sample_make(&first, 2, 3, 100);
    sample_make(&second, 3, 3, 100);
    /* Open before the name is taken: refused at the commit. */
    sample_open(&world, &world.caller, "shop", "api", "2.0", &second, &open);
    assert_int_equal(push(&world.caller, "api", "2.0", &first, &outcome, NULL, &why), 0);
    assert_int_equal(push(&world.caller, "api", "2.0", &second, &outcome, NULL, &why), -EEXIST);
    assert_int_equal(why.code, REFUSAL_VERSION_EXISTS);
    assert_true(digest_equal(&why.existing_content, &first.content));
    sample_describe(&world, &world.caller, "shop", "api", open.id, &second);
    for (size_t i = 0; i < second.count; i++)
        assert_int_equal(sample_put_blob(&world, &world.caller, "shop", "api", open.id,
                                         &second.blobs[i], 0, NULL, NULL),
                         0);
    memset(&why, 0, sizeof(why));
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "api", open.id, NULL,
                                   &outcome, &info, &why, &err),
                     -EEXIST);
    assert_int_equal(why.code, REFUSAL_VERSION_EXISTS);
    sample_check(&world, "shop", "api", "2.0", &first);
    sample_release(&first);
    sample_release(&second);
}

static void test_version_named_by_content(void **state)
{
    const struct pushes_request bare = { .project = "shop", .app = "unnamed" };
    struct sample sample;
    struct push_info open;
    struct version_info info = { 0 };
    enum pushes_outcome outcome;
    char hex[DIGEST_HEX_SIZE];

    sample_make(&sample, 4, 2, 10);
    digest_hex(&sample.content, hex);
    hex[12] = '\0';
    sample_open(&world, &world.caller, "shop", "api", NULL, &sample, &open);
    assert_string_equal(open.version, hex);

    /* Nothing said: content and name come with the listing. */
    assert_int_equal(pushes_create(world.services, &world.caller, &bare, &outcome, &open, &info,
                                   NULL, NULL),
                     0);
    assert_true(open.wants_listing && open.wants_times && !open.has_content);
    sample_describe(&world, &world.caller, "shop", "unnamed", open.id, &sample);
    for (size_t i = 0; i < sample.count; i++)
        assert_int_equal(sample_put_blob(&world, &world.caller, "shop", "unnamed", open.id,
                                         &sample.blobs[i], 0, NULL, NULL),
                         0);
    assert_int_equal(pushes_get(world.services, &world.caller, "shop", "unnamed", open.id, &open,
                                NULL, NULL),
                     0);
    assert_int_equal(open.received_blobs, 2);
    assert_false(open.wants_listing || open.wants_times);
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "unnamed", open.id,
                                   &sample.content, &outcome, &info, NULL, NULL),
                     0);
    assert_int_equal(outcome, PUSHES_CREATED);
    assert_string_equal(info.record.version, hex);
    version_info_release(&info);
    sample_release(&sample);
}

static void test_metadata(void **state)
{
    cleanup(record_release) struct record metadata;
    struct pushes_request request = { .project = "shop", .app = "meta", .version = "1" };
    struct version_info info = { 0 };
    enum pushes_outcome outcome;
    struct push_info open;
    struct sample sample;

    sample_make(&sample, 5, 1, 10);
    record_init(&metadata);
    assert_int_equal(record_set_field(&metadata, "git_commit", span_text("abcdef"), NULL), 0);
    assert_int_equal(record_set_field(&metadata, "vcs_url", span_text("https://u:p@example.org/x"),
                                      NULL),
                     0);
    assert_int_equal(record_set_field(&metadata, "build_time", span_text("2026-01-02T03:04:05Z"),
                                      NULL),
                     0);
    assert_int_equal(labels_add(&metadata.labels, span_text("tier"), span_text("\"gold\" \\ 1"),
                                NULL),
                     0);
    request.metadata = &metadata;
    assert_int_equal(pushes_create(world.services, &world.caller, &request, &outcome, &open, &info,
                                   NULL, NULL),
                     0);
    sample_describe(&world, &world.caller, "shop", "meta", open.id, &sample);
    assert_int_equal(sample_put_blob(&world, &world.caller, "shop", "meta", open.id,
                                     &sample.blobs[0], 0, NULL, NULL),
                     0);
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "meta", open.id, NULL,
                                   &outcome, &info, NULL, NULL),
                     0);
    assert_string_equal(info.record.git_commit, "abcdef");
    assert_string_equal(info.record.vcs_url, "https://example.org/x");
    assert_true(info.record.has_build_time);
    assert_int_equal(info.record.build_time_s, 1767323045);
    assert_string_equal(labels_get(&info.record.labels, "tier"), "\"gold\" \\ 1");
    version_info_release(&info);
    sample_release(&sample);
}

static void test_commit_needs_everything(void **state)
{
    struct sample sample;
    struct push_info open;
    struct version_info info = { 0 };
    enum pushes_outcome outcome;
    struct refusal why = { 0 };

    sample_make(&sample, 6, 3, 5000);
    sample_open(&world, &world.caller, "shop", "api", "6", &sample, &open);
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "api", open.id, NULL,
                                   &outcome, &info, &why, NULL),
                     -EBUSY);
    assert_int_equal(why.code, REFUSAL_MISSING_BLOBS);
    assert_int_equal(sample_put_listing(&world, &world.caller, "shop", "api", open.id,
                                        buf_span(&sample.listing), NULL, NULL),
                     0);
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "api", open.id, NULL,
                                   &outcome, &info, &why, NULL),
                     -EBUSY);
    assert_int_equal(sample_put_times(&world, &world.caller, "shop", "api", open.id,
                                      buf_span(&sample.times), NULL, NULL),
                     0);
    assert_int_equal(sample_put_blob(&world, &world.caller, "shop", "api", open.id,
                                     &sample.blobs[1], 0, NULL, NULL),
                     0);
    memset(&why, 0, sizeof(why));
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "api", open.id, NULL,
                                   &outcome, &info, &why, NULL),
                     -EBUSY);
    assert_int_equal(why.code, REFUSAL_MISSING_BLOBS);
    assert_int_equal(why.missing, 2);
    /* Another content than the listing's. */
    memset(&why, 0, sizeof(why));
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "api", open.id,
                                   &sample.times_sha256, &outcome, &info, &why, NULL),
                     -EBADMSG);
    assert_int_equal(why.code, REFUSAL_DIGEST_MISMATCH);
    assert_int_equal(versions_get(world.services, &world.caller.identity, "shop", "api", "6", &info,
                                  NULL, NULL),
                     -ENOENT);
    sample_release(&sample);
}

static void test_missing_bitmap(void **state)
{
    cleanup(buf_release) struct buf bitmap = buf_init(BUF_UNLIMITED);
    struct sample sample;
    struct push_info open;
    struct refusal why = { 0 };

    sample_make(&sample, 7, 19, 0); /* the first file is empty: nobody has to send it */
    sample_open(&world, &world.caller, "shop", "api", "7", &sample, &open);
    assert_int_equal(pushes_missing(world.services, &world.caller, "shop", "api", open.id, &bitmap,
                                    &why, NULL),
                     -EBUSY);
    assert_int_equal(why.code, REFUSAL_MISSING_BLOBS);
    assert_int_equal(sample_put_listing(&world, &world.caller, "shop", "api", open.id,
                                        buf_span(&sample.listing), NULL, NULL),
                     0);
    assert_int_equal(sample_put_blob(&world, &world.caller, "shop", "api", open.id,
                                     &sample.blobs[9], 0, NULL, NULL),
                     0);
    assert_int_equal(pushes_missing(world.services, &world.caller, "shop", "api", open.id, &bitmap,
                                    NULL, NULL),
                     0);
    assert_int_equal(bitmap_check(buf_span(&bitmap), 19, NULL), 0);
    for (size_t i = 0; i < 19; i++)
        assert_int_equal(bitmap_get(bitmap.bytes, i), i != 0 && i != 9);
    sample_release(&sample);
}

/* A listing may be larger than a bitmap of as many of the shortest lines as it has room for. What
 * is read here is damaged at once, and reading is what it has to come to. */
static void test_missing_of_a_large_listing(void **state)
{
    const size_t size = (size_t)4 << 30;
    cleanup(buf_release) struct buf bitmap = buf_init((size_t)4 << 20);
    cleanup(push_release) struct push found = push_empty();
    struct sample sample;
    struct push_info open;
    void *zeros = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    assert_true(zeros != MAP_FAILED);
    sample_make(&sample, 31, 1, 100);
    sample_open(&world, &world.caller, "shop", "api", "large", &sample, &open);
    assert_int_equal(push_enter(world.services, &world.caller, "shop", "api", open.id, &found, NULL,
                                NULL),
                     0);
    assert_int_equal(push_files_missing(world.services, &found, span_of(zeros, size), &bitmap,
                                        NULL),
                     -EBADMSG);
    munmap(zeros, size);
    sample_release(&sample);
}

/* "Have" is only said of what the token may know of; a blob that others have is received again. */
static void test_have_is_no_leak(void **state)
{
    struct caller stranger, friend;
    struct sample sample;
    enum pushes_outcome outcome;
    struct push_info open;
    struct refusal why;
    size_t sent, objects;
    char text[64];

    world_token(&world, "other", NULL, ACCESS_PUSH, &stranger, text);
    world_token(&world, "shop", "secret", ACCESS_PUSH, &friend, text);
    sample_make(&sample, 8, 5, 6000);
    assert_int_equal(push(&world.caller, "secret", "1", &sample, &outcome, &sent, &why), 0);
    objects = world_object_count(&world);
    sample_open(&world, &stranger, "other", "app", "1", &sample, &open);
    assert_true(open.wants_listing && open.wants_times);
    assert_int_equal(sample_push(&world, &stranger, "other", "app", "2", &sample, &outcome, &sent,
                                 NULL, NULL),
                     0);
    assert_int_equal(sent, 5);
    assert_true(world_object_count(&world) >= objects);
    assert_int_equal(push(&friend, "secret", "2", &sample, &outcome, &sent, &why), 0);
    assert_int_equal(sent, 0);
    sample_check(&world, "other", "app", "2", &sample);
    sample_release(&sample);
}

static void test_a_push_belongs_to_its_token_and_app(void **state)
{
    struct caller other;
    struct sample sample;
    struct push_info open, info;
    char text[64];

    world_token(&world, NULL, NULL, ACCESS_ALL, &other, text);
    sample_make(&sample, 9, 1, 10);
    sample_open(&world, &world.caller, "shop", "api", "9", &sample, &open);
    assert_int_equal(pushes_get(world.services, &world.caller, "shop", "api", open.id, &info, NULL,
                                NULL),
                     0);
    assert_int_equal(pushes_get(world.services, &other, "shop", "api", open.id, &info, NULL, NULL),
                     -ENOENT);
    assert_int_equal(pushes_get(world.services, &world.caller, "shop", "web", open.id, &info, NULL,
                                NULL),
                     -ENOENT);
    assert_int_equal(pushes_get(world.services, &world.caller, "shop", "api", "nonsense", &info,
                                NULL, NULL),
                     -ENOENT);
    assert_int_equal(pushes_abandon(world.services, &other, "shop", "api", open.id, NULL, NULL),
                     -ENOENT);
    assert_int_equal(pushes_abandon(world.services, &world.caller, "shop", "api", open.id, NULL,
                                    NULL),
                     0);
    assert_int_equal(pushes_get(world.services, &world.caller, "shop", "api", open.id, &info, NULL,
                                NULL),
                     -ENOENT);
    sample_release(&sample);
}

static void test_rights(void **state)
{
    struct pushes_request request = { .project = "shop", .app = "rights", .version = "1" };
    struct version_info version = { 0 };
    struct caller reader, outsider;
    enum pushes_outcome outcome;
    struct push_info open;
    struct app_info app;
    struct refusal why = { 0 };
    char text[64];

    world_token(&world, "shop", NULL, ACCESS_PULL, &reader, text);
    world_token(&world, "elsewhere", NULL, ACCESS_ALL, &outsider, text);
    assert_int_equal(pushes_create(world.services, &reader, &request, &outcome, &open, &version,
                                   &why, NULL),
                     -EACCES);
    assert_int_equal(why.code, REFUSAL_INSUFFICIENT_SCOPE);
    assert_int_equal(pushes_create(world.services, &outsider, &request, &outcome, &open, &version,
                                   &why, NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    /* Nothing was made on the way to the refusal. */
    assert_int_equal(apps_get(world.services, &world.caller.identity, "shop", "rights", &app, NULL,
                              NULL),
                     -ENOENT);
}

static void test_names_are_checked(void **state)
{
    static const char *const bad[] = { "..", ".x", "a/b", "", "latest", "a b", "-x", "a\nb" };
    struct version_info version = { 0 };
    enum pushes_outcome outcome;
    struct push_info open;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct pushes_request requests[] = {
            { .project = bad[i], .app = "a", .version = "1" },
            { .project = "p", .app = bad[i], .version = "1" },
            { .project = "p", .app = "a", .version = bad[i] },
            { .project = "p", .app = "a", .version = "1", .base = bad[i] },
        };

        for (size_t k = 0; k < 4; k++) {
            struct refusal why = { 0 };

            assert_int_equal(pushes_create(world.services, &world.caller, &requests[k], &outcome,
                                           &open, &version, &why, NULL),
                             -EINVAL);
            assert_int_equal(why.code, REFUSAL_VALIDATION);
        }
    }
}

static void test_lease(void **state)
{
    struct sample sample;
    struct push_info open, info;
    size_t count;

    sample_make(&sample, 10, 2, 5000);
    assert_int_equal(pushes_expire(world.services, &count, NULL), 0);
    sample_open(&world, &world.caller, "shop", "api", "10", &sample, &open);
    assert_int_equal(sample_put_listing(&world, &world.caller, "shop", "api", open.id,
                                        buf_span(&sample.listing), NULL, NULL),
                     0);
    /* Renewed by requests ... */
    for (int i = 0; i < 4; i++) {
        world_sleep(5 * 3600);
        assert_int_equal(pushes_get(world.services, &world.caller, "shop", "api", open.id, &info,
                                    NULL, NULL),
                         0);
    }
    /* ... but not past a day. */
    world_sleep(5 * 3600);
    assert_int_equal(pushes_get(world.services, &world.caller, "shop", "api", open.id, &info, NULL,
                                NULL),
                     -ENOENT);
    assert_int_equal(pushes_expire(world.services, &count, NULL), 0);
    assert_true(count >= 1); /* with those that the cases before left open */
    sample_open(&world, &world.caller, "shop", "api", "10", &sample, &open);
    world_sleep(6 * 3600 + 1);
    assert_int_equal(sample_put_blob(&world, &world.caller, "shop", "api", open.id,
                                     &sample.blobs[0], 0, NULL, NULL),
                     -ENOENT);
    assert_int_equal(pushes_expire(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    sample_release(&sample);
}

static void test_empty_tree(void **state)
{
    struct sample sample;
    enum pushes_outcome outcome;
    struct refusal why;
    size_t sent;

    sample_make(&sample, 11, 0, 0);
    assert_int_equal(push(&world.caller, "empty", "1", &sample, &outcome, &sent, &why), 0);
    assert_int_equal(outcome, PUSHES_CREATED);
    sample_release(&sample);
}

/* The process ends between any two requests: the push goes on in the next one. */
static void test_goes_on_after_a_restart(void **state)
{
    struct sample sample;
    struct push_info open;
    struct version_info info = { 0 };
    enum pushes_outcome outcome;

    sample_make(&sample, 12, 4, 5000);
    sample_open(&world, &world.caller, "shop", "restart", "1", &sample, &open);
    world_restart(&world);
    assert_int_equal(sample_put_listing(&world, &world.caller, "shop", "restart", open.id,
                                        buf_span(&sample.listing), NULL, NULL),
                     0);
    world_restart(&world);
    assert_int_equal(sample_put_times(&world, &world.caller, "shop", "restart", open.id,
                                      buf_span(&sample.times), NULL, NULL),
                     0);
    for (size_t i = 0; i < sample.count; i++) {
        world_restart(&world);
        assert_int_equal(sample_put_blob(&world, &world.caller, "shop", "restart", open.id,
                                         &sample.blobs[i], 0, NULL, NULL),
                         0);
    }
    world_restart(&world);
    assert_int_equal(pushes_commit(world.services, &world.caller, "shop", "restart", open.id, NULL,
                                   &outcome, &info, NULL, NULL),
                     0);
    version_info_release(&info);
    world_restart(&world);
    sample_check(&world, "shop", "restart", "1", &sample);
    sample_release(&sample);
}

#define ALL_TESTS                                                                                  \
    cmocka_unit_test(test_whole_flow), cmocka_unit_test(test_other_content_is_refused),            \
        cmocka_unit_test(test_version_named_by_content), cmocka_unit_test(test_metadata),          \
        cmocka_unit_test(test_commit_needs_everything), cmocka_unit_test(test_missing_bitmap),     \
        cmocka_unit_test(test_missing_of_a_large_listing), cmocka_unit_test(test_have_is_no_leak), \
        cmocka_unit_test(test_a_push_belongs_to_its_token_and_app), cmocka_unit_test(test_rights), \
        cmocka_unit_test(test_names_are_checked), cmocka_unit_test(test_empty_tree),               \
        cmocka_unit_test(test_goes_on_after_a_restart), cmocka_unit_test(test_lease)

/* The argument names the store: "memory" or "file". */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { ALL_TESTS };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
