/* SPDX-License-Identifier: MIT */
#include "server/service/delta_later.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/memory.h"
#include "common/model/delta.h"
#include "server/db/blob_bases.h"
#include "server/service/content.h"
#include "server/service/delta_make.h"
#include "server/service/delta_pair.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"

/* More than is patched while somebody waits. */
#define SIZE ((size_t)DELTA_MAKE_PATCH_MAX + 100000)
#define STRIDE 4000 /* a change in every block, and in every chunk */

static struct world world;
static struct sample old, new;

static void push(const char *version, const struct sample *sample)
{
    enum pushes_outcome outcome;

    assert_int_equal(sample_push(&world, &world.caller, "p", "a", version, sample, &outcome, NULL,
                                 NULL, NULL),
                     0);
}

static int setup(void **state)
{
    struct span file;

    world_open(&world, WORLD_FILE);
    sample_make(&old, 71, 1, SIZE);
    file = span_of(old.blobs[0].bytes, SIZE);
    for (size_t at = 0; at < SIZE; at += STRIDE)
        old.blobs[0].bytes[at] ^= 1;
    sample_make_of(&new, 1, &file, 1);
    for (size_t at = 0; at < SIZE; at += STRIDE)
        old.blobs[0].bytes[at] ^= 1;
    push("old", &old);
    push("new", &new);
    return 0;
}

static int teardown(void **state)
{
    sample_release(&old);
    sample_release(&new);
    world_close(&world);
    return 0;
}

/* Bytes of the delta that is given, which is right; 0: none. */
static uint64_t given(void)
{
    cleanup(buf_release) struct buf made = buf_init(BUF_UNLIMITED);
    const struct sample_blob *from = &old.blobs[0], *to = &new.blobs[0];
    const struct delta_header header = { from->sha256, to->sha256, from->size, to->size };
    const struct span base = span_of(from->bytes, from->size);
    cleanup_memory uint8_t *bytes = NULL;
    struct delta_reader *reader;
    struct content *content;
    uint64_t size;

    assert_int_equal(content_open_delta(world.services, &world.caller.identity, "p", "a", "new",
                                        &to->sha256, &from->sha256, &content, NULL, NULL),
                     0);
    if (content == NULL)
        return 0;
    size = content_size(content);
    bytes = memory_new(size);
    assert_int_equal(content_read(content, 0, bytes, size, NULL), 0);
    content_close(content);
    assert_int_equal(delta_reader_new(&reader, &header, delta_source_of_span(&base),
                                      sink_to_buf(&made), DELTA_PATCH_MAX, NULL),
                     0);
    assert_int_equal(delta_reader_feed(reader, bytes, size, NULL), 0);
    assert_int_equal(delta_reader_end(reader, NULL), 0);
    delta_reader_free(reader);
    assert_int_equal(made.size, to->size);
    assert_memory_equal(made.bytes, to->bytes, to->size);
    return size;
}

static void test_a_better_one_is_found(void **state)
{
    size_t count = 99;

    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    /* Random bytes with a change in every chunk: nothing that is found at once is worth it. */
    assert_int_equal(given(), 0);
    assert_int_equal(given(), 0);
    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_in_range(given(), 89, SIZE / 10);
    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    world_restart(&world);
    assert_in_range(given(), 89, SIZE / 10);
}

/* Flips a bit in the middle of the delta that is kept from `old` to `new`. */
static int spoil(void *context, const char *name, enum file_kind kind, struct error *err)
{
    char path[512], base[DIGEST_HEX_SIZE];
    uint8_t byte;
    off_t middle;
    int fd;

    digest_hex(&old.blobs[0].sha256, base);
    digest_hex(&new.blobs[0].sha256, path);
    if (strncmp(name, base, strlen(base)) != 0 ||
        strncmp(name + strlen(base) + 1, path, strlen(path)) != 0)
        return 0;
    snprintf(path, sizeof(path), "%s/delta/%s", world.directory, name);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    middle = lseek(fd, 0, SEEK_END) / 2;
    assert_int_equal(pread(fd, &byte, 1, middle), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, middle), 1);
    close(fd);
    return 1;
}

static void spoil_kept(void)
{
    struct directory *directory;

    assert_int_equal(directory_open(world.directory, &directory, NULL), 0);
    assert_int_equal(directory_list(directory, "delta", spoil, NULL, NULL), 1);
    directory_close(directory);
}

static bool is_given(void)
{
    struct content *content;

    assert_int_equal(content_open_delta(world.services, &world.caller.identity, "p", "a", "new",
                                        &new.blobs[0].sha256, &old.blobs[0].sha256, &content, NULL,
                                        NULL),
                     0);
    content_close(content);
    return content != NULL;
}

static void step(size_t expected)
{
    size_t count = 99;

    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(count, expected);
}

static struct delta_pair real_pair(void)
{
    struct delta_pair pair;
    struct blob base, target;

    assert_int_equal(blob_base_find(world.database, "p", "a", &old.blobs[0].sha256, &base, NULL),
                     0);
    assert_int_equal(blob_base_find(world.database, "p", "a", &new.blobs[0].sha256, &target, NULL),
                     0);
    delta_pair_init(&pair, &base, &target);
    return pair;
}

/* One that was kept by another process is proven when it is asked for, once however often that
 * is. */
static void test_what_is_kept_is_proven(void **state)
{
    struct delta_pair pair;

    world_restart(&world);
    assert_true(is_given());
    assert_true(is_given());
    pair = real_pair();
    assert_false(delta_pair_is_proven(world.services, &pair));
    step(0);
    assert_true(delta_pair_is_proven(world.services, &pair));
    /* From here on it is not looked at. */
    spoil_kept();
    assert_true(is_given());
    step(0);
    assert_true(is_given());
}

