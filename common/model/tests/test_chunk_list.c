/* SPDX-License-Identifier: MIT */
#include "common/model/chunk_list.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/tests/sample_bytes.h"
#include "tests/support/unit.h"

#define MIB ((size_t)1 << 20)

/* As the format says it: cut, group, group again, write from the top. */
static void build_plainly(struct span data, struct buf *out)
{
    struct buf levels[CHUNK_LIST_MAX_LEVELS];
    struct digest sha256 = digest_of_span(data);
    uint32_t count = 0;
    uint64_t offset = 256;

    levels[0] = buf_init(BUF_UNLIMITED);
    for (size_t at = 0; at < data.size;) {
        size_t size = gear_cut(data.bytes + at, data.size - at);
        uint8_t hash[XXH3_SIZE];
        xxh3_of(data.bytes + at, size, hash);
        buf_add_u32(&levels[0], (uint32_t)size);
        buf_add(&levels[0], hash, XXH3_SIZE);
        at += size;
    }
    for (count = 1; count == 1 || levels[count - 1].size > 256 * 28; count++) {
        struct buf *below = &levels[count - 1];
        size_t record = count == 1 ? 20 : 28, first = 0;
        levels[count] = buf_init(BUF_UNLIMITED);
        for (size_t at = 0; at < below->size; at += record) {
            size_t entries = (at - first) / record + 1;
            uint64_t low = bytes_u64(below->bytes + at + record - 16), bytes = 0;
            uint8_t hash[XXH3_SIZE];
            if (!(entries >= 16 && (low & 63) == 0) && entries != 256 && at + record != below->size)
                continue;
            for (size_t i = first; i <= at; i += record)
                bytes += count == 1 ? bytes_u32(below->bytes + i) : bytes_u64(below->bytes + i);
            xxh3_of(below->bytes + first, entries * record, hash);
            buf_add_u64(&levels[count], bytes);
            buf_add_u32(&levels[count], (uint32_t)entries);
            buf_add(&levels[count], hash, XXH3_SIZE);
            first = at + record;
        }
    }
    buf_add(out, "KKACHNK1", 8);
    buf_add_u32(out, 256);
    buf_add_u32(out, count);
    buf_add(out, sha256.bytes, DIGEST_SIZE);
    buf_add_u64(out, data.size);
    buf_add_u32(out, 4096);
    buf_add_u32(out, 16384);
    buf_add_u32(out, 65536);
    buf_add_u32(out, 0);
    for (uint32_t i = count; i > 0; i--) {
        buf_add_u64(out, offset);
        buf_add_u64(out, levels[i - 1].size / (i == 1 ? 20 : 28));
        offset += levels[i - 1].size;
    }
    buf_add_zeros(out, 256 - out->size);
    for (uint32_t i = count; i > 0; i--) {
        buf_add_span(out, buf_span(&levels[i - 1]));
        buf_release(&levels[i - 1]);
    }
    assert_int_equal(buf_check(out, NULL), 0);
}

static void test_equals_definition(void **state)
{
    static const size_t sizes[] = { 65536, 65537, 100000, MIB, 9 * MIB };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cleanup(buf_release) struct buf data = sample_bytes(sizes[i], i);
        cleanup(buf_release) struct buf plain = buf_init(BUF_UNLIMITED),
                                        made = buf_init(BUF_UNLIMITED);
        struct chunk_list list;
        build_plainly(buf_span(&data), &plain);
        assert_int_equal(chunk_list_build(buf_span(&data), NULL, &made, NULL), 0);
        assert_true(span_equal(buf_span(&plain), buf_span(&made)));
        assert_int_equal(chunk_list_open(buf_span(&made), &list, NULL), 0);
        assert_int_equal(list.shape.size, sizes[i]);
        assert_in_range(list.shape.object_size, 0, sizes[i] / 128 + 4096);
    }
}

/* Many levels: equal groups of sixteen, and among them groups that end later. */
static void test_levels_equal_definition(void **state)
{
    for (uint32_t levels = 2; levels <= 3; levels++) {
        size_t count = levels == 2 ? 256 * 16 : 256 * 16 + 1;
        cleanup(buf_release) struct buf data = buf_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf plain = buf_init(BUF_UNLIMITED),
                                        made = buf_init(BUF_UNLIMITED);
        size_t size = sample_small_chunks(count, &data);
        struct chunk_list list;
        assert_int_equal(chunk_list_build(buf_span(&data), NULL, &made, NULL), 0);
        assert_int_equal(chunk_list_open(buf_span(&made), &list, NULL), 0);
        assert_int_equal(list.shape.level_count, levels);
        assert_int_equal(list.shape.level_entries[1], levels == 2 ? 256 : 257);
        for (size_t i = 0; i < count; i += 40)
            data.bytes[i * size] ^= (uint8_t)(i + 1);
        buf_clear(&made);
        build_plainly(buf_span(&data), &plain);
        assert_int_equal(chunk_list_build(buf_span(&data), NULL, &made, NULL), 0);
        assert_true(span_equal(buf_span(&plain), buf_span(&made)));
    }
}

