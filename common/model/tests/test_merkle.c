/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/merkle.h"

#define MIB (1024 * 1024)

/* Bytes that differ from block to block. */
static uint8_t *make_data(size_t size)
{
    uint8_t *data = malloc(size + 1);
    uint32_t x = 12345;

    for (size_t i = 0; i < size; i++) {
        x = x * 1664525 + 1013904223;
        data[i] = (uint8_t)(x >> 24);
    }
    return data;
}

static void assert_verity(struct span data, const char *expected)
{
    struct digest verity;
    char hex[DIGEST_HEX_SIZE];

    assert_int_equal(merkle_verity_of(data, &verity, NULL), 0);
    digest_hex(&verity, hex);
    assert_string_equal(hex, expected);
}

static void test_vectors(void **state)
{
    uint8_t *zeros = calloc(1, MIB);
    char letters[4097];
    struct digest empty;

    memset(letters, 'a', sizeof(letters));
    assert_verity(span_text("hello"),
                  "555b589c26ee43b7a2510e6c67ced9fb3190b6da6e9e683984551f5d77a763de");
    assert_verity(span_of(zeros, MIB),
                  "feb19a23e72cb1b8f935d668a09ecaad0bf7c5b9cdfa6dbba7c88a9998ed2b87");
    assert_verity(span_of(letters, sizeof(letters)),
                  "18b155c0b6e054f3f7d22488ed15340e74dc161ce2d123e13eb685c3ce565f70");
    assert_verity(span_of("", 0),
                  "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95");
    assert_int_equal(merkle_verity_of(span_of("", 0), &empty, NULL), 0);
    assert_true(digest_equal(&empty, &merkle_empty_verity));
    free(zeros);
}

static void test_shapes(void **state)
{
    struct merkle_shape shape;

    assert_int_equal(merkle_shape_of(4096, &shape, NULL), 0);
    assert_int_equal(shape.level_count, 0);
    assert_int_equal(shape.object_size, 0);
    assert_int_equal(shape.piece_count, 1);
    assert_int_equal(merkle_shape_of(4097, &shape, NULL), 0);
    assert_int_equal(shape.level_count, 1);
    assert_int_equal(shape.object_size, 4096);
    assert_int_equal(shape.bottom_offset, 0);
    assert_int_equal(merkle_shape_of(MERKLE_PIECE_SIZE + 1, &shape, NULL), 0);
    assert_int_equal(shape.level_count, 2);
    assert_int_equal(shape.object_size, 3 * 4096);
    assert_int_equal(shape.bottom_offset, 4096);
    /* 1 GiB: 16 blocks under 1, as the page on formats says 68 KiB */
    assert_int_equal(merkle_shape_of(1024 * (uint64_t)MIB, &shape, NULL), 0);
    assert_int_equal(shape.bottom_offset, 68 * 1024);
    assert_int_equal(merkle_shape_of(MERKLE_MAX_DATA, &shape, NULL), 0);
    assert_int_equal(shape.level_count, MERKLE_MAX_LEVELS);
    assert_int_equal(shape.level_blocks[MERKLE_MAX_LEVELS - 1], 1);
    assert_int_equal(merkle_shape_of(MERKLE_MAX_DATA + 1, &shape, NULL), -EFBIG);
    assert_int_equal(merkle_shape_of(UINT64_MAX, &shape, NULL), -EFBIG);
}

/* The definition once more, slowly: level by level, all in memory. Returns the root. */
static struct digest slow_tree(struct span data, struct buf *out)
{
    cleanup(buf_release) struct buf level = buf_init(BUF_UNLIMITED);
    struct digest root = { { 0 } };

    buf_add_span(&level, data);
    if (data.size == 0)
        return root;
    for (;;) {
        cleanup(buf_release) struct buf hashes = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf below = buf_init(BUF_UNLIMITED);
        buf_add_zeros(&level, (4096 - level.size % 4096) % 4096);
        for (size_t at = 0; at < level.size; at += 4096) {
            struct digest hash = digest_of(level.bytes + at, 4096);
            buf_add(&hashes, hash.bytes, 32);
        }
        if (hashes.size == 32) {
            memcpy(root.bytes, hashes.bytes, 32);
            return root;
        }
        buf_add_zeros(&hashes, (4096 - hashes.size % 4096) % 4096);
        buf_add_span(&below, buf_span(out));
        buf_clear(out);
        buf_add_span(out, buf_span(&hashes));
        buf_add_span(out, buf_span(&below));
        buf_clear(&level);
        buf_add_span(&level, buf_span(&hashes));
    }
}

