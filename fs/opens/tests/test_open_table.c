/* SPDX-License-Identifier: MIT */
#include "fs/opens/open_table.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "tests/support/unit.h"

#define NODE ((uint64_t)1 << 40)

/* A memory, and the process that is in it now. */
struct place {
    int fd;
    struct open_table *table;
};

static void begin(struct place *place)
{
    struct error err = { 0 };

    if (open_table_create(&place->fd, &err) < 0 ||
        open_table_attach(place->fd, &place->table, &err) < 0)
        fail_msg("%s", err.text);
}

/* The process dies, another one comes. */
static void die(struct place *place)
{
    open_table_detach(place->table);
    assert_int_equal(open_table_attach(place->fd, &place->table, NULL), 0);
}

static void end(struct place *place)
{
    open_table_detach(place->table);
    close(place->fd);
}

static struct open_grant pass(struct place *place, uint64_t node, uint64_t number, uint32_t backing)
{
    struct open_grant grant = { 0 };

    assert_int_equal(open_table_passed(place->table, node, number, backing, &grant), 0);
    assert_true(grant.handle != 0);
    assert_int_equal(grant.backing, backing);
    return grant;
}

static struct open_grant join(struct place *place, uint64_t node, uint64_t number)
{
    struct open_grant grant = { 0 };

    assert_true(open_table_join(place->table, node, number, &grant));
    return grant;
}

/* The id that no open uses any more. */
static uint32_t release(struct place *place, uint64_t node, uint64_t handle)
{
    uint32_t backing = UINT32_MAX;

    open_table_release(place->table, node, handle, &backing);
    return backing;
}

static bool is_open(const struct place *place, uint64_t node)
{
    struct open_table_counts before = open_table_count(place->table);
    struct open_grant grant;
    uint32_t none;

    if (!open_table_join(place->table, node, 99, &grant))
        return false;
    open_table_release(place->table, node, grant.handle, &none);
    assert_int_equal(open_table_count(place->table).cached, before.cached);
    assert_int_equal(open_table_count(place->table).passed, before.passed);
    return true;
}

static void a_file_has_one_way_until_its_last_release(void **state)
{
    struct place place;
    struct open_grant first, second, third;

    begin(&place);
    assert_false(open_table_join(place.table, NODE, 2, &first));
    first = pass(&place, NODE, 2, 7);
    second = join(&place, NODE, 4);
    assert_int_equal(second.backing, 7);
    assert_true(second.handle != first.handle);
    assert_int_equal(release(&place, NODE, first.handle), 0);
    third = join(&place, NODE, 6);
    assert_int_equal(third.backing, 7);
    assert_int_equal(release(&place, NODE, third.handle), 0);
    assert_int_equal(release(&place, NODE, second.handle), 7);
    /* Then it may have the other one. */
    first = open_table_cached(place.table, NODE, 8);
    assert_int_equal(first.backing, 0);
    assert_int_equal(join(&place, NODE, 10).backing, 0);
    assert_int_equal(open_table_count(place.table).cached, 2);
    assert_int_equal(release(&place, NODE, first.handle), 0);
    assert_true(is_open(&place, NODE));
    end(&place);
}

static void a_release_counts_once(void **state)
{
    struct place place;
    struct open_grant first, second;

    begin(&place);
    first = pass(&place, NODE, 2, 7);
    second = join(&place, NODE, 4);
    assert_int_equal(release(&place, NODE, first.handle), 0);
    assert_int_equal(release(&place, NODE, first.handle), 0);
    /* Its entry has another open now. */
    assert_int_equal(join(&place, NODE, 6).handle & UINT32_MAX, first.handle & UINT32_MAX);
    assert_int_equal(release(&place, NODE, first.handle), 0);
    assert_int_equal(open_table_count(place.table).passed, 2);
    /* Of another file, of nothing at all. */
    assert_int_equal(release(&place, NODE + 1, second.handle), 0);
    assert_int_equal(release(&place, NODE, 0), 0);
    assert_int_equal(release(&place, NODE, UINT64_MAX), 0);
    assert_int_equal(release(&place, NODE, 12345), 0);
    assert_int_equal(open_table_count(place.table).passed, 2);
    end(&place);
}