/* Chunks of the largest size only: all alike, and groups of 256. */
static void test_zeros(void **state)
{
    cleanup(buf_release) struct buf data = buf_init(BUF_UNLIMITED), made = buf_init(BUF_UNLIMITED);
    struct chunk_list list;
    struct chunk_cursor cursor;
    struct chunk_leaf leaf;
    uint64_t offset = 0;

    buf_add_zeros(&data, 64 * MIB + 1);
    assert_int_equal(chunk_list_build(buf_span(&data), NULL, &made, NULL), 0);
    assert_int_equal(chunk_list_open(buf_span(&made), &list, NULL), 0);
    assert_int_equal(list.shape.level_entries[0], 1025);
    chunk_cursor_init(&cursor, &list);
    while (chunk_cursor_next(&cursor, &leaf)) {
        assert_int_equal(leaf.offset, offset);
        assert_int_equal(leaf.length, leaf.index < 1024 ? 65536 : 1);
        assert_ptr_equal(leaf.record, chunk_list_level(&list, 0).bytes + leaf.index * 20);
        offset += leaf.length;
    }
    assert_int_equal(offset, data.size);
}

static int build_in_pieces(struct span data, size_t piece, struct chunk_list_spool *spool,
                           struct buf *out)
{
    cleanup_memory struct chunk_list_builder *builder = memory_new(sizeof(*builder));
    struct digest sha256 = digest_of_span(data);
    struct sink sink = sink_to_buf(out);
    uint8_t header[CHUNK_LIST_HEADER_SIZE];
    int r = 0;

    assert_non_null(builder);
    chunk_list_builder_init(builder, chunk_list_spool_put, spool);
    for (size_t at = 0; r == 0 && at < data.size; at += piece) {
        struct span part = span_slice(data, at, piece);
        r = chunk_list_builder_add(builder, part.bytes, part.size, NULL);
    }
    if (r == 0)
        r = chunk_list_builder_end(builder, &sha256, header, NULL);
    return r < 0 ? r : chunk_list_spool_write(spool, header, &sink, NULL);
}

static void test_pieces(void **state)
{
    static const size_t pieces[] = { 1, 777, 4096, 65535, 65536, 65537, 131072, 1000000 };
    cleanup(buf_release) struct buf data = sample_bytes(2000000, 9),
                                    whole = buf_init(BUF_UNLIMITED);

    assert_int_equal(chunk_list_build(buf_span(&data), NULL, &whole, NULL), 0);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        cleanup(chunk_list_spool_release) struct chunk_list_spool spool =
            chunk_list_spool_init(BUF_UNLIMITED);
        cleanup(buf_release) struct buf made = buf_init(BUF_UNLIMITED);
        assert_int_equal(build_in_pieces(buf_span(&data), pieces[i], &spool, &made), 0);
        assert_true(span_equal(buf_span(&whole), buf_span(&made)));
    }
}