static int put_memory(void *context, uint64_t offset, const void *bytes, size_t size,
                      struct error *err)
{
    struct buf *object = context;

    assert_true(offset + size <= object->size);
    memcpy(object->bytes + offset, bytes, size);
    return 0;
}

static const size_t sizes[] = { 0,      1,      4095,   4096,         4097,           8192,
                                524287, 524288, 524289, 2 * MIB + 77, 70 * MIB + 5000 };

static void check_against_slow(size_t size, size_t piece)
{
    cleanup(buf_release) struct buf expected = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf object = buf_init(BUF_UNLIMITED);
    struct merkle_builder builder, both;
    struct digest root, verity, slow, sha256, verity_of_both;
    struct digest_stream stream;
    uint8_t *data = make_data(size);

    slow = slow_tree(span_of(data, size), &expected);
    assert_int_equal(merkle_builder_init(&builder, size, put_memory, &object, NULL), 0);
    assert_int_equal(builder.shape.object_size, expected.size);
    assert_int_equal(merkle_builder_init(&both, size, NULL, NULL, NULL), 0);
    digest_stream_init(&stream);
    buf_add_zeros(&object, builder.shape.object_size);
    for (size_t at = 0; at < size; at += piece) {
        struct span part = span_slice(span_of(data, size), at, piece);
        assert_int_equal(merkle_builder_add(&builder, part.bytes, part.size, NULL), 0);
        assert_int_equal(merkle_builder_add_both(&both, &stream, part.bytes, part.size, NULL), 0);
    }
    assert_int_equal(merkle_builder_end(&builder, &root, &verity, NULL), 0);
    assert_int_equal(merkle_builder_end(&both, NULL, &verity_of_both, NULL), 0);
    assert_memory_equal(verity_of_both.bytes, verity.bytes, DIGEST_SIZE);
    assert_memory_equal(root.bytes, slow.bytes, DIGEST_SIZE);
    slow = digest_of(data, size);
    sha256 = digest_stream_end(&stream);
    assert_memory_equal(sha256.bytes, slow.bytes, DIGEST_SIZE);
    assert_true(span_equal(buf_span(&object), buf_span(&expected)));
    assert_int_equal(merkle_check_object(size, &verity, buf_span(&object), NULL), 0);
    free(data);
}

static void test_builder_equals_definition(void **state)
{
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        check_against_slow(sizes[i], 65536);
        check_against_slow(sizes[i], 99991);
    }
    check_against_slow(9000, 1);
}

