/* SPDX-License-Identifier: MIT */
/* Few bytes here and there of a large object (blob_sparse.c). */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/client/blob_fetch.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

#define KIB 1024
#define MIB (1024 * 1024)
#define SIZE (70 * MIB + 777) /* 141 pieces; its tree has three levels */
#define FAR (4 * MIB)         /* the least offset that is not next to the beginning */
#define WITHIN_MS 20000

struct world {
    struct server *servers[2];
    char *folder;
    struct kit kit;
    struct blob_object *object;
    uint8_t *out;
};

static struct sample *sample;

static int sample_make(void **state)
{
    sample = sample_new(SIZE, 7);
    return 0;
}

static int sample_end(void **state)
{
    sample_free(sample);
    return 0;
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    const struct sample *samples[] = { sample };

    for (size_t i = 0; i < 2; i++)
        world->servers[i] = server_start(samples, 1);
    world->folder = temporary_new();
    world->out = malloc(MIB);
    *state = world;
    return 0;
}

static void begin(struct world *world, size_t servers)
{
    world->kit = kit_new(world->servers, servers, world->folder, 0);
    world->object = kit_object(&world->kit, sample, 0);
}

static void end(struct world *world)
{
    world->object = blob_object_unref(world->object);
    kit_free(&world->kit);
    world->kit = (struct kit){ 0 };
}

static int world_free(void **state)
{
    struct world *world = *state;

    if (world->kit.engine != NULL)
        end(world);
    for (size_t i = 0; i < 2; i++)
        server_stop(world->servers[i]);
    temporary_remove(world->folder);
    free(world->out);
    free(world);
    return 0;
}

static void read_right(struct world *world, uint64_t offset, size_t size)
{
    memset(world->out, 0, size);
    assert_int_equal(kit_read(&world->kit, world->object, offset, world->out, size, WITHIN_MS), 0);
    assert_memory_equal(world->out, sample->bytes + offset, size);
}

static bool has(struct world *world, uint64_t offset)
{
    return blob_entry_has(blob_object_entry(world->object), offset / BLOB_PIECE_SIZE);
}

/* The levels are known, and nothing is on its way. */
static void settle(struct world *world)
{
    read_right(world, 60 * MIB, 10);
    while (!has(world, 60 * MIB))
        assert_int_equal(http_loop_run_once(world->kit.loop, 100, NULL), 0);
}

static void few_bytes_move_few_bytes(void **state)
{
    struct world *world = *state;
    static const struct {
        uint64_t offset;
        size_t size;
    } reads[] = { { 40 * MIB, 4096 },       { FAR + 1, 1 },      { 60 * MIB - 1, 1 },
                  { 20 * MIB + 4095, 2 },   { SIZE - 700, 700 }, { 30 * MIB + 3 * KIB, 64 * KIB },
                  { 50 * MIB - 4096, 4096 } };

    begin(world, 1);
    for (size_t i = 0; i < sizeof(reads) / sizeof(*reads); i++)
        read_right(world, reads[i].offset, reads[i].size);
    /* the upper levels are 8 KiB, each bottom block 4, the last reads a run of them */
    assert_true(atomic_load(&world->servers[0]->sent) < (uint64_t)1 * MIB);
    assert_false(has(world, 40 * MIB));
}

static void what_was_touched_is_brought_behind(void **state)
{
    struct world *world = *state;

    begin(world, 1);
    read_right(world, 40 * MIB, 4096);
    read_right(world, 10 * MIB, 4096);
    while (!has(world, 40 * MIB) || !has(world, 10 * MIB))
        assert_int_equal(http_loop_run_once(world->kit.loop, 100, NULL), 0);
    assert_int_equal(blob_fetch_try_cached(world->object, 40 * MIB + 9, world->out, 5), 0);
    assert_memory_equal(world->out, sample->bytes + 40 * MIB + 9, 5);
    assert_false(has(world, 20 * MIB));
}

static void a_piece_that_is_read_again_comes_whole(void **state)
{
    struct world *world = *state;

    begin(world, 1);
    for (size_t i = 0; i < 4; i++) {
        assert_false(has(world, 40 * MIB));
        read_right(world, 40 * MIB + i * 8192, 100);
        read_right(world, FAR + i * 3 * MIB, 100); /* not one behind the other */
    }
    while (!has(world, 40 * MIB))
        assert_int_equal(http_loop_run_once(world->kit.loop, 100, NULL), 0);
}

static void many_reads_share_runs_of_the_bottom(void **state)
{
    struct world *world = *state;

    begin(world, 1);
    for (uint64_t i = 0; i < 100; i++)
        read_right(world, FAR + (i * 37 % 120) * BLOB_PIECE_SIZE + i * 4096, 4096);
    /* the upper levels, 4 single blocks, three runs */
    assert_true(atomic_load(&world->servers[0]->merkle_requests) <= 8);
    assert_true(atomic_load(&world->servers[0]->blob_requests) >= 100);
}

