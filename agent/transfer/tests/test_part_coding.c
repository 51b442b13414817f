/* SPDX-License-Identifier: MIT */
#include "agent/transfer/part_coding.h"

#include <errno.h>
#include <string.h>

#include "tests/support/place.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/file.h"
#include "common/codec/zstd.h"
#include "common/model/upload_windows.h"

#define SIZE ((size_t)1 << 20)

static void put(struct place *place, const struct buf *bytes, int *out_fd)
{
    directory_remove_file(place->at, "file", NULL);
    assert_int_equal(directory_create(place->at, "file", 0600, out_fd, NULL), 0);
    assert_int_equal(file_write(*out_fd, bytes->bytes, bytes->size, NULL), 0);
}

static void fill(struct buf *out, size_t noise, size_t text)
{
    uint32_t x = 1;

    for (size_t i = 0; i < noise; i++) {
        x = x * 1664525 + 1013904223;
        buf_add_byte(out, (uint8_t)(x >> 24));
    }
    for (size_t i = 0; i < text; i++)
        buf_add_byte(out, (uint8_t) "some words, "[i % 12]);
}

static int add(void *context, struct span bytes, struct error *err)
{
    buf_add_span(context, bytes);
    return 0;
}

static void a_part_comes_back(void **state)
{
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf back = buf_init(BUF_UNLIMITED);
    struct zstd_reader *reader;
    cleanup_fd int fd = -1;

    fill(&bytes, 1000, SIZE);
    put(*state, &bytes, &fd);
    assert_true(part_coding_pays(fd, bytes.size));
    assert_int_equal(part_coding_pack(fd, 500, SIZE, NULL, &frame, NULL), 0);
    assert_true(frame.size < SIZE / 10);
    assert_int_equal(zstd_reader_new(&reader, SIZE, add, &back, NULL), 0);
    zstd_reader_limit_window(reader, UPLOAD_PART_WINDOW_LOG);
    assert_int_equal(zstd_reader_add(reader, buf_span(&frame), NULL), 0);
    assert_int_equal(zstd_reader_end(reader, NULL), 0);
    zstd_reader_free(reader);
    assert_true(span_equal(buf_span(&back), span_of(bytes.bytes + 500, SIZE)));
}

static void noise_goes_as_it_is(void **state)
{
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    cleanup_fd int fd = -1;

    fill(&bytes, SIZE, 0);
    put(*state, &bytes, &fd);
    assert_false(part_coding_pays(fd, bytes.size));
    assert_int_equal(part_coding_pack(fd, 0, SIZE, NULL, &frame, NULL), -EFBIG);
}

static void the_file_and_the_user_may_end_it(void **state)
{
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    cleanup_fd int fd = -1;
    atomic_bool stop = true;

    fill(&bytes, 0, SIZE);
    put(*state, &bytes, &fd);
    assert_int_equal(part_coding_pack(fd, 1, SIZE, NULL, &frame, NULL), -ESTALE);
    assert_int_equal(part_coding_pack(fd, 0, SIZE, &stop, &frame, NULL), -ECANCELED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(a_part_comes_back),
        IN_A_PLACE(noise_goes_as_it_is),
        IN_A_PLACE(the_file_and_the_user_may_end_it),
    };

    return cmocka_run_group_tests_name("part_coding", tests, NULL, NULL);
}