/* Saved and loaded every 100,000 bytes, and every damaged state is refused or leads nowhere. */
static void test_saved_state(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(3 * MIB, 9), saved = buf_init(104448);
    cleanup(buf_release) struct buf whole = buf_init(BUF_UNLIMITED), made = buf_init(BUF_UNLIMITED);
    cleanup(chunk_list_spool_release) struct chunk_list_spool spool =
        chunk_list_spool_init(BUF_UNLIMITED);
    cleanup_memory struct chunk_list_builder *builder = memory_new(sizeof(*builder));
    struct digest sha256 = digest_of_span(buf_span(&data));
    struct sink sink = sink_to_buf(&made);
    uint8_t header[CHUNK_LIST_HEADER_SIZE];

    chunk_list_builder_init(builder, chunk_list_spool_put, &spool);
    for (size_t at = 0; at < data.size; at += 100000) {
        struct span part = span_slice(buf_span(&data), at, 100000);
        assert_int_equal(chunk_list_builder_add(builder, part.bytes, part.size, NULL), 0);
        buf_clear(&saved);
        chunk_list_builder_save(builder, &saved);
        assert_int_equal(buf_check(&saved, NULL), 0);
        memset(builder, 0xee, sizeof(*builder));
        assert_int_equal(chunk_list_builder_load(builder, buf_span(&saved), chunk_list_spool_put,
                                                 &spool, NULL),
                         0);
    }
    assert_int_equal(chunk_list_builder_end(builder, &sha256, header, NULL), 0);
    assert_int_equal(chunk_list_spool_write(&spool, header, &sink, NULL), 0);
    assert_int_equal(chunk_list_build(buf_span(&data), NULL, &whole, NULL), 0);
    assert_true(span_equal(buf_span(&whole), buf_span(&made)));
    for (size_t at = 0; at < saved.size; at += at < 20 ? 1 : at > saved.size - 3000 ? 5 : 997) {
        int r;
        saved.bytes[at] ^= 0x81;
        r = chunk_list_builder_load(builder, buf_span(&saved), chunk_list_spool_put, &spool, NULL);
        assert_true(r == 0 || r == -EBADMSG);
        if (r == 0)
            r = chunk_list_builder_add(builder, data.bytes, 400000, NULL);
        if (r == 0)
            chunk_list_builder_end(builder, &sha256, header, NULL);
        saved.bytes[at] ^= 0x81;
    }
    for (size_t size = 0; size < saved.size; size += 77)
        assert_int_equal(chunk_list_builder_load(builder, span_slice(buf_span(&saved), 0, size),
                                                 chunk_list_spool_put, &spool, NULL),
                         -EBADMSG);
}

static void test_limits(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(300000, 3), out = buf_init(BUF_UNLIMITED);
    cleanup(chunk_list_spool_release) struct chunk_list_spool spool = chunk_list_spool_init(50);
    cleanup_memory struct chunk_list_builder *builder = memory_new(sizeof(*builder));
    struct span huge = { data.bytes, (size_t)CHUNK_LIST_MAX_SIZE };

    assert_int_equal(chunk_list_build(span_slice(buf_span(&data), 0, 65535), NULL, &out, NULL),
                     -EINVAL);
    assert_int_equal(build_in_pieces(buf_span(&data), 300000, &spool, &out), -EFBIG);
    chunk_list_builder_init(builder, chunk_list_spool_put, &spool);
    assert_int_equal(chunk_list_builder_add(builder, data.bytes, 1, NULL), 0);
    assert_int_equal(chunk_list_builder_add(builder, huge.bytes, huge.size, NULL), -EFBIG);
}

static void assert_refused(struct span object, const char *offset_and_rule)
{
    struct error err = { 0 };
    struct chunk_list list;

    assert_int_equal(chunk_list_open(object, &list, &err), -EBADMSG);
    if (strncmp(err.text, offset_and_rule, strlen(offset_and_rule)) != 0)
        assert_string_equal(err.text, offset_and_rule);
}

/* The byte at `at` becomes another, and back. */
static void assert_byte(struct buf *object, size_t at, uint8_t value, const char *offset_and_rule)
{
    uint8_t old = object->bytes[at];

    object->bytes[at] = value;
    assert_refused(buf_span(object), offset_and_rule);
    object->bytes[at] = old;
}

