/* SPDX-License-Identifier: MIT */
#include "fs/reads/read_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"
#include "tests/support/unit.h"

#define PIECE ((uint64_t)512 * 1024)
#define LARGE (10 * PIECE)
#define HUGE (1000 * PIECE)

/* records: a 1, d 2, huge 3, large 4, many 5, d/b 6 */
static const struct sample_entry entries[] = {
    { "a", 100, 1 },     { "d/", 0, 0 },        { "d/b", 7, 2 },
    { "huge", HUGE, 3 }, { "large", LARGE, 4 }, { "many", 64 * PIECE, 5 },
};
enum { A = 1, HUGE_FILE = 3, LARGE_FILE = 4, MANY = 5, B = 6 };

struct fixture {
    struct sample_tree sample;
    struct tree tree;
    struct read_log *log;
};

static int setup(void **state)
{
    static struct fixture fixture;

    sample_tree_make_of(&fixture.sample, entries, sizeof(entries) / sizeof(entries[0]));
    assert_int_equal(tree_open_names(buf_span(&fixture.sample.image), &fixture.tree, NULL), 0);
    fixture.log = read_log_new();
    assert_non_null(fixture.log);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    assert_null(read_log_free(fixture->log));
    sample_tree_release(&fixture->sample);
    return 0;
}

static bool note(struct fixture *fixture, uint32_t index, uint64_t offset, uint64_t size)
{
    return read_log_note(fixture->log, index, tree_record(&fixture->tree, index).size, offset,
                         size);
}

/* Ranges in pieces. */
static void expect(struct fixture *fixture, const char *files)
{
    cleanup(reads_release) struct reads reads = reads_init();
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);

    read_log_stop(fixture->log);
    assert_int_equal(read_log_take(fixture->log, &fixture->tree, &reads, NULL), 0);
    for (size_t i = 0; i < reads.count; i++) {
        struct span path = reads_path(&reads, i);

        buf_add_span(&out, path);
        for (size_t k = 0; k < reads.files[i].range_count; k++)
            buf_format(&out, " %llu+%llu",
                       (unsigned long long)(reads_ranges(&reads, i)[k].offset / PIECE),
                       (unsigned long long)(reads_ranges(&reads, i)[k].length / PIECE));
        buf_add_text(&out, "|");
    }
    assert_string_equal(buf_text(&out), files);
}

static void files_in_the_order_of_their_first_reads(void **state)
{
    assert_true(note(*state, B, 0, 7));
    assert_false(note(*state, A, 0, 50));
    assert_false(note(*state, B, 3, 4));
    assert_false(note(*state, A, 50, 50));
    expect(*state, "d/b|a|");
}

static void ranges_of_large_ones(void **state)
{
    note(*state, LARGE_FILE, 9 * PIECE + 5, 1);
    note(*state, LARGE_FILE, PIECE - 1, 2);
    note(*state, A, 0, 1);
    note(*state, LARGE_FILE, 5 * PIECE, PIECE);
    expect(*state, "large 0+2 5+1 9+1|a|");
}

static void one_that_is_read_to_its_end_is_whole(void **state)
{
    for (uint64_t at = 0; at < LARGE; at += PIECE / 4)
        note(*state, LARGE_FILE, at, PIECE / 4);
    expect(*state, "large|");
}

/* Units grow with the file: 1,000 pieces are 32 units of 32 pieces. */
static void a_huge_one_leaves_room_for_others(void **state)
{
    for (uint64_t at = 0; at < HUGE / 2; at += PIECE)
        note(*state, HUGE_FILE, at, PIECE);
    note(*state, HUGE_FILE, HUGE - 1, 1);
    note(*state, A, 0, 1);
    expect(*state, "huge 0+512 992+8|a|");
}

static void scattered_reads_have_a_bound(void **state)
{
    for (uint64_t i = 0; i < 32; i += 2) /* every other unit */
        note(*state, MANY, i * 2 * PIECE, 1);
    expect(*state, "many 0+2 4+2 8+2 12+2 16+2 20+2 24+2 28+2 32+2 36+2 40+2 44+2 48+2 52+2 56+2"
                   " 60+2|");
}

static void nothing_is_noted_before_and_after(void **state)
{
    struct fixture *fixture = *state;

    note(fixture, A, 0, 1);
    expect(fixture, "a|");
    assert_false(note(fixture, B, 0, 1));
    expect(fixture, ""); /* taken once */
}