static void what_is_asked_again_is_answered_as_before(void **state)
{
    struct place place;
    struct open_grant passed, cached, again = { 0 };

    begin(&place);
    passed = pass(&place, NODE, 2, 7);
    cached = open_table_cached(place.table, NODE + 1, 4);
    die(&place);
    assert_true(open_table_find(place.table, NODE, 2, &again));
    assert_true(again.handle == passed.handle && again.backing == 7);
    assert_true(open_table_find(place.table, NODE + 1, 4, &again));
    assert_true(again.handle == cached.handle && again.backing == 0);
    assert_false(open_table_find(place.table, NODE, 4, &again));
    assert_false(open_table_find(place.table, NODE + 2, 2, &again));
    assert_int_equal(open_table_count(place.table).passed, 1);
    assert_int_equal(release(&place, NODE, passed.handle), 7);
    assert_false(open_table_find(place.table, NODE, 2, &again));
    end(&place);
}

static void a_death_forgets_nothing(void **state)
{
    struct place place;
    struct open_grant first, second, cached;
    uint32_t ids[4];
    size_t count = 9;

    begin(&place);
    first = pass(&place, NODE, 2, 7);
    second = join(&place, NODE, 4);
    cached = open_table_cached(place.table, NODE + 1, 6);
    release(&place, NODE + 3, pass(&place, NODE + 3, 8, 9).handle);
    die(&place);
    assert_int_equal(open_table_count(place.table).passed, 2);
    assert_int_equal(open_table_count(place.table).cached, 1);
    assert_int_equal(open_table_count(place.table).backings, 1);
    assert_false(is_open(&place, NODE + 3));
    assert_int_equal(join(&place, NODE, 10).backing, 7);
    assert_int_equal(join(&place, NODE + 1, 12).backing, 0);
    assert_int_equal(release(&place, NODE, first.handle), 0);
    die(&place);
    /* Sent again to the next one. */
    assert_int_equal(release(&place, NODE, first.handle), 0);
    assert_int_equal(release(&place, NODE, second.handle), 0);
    assert_int_equal(release(&place, NODE + 1, cached.handle), 0);
    assert_int_equal(open_table_backings(place.fd, ids, 4, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 7);
    end(&place);
}

static void ids_are_told_once_and_in_order(void **state)
{
    struct place place;
    uint32_t ids[3];
    size_t count = 0;

    begin(&place);
    for (uint32_t i = 0; i < 5; i++) {
        pass(&place, NODE + i, 2, 50 - i * 10);
        join(&place, NODE + i, 4);
    }
    open_table_cached(place.table, NODE + 9, 4);
    assert_int_equal(open_table_backings(place.fd, ids, 3, &count), 0);
    assert_int_equal(count, 3);
    assert_true(ids[0] == 10 && ids[1] == 20 && ids[2] == 30);
    assert_true(open_table_has_backing(ids, 3, 20));
    assert_false(open_table_has_backing(ids, 3, 25));
    assert_false(open_table_has_backing(ids, 0, 10));
    end(&place);
}

/* One process after the other, killed wherever it is, of which each takes and gives back; the next
 * one finds a table in which no file has two ways. */
static _Noreturn void work_until_killed(int fd, unsigned seed)
{
    struct open_grant held[64] = { 0 };
    struct open_table *table = NULL;
    uint64_t numbers = (uint64_t)seed << 32;

    if (open_table_attach(fd, &table, NULL) < 0)
        _exit(1);
    for (;;) {
        size_t i = (size_t)rand_r(&seed) % 64;
        uint64_t node = NODE + i % 8;
        uint32_t none;
        if (held[i].handle != 0) {
            open_table_release(table, node, held[i].handle, &none);
            held[i].handle = 0;
        } else if (!open_table_join(table, node, ++numbers, &held[i])) {
            if (rand_r(&seed) % 2 == 0)
                held[i] = open_table_cached(table, node, ++numbers);
            else if (open_table_passed(table, node, ++numbers, (uint32_t)(node - NODE) + 1,
                                       &held[i]) < 0)
                _exit(2);
        }
    }
}

static void a_kill_at_any_point_leaves_it_whole(void **state)
{
    uint32_t ids[16];
    size_t count;
    int fd, status;

    assert_int_equal(open_table_create(&fd, NULL), 0);
    for (unsigned round = 0; round < 60; round++) {
        struct open_table *table = NULL;
        struct open_table_counts counts;
        pid_t pid = fork();
        if (pid == 0)
            work_until_killed(fd, round);
        usleep(1000 + round * 37);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(open_table_attach(fd, &table, NULL), 0);
        counts = open_table_count(table);
        assert_int_equal(open_table_backings(fd, ids, 16, &count), 0);
        assert_int_equal(count, counts.backings);
        for (uint64_t node = NODE; node < NODE + 8; node++) {
            struct open_grant grant;
            if (open_table_join(table, node, 1, &grant))
                assert_true(grant.backing == 0 || grant.backing == node - NODE + 1);
        }
        open_table_detach(table);
    }
    close(fd);
}

static void a_full_table_keeps_what_it_cannot_count(void **state)
{
    struct place place;
    struct open_grant first, cached, grant = { 0 };

    begin(&place);
    first = pass(&place, NODE, 2, 7);
    cached = open_table_cached(place.table, NODE + 1, 4);
    for (uint64_t i = 2; i < OPEN_TABLE_OPENS; i++)
        assert_true(open_table_join(place.table, NODE + 1, i * 2, &grant));
    assert_true(open_table_may_pass(place.table));
    /* Without an entry, in the way that the file has; from now on for ever. */
    assert_true(open_table_join(place.table, NODE, 1000000, &grant));
    assert_true(grant.handle == 0 && grant.backing == 7);
    assert_true(open_table_join(place.table, NODE + 1, 1000002, &grant));
    assert_true(grant.handle == 0 && grant.backing == 0);
    assert_true(open_table_may_pass(place.table));
    assert_int_equal(open_table_passed(place.table, NODE + 2, 1000004, 8, &grant), -ENOSPC);
    grant = open_table_cached(place.table, NODE + 2, 1000004);
    assert_true(grant.handle == 0 && grant.backing == 0);
    assert_false(open_table_may_pass(place.table));
    assert_int_equal(release(&place, NODE, 0), 0);
    assert_int_equal(release(&place, NODE, first.handle), 0);
    assert_int_equal(release(&place, NODE + 1, cached.handle), 0);
    die(&place);
    assert_int_equal(open_table_count(place.table).passed, 1);
    assert_int_equal(join(&place, NODE, 1000006).backing, 7);
    assert_false(open_table_may_pass(place.table));
    end(&place);
}

static void only_so_many_files_have_a_backing(void **state)
{
    struct place place;
    struct open_grant grant;

    begin(&place);
    for (uint32_t i = 0; i < OPEN_TABLE_BACKINGS; i++) {
        assert_true(open_table_may_pass(place.table));
        grant = pass(&place, NODE + i, 2 * i, i + 1);
    }
    assert_false(open_table_may_pass(place.table));
    assert_int_equal(release(&place, NODE + OPEN_TABLE_BACKINGS - 1, grant.handle),
                     OPEN_TABLE_BACKINGS);
    assert_true(open_table_may_pass(place.table));
    end(&place);
}

static void another_memory_is_refused(void **state)
{
    struct open_table *table = NULL;
    struct error err = { 0 };
    uint32_t ids[1];
    size_t count = 9;
    uint64_t wrong = 1;
    int fd = memfd_create("other", MFD_CLOEXEC), good;

    assert_int_equal(open_table_attach(fd, &table, &err), -EBADMSG);
    assert_int_equal(ftruncate(fd, 64 << 20), 0);
    assert_int_equal(open_table_attach(fd, &table, &err), -EBADMSG);
    assert_int_equal(open_table_backings(fd, ids, 1, &count), -EBADMSG);
    assert_int_equal(count, 9);
    assert_null(table);
    close(fd);
    assert_int_equal(open_table_create(&good, NULL), 0);
    assert_int_equal(pwrite(good, &wrong, sizeof(wrong), 0), sizeof(wrong));
    assert_int_equal(open_table_attach(good, &table, &err), -EBADMSG);
    close(good);
}

/* Whoever answered before may have been made to write anything: nothing outside is touched. */
static void any_bytes_are_taken(void **state)
{
    uint32_t seed = 5;

    for (int round = 0; round < 20; round++) {
        struct open_table *table = NULL;
        struct open_grant grant;
        uint32_t words[2048], none, ids[8];
        size_t count = 0;
        int fd;
        assert_int_equal(open_table_create(&fd, NULL), 0);
        for (size_t i = 0; i < 2048; i++)
            words[i] = (uint32_t)rand_r(&seed) >> (rand_r(&seed) % 32);
        assert_int_equal(pwrite(fd, words, 8, 16), 8); /* high, untracked */
        assert_int_equal(pwrite(fd, words, sizeof(words), 4096), sizeof(words));
        assert_int_equal(open_table_attach(fd, &table, NULL), 0);
        for (size_t i = 0; i + 8 <= 2048; i += 8) {
            uint64_t node = words[i + 2] | (uint64_t)words[i + 3] << 32;
            open_table_find(table, node, words[i + 4], &grant);
            open_table_release(table, node, (uint64_t)words[i + 1] << 32 | (i / 8 + 1), &none);
            open_table_join(table, node, 2, &grant);
        }
        assert_int_equal(open_table_backings(fd, ids, 8, &count), 0);
        assert_true(count <= 8);
        open_table_detach(table);
        close(fd);
    }
}

static int attach_and_open(int fd)
{
    struct open_table *table = NULL;
    struct open_grant grant;
    int r = open_table_attach(fd, &table, NULL);

    if (r == 0)
        r = open_table_passed(table, NODE + 5, 20, 9, &grant);
    if (r == 0)
        open_table_release(table, NODE + 5, grant.handle, &grant.backing);
    open_table_detach(table);
    return r;
}

static void no_memory(void **state)
{
    struct place place;
    struct open_grant grant;
    uint32_t none;

    begin(&place);
    for (uint64_t i = 0; i < 3; i++)
        grant = pass(&place, NODE + i, i, 7);
    open_table_release(place.table, NODE + 2, grant.handle, &none);
    assert_survives_no_memory(attach_and_open(place.fd));
    /* A cached open is given all the same; nothing begins to have a backing file then. */
    memory_fail_after(0);
    grant = open_table_cached(place.table, NODE + 7, 30);
    memory_fail_after(-1);
    assert_true(grant.handle == 0 && grant.backing == 0);
    assert_false(open_table_may_pass(place.table));
    end(&place);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_has_one_way_until_its_last_release),
        cmocka_unit_test(a_release_counts_once),
        cmocka_unit_test(what_is_asked_again_is_answered_as_before),
        cmocka_unit_test(a_death_forgets_nothing),
        cmocka_unit_test(ids_are_told_once_and_in_order),
        cmocka_unit_test(a_kill_at_any_point_leaves_it_whole),
        cmocka_unit_test(a_full_table_keeps_what_it_cannot_count),
        cmocka_unit_test(only_so_many_files_have_a_backing),
        cmocka_unit_test(another_memory_is_refused),
        cmocka_unit_test(any_bytes_are_taken),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("open_table", tests, NULL, NULL);
}