static void test_every_rule(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(6 * MIB, 5),
                                    object = buf_init(BUF_UNLIMITED);
    struct chunk_list list;
    size_t leaves, last, groups;

    assert_int_equal(chunk_list_build(buf_span(&data), NULL, &object, NULL), 0);
    assert_int_equal(chunk_list_open(buf_span(&object), &list, NULL), 0);
    assert_int_equal(list.shape.level_count, 2);
    assert_in_range(list.shape.level_entries[1], 2, 200);
    leaves = list.shape.level_offset[0];
    groups = list.shape.level_offset[1];
    last = object.size - 20;
    assert_byte(&object, 0, 'k', "offset 0: a chunk list begins");
    assert_byte(&object, 8, 1, "offset 8: the header's size");
    assert_byte(&object, 12, 1, "offset 12: a chunk list has 2 to 5");
    assert_byte(&object, 12, 6, "offset 12: a chunk list has 2 to 5");
    assert_byte(&object, 12, 3, "offset ");
    assert_byte(&object, 55, 1, "offset 48: blobs from");
    assert_byte(&object, 50, 0, "offset ");
    assert_byte(&object, 57, 0, "offset 56: the chunker's");
    assert_byte(&object, 68, 1, "offset 68: the chunker's");
    assert_byte(&object, 72, 9, "offset 72: a level begins");
    assert_byte(&object, 80, 0, "offset 80: a level has more or fewer");
    assert_byte(&object, 80, 255, "offset 80: a level has more or fewer");
    assert_byte(&object, 97, 255, "offset 96: there are more or fewer leaves");
    assert_byte(&object, 103, 255, "offset 96: there are more or fewer leaves");
    assert_byte(&object, 104, 1, "offset 104: the rest of the header");
    assert_byte(&object, 255, 1, "offset 255: the rest of the header");
    assert_byte(&object, leaves + 2, 1, "offset "); /* too long */
    assert_byte(&object, leaves + 1, 0, "offset "); /* too short */
    assert_byte(&object, last, object.bytes[last] ^ 1, "offset ");
    assert_byte(&object, leaves + 5, object.bytes[leaves + 5] ^ 1, "offset ");
    assert_byte(&object, groups, object.bytes[groups] ^ 1, "offset ");
    assert_byte(&object, groups + 8, 0, "offset ");
    assert_byte(&object, groups + 8, object.bytes[groups + 8] + 1, "offset ");
    assert_byte(&object, groups + 9, 2, "offset ");
    assert_byte(&object, groups + 20, object.bytes[groups + 20] ^ 1, "offset ");
    assert_refused(span_slice(buf_span(&object), 0, object.size - 1), "offset ");
    assert_refused(span_slice(buf_span(&object), 0, 256), "offset 256: a chunk list ends");
    assert_refused(span_slice(buf_span(&object), 0, 255), "offset 255: a chunk list has a header");
    assert_refused(span_text(""), "offset 0: a chunk list has a header");
    buf_add_byte(&object, 0);
    assert_refused(buf_span(&object), "offset ");
}

/* Everything behind the sha256 counts: no bit of it can change unseen. */
static void test_every_byte(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(MIB, 6), object = buf_init(BUF_UNLIMITED);
    struct chunk_list list;

    assert_int_equal(chunk_list_build(buf_span(&data), NULL, &object, NULL), 0);
    for (size_t at = 0; at < object.size; at++) {
        object.bytes[at] ^= 4;
        assert_int_equal(chunk_list_open(buf_span(&object), &list, NULL),
                         at >= 16 && at < 48 ? 0 : -EBADMSG);
        object.bytes[at] ^= 4;
    }
}

/* A level of groups above groups: every byte of them counts. */
static void test_three_levels(void **state)
{
    cleanup(buf_release) struct buf data = buf_init(BUF_UNLIMITED),
                                    object = buf_init(BUF_UNLIMITED);
    struct chunk_list list;
    size_t above;

    sample_small_chunks(260 * 16, &data);
    assert_int_equal(chunk_list_build(buf_span(&data), NULL, &object, NULL), 0);
    assert_int_equal(chunk_list_open(buf_span(&object), &list, NULL), 0);
    assert_int_equal(list.shape.level_count, 3);
    above = list.shape.level_offset[0];
    for (size_t at = 256; at < above; at += at < list.shape.level_offset[1] ? 1 : 211) {
        object.bytes[at] ^= 0x20;
        assert_int_equal(chunk_list_open(buf_span(&object), &list, NULL), -EBADMSG);
        object.bytes[at] ^= 0x20;
    }
}

static int fails(void *context, uint32_t level, const void *records, size_t size, struct error *err)
{
    return level == *(uint32_t *)context ? error_set(err, -ENOSPC, "full") : 0;
}

static void test_put_fails(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(4 * MIB, 8);
    cleanup_memory struct chunk_list_builder *builder = memory_new(sizeof(*builder));
    struct digest sha256 = { { 0 } };
    uint8_t header[CHUNK_LIST_HEADER_SIZE];

    for (uint32_t level = 0; level < 2; level++) {
        int r;
        chunk_list_builder_init(builder, fails, &level);
        r = chunk_list_builder_add(builder, data.bytes, data.size, NULL);
        if (r == 0)
            r = chunk_list_builder_end(builder, &sha256, header, NULL);
        assert_int_equal(r, -ENOSPC);
    }
}

static int build(struct span data)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);

    return chunk_list_build(data, NULL, &out, NULL);
}

static void test_no_memory(void **state)
{
    cleanup(buf_release) struct buf data = sample_bytes(MIB, 1);

    assert_survives_no_memory(build(buf_span(&data)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_definition),
        cmocka_unit_test(test_levels_equal_definition),
        cmocka_unit_test(test_zeros),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_saved_state),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_every_rule),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_three_levels),
        cmocka_unit_test(test_put_fails),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
