/* SPDX-License-Identifier: MIT */
#include "server/storage/tests/conformance.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/error.h"

#define KEY "abcd1111"
#define PIECE 10000

static uint8_t *pattern(unsigned seed, size_t size)
{
    uint8_t *bytes = memory_array(size + 1, 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seed + i * 31);
    return bytes;
}

static int write_range(struct blob_writer *writer, unsigned seed, size_t from, size_t to)
{
    uint8_t *bytes = pattern(seed, to);
    size_t n;
    int r = 0;

    for (size_t at = from; at < to && r >= 0; at += n) {
        n = to - at < PIECE ? to - at : PIECE;
        r = blob_writer_write(writer, bytes + at, n, NULL);
    }
    memory_free(bytes);
    return r;
}

int conformance_put(struct blob_store *store, const char *key, unsigned seed, size_t size)
{
    struct blob_writer *writer;
    int r = blob_store_create(store, key, size, &writer, NULL);

    if (r < 0)
        return r;
    r = write_range(writer, seed, 0, size);
    if (r < 0) {
        blob_writer_abort(writer);
        return r;
    }
    return blob_writer_commit(writer, NULL);
}

static void expect_range(struct blob_store *store, const char *key, unsigned seed, size_t from,
                         size_t to)
{
    struct blob_reader reader = { 0 };
    uint8_t *wanted = pattern(seed, to);
    uint8_t *found = pattern(1, to);

    assert_int_equal(blob_store_open(store, key, from, to - from, &reader, NULL), 0);
    assert_int_equal(reader.size, to - from);
    assert_int_equal(blob_reader_read(&reader, 0, found, to - from, NULL), 0);
    assert_memory_equal(found, wanted + from, to - from);
    if (reader.fd >= 0 && to > from) {
        assert_int_equal(pread(reader.fd, found, to - from, (off_t)reader.fd_offset), to - from);
        assert_memory_equal(found, wanted + from, to - from);
    }
    blob_reader_release(&reader);
    blob_reader_release(&reader);
    memory_free(wanted);
    memory_free(found);
}

void conformance_expect(struct blob_store *store, const char *key, unsigned seed, size_t size)
{
    struct blob_reader reader = { 0 };

    expect_range(store, key, seed, 0, size);
    assert_int_equal(blob_store_open(store, key, 0, UINT64_MAX, &reader, NULL), 0);
    assert_int_equal(reader.size, size);
    blob_reader_release(&reader);
}

static void expect_absent(struct blob_store *store, const char *key)
{
    struct blob_reader reader;

    assert_int_equal(blob_store_open(store, key, 0, 0, &reader, NULL), -ENOENT);
}

static void what_is_put_can_be_read(void **state)
{
    struct blob_store *store = conformance_open(state);

    assert_int_equal(conformance_put(store, KEY, 5, 50000), 0);
    conformance_expect(store, KEY, 5, 50000);
    expect_range(store, KEY, 5, 4097, 12345);
    expect_range(store, KEY, 5, 50000, 50000);
    assert_int_equal(conformance_put(store, "abcd-empty", 5, 0), 0);
    conformance_expect(store, "abcd-empty", 5, 0);
    conformance_close(state, store);
}

static void nothing_is_read_beyond_the_end(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_reader reader = { 0 };
    uint8_t bytes[8];

    assert_int_equal(conformance_put(store, KEY, 5, 100), 0);
    assert_int_equal(blob_store_open(store, KEY, 0, 101, &reader, NULL), -EBADMSG);
    assert_int_equal(blob_store_open(store, KEY, 101, 0, &reader, NULL), -EBADMSG);
    assert_int_equal(blob_store_open(store, KEY, 101, UINT64_MAX, &reader, NULL), -EBADMSG);
    assert_int_equal(blob_store_open(store, KEY, UINT64_MAX, 2, &reader, NULL), -EBADMSG);
    assert_int_equal(blob_store_open(store, KEY, 90, 5, &reader, NULL), 0);
    assert_int_equal(blob_reader_read(&reader, 0, bytes, 6, NULL), -EINVAL);
    assert_int_equal(blob_reader_read(&reader, 6, bytes, 0, NULL), -EINVAL);
    assert_int_equal(blob_reader_read(&reader, UINT64_MAX, bytes, 2, NULL), -EINVAL);
    blob_reader_release(&reader);
    conformance_close(state, store);
}

static void nobody_sees_it_before_the_commit(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;

    assert_int_equal(blob_store_create(store, KEY, 10, &writer, NULL), 0);
    expect_absent(store, KEY);
    assert_int_equal(write_range(writer, 1, 0, 10), 0);
    expect_absent(store, KEY);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
    conformance_expect(store, KEY, 1, 10);
    conformance_close(state, store);
}