static void test_builder_counts(void **state)
{
    struct merkle_builder builder;

    assert_int_equal(merkle_builder_init(&builder, 5, NULL, NULL, NULL), 0);
    assert_int_equal(merkle_builder_add(&builder, "hell", 4, NULL), 0);
    assert_int_equal(merkle_builder_end(&builder, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(merkle_builder_add(&builder, "o!", 2, NULL), -EINVAL);
    assert_int_equal(merkle_builder_add(&builder, "o", 1, NULL), 0);
    assert_int_equal(merkle_builder_end(&builder, NULL, NULL, NULL), 0);
}

static int put_fails(void *context, uint64_t offset, const void *bytes, size_t size,
                     struct error *err)
{
    return error_set(err, -ENOSPC, "full");
}

static void test_put_fails(void **state)
{
    struct merkle_builder builder;
    uint8_t *data = make_data(5000);

    assert_int_equal(merkle_builder_init(&builder, 5000, put_fails, NULL, NULL), 0);
    assert_int_equal(merkle_builder_add(&builder, data, 5000, NULL), 0);
    assert_int_equal(merkle_builder_end(&builder, NULL, NULL, NULL), -ENOSPC);
    free(data);
}

/* Saved and loaded at every kind of place, the result is the same. */
static void test_saved_state(void **state)
{
    static const size_t cuts[] = { 0, 1, 4096, 5000, 524288, 524289, 700000, 2 * MIB };
    size_t size = 2 * MIB + 100;
    uint8_t *data = make_data(size);
    struct digest whole, again;

    assert_int_equal(merkle_verity_of(span_of(data, size), &whole, NULL), 0);
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        cleanup(buf_release) struct buf saved = buf_init(32768);
        struct merkle_builder builder;
        assert_int_equal(merkle_builder_init(&builder, size, NULL, NULL, NULL), 0);
        assert_int_equal(merkle_builder_add(&builder, data, cuts[i], NULL), 0);
        merkle_builder_save(&builder, &saved);
        assert_int_equal(buf_check(&saved, NULL), 0);
        memset(&builder, 0xee, sizeof(builder));
        assert_int_equal(merkle_builder_load(&builder, buf_span(&saved), NULL, NULL, NULL), 0);
        assert_int_equal(merkle_builder_add(&builder, data + cuts[i], size - cuts[i], NULL), 0);
        assert_int_equal(merkle_builder_end(&builder, NULL, &again, NULL), 0);
        assert_memory_equal(again.bytes, whole.bytes, DIGEST_SIZE);
        for (size_t cut = 0; cut < saved.size; cut += 13)
            assert_int_equal(merkle_builder_load(&builder, span_slice(buf_span(&saved), 0, cut),
                                                 NULL, NULL, NULL),
                             -EBADMSG);
        saved.bytes[8] ^= 1;
        assert_int_equal(merkle_builder_load(&builder, buf_span(&saved), NULL, NULL, NULL),
                         -EBADMSG);
    }
    free(data);
}

struct blob {
    uint8_t *data;
    size_t size;
    uint8_t *object;
    struct merkle_shape shape;
    struct digest verity;
    struct span upper;
};

static struct blob blob_make(size_t size)
{
    struct blob blob = { .data = make_data(size), .size = size };

    assert_int_equal(merkle_shape_of(size, &blob.shape, NULL), 0);
    blob.object = calloc(1, blob.shape.object_size + 1);
    assert_int_equal(merkle_build(span_of(blob.data, size), blob.object, NULL, &blob.verity, NULL),
                     0);
    blob.upper = span_of(blob.object, merkle_upper_range(&blob.shape).size);
    return blob;
}

static void blob_release(struct blob *blob)
{
    free(blob->data);
    free(blob->object);
}

static int check_piece(const struct blob *blob, uint64_t piece)
{
    struct span data =
        span_slice(span_of(blob->data, blob->size), piece * MERKLE_PIECE_SIZE, MERKLE_PIECE_SIZE);

    return merkle_check_piece(&blob->shape, &blob->verity, blob->upper, piece, data, NULL, NULL);
}

static void test_pieces(void **state)
{
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cleanup(blob_release) struct blob blob = blob_make(sizes[i]);
        uint64_t last = blob.shape.piece_count > 0 ? blob.shape.piece_count - 1 : 0;
        assert_int_equal(merkle_check_upper(&blob.shape, &blob.verity, blob.upper, NULL), 0);
        for (uint64_t piece = 0; piece < blob.shape.piece_count; piece++)
            assert_int_equal(check_piece(&blob, piece), 0);
        assert_int_equal(check_piece(&blob, last), 0);
        assert_int_equal(merkle_check_piece(&blob.shape, &blob.verity, blob.upper, last + 1,
                                            span_of("x", 1), NULL, NULL),
                         -EINVAL);
        if (blob.size > 0) {
            blob.data[blob.size - 1] ^= 1;
            assert_int_equal(check_piece(&blob, last), -EBADMSG);
            blob.data[blob.size - 1] ^= 1;
        }
        blob.verity.bytes[31] ^= 1;
        assert_int_equal(merkle_check_object(blob.size, &blob.verity,
                                             span_of(blob.object, blob.shape.object_size), NULL),
                         blob.size > 0 && blob.size <= 4096 ? 0 : -EBADMSG);
    }
}

static void test_blocks(void **state)
{
    cleanup(blob_release) struct blob blob = blob_make(3 * MERKLE_PIECE_SIZE + 10000);
    struct span data = span_of(blob.data, blob.size);

    for (uint64_t piece = 0; piece < 4; piece++) {
        uint64_t start = piece * MERKLE_PIECE_SIZE;
        struct merkle_range range = merkle_bottom_range(&blob.shape, start + 5000, 10);
        struct span bottom = span_of(blob.object + range.offset, range.size);
        struct merkle_range part = merkle_data_range(&blob.shape, start + 5000, 10);
        assert_int_equal(range.size, 4096);
        assert_int_equal(range.offset, blob.shape.bottom_offset + piece * 4096);
        assert_int_equal(merkle_check_bottom(&blob.shape, &blob.verity, blob.upper, piece, bottom,
                                             NULL),
                         0);
        assert_int_equal(part.offset, start + 4096);
        assert_int_equal(part.size, 4096);
        assert_int_equal(merkle_check_blocks(&blob.shape, bottom, part.offset,
                                             span_slice(data, part.offset, part.size), NULL),
                         0);
        blob.data[part.offset + 17] ^= 1;
        assert_int_equal(merkle_check_blocks(&blob.shape, bottom, part.offset,
                                             span_slice(data, part.offset, part.size), NULL),
                         -EBADMSG);
        blob.data[part.offset + 17] ^= 1;
        blob.object[range.offset + 5] ^= 1;
        assert_int_equal(merkle_check_bottom(&blob.shape, &blob.verity, blob.upper, piece, bottom,
                                             NULL),
                         -EBADMSG);
        blob.object[range.offset + 5] ^= 1;
    }
    /* the tail, and what is no run of whole blocks */
    {
        uint64_t start = 3 * (uint64_t)MERKLE_PIECE_SIZE;
        struct span bottom = span_of(blob.object + blob.shape.bottom_offset + 3 * 4096, 4096);
        assert_int_equal(merkle_check_blocks(&blob.shape, bottom, start + 8192,
                                             span_slice(data, start + 8192, 10000 - 8192), NULL),
                         0);
        assert_int_equal(merkle_check_blocks(&blob.shape, bottom, start + 1,
                                             span_slice(data, start + 1, 4096), NULL),
                         -EINVAL);
        assert_int_equal(merkle_check_blocks(&blob.shape, bottom, start,
                                             span_slice(data, start, 5000), NULL),
                         -EINVAL);
        assert_int_equal(merkle_check_blocks(&blob.shape, bottom, start - 4096,
                                             span_slice(data, start - 4096, 8192), NULL),
                         -EINVAL);
        assert_int_equal(merkle_check_blocks(&blob.shape, bottom, start + 12288, span_of("", 0),
                                             NULL),
                         -EINVAL);
    }
}