static void one_that_is_not_wanted(void **state)
{
    struct fixture *fixture = *state;

    note(fixture, A, 0, 1);
    read_log_stop(fixture->log);
    read_log_drop(fixture->log);
    read_log_drop(fixture->log);
    expect(fixture, "");
}

static void one_that_never_began(void **state)
{
    struct fixture *fixture = *state;

    expect(fixture, "");
    assert_false(note(fixture, A, 0, 1));
}

/* Far more files than are noted, in a tree that is not there: all notes are bounded, and those of
 * no record are left out. */
static void so_many_and_no_more(void **state)
{
    struct fixture *fixture = *state;

    note(fixture, A, 0, 1);
    for (uint32_t i = 100; i < 3 * READ_LOG_MAX; i++)
        read_log_note(fixture->log, i, 10, 0, 1);
    note(fixture, B, 0, 1);
    expect(fixture, "a|");
}

static void what_it_comes_to(void **state)
{
    cleanup(reads_release) struct reads reads = reads_init();
    struct fixture *fixture = *state;
    struct read_log_sums sums;

    note(fixture, A, 0, 1);
    note(fixture, LARGE_FILE, 0, 2 * PIECE);
    read_log_stop(fixture->log);
    assert_int_equal(read_log_take(fixture->log, &fixture->tree, &reads, NULL), 0);
    sums = read_log_sums(&reads, &fixture->tree);
    assert_int_equal(sums.files, 2);
    assert_int_equal(sums.bytes, 100 + 2 * PIECE);
}

struct thread {
    struct read_log *log;
    atomic_uint *firsts;
    uint32_t seed;
};

static void *note_much(void *context)
{
    struct thread *thread = context;

    for (uint32_t i = 0; i < 20000; i++) {
        thread->seed = thread->seed * 1664525 + 1013904223;
        if (read_log_note(thread->log, 1 + (thread->seed >> 8) % 6, LARGE,
                          (thread->seed >> 12) % 10 * PIECE, 1))
            atomic_fetch_add(thread->firsts, 1);
    }
    return NULL;
}

/* Threads note while it is stopped and taken: one of them was the first, and nothing is touched
 * that is gone. */
static void many_at_once(void **state)
{
    for (int round = 0; round < 20; round++) {
        cleanup(reads_release) struct reads reads = reads_init();
        struct fixture *fixture = *state;
        struct read_log *log = read_log_new();
        struct thread threads[4];
        pthread_t ids[4];
        atomic_uint firsts = 0;

        assert_non_null(log);
        for (uint32_t i = 0; i < 4; i++) {
            threads[i] = (struct thread){ log, &firsts, i + (uint32_t)round * 100 };
            assert_int_equal(pthread_create(&ids[i], NULL, note_much, &threads[i]), 0);
        }
        while (atomic_load(&firsts) == 0)
            ;
        read_log_stop(log);
        while (read_log_take(log, &fixture->tree, &reads, NULL) == -EAGAIN)
            ;
        for (uint32_t i = 0; i < 4; i++)
            pthread_join(ids[i], NULL);
        assert_int_equal(firsts, 1);
        assert_true(reads.count <= 6);
        assert_null(read_log_free(log));
    }
}

static int take_all(struct fixture *fixture)
{
    cleanup(reads_release) struct reads reads = reads_init();
    struct read_log *log = read_log_new();
    int r;

    if (log == NULL)
        return -ENOMEM;
    if (!read_log_note(log, A, 100, 0, 1)) {
        read_log_free(log);
        return -ENOMEM;
    }
    read_log_stop(log);
    r = read_log_take(log, &fixture->tree, &reads, NULL);
    read_log_free(log);
    return r;
}

static void without_memory(void **state)
{
    assert_survives_no_memory(take_all(*state));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(files_in_the_order_of_their_first_reads),
        CASE(ranges_of_large_ones),
        CASE(one_that_is_read_to_its_end_is_whole),
        CASE(a_huge_one_leaves_room_for_others),
        CASE(scattered_reads_have_a_bound),
        CASE(nothing_is_noted_before_and_after),
        CASE(one_that_is_not_wanted),
        CASE(one_that_never_began),
        CASE(so_many_and_no_more),
        CASE(what_it_comes_to),
        CASE(many_at_once),
        CASE(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