/* A proof is of the bytes that it was made of, not of older ones that stayed in their place. */
static void test_what_cannot_be_kept_proves_nothing(void **state)
{
    struct delta_pair pair;
    cleanup_fd int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    world_restart(&world);
    pair = real_pair();
    delta_pair_keep(world.services, &pair, fd, UINT64_MAX, true);
    assert_false(delta_pair_is_proven(world.services, &pair));
    assert_true(is_given()); /* the older one */
    delta_pair_is_right(world.services, &pair);
    delta_pair_keep(world.services, &pair, fd, UINT64_MAX, false);
    assert_false(delta_pair_is_proven(world.services, &pair));
}

/* The file of a pair that was given up may have outlived that. */
static void test_what_is_given_up_is_not_given(void **state)
{
    struct delta_pair pair;

    world_restart(&world);
    pair = real_pair();
    assert_true(is_given());
    delta_pair_give_up(world.services, &pair);
    assert_false(is_given());
    assert_false(is_given());
    world_restart(&world);
    assert_true(is_given());
}

/* The pair has the whole blob then, and a delta again from the next process on. */
static void test_a_wrong_one_goes(void **state)
{
    world_restart(&world);
    assert_true(is_given());
    assert_int_equal(services_wrong_deltas(world.services), 0);
    step(1);
    assert_int_equal(services_wrong_deltas(world.services), 1);
    assert_false(is_given());
    step(0);
    assert_false(is_given());
    world_restart(&world);
    assert_false(is_given()); /* nothing that is found at once is worth it, */
    step(1);                  /* and the patch is made again */
    assert_in_range(given(), 89, SIZE / 10);
}

/* Nothing in common, and nothing that compresses: a patch would be larger than the whole. */
static void test_none_that_is_larger_than_the_whole(void **state)
{
    struct sample other;
    struct content *content = NULL;
    size_t count = 99;

    sample_make(&other, 72, 1, SIZE);
    push("other", &other);
    assert_int_equal(content_open_delta(world.services, &world.caller.identity, "p", "a", "other",
                                        &other.blobs[0].sha256, &old.blobs[0].sha256, &content,
                                        NULL, NULL),
                     0);
    assert_null(content);
    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    sample_release(&other);
}

static struct delta_pair pair_of(uint64_t base_size, uint64_t target_size)
{
    const struct blob base = { .sha256 = old.blobs[0].sha256, .size = base_size, .key = "nowhere" };
    const struct blob target = { .sha256 = new.blobs[0].sha256,
                                 .size = target_size,
                                 .key = "nothing" };
    struct delta_pair pair;

    delta_pair_init(&pair, &base, &target);
    return pair;
}

/* What cannot become better is not looked at: the store would be asked for what it has not. */
static void test_only_where_there_is_hope(void **state)
{
    static const struct {
        uint64_t base, target, delta;
        bool is_listed;
    } cases[] = {
        { 0, SIZE, 0, false },
        { SIZE, 0, 0, false },
        { (uint64_t)DELTA_PATCH_MAX + 1, SIZE, 0, false },
        { SIZE, (uint64_t)DELTA_PATCH_MAX + 1, 0, false },
        { DELTA_MAKE_PATCH_MAX, DELTA_MAKE_PATCH_MAX, 0, false },
        { SIZE, SIZE, SIZE / 100, false },
        { SIZE, SIZE, SIZE / 2, true },
        { SIZE, SIZE, 0, true },
        { 5, SIZE, 0, true },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct delta_pair pair = pair_of(cases[i].base, cases[i].target);
        const int64_t before = fault_store_calls(world.store);
        size_t count;

        delta_later_add(world.services, &pair, cases[i].delta);
        assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
        assert_int_equal(count, 0);
        assert_int_equal(fault_store_calls(world.store) > before, cases[i].is_listed);
    }
}

static void test_a_short_list(void **state)
{
    const struct delta_pair pair = pair_of(SIZE, SIZE);
    size_t count;

    for (size_t i = 0; i < 10 * DELTA_LATER_MAX; i++)
        delta_later_add(world.services, &pair, 0);
    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
}

/* What `later` has at the end of its list is looked at, one at a time; nothing when the server
 * stops. */
static void test_one_at_a_time(void **state)
{
    const struct delta_pair pair = pair_of(SIZE, SIZE);
    int64_t before, one;
    size_t count;

    world_restart(&world);
    for (size_t i = 0; i < 3; i++)
        delta_later_add(world.services, &pair, 0);
    before = fault_store_calls(world.store);
    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    one = fault_store_calls(world.store) - before;
    assert_true(one > 0);
    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(fault_store_calls(world.store) - before, 2 * one);
    services_stop(world.services);
    assert_int_equal(delta_later_step(world.services, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(fault_store_calls(world.store) - before, 2 * one);
    world_restart(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_better_one_is_found),
        cmocka_unit_test(test_what_cannot_be_kept_proves_nothing),
        cmocka_unit_test(test_what_is_given_up_is_not_given),
        cmocka_unit_test(test_what_is_kept_is_proven),
        cmocka_unit_test(test_a_wrong_one_goes),
        cmocka_unit_test(test_none_that_is_larger_than_the_whole),
        cmocka_unit_test(test_only_where_there_is_hope),
        cmocka_unit_test(test_a_short_list),
        cmocka_unit_test(test_one_at_a_time),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
