/* SPDX-License-Identifier: MIT */
#include "common/model/pack.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/bytes.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/zstd.h"
#include "common/model/tests/sample_bytes.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(pack_reader, pack_reader_free);
CLEANUP_DEFINE(pack_writer, pack_writer_free);

/* What a reader gave: sizes of whole members, "!" for damaged ones. */
struct seen {
    struct buf text;
    int result;        /* of the function */
    uint64_t unwanted; /* a size; members of it are skipped */
    int refused;       /* what is said of them instead */
};

static int see(void *context, const struct pack_member *member, struct error *err)
{
    struct seen *seen = context;
    struct digest digest = digest_of_span(member->bytes);

    if (member->damage != NULL) {
        assert_int_equal(member->bytes.size, 0);
        buf_add_text(&seen->text, "! ");
    } else {
        assert_int_equal(member->bytes.size, member->size);
        assert_true(digest_equal(&digest, &member->sha256));
        buf_format(&seen->text, "%zu ", member->bytes.size);
    }
    return seen->result < 0 ? error_set(err, seen->result, "no more") : buf_check(&seen->text, err);
}

/* Asked of each: "?" and the size. */
static int ask(void *context, const struct digest *sha256, uint64_t size, bool *out_wanted,
               struct error *err)
{
    struct seen *seen = context;

    buf_format(&seen->text, "?%llu ", (unsigned long long)size);
    *out_wanted = size != seen->unwanted;
    return !*out_wanted && seen->refused < 0 ? error_set(err, seen->refused, "refused") : 0;
}

static const struct pack_limits wide = { .member_size = 1 << 24, .count = 1000 };

static int read_pack(struct span pack, const struct pack_limits *limits, size_t piece,
                     struct seen *seen, struct error *err)
{
    cleanup(cleanup_pack_reader) struct pack_reader *reader = NULL;
    int r = pack_reader_new(&reader, limits, see, seen, err);

    if (r == 0 && seen->unwanted > 0)
        pack_reader_ask(reader, ask);
    for (size_t at = 0; r == 0 && at < pack.size; at += piece) {
        struct span part = span_slice(pack, at, piece);
        r = pack_reader_feed(reader, part.bytes, part.size, err);
    }
    return r == 0 ? pack_reader_end(reader, err) : r;
}

static int add(struct pack_writer *writer, struct span bytes)
{
    struct digest digest = digest_of_span(bytes);

    return pack_writer_add(writer, &digest, bytes, NULL);
}

/* Small, empty, text, random, larger text. */
static int write_sample(struct sink sink, struct span random, uint64_t *out_size)
{
    cleanup(cleanup_pack_writer) struct pack_writer *writer = NULL;
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    int r = pack_writer_new(&writer, 3, sink, NULL);

    for (int i = 0; i < 30000; i++)
        buf_format(&text, "line %d\n", i);
    if (r == 0)
        r = buf_check(&text, NULL);
    if (r == 0)
        r = add(writer, span_text("hello"));
    if (r == 0)
        r = add(writer, span_text(""));
    if (r == 0)
        r = add(writer, span_slice(buf_span(&text), 0, 4000));
    if (r == 0)
        r = add(writer, random);
    if (r == 0)
        r = add(writer, buf_span(&text));
    if (r == 0)
        r = pack_writer_end(writer, NULL);
    if (r == 0)
        *out_size = pack_writer_size(writer);
    return r;
}

static void test_round_trip(void **state)
{
    static const size_t pieces[] = { 1, 7, 1000, SIZE_MAX / 2 };
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED), random = sample_bytes(70000, 1);
    uint64_t size;

    assert_int_equal(write_sample(sink_to_buf(&pack), buf_span(&random), &size), 0);
    assert_int_equal(pack.size, size);
    assert_in_range(pack.size, 70000, 200000);
    for (size_t i = 0; i < 4; i++) {
        struct seen seen = { .text = buf_init(1000) };
        assert_int_equal(read_pack(buf_span(&pack), &wide, pieces[i], &seen, NULL), 0);
        assert_string_equal(buf_text(&seen.text), "5 0 4000 70000 318890 ");
        buf_release(&seen.text);
    }
}

static void test_empty(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(100);
    cleanup(cleanup_pack_writer) struct pack_writer *writer = NULL;
    struct seen seen = { .text = buf_init(1000) };

    assert_int_equal(pack_writer_new(&writer, 3, sink_to_buf(&pack), NULL), 0);
    assert_int_equal(pack_writer_end(writer, NULL), 0);
    assert_int_equal(pack.size, 48);
    assert_int_equal(read_pack(buf_span(&pack), &wide, 5, &seen, NULL), 0);
    assert_string_equal(buf_text(&seen.text), "");
    buf_release(&seen.text);
}

