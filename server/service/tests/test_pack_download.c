/* SPDX-License-Identifier: MIT */
#include "server/service/pack_download.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/pack.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"

#define COUNT 40

static struct world world;
static struct sample sample; /* small ones */
static struct sample large;  /* one that is not small */

static int setup(enum world_kind kind)
{
    enum pushes_outcome outcome;
    int r;

    world_open(&world, kind);
    sample_make(&sample, 31, COUNT, 3000);
    sample_make(&large, 32, 1, PACK_DOWNLOAD_MEMBER_MAX + 1);
    r = sample_push(&world, &world.caller, "p", "a", "1", &sample, &outcome, NULL, NULL, NULL);
    return r == 0 ? sample_push(&world, &world.caller, "p", "a", "2", &large, &outcome, NULL, NULL,
                                NULL)
                  : r;
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
    sample_release(&large);
    world_close(&world);
    return 0;
}

struct got {
    const struct digest *wanted;
    size_t at, count;
};

/* In the order asked for; those that were left out are skipped. */
static int take(void *context, const struct pack_member *member, struct error *err)
{
    struct got *got = context;

    assert_null(member->damage);
    while (!digest_equal(&got->wanted[got->at], &member->sha256))
        got->at++;
    for (size_t i = 0; i < COUNT; i++) {
        if (digest_equal(&sample.blobs[i].sha256, &member->sha256)) {
            assert_int_equal(member->size, sample.blobs[i].size);
            assert_memory_equal(member->bytes.bytes, sample.blobs[i].bytes, member->size);
        }
    }
    got->count++;
    return 0;
}

/* How many members came; *out_size: bytes of the pack. */
static size_t download(const char *version, const struct digest *wanted, size_t count,
                       bool compress, uint64_t *out_size)
{
    static const struct pack_limits limits = { PACK_DOWNLOAD_MEMBER_MAX, PACK_DOWNLOAD_COUNT_MAX };
    struct got got = { wanted, 0, 0 };
    struct pack_download *pack;
    struct pack_reader *reader;
    uint8_t piece[777];
    size_t size;

    *out_size = 0;
    assert_int_equal(pack_download_open(world.services, &world.caller.identity, "p", "a", version,
                                        wanted, count, compress, &pack, NULL, NULL),
                     0);
    assert_int_equal(pack_reader_new(&reader, &limits, take, &got, NULL), 0);
    do {
        assert_int_equal(pack_download_read(pack, piece, sizeof(piece), &size, NULL), 0);
        assert_int_equal(pack_reader_feed(reader, piece, size, NULL), 0);
        *out_size += size;
    } while (size > 0);
    assert_int_equal(pack_reader_end(reader, NULL), 0);
    pack_reader_free(reader);
    pack_download_free(pack);
    return got.count;
}

static void test_all_in_their_order(void **state)
{
    struct digest wanted[COUNT + 2];
    uint64_t plain, packed;

    for (size_t i = 0; i < COUNT; i++)
        wanted[i] = sample.blobs[COUNT - 1 - i].sha256;
    wanted[COUNT] = sample.content;
    wanted[COUNT + 1] = sample.times_sha256;
    assert_int_equal(download("1", wanted, COUNT + 2, false, &plain), COUNT + 2);
    assert_int_equal(download("latest", NULL, 0, false, &plain), 0);
    assert_int_equal(download("1", wanted, COUNT + 2, false, &plain), COUNT + 2);
    assert_int_equal(download("1", wanted, COUNT + 2, true, &packed), COUNT + 2);
    assert_true(packed < plain); /* the times are much alike */
}

static void test_larger_ones_are_left_out(void **state)
{
    struct digest wanted[] = { large.blobs[0].sha256, large.content };
    uint64_t size;

    assert_int_equal(download("2", wanted, 2, false, &size), 1);
}

static void test_lost_ones_are_left_out(void **state)
{
    struct digest wanted[3];
    uint64_t size;

    for (size_t i = 0; i < 3; i++)
        wanted[i] = sample.blobs[i].sha256;
    world_restart(&world); /* nothing is open */
    assert_int_equal(download("1", NULL, 0, false, &size), 0);
    fault_store_fail(world.store, 0, -EIO, 0);
    assert_int_equal(download("1", wanted, 3, false, &size), 2);
    fault_store_heal(world.store);
    assert_int_equal(download("1", wanted, 3, false, &size), 3);
}

static int open_pack(const struct caller *caller, const char *version, const struct digest *wanted,
                     size_t count, struct refusal *why)
{
    struct pack_download *pack = NULL;
    int r;

    memset(why, 0, sizeof(*why));
    r = pack_download_open(world.services, &caller->identity, "p", "a", version, wanted, count,
                           false, &pack, why, NULL);
    pack_download_free(pack);
    return r;
}

static void test_only_what_the_version_holds(void **state)
{
    struct digest wanted[2] = { sample.blobs[0].sha256, large.blobs[0].sha256 };
    struct digest *many = memory_array(PACK_DOWNLOAD_COUNT_MAX + 1, sizeof(*many));
    struct caller outsider;
    struct refusal why;
    char text[64];

    assert_int_equal(open_pack(&world.caller, "1", wanted, 2, &why), -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_int_equal(open_pack(&world.caller, "3", wanted, 1, &why), -ENOENT);
    assert_int_equal(open_pack(&world.caller, "1", many, PACK_DOWNLOAD_COUNT_MAX + 1, &why),
                     -EFBIG);
    assert_int_equal(why.code, REFUSAL_TOO_LARGE);
    world_token(&world, "other", NULL, ACCESS_PULL, &outsider, text);
    assert_int_equal(open_pack(&outsider, "1", wanted, 1, &why), -ENOENT);
    memory_free(many);
}

static void test_none_twice(void **state)
{
    struct digest wanted[COUNT + 1];
    struct refusal why;

    for (size_t i = 0; i < COUNT; i++)
        wanted[i] = sample.blobs[i].sha256;
    wanted[COUNT] = wanted[7];
    assert_int_equal(open_pack(&world.caller, "1", wanted, COUNT, &why), 0);
    assert_int_equal(open_pack(&world.caller, "1", wanted, COUNT + 1, &why), -EINVAL);
    assert_int_equal(why.code, REFUSAL_VALIDATION);
}

/* The argument names the store: "memory" or "file". */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_in_their_order),
        cmocka_unit_test(test_larger_ones_are_left_out),
        cmocka_unit_test(test_lost_ones_are_left_out),
        cmocka_unit_test(test_only_what_the_version_holds),
        cmocka_unit_test(test_none_twice),
    };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