static void test_ranges(void **state)
{
    struct merkle_shape shape;
    struct merkle_range range;

    assert_int_equal(merkle_shape_of(MERKLE_PIECE_SIZE * 3 + 1, &shape, NULL), 0);
    range = merkle_bottom_range(&shape, MERKLE_PIECE_SIZE - 1, 2);
    assert_int_equal(range.offset, 4096);
    assert_int_equal(range.size, 8192);
    range = merkle_bottom_range(&shape, 0, UINT64_MAX);
    assert_int_equal(range.size, 4 * 4096);
    range = merkle_bottom_range(&shape, MERKLE_PIECE_SIZE * 3 + 1, 1);
    assert_int_equal(range.size, 0);
    range = merkle_data_range(&shape, MERKLE_PIECE_SIZE * 3, 100);
    assert_int_equal(range.offset, MERKLE_PIECE_SIZE * 3);
    assert_int_equal(range.size, 1);
    assert_int_equal(merkle_data_range(&shape, 5, 0).size, 0);
    assert_int_equal(merkle_shape_of(4096, &shape, NULL), 0);
    assert_int_equal(merkle_bottom_range(&shape, 0, 4096).size, 0);
}

/* No byte of an object can change unseen, wherever it stands, also in the padding. */
static void test_changed_object(void **state)
{
    cleanup(blob_release) struct blob blob = blob_make(MERKLE_PIECE_SIZE + 5000);
    struct span object = span_of(blob.object, blob.shape.object_size);

    for (size_t i = 0; i < object.size; i += 7) {
        blob.object[i] ^= 0x40;
        assert_int_equal(merkle_check_object(blob.size, &blob.verity, object, NULL), -EBADMSG);
        if (i < blob.upper.size)
            assert_int_equal(merkle_check_upper(&blob.shape, &blob.verity, blob.upper, NULL),
                             -EBADMSG);
        blob.object[i] ^= 0x40;
    }
    assert_int_equal(merkle_check_object(blob.size, &blob.verity, span_slice(object, 1, SIZE_MAX),
                                         NULL),
                     -EBADMSG);
    assert_int_equal(merkle_check_object(blob.size - 1, &blob.verity, object, NULL), -EBADMSG);
    assert_int_equal(merkle_check_object(UINT64_MAX, &blob.verity, object, NULL), -EFBIG);
}

/* Padding that the digest agrees with is refused all the same: no writer makes it. */
static void test_padding(void **state)
{
    uint8_t object[4096] = { 0 };
    struct digest root, verity;

    object[4095] = 1;
    root = digest_of(object, sizeof(object));
    verity = merkle_verity(8192, &root);
    assert_int_equal(merkle_check_object(8192, &verity, span_of(object, sizeof(object)), NULL),
                     -EBADMSG);
    verity = merkle_verity(MERKLE_PIECE_SIZE, &root);
    assert_int_equal(merkle_check_object(MERKLE_PIECE_SIZE, &verity,
                                         span_of(object, sizeof(object)), NULL),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_builder_equals_definition),
        cmocka_unit_test(test_builder_counts),
        cmocka_unit_test(test_put_fails),
        cmocka_unit_test(test_saved_state),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_changed_object),
        cmocka_unit_test(test_padding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