/* Members by hand. */
static void add_by_hand(struct buf *pack, struct span bytes, uint64_t size, uint8_t coding,
                        struct span stored)
{
    struct digest digest = digest_of_span(bytes);

    if (pack->size == 0)
        buf_add(pack, PACK_MAGIC, 8);
    buf_add(pack, digest.bytes, DIGEST_SIZE);
    buf_add_u64(pack, size);
    buf_add_byte(pack, coding);
    buf_add_u64(pack, stored.size);
    buf_add_span(pack, stored);
}

static void end_by_hand(struct buf *pack, uint64_t count)
{
    buf_add_zeros(pack, 32);
    buf_add_u64(pack, count);
}

static void test_damaged_members(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED), zeros = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    struct span hello = span_text("hello"), text;
    struct seen seen = { .text = buf_init(1000) };

    buf_add_zeros(&zeros, 1000);
    text = buf_span(&zeros);
    assert_int_equal(zstd_compress(text, 3, &frame, NULL), 0);
    add_by_hand(&pack, hello, 5, 0, hello);
    add_by_hand(&pack, hello, 5, 0, span_text("jello"));
    add_by_hand(&pack, text, 1000, 1, buf_span(&frame));
    add_by_hand(&pack, hello, 1000, 1, buf_span(&frame)); /* another digest */
    add_by_hand(&pack, text, 999, 1, buf_span(&frame));   /* another size */
    add_by_hand(&pack, text, 1000, 1, span_text("no frame"));
    buf_add_byte(&frame, 0);
    add_by_hand(&pack, text, 1000, 1, buf_span(&frame)); /* a byte behind it */
    add_by_hand(&pack, hello, 0, 0, span_text(""));
    add_by_hand(&pack, hello, 5, 0, hello);
    end_by_hand(&pack, 9);
    for (size_t piece = 1; piece < 200; piece += 9) {
        buf_clear(&seen.text);
        assert_int_equal(read_pack(buf_span(&pack), &wide, piece, &seen, NULL), 0);
        assert_string_equal(buf_text(&seen.text), "5 ! 1000 ! ! ! ! ! 5 ");
    }
    buf_release(&seen.text);
}

static void assert_refused(struct buf *pack, const struct pack_limits *limits, int code,
                           const char *offset_and_rule)
{
    for (size_t piece = 1; piece < 300; piece += 13) {
        struct seen seen = { .text = buf_init(1000) };
        struct error err = { 0 };
        assert_int_equal(read_pack(buf_span(pack), limits, piece, &seen, &err), code);
        if (strncmp(err.text, offset_and_rule, strlen(offset_and_rule)) != 0)
            assert_string_equal(err.text, offset_and_rule);
        buf_release(&seen.text);
    }
    buf_clear(pack);
}

static void test_every_rule(void **state)
{
    const struct pack_limits narrow = { .member_size = 5, .count = 1 };
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    struct span hello = span_text("hello");

    assert_refused(&pack, &wide, -EBADMSG, "offset 0: a pack ends");
    buf_add_text(&pack, "KKAPACK2");
    assert_refused(&pack, &wide, -EBADMSG, "offset 0: a pack begins");
    buf_add_text(&pack, "KKAPACK");
    assert_refused(&pack, &wide, -EBADMSG, "offset 7: a pack ends");
    add_by_hand(&pack, hello, 5, 0, hello);
    assert_refused(&pack, &wide, -EBADMSG, "offset 62: a pack ends");
    add_by_hand(&pack, hello, 5, 2, hello);
    assert_refused(&pack, &wide, -EBADMSG, "offset 48: a coding is");
    add_by_hand(&pack, hello, 6, 0, hello);
    assert_refused(&pack, &wide, -EBADMSG, "offset 49: stored is");
    add_by_hand(&pack, hello, 4, 1, hello);
    assert_refused(&pack, &wide, -EBADMSG, "offset 49: stored is");
    add_by_hand(&pack, hello, 5, 1, span_text(""));
    assert_refused(&pack, &wide, -EBADMSG, "offset 49: stored is");
    add_by_hand(&pack, hello, 5, 0, hello);
    end_by_hand(&pack, 2);
    assert_refused(&pack, &wide, -EBADMSG, "offset 94: the end names");
    add_by_hand(&pack, hello, 5, 0, hello);
    end_by_hand(&pack, 1);
    buf_add_byte(&pack, 0);
    assert_refused(&pack, &wide, -EBADMSG, "offset 102: nothing stands behind");
    add_by_hand(&pack, hello, 6, 1, hello);
    assert_refused(&pack, &narrow, -EFBIG, "offset 40: more than 5 bytes in a member");
    add_by_hand(&pack, hello, UINT64_MAX, 1, hello);
    assert_refused(&pack, &wide, -EFBIG, "offset 40: more than");
    add_by_hand(&pack, hello, 5, 0, hello);
    add_by_hand(&pack, hello, 5, 0, hello);
    assert_refused(&pack, &narrow, -EFBIG, "offset 62: more than 1 members");
}

