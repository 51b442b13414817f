/* SPDX-License-Identifier: MIT */
#include "agent/transfer/hash_behind.h"

#include <errno.h>

#include "tests/support/place.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/file.h"
#include "common/net/http_loop.h"

#define SIZE ((size_t)5 << 20)

struct writing {
    struct buf bytes;
    int fd;
    size_t at;
};

static void begin(struct place *place, struct writing *out)
{
    uint32_t x = 1;

    *out = (struct writing){ .bytes = buf_init(BUF_UNLIMITED), .fd = -1 };
    for (size_t i = 0; i < SIZE; i++) {
        x = x * 1664525 + 1013904223;
        buf_add_byte(&out->bytes, (uint8_t)(x >> 24));
    }
    assert_int_equal(directory_create(place->at, "file", 0600, &out->fd, NULL), 0);
}

static void write_on(struct writing *writing, struct hash_behind *hash, size_t size)
{
    assert_int_equal(file_write_at(writing->fd, writing->at, writing->bytes.bytes + writing->at,
                                   size, NULL),
                     0);
    writing->at += size;
    hash_behind_moved(hash, writing->at);
}

static void end(struct writing *writing)
{
    cleanup_fd_at(&writing->fd);
    buf_release(&writing->bytes);
}

static void the_digest_is_that_of_what_was_written(void **state)
{
    static const size_t steps[] = { 1, 100, 16384, 262144, 1000000, 3000000 };
    struct writing writing;
    struct hash_behind *hash;
    struct digest digest, expected;

    begin(*state, &writing);
    assert_int_equal(hash_behind_new(writing.fd, &hash, NULL), 0);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        write_on(&writing, hash, steps[i]);
    assert_int_equal(hash_behind_end(hash, &digest, NULL), 0);
    expected = digest_of(writing.bytes.bytes, writing.at);
    assert_true(digest_equal(&digest, &expected));
    hash_behind_free(hash);
    end(&writing);
}

static void nothing_has_a_digest_too(void **state)
{
    struct writing writing;
    struct hash_behind *hash;
    struct digest digest, expected = digest_of("", 0);

    begin(*state, &writing);
    assert_int_equal(hash_behind_new(writing.fd, &hash, NULL), 0);
    assert_int_equal(hash_behind_end(hash, &digest, NULL), 0);
    assert_true(digest_equal(&digest, &expected));
    hash_behind_free(hash);
    end(&writing);
}

static void count_up(void *context)
{
    ++*(int *)context;
}

static bool is_told(void *context)
{
    return *(int *)context > 0;
}

static void the_loop_is_told(void **state)
{
    struct writing writing;
    struct hash_behind *hash;
    struct http_loop *loop;
    struct digest digest, expected;
    int told = 0;
    struct http_post post = { .function = count_up, .context = &told };

    assert_int_equal(http_loop_new(&loop, NULL, NULL), 0);
    begin(*state, &writing);
    assert_int_equal(hash_behind_new(writing.fd, &hash, NULL), 0);
    write_on(&writing, hash, SIZE);
    hash_behind_close(hash, loop, &post);
    assert_int_equal(http_loop_run_until(loop, is_told, &told, clock_monotonic_ms() + 60000, NULL),
                     0);
    assert_int_equal(hash_behind_end(hash, &digest, NULL), 0);
    expected = digest_of_span(buf_span(&writing.bytes));
    assert_true(digest_equal(&digest, &expected));
    hash_behind_free(hash);
    end(&writing);
    http_loop_free(loop);
}

static void a_file_that_is_cut_is_told(void **state)
{
    struct writing writing;
    struct hash_behind *hash;
    struct digest digest;

    begin(*state, &writing);
    assert_int_equal(hash_behind_new(writing.fd, &hash, NULL), 0);
    hash_behind_moved(hash, SIZE);
    assert_int_equal(hash_behind_end(hash, &digest, NULL), -EIO);
    hash_behind_free(hash);
    end(&writing);
}

/* In any case: so that whoever waits for it can go on. */
static void the_loop_is_told_of_what_failed(void **state)
{
    for (int way = 0; way < 3; way++) {
        struct place *place = *state;
        struct writing writing;
        struct hash_behind *hash;
        struct http_loop *loop;
        struct digest digest;
        int told = 0;
        struct http_post post = { .function = count_up, .context = &told };

        assert_int_equal(http_loop_new(&loop, NULL, NULL), 0);
        directory_remove_file(place->at, "file", NULL);
        begin(place, &writing);
        assert_int_equal(hash_behind_new(writing.fd, &hash, NULL), 0);
        if (way == 2)
            hash_behind_drop(hash);
        if (way > 0)
            assert_int_equal(file_write(writing.fd, writing.bytes.bytes, SIZE, NULL), 0);
        hash_behind_moved(hash, way == 1 ? SIZE - 1 : SIZE); /* 0: which are not there */
        if (way == 1) {
            hash_behind_drop(hash);
            hash_behind_moved(hash, SIZE);
        }
        hash_behind_close(hash, loop, &post);
        assert_int_equal(http_loop_run_until(loop, is_told, &told, clock_monotonic_ms() + 60000,
                                             NULL),
                         0);
        int r = hash_behind_end(hash, &digest, NULL);
        assert_true(way == 0 ? r == -EIO : r == -ECANCELED || (way == 1 && r == 0));
        hash_behind_free(hash);
        end(&writing);
        http_loop_free(loop);
    }
}

static void it_may_be_dropped_at_any_time(void **state)
{
    struct writing writing;
    struct hash_behind *hash;

    begin(*state, &writing);
    assert_int_equal(hash_behind_new(writing.fd, &hash, NULL), 0);
    hash_behind_free(hash);
    assert_int_equal(hash_behind_new(writing.fd, &hash, NULL), 0);
    write_on(&writing, hash, SIZE);
    hash_behind_free(hash);
    assert_null(hash_behind_free(NULL));
    end(&writing);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(the_digest_is_that_of_what_was_written),
        IN_A_PLACE(nothing_has_a_digest_too),
        IN_A_PLACE(the_loop_is_told),
        IN_A_PLACE(a_file_that_is_cut_is_told),
        IN_A_PLACE(the_loop_is_told_of_what_failed),
        IN_A_PLACE(it_may_be_dropped_at_any_time),
    };

    return cmocka_run_group_tests_name("hash_behind", tests, NULL, NULL);
}