static void a_reader_that_goes_forward_takes_pieces(void **state)
{
    struct world *world = *state;
    unsigned before;

    begin(world, 1);
    read_right(world, 40 * MIB, 4096);
    before = atomic_load(&world->servers[0]->blob_requests);
    for (size_t at = 4096; at < MIB; at += 4096)
        read_right(world, 40 * MIB + at, 4096);
    assert_true(atomic_load(&world->servers[0]->blob_requests) - before < 10);
}

/* Whatever the server does to these answers: right bytes, by whole pieces if need be; or, when it
 * lies about these as well, none. */
static void no_lie_is_believed(void **state)
{
    struct world *world = *state;

    for (int lie = LIE_FLIP; lie < LIE_COUNT; lie++) {
        struct blob_fetch_stats stats;

        begin(world, 1);
        settle(world);
        atomic_store(&world->servers[0]->lie, lie);
        atomic_store(&world->servers[0]->lies_left, 2); /* a bottom block is asked for, too */
        read_right(world, 40 * MIB + 5, 4096);
        blob_fetch_stats(world->kit.engine, &stats);
        if (lie < LIE_MERKLE_FLIP && lie != LIE_SHORT && stats.integrity_failures == 0)
            fail_msg("lie %d was not seen", lie);
        atomic_store(&world->servers[0]->lie, lie);
        atomic_store(&world->servers[0]->lies_left, -1);
        memset(world->out, 0, 100);
        if (kit_read(&world->kit, world->object, 20 * MIB, world->out, 100, WITHIN_MS) == 0)
            assert_memory_equal(world->out, sample->bytes + 20 * MIB, 100);
        else
            assert_int_not_equal(lie, LIE_MERKLE_404);
        atomic_store(&world->servers[0]->lie, LIE_NONE);
        end(world);
        temporary_remove(world->folder);
        world->folder = temporary_new();
    }
}

static void a_wrong_bottom_is_no_harm(void **state)
{
    struct world *world = *state;
    struct blob_fetch_stats stats;

    begin(world, 1);
    atomic_store(&world->servers[0]->bottom_is_wrong, true);
    read_right(world, 40 * MIB, 4096);
    blob_fetch_stats(world->kit.engine, &stats);
    assert_true(stats.integrity_failures >= 1);
    /* it is not tried at each read */
    read_right(world, 20 * MIB, 4096);
    read_right(world, 50 * MIB, 4096);
    blob_fetch_stats(world->kit.engine, &stats);
    assert_int_equal(stats.integrity_failures, 1);
}

static void a_server_that_is_away_is_passed_over(void **state)
{
    struct world *world = *state;

    begin(world, 2);
    settle(world);
    atomic_store(&world->servers[0]->status, 503);
    atomic_store(&world->servers[0]->status_left, 1000);
    read_right(world, 40 * MIB, 4096);
    assert_true(atomic_load(&world->servers[1]->blob_requests) >= 1);
}

static void reads_can_be_cancelled(void **state)
{
    struct world *world = *state;
    struct outcome outcomes[3] = { 0 };
    struct blob_read *reads[3];

    begin(world, 1);
    settle(world);
    atomic_store(&world->servers[0]->hang, 1);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(blob_fetch_read(world->object, (10 + 10 * i) * MIB, world->out, 4096,
                                         clock_monotonic_ms() + WITHIN_MS, note_outcome,
                                         &outcomes[i], &reads[i], NULL),
                         0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(http_loop_run_once(world->kit.loop, 10, NULL), 0);
    blob_read_cancel(reads[1]);
    assert_true(outcomes[1].done);
    assert_int_equal(outcomes[1].result, -ECANCELED);
    assert_false(outcomes[0].done);
    atomic_store(&world->servers[0]->hang, 0);
    end(world); /* with two on their way */
    assert_int_equal(outcomes[0].result, -ECANCELED);
    assert_int_equal(outcomes[2].result, -ECANCELED);
}

static void a_deadline_holds(void **state)
{
    struct world *world = *state;

    begin(world, 1);
    settle(world);
    atomic_store(&world->servers[0]->hang, 1);
    assert_int_equal(kit_read(&world->kit, world->object, 40 * MIB, world->out, 100, 200),
                     -ETIMEDOUT);
    atomic_store(&world->servers[0]->hang, 0);
    read_right(world, 40 * MIB, 100);
}

static void threads_read_at_random(void **state)
{
    struct world *world = *state;

    begin(world, 1);
    kit_read_at_random(&world->kit, world->object, sample, 8192, 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(few_bytes_move_few_bytes),
        CASE(what_was_touched_is_brought_behind),
        CASE(a_piece_that_is_read_again_comes_whole),
        CASE(many_reads_share_runs_of_the_bottom),
        CASE(a_reader_that_goes_forward_takes_pieces),
        CASE(no_lie_is_believed),
        CASE(a_wrong_bottom_is_no_harm),
        CASE(a_server_that_is_away_is_passed_over),
        CASE(reads_can_be_cancelled),
        CASE(a_deadline_holds),
        CASE(threads_read_at_random),
    };

    return cmocka_run_group_tests(tests, sample_make, sample_end);
}