static void test_function_ends(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    struct seen seen = { .text = buf_init(1000), .result = -ENOSPC };

    add_by_hand(&pack, span_text("hello"), 5, 0, span_text("hello"));
    end_by_hand(&pack, 1);
    assert_int_equal(read_pack(buf_span(&pack), &wide, 10, &seen, NULL), -ENOSPC);
    assert_string_equal(buf_text(&seen.text), "5 ");
    buf_release(&seen.text);
}

/* Nothing of a skipped member is looked at but its lengths. */
static void test_unwanted_members(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    struct span hello = span_text("hello"), none = span_text("");
    struct seen seen = { .text = buf_init(1000), .unwanted = 1000 };

    add_by_hand(&pack, hello, 1000, 1, span_text("no frame"));
    add_by_hand(&pack, hello, 5, 0, hello);
    add_by_hand(&pack, none, 0, 0, none);
    add_by_hand(&pack, hello, 1000, 1, hello);
    end_by_hand(&pack, 4);
    for (size_t piece = 1; piece < 200; piece += 9) {
        buf_clear(&seen.text);
        assert_int_equal(read_pack(buf_span(&pack), &wide, piece, &seen, NULL), 0);
        assert_string_equal(buf_text(&seen.text), "?1000 ?5 5 ?0 0 ?1000 ");
    }
    seen.refused = -ENOSPC;
    buf_clear(&seen.text);
    assert_int_equal(read_pack(buf_span(&pack), &wide, 10, &seen, NULL), -ENOSPC);
    assert_string_equal(buf_text(&seen.text), "?1000 ");
    seen.refused = 0;
    buf_clear(&pack);
    add_by_hand(&pack, hello, 1000, 0, hello);
    assert_int_equal(read_pack(buf_span(&pack), &wide, 10, &seen, NULL), -EBADMSG);
    buf_release(&seen.text);
}

static void test_stored_members(void **state)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED), zeros = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf frame = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_pack_writer) struct pack_writer *writer = NULL;
    struct seen seen = { .text = buf_init(1000) };
    struct digest digest, none = { { 0 } };

    buf_add_zeros(&zeros, 1000);
    digest = digest_of_span(buf_span(&zeros));
    assert_int_equal(zstd_compress(buf_span(&zeros), 3, &frame, NULL), 0);
    assert_int_equal(pack_writer_new(&writer, 3, sink_to_buf(&pack), NULL), 0);
    assert_int_equal(pack_writer_add_stored(writer, &digest, 1000, PACK_ZSTD, buf_span(&frame),
                                            NULL),
                     0);
    assert_int_equal(pack_writer_add_stored(writer, &digest, 1000, PACK_RAW, buf_span(&zeros),
                                            NULL),
                     0);
    assert_int_equal(pack_writer_add_stored(writer, &digest, 999, PACK_ZSTD, buf_span(&frame),
                                            NULL),
                     -EINVAL);
    assert_int_equal(pack_writer_add_stored(writer, &digest, 999, PACK_RAW, buf_span(&zeros), NULL),
                     -EINVAL);
    assert_int_equal(pack_writer_add_stored(writer, &digest, 5, PACK_ZSTD, buf_span(&frame), NULL),
                     -EINVAL);
    assert_int_equal(pack_writer_add_stored(writer, &none, 1000, PACK_RAW, buf_span(&zeros), NULL),
                     -EINVAL);
    assert_int_equal(pack_writer_add(writer, &none, buf_span(&zeros), NULL), -EINVAL);
    assert_int_equal(pack_writer_end(writer, NULL), 0);
    assert_int_equal(read_pack(buf_span(&pack), &wide, 10, &seen, NULL), 0);
    assert_string_equal(buf_text(&seen.text), "1000 1000 ");
    buf_release(&seen.text);
}

static int write_and_read(struct span random)
{
    cleanup(buf_release) struct buf pack = buf_init(BUF_UNLIMITED);
    struct seen seen = { .text = buf_init(1000) };
    uint64_t size;
    int r = write_sample(sink_to_buf(&pack), random, &size);

    if (r == 0)
        r = read_pack(buf_span(&pack), &wide, 5000, &seen, NULL);
    buf_release(&seen.text);
    return r;
}

static void test_no_memory(void **state)
{
    cleanup(buf_release) struct buf random = sample_bytes(70000, 1);

    assert_survives_no_memory(write_and_read(buf_span(&random)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_empty),
        cmocka_unit_test(test_damaged_members),  cmocka_unit_test(test_every_rule),
        cmocka_unit_test(test_function_ends),    cmocka_unit_test(test_stored_members),
        cmocka_unit_test(test_unwanted_members), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
