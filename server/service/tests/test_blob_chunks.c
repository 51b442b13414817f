/* SPDX-License-Identifier: MIT */
#include "server/service/blob_chunks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/content.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

#define LARGE 1500000u

static struct world world;
static struct sample sample; /* one blob of LARGE bytes, one of LARGE + 1 */
static struct sample small;

static int setup(enum world_kind kind)
{
    enum pushes_outcome outcome;
    int r;

    world_open(&world, kind);
    sample_make(&sample, 41, 2, LARGE);
    sample_make(&small, 42, 2, CHUNK_LIST_MIN_SIZE - 1);
    r = sample_push(&world, &world.caller, "p", "a", "1", &sample, &outcome, NULL, NULL, NULL);
    if (r == 0)
        r = sample_push(&world, &world.caller, "p", "a", "2", &small, &outcome, NULL, NULL, NULL);
    return r;
}

static int setup_memory(void **state)
{
    return setup(WORLD_MEMORY);
}

static int setup_file(void **state)
{
    return setup(WORLD_FILE);
}

static int teardown(void **state)
{
    sample_release(&sample);
    sample_release(&small);
    world_close(&world);
    return 0;
}

static int open_list(const char *version, const struct digest *sha256, struct content **out,
                     struct refusal *why)
{
    memset(why, 0, sizeof(*why));
    return content_open_blob_chunks(world.services, &world.caller.identity, "p", "a", version,
                                    sha256, out, why, NULL);
}

/* What is given is the list of exactly this blob. */
static void check_list(const struct sample_blob *blob)
{
    cleanup(buf_release) struct buf wanted = buf_init(BUF_UNLIMITED);
    char etag[DIGEST_HEX_SIZE + 16] = "\"";
    cleanup_memory uint8_t *bytes = NULL;
    struct content *content;
    struct refusal why;

    assert_int_equal(chunk_list_build(span_of(blob->bytes, blob->size), NULL, &wanted, NULL), 0);
    assert_int_equal(open_list("1", &blob->sha256, &content, &why), 0);
    assert_int_equal(content_size(content), wanted.size);
    bytes = memory_new(wanted.size);
    assert_int_equal(content_read(content, 0, bytes, wanted.size, NULL), 0);
    assert_memory_equal(bytes, wanted.bytes, wanted.size);
    digest_hex(&blob->sha256, etag + 1);
    memcpy(etag + DIGEST_HEX_SIZE, "-chunks\"", 9);
    assert_string_equal(content_etag(content), etag);
    content_close(content);
}

static void test_made_once(void **state)
{
    size_t objects = world_object_count(&world);

    check_list(&sample.blobs[0]);
    assert_int_equal(world_object_count(&world), objects + 1);
    check_list(&sample.blobs[0]);
    world_restart(&world);
    check_list(&sample.blobs[0]);
    assert_int_equal(world_object_count(&world), objects + 1);
}

static void test_only_for_those_that_have_one(void **state)
{
    struct content *content;
    struct caller outsider;
    struct refusal why;
    char text[64];

    assert_int_equal(open_list("2", &small.blobs[0].sha256, &content, &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NO_CHUNKS);
    assert_int_equal(open_list("2", &small.blobs[1].sha256, &content, &why), 0); /* 64 KiB */
    content_close(content);
    assert_int_equal(open_list("2", &sample.blobs[0].sha256, &content, &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    world_token(&world, "other", NULL, ACCESS_PULL, &outsider, text);
    assert_int_equal(content_open_blob_chunks(world.services, &outsider.identity, "p", "a", "1",
                                              &sample.blobs[0].sha256, &content, &why, NULL),
                     -ENOENT);
}

/* The key of the list that was made last. */
static int remember_list(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                         struct error *err)
{
    size_t length = strlen(key);

    if (length > 2 && strcmp(key + length - 2, ".c") == 0)
        snprintf(context, BLOB_KEY_MAX + 1, "%s", key);
    return 0;
}

static void find_list(char key[BLOB_KEY_MAX + 1])
{
    key[0] = '\0';
    assert_int_equal(blob_store_list(world.inner, remember_list, key, NULL), 0);
    assert_true(key[0] != '\0');
}

static void replace(const char *key, struct span bytes)
{
    struct blob_writer *writer;

    assert_int_equal(blob_store_remove(world.inner, key, NULL), 0);
    assert_int_equal(blob_store_create(world.inner, key, bytes.size, &writer, NULL), 0);
    assert_int_equal(blob_writer_write(writer, bytes.bytes, bytes.size, NULL), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
}

static void remove_lists(void)
{
    char key[BLOB_KEY_MAX + 1] = "";

    assert_int_equal(blob_store_list(world.inner, remember_list, key, NULL), 0);
    while (key[0] != '\0') {
        assert_int_equal(blob_store_remove(world.inner, key, NULL), 0);
        key[0] = '\0';
        assert_int_equal(blob_store_list(world.inner, remember_list, key, NULL), 0);
    }
}

static void test_lost_or_damaged_ones_are_made_again(void **state)
{
    cleanup(buf_release) struct buf other = buf_init(BUF_UNLIMITED);
    const struct sample_blob *blob = &sample.blobs[1];
    char key[BLOB_KEY_MAX + 1];

    remove_lists();
    world_restart(&world);
    check_list(blob);
    find_list(key);
    assert_int_equal(blob_store_remove(world.inner, key, NULL), 0);
    world_restart(&world);
    check_list(blob);
    /* No list at all; one that is cut; that of another blob. */
    replace(key, span_text("nonsense"));
    world_restart(&world);
    check_list(blob);
    assert_int_equal(chunk_list_build(span_of(blob->bytes, blob->size), NULL, &other, NULL), 0);
    replace(key, span_slice(buf_span(&other), 0, other.size - 1));
    world_restart(&world);
    check_list(blob);
    buf_clear(&other);
    assert_int_equal(chunk_list_build(span_of(sample.blobs[0].bytes, sample.blobs[0].size), NULL,
                                      &other, NULL),
                     0);
    replace(key, buf_span(&other));
    world_restart(&world);
    check_list(blob);
}

/* It costs the making, not the answer. */
static void test_a_store_that_takes_nothing(void **state)
{
    size_t objects, answers = 0;

    remove_lists();
    world_restart(&world);
    objects = world_object_count(&world);
    /* Sooner or later: before the blob is open, or when the list is to be kept. */
    for (int64_t after = 1; after < 6; after++) {
        struct content *content = NULL;
        struct refusal why;
        int r;

        world_restart(&world);
        fault_store_fail(world.store, after, -ENOSPC, 1);
        r = open_list("1", &sample.blobs[0].sha256, &content, &why);
        content_close(content);
        fault_store_heal(world.store);
        assert_true(r == 0 || r == -ENOSPC || r == -EIO);
        answers += r == 0;
    }
    assert_true(answers > 0);
    world_restart(&world);
    check_list(&sample.blobs[0]);
    assert_true(world_object_count(&world) <= objects + 1);
}

/* The argument names the store: "memory" or "file". */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_once),
        cmocka_unit_test(test_only_for_those_that_have_one),
        cmocka_unit_test(test_lost_or_damaged_ones_are_made_again),
        cmocka_unit_test(test_a_store_that_takes_nothing),
    };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
