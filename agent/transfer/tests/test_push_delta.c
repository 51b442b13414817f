/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_delta.h"

#include <errno.h>
#include <string.h>

#include "tests/support/place.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/chunk_list.h"
#include "common/model/delta.h"
#include "common/model/delta_plan.h"
#include "common/model/merkle.h"

#define SIZE ((size_t)700000)

/* Bytes without a pattern. */
static void fill(struct buf *out, size_t size, uint64_t seed)
{
    uint64_t x = seed;

    for (size_t i = 0; i < size; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        buf_add_byte(out, (uint8_t)(x >> 56));
    }
}

static void put(struct place *place, struct span bytes, struct push_delta_file *out)
{
    int fd;

    directory_remove_file(place->at, "file", NULL);
    assert_int_equal(directory_create(place->at, "file", 0600, &fd, NULL), 0);
    assert_int_equal(file_write(fd, bytes.bytes, bytes.size, NULL), 0);
    *out =
        (struct push_delta_file){ .fd = fd, .size = bytes.size, .sha256 = digest_of_span(bytes) };
}

static struct delta_header header_of(const struct buf *base, const struct buf *target)
{
    return (struct delta_header){ .base = digest_of_span(buf_span(base)),
                                  .target = digest_of_span(buf_span(target)),
                                  .base_size = base->size,
                                  .target_size = target->size };
}

/* What a receiver makes of it is the target. */
static void check_delta(const struct delta_header *header, const struct buf *base,
                        const struct buf *target, const struct buf *delta)
{
    cleanup(buf_release) struct buf made = buf_init(BUF_UNLIMITED);
    struct span bytes = buf_span(base);
    struct delta_reader *reader;

    assert_int_equal(delta_reader_new(&reader, header, delta_source_of_span(&bytes),
                                      sink_to_buf(&made), 0, NULL),
                     0);
    assert_int_equal(delta_reader_feed(reader, delta->bytes, delta->size, NULL), 0);
    assert_int_equal(delta_reader_end(reader, NULL), 0);
    delta_reader_free(reader);
    assert_true(span_equal(buf_span(&made), buf_span(target)));
}

static void lists_are_those_of_the_model(void **state)
{
    struct place *place = *state;
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf list = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf merkle = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf expected = buf_init(BUF_UNLIMITED);
    cleanup_memory uint8_t *object = NULL;
    struct push_delta_file file;
    struct merkle_shape shape;

    fill(&bytes, SIZE, 1);
    put(place, buf_span(&bytes), &file);
    assert_int_equal(push_delta_look(&file, &list, &merkle, NULL), 0);
    assert_int_equal(chunk_list_build(buf_span(&bytes), NULL, &expected, NULL), 0);
    assert_true(span_equal(buf_span(&list), buf_span(&expected)));
    assert_int_equal(merkle_shape_of(SIZE, &shape, NULL), 0);
    object = memory_new((size_t)shape.object_size);
    assert_int_equal(merkle_build(buf_span(&bytes), object, NULL, NULL, NULL), 0);
    assert_int_equal(merkle.size, shape.object_size);
    assert_memory_equal(merkle.bytes, object, merkle.size);
    cleanup_fd_at(&file.fd);
}

/* An insertion, found by lists; a change in place, found by trees. */
static void deltas_make_the_file(void **state)
{
    struct place *place = *state;

    for (int in_place = 0; in_place < 2; in_place++) {
        cleanup(buf_release) struct buf base = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf target = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf ours = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf theirs = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf delta = buf_init(BUF_UNLIMITED);
        cleanup(delta_plan_release) struct delta_plan plan = { 0 };
        struct push_delta_file old, file;
        struct delta_header header;

        fill(&base, SIZE, 1);
        buf_add(&target, base.bytes, SIZE / 2);
        fill(&target, 100, 2);
        buf_add(&target, base.bytes + SIZE / 2 + (in_place ? 100 : 0),
                SIZE - SIZE / 2 - (in_place ? 100 : 0));
        header = header_of(&base, &target);
        put(place, buf_span(&base), &old);
        assert_int_equal(push_delta_look(&old, in_place ? NULL : &theirs, in_place ? &theirs : NULL,
                                         NULL),
                         0);
        cleanup_fd_at(&old.fd);
        put(place, buf_span(&target), &file);
        assert_int_equal(push_delta_look(&file, in_place ? NULL : &ours, in_place ? &ours : NULL,
                                         NULL),
                         0);
        if (in_place) {
            struct merkle_shape shape;
            assert_int_equal(merkle_shape_of(SIZE, &shape, NULL), 0);
            assert_int_equal(delta_plan_of_trees(&shape, buf_span(&theirs), &shape, buf_span(&ours),
                                                 &plan, NULL),
                             0);
        } else {
            struct chunk_list base_list, list;
            assert_int_equal(chunk_list_open(buf_span(&theirs), &base_list, NULL), 0);
            assert_int_equal(chunk_list_open(buf_span(&ours), &list, NULL), 0);
            assert_int_equal(delta_plan_of_lists(&base_list, &list, &plan, NULL), 0);
        }
        assert_true(push_delta_pays(&plan));
        assert_int_equal(push_delta_write(&file, &header, &plan, -1, &delta, NULL), 0);
        assert_true(delta.size < SIZE / 3);
        check_delta(&header, &base, &target, &delta);
        cleanup_fd_at(&file.fd);
    }
}

static void limits_are_told(void **state)
{
    struct place *place = *state;
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf small = buf_init(300);
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct delta_range all = { .offset = 0, .length = SIZE };
    struct delta_plan plan = { .ranges = &all, .count = 1, .base_size = 1, .target_size = SIZE };
    struct delta_header header;
    struct push_delta_file file;
    atomic_bool stop = true;

    fill(&bytes, SIZE, 1);
    header = header_of(&bytes, &bytes);
    put(place, buf_span(&bytes), &file);
    assert_int_equal(push_delta_look(&file, &small, NULL, NULL), -EFBIG);
    buf_release(&small);
    assert_int_equal(push_delta_look(&file, NULL, &small, NULL), -EFBIG);
    buf_release(&small);
    assert_int_equal(push_delta_write(&file, &header, &plan, -1, &small, NULL), -EFBIG);
    file.stop = &stop;
    assert_int_equal(push_delta_look(&file, &out, NULL, NULL), -ECANCELED);
    file.stop = NULL;
    assert_int_equal(file_truncate(file.fd, SIZE - 1, NULL), 0);
    assert_int_equal(push_delta_look(&file, &out, NULL, NULL), -ESTALE);
    assert_int_equal(push_delta_write(&file, &header, &plan, -1, &out, NULL), -ESTALE);
    cleanup_fd_at(&file.fd);
}

static void a_little_in_common_does_not_pay(void **state)
{
    struct delta_plan plan = { .target_size = 1000, .literal_bytes = 750 };

    assert_true(push_delta_pays(&plan));
    plan.literal_bytes++;
    assert_false(push_delta_pays(&plan));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(lists_are_those_of_the_model),
        IN_A_PLACE(deltas_make_the_file),
        IN_A_PLACE(limits_are_told),
        cmocka_unit_test(a_little_in_common_does_not_pay),
    };

    return cmocka_run_group_tests_name("push_delta", tests, NULL, NULL);
}