static void what_is_aborted_never_was(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;
    uint64_t offset = 10;

    assert_int_equal(blob_store_create(store, KEY, 10, &writer, NULL), 0);
    assert_int_equal(write_range(writer, 1, 0, 5), 0);
    assert_null(blob_writer_abort(writer));
    assert_null(blob_writer_abort(NULL));
    expect_absent(store, KEY);
    assert_int_equal(blob_store_resume(store, KEY, 10, &offset, &writer, NULL), -ENOENT);
    conformance_close(state, store);
}

static void a_key_is_taken_once(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;
    struct blob_writer *second;

    assert_int_equal(blob_store_create(store, KEY, 10, &writer, NULL), 0);
    assert_int_equal(blob_store_create(store, KEY, 10, &second, NULL), -EEXIST);
    assert_int_equal(write_range(writer, 1, 0, 10), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
    assert_int_equal(blob_store_create(store, KEY, 10, &second, NULL), -EEXIST);
    conformance_expect(store, KEY, 1, 10);
    conformance_close(state, store);
}

static void more_or_less_than_promised_is_refused(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;

    assert_int_equal(blob_store_create(store, KEY, 10, &writer, NULL), 0);
    assert_int_equal(blob_writer_write(writer, "12345678901", 11, NULL), -EFBIG);
    assert_int_equal(blob_writer_write(writer, "123456789", 9, NULL), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), -EBADMSG);
    expect_absent(store, KEY);
    assert_int_equal(conformance_put(store, KEY, 1, 10), 0); /* it was forgotten */
    conformance_close(state, store);
}

static void a_suspended_object_is_resumed(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;
    uint64_t offset = UINT64_MAX;

    assert_int_equal(blob_store_create(store, KEY, 60000, &writer, NULL), 0);
    assert_int_equal(write_range(writer, 9, 0, 25000), 0);
    assert_int_equal(blob_writer_suspend(writer, NULL), 0);
    expect_absent(store, KEY);
    assert_int_equal(blob_store_resume(store, KEY, 60000, &offset, &writer, NULL), 0);
    assert_int_equal(offset, 25000);
    assert_int_equal(blob_writer_offset(writer), 25000);
    assert_int_equal(write_range(writer, 9, 25000, 40000), 0);
    assert_int_equal(blob_writer_suspend(writer, NULL), 0);
    offset = 30000; /* what is known to be hashed: the rest is cut */
    assert_int_equal(blob_store_resume(store, KEY, 60000, &offset, &writer, NULL), 0);
    assert_int_equal(offset, 30000);
    assert_int_equal(write_range(writer, 9, 30000, 60000), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
    conformance_expect(store, KEY, 9, 60000);
    assert_int_equal(blob_store_resume(store, KEY, 60000, &offset, &writer, NULL), -ENOENT);
    conformance_close(state, store);
}

static void one_writer_at_a_time(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;
    struct blob_writer *second;
    uint64_t offset = 10;

    assert_int_equal(blob_store_create(store, KEY, 10, &writer, NULL), 0);
    assert_int_equal(blob_store_resume(store, KEY, 10, &offset, &second, NULL), -EBUSY);
    assert_int_equal(blob_writer_suspend(writer, NULL), 0);
    assert_int_equal(blob_store_resume(store, KEY, 10, &offset, &second, NULL), 0);
    assert_int_equal(offset, 0);
    blob_writer_abort(second);
    conformance_close(state, store);
}

static void removing_is_idempotent(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_reader reader = { 0 };
    struct blob_writer *writer;
    uint64_t offset = 10;
    uint8_t bytes[10];

    assert_int_equal(blob_store_remove(store, KEY, NULL), 0);
    assert_int_equal(conformance_put(store, KEY, 5, 10), 0);
    assert_int_equal(blob_store_open(store, KEY, 0, 10, &reader, NULL), 0);
    assert_int_equal(blob_store_remove(store, KEY, NULL), 0);
    expect_absent(store, KEY);
    assert_int_equal(blob_reader_read(&reader, 0, bytes, 10, NULL), 0); /* who reads goes on */
    blob_reader_release(&reader);
    assert_int_equal(blob_store_create(store, "abcd2222", 10, &writer, NULL), 0);
    assert_int_equal(blob_writer_suspend(writer, NULL), 0);
    assert_int_equal(blob_store_remove(store, "abcd2222", NULL), 0);
    assert_int_equal(blob_store_resume(store, "abcd2222", 10, &offset, &writer, NULL), -ENOENT);
    conformance_close(state, store);
}

struct listed {
    unsigned count;
    uint64_t bytes;
};

static int list_count(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                      struct error *err)
{
    struct listed *listed = context;

    assert_true(blob_key_is_valid(key));
    assert_true(changed_at_s > 1600000000);
    listed->count++;
    listed->bytes += size;
    return 0;
}

static void what_is_set_aside_is_gone(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct listed listed = { 0 };

    assert_int_equal(blob_store_set_aside(store, KEY, NULL), 0); /* there is none */
    assert_int_equal(conformance_put(store, KEY, 5, 10), 0);
    assert_int_equal(conformance_put(store, "abcd2222", 6, 20), 0);
    assert_int_equal(blob_store_set_aside(store, KEY, NULL), 0);
    expect_absent(store, KEY);
    assert_int_equal(blob_store_list(store, list_count, &listed, NULL), 0);
    assert_int_equal(listed.count, 1);
    assert_int_equal(listed.bytes, 20);
    assert_int_equal(blob_store_set_aside(store, KEY, NULL), 0);
    assert_int_equal(blob_store_set_aside(store, "../x", NULL), -EINVAL);
    conformance_close(state, store);
}

static void keys_that_are_none_are_refused(void **state)
{
    static const char *const keys[] = {
        "",         "abc",       "abcde",   "../../etc/passwd", "ab/cd/ef",
        "ABCDEFGH", "ab.cdefgh", "abcd ef", "abcd\x80\x80",     ".kkartifact-store"
    };
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;
    struct blob_reader reader;
    uint64_t offset = 0;
    char too_long[BLOB_KEY_MAX + 2];

    memset(too_long, 'a', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    assert_false(blob_key_is_valid(too_long));
    too_long[BLOB_KEY_MAX] = '\0';
    assert_int_equal(conformance_put(store, too_long, 1, 3), 0);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_int_equal(blob_store_create(store, keys[i], 1, &writer, NULL), -EINVAL);
        assert_int_equal(blob_store_resume(store, keys[i], 1, &offset, &writer, NULL), -EINVAL);
        assert_int_equal(blob_store_open(store, keys[i], 0, 1, &reader, NULL), -EINVAL);
        assert_int_equal(blob_store_remove(store, keys[i], NULL), -EINVAL);
    }
    conformance_close(state, store);
}

static void many_are_committed_at_once(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writers[40];
    char key[32];

    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "ab%02uxyz%u", i, i);
        assert_int_equal(blob_store_create(store, key, 100 + i, &writers[i], NULL), 0);
        assert_int_equal(write_range(writers[i], i, 0, 100 + i), 0);
    }
    assert_int_equal(blob_writers_commit(writers, 40, NULL), 0);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(key, sizeof(key), "ab%02uxyz%u", i, i);
        conformance_expect(store, key, i, 100 + i);
    }
    assert_int_equal(blob_writers_commit(NULL, 0, NULL), 0);
    conformance_close(state, store);
}

struct worker {
    struct blob_store *store;
    unsigned index;
    unsigned failures;
};

static void *work(void *context)
{
    struct worker *worker = context;
    char key[32];

    for (unsigned i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "w%03u-%u", i, worker->index);
        if (conformance_put(worker->store, key, i, 3000 + i) != 0)
            worker->failures++;
        conformance_expect(worker->store, key, i, 3000 + i);
        if (i % 3 == 0 && blob_store_remove(worker->store, key, NULL) != 0)
            worker->failures++;
    }
    return NULL;
}

static int list_stop(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                     struct error *err)
{
    return 7;
}

static void threads_do_not_disturb_each_other(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct worker workers[8];
    pthread_t threads[8];
    struct listed listed = { 0 };

    for (unsigned i = 0; i < 8; i++) {
        workers[i] = (struct worker){ .store = store, .index = i };
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(blob_store_list(store, list_count, &listed, NULL), 0);
    assert_int_equal(listed.count, 8 * 20);
    conformance_close(state, store);
}

/* One batch: a single object, or as many as make a store commit them together. */
static int put_batch(struct blob_store *store, const char *name, unsigned seed, unsigned count)
{
    struct blob_writer *writers[6];
    char key[32];
    int r = 0;

    for (unsigned i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "%s-%u", name, i);
        r = r < 0 ? r : blob_store_create(store, key, 100 + i, &writers[i], NULL);
        r = r < 0 ? r : write_range(writers[i], seed + i, 0, 100 + i);
    }
    r = r < 0 ? r : blob_writers_commit(writers, count, NULL);
    for (unsigned i = 0; r == 0 && i < count; i++) {
        snprintf(key, sizeof(key), "%s-%u", name, i);
        conformance_expect(store, key, seed + i, 100 + i);
    }
    return r;
}

static void *work_in_batches(void *context)
{
    struct worker *worker = context;
    char name[24];

    for (unsigned i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "b%03u-%u", i, worker->index);
        if (put_batch(worker->store, name, i, (i + worker->index) % 3 == 0 ? 1 : 6) != 0)
            worker->failures++;
    }
    return NULL;
}

/* Each thread finds its objects when its call returns, whoever else committed meanwhile. */
static void batches_of_several_threads_are_committed_beside_each_other(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct worker workers[6];
    pthread_t threads[6];
    struct listed listed = { 0 };

    for (unsigned i = 0; i < 6; i++) {
        workers[i] = (struct worker){ .store = store, .index = i };
        assert_int_equal(pthread_create(&threads[i], NULL, work_in_batches, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(blob_store_list(store, list_count, &listed, NULL), 0);
    assert_int_equal(listed.count, 40 * 1 + 80 * 6);
    conformance_close(state, store);
}

static void a_list_shows_what_is_readable(void **state)
{
    struct blob_store *store = conformance_open(state);
    struct blob_writer *writer;
    struct listed listed = { 0 };

    assert_int_equal(blob_store_list(store, list_count, &listed, NULL), 0);
    assert_int_equal(listed.count, 0);
    assert_int_equal(conformance_put(store, "aaaa1111", 1, 10), 0);
    assert_int_equal(conformance_put(store, "bbbb1111", 1, 20), 0);
    assert_int_equal(blob_store_create(store, "cccc1111", 10, &writer, NULL), 0);
    assert_int_equal(blob_store_list(store, list_count, &listed, NULL), 0);
    assert_int_equal(listed.count, 2);
    assert_int_equal(listed.bytes, 30);
    assert_int_equal(blob_store_list(store, list_stop, NULL, NULL), 7);
    blob_writer_abort(writer);
    conformance_close(state, store);
}

static void it_knows_itself(void **state)
{
    struct blob_store *store = conformance_open(state);
    uint64_t bytes = 0;

    assert_string_equal(blob_store_id(store), CONFORMANCE_ID);
    assert_true(strlen(blob_store_name(store)) > 0);
    assert_int_equal(blob_store_check(store, NULL), 0);
    assert_int_equal(blob_store_free_space(store, &bytes, NULL), 0);
    assert_true(bytes > 0);
    conformance_close(state, store);
}

static void it_survives_no_memory(void **state)
{
    struct blob_store *store = conformance_open(state);

    for (int64_t n = 0;; n++) {
        struct blob_writer *writer = NULL;
        bool failed;
        int r;

        memory_fail_after(n);
        r = blob_store_create(store, KEY, 5, &writer, NULL);
        if (r >= 0)
            r = blob_writer_write(writer, "hello", 5, NULL);
        if (r >= 0)
            r = blob_writer_commit(writer, NULL);
        else
            blob_writer_abort(writer);
        failed = memory_failed();
        memory_fail_after(-1);
        if (!failed) {
            assert_int_equal(r, 0);
            break;
        }
        assert_int_equal(r, -ENOMEM);
        expect_absent(store, KEY);
    }
    conformance_close(state, store);
}

static const struct CMUnitTest cases[] = {
    cmocka_unit_test(what_is_put_can_be_read),
    cmocka_unit_test(nothing_is_read_beyond_the_end),
    cmocka_unit_test(nobody_sees_it_before_the_commit),
    cmocka_unit_test(what_is_aborted_never_was),
    cmocka_unit_test(a_key_is_taken_once),
    cmocka_unit_test(more_or_less_than_promised_is_refused),
    cmocka_unit_test(a_suspended_object_is_resumed),
    cmocka_unit_test(one_writer_at_a_time),
    cmocka_unit_test(removing_is_idempotent),
    cmocka_unit_test(keys_that_are_none_are_refused),
    cmocka_unit_test(many_are_committed_at_once),
    cmocka_unit_test(batches_of_several_threads_are_committed_beside_each_other),
    cmocka_unit_test(threads_do_not_disturb_each_other),
    cmocka_unit_test(a_list_shows_what_is_readable),
    cmocka_unit_test(what_is_set_aside_is_gone),
    cmocka_unit_test(it_knows_itself),
    cmocka_unit_test(it_survives_no_memory),
};

int conformance_run(const char *name, const struct CMUnitTest *own, size_t own_count)
{
    enum { SHARED = sizeof(cases) / sizeof(cases[0]) };
    struct CMUnitTest all[SHARED + CONFORMANCE_OWN_MAX];

    assert_true(own_count <= CONFORMANCE_OWN_MAX);
    memcpy(all, cases, sizeof(cases));
    memcpy(all + SHARED, own, own_count * sizeof(*own));
    return _cmocka_run_group_tests(name, all, SHARED + own_count, NULL, NULL);
}
