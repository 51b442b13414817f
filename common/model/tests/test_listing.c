/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/listing.h"

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MAGIC LISTING_MAGIC "\0"
#define LITERAL(text) span_of(text, sizeof(text) - 1)

CLEANUP_DEFINE(listing_reader, listing_reader_free);

static struct span sample(void)
{
    return LITERAL(MAGIC "d 0755 a\0f 0644 5 " HELLO " a/b\0l a/l\0../a-b\0"
                         "f 0755 0 " EMPTY " a-b\0f 0644 5 " HELLO " n\nl\0");
}

static int read_in_pieces(struct span listing, size_t piece, listing_function *function,
                          void *context, struct listing_totals *out, struct error *err)
{
    cleanup(cleanup_listing_reader) struct listing_reader *reader = NULL;
    int r = listing_reader_new(&reader, function, context, err);

    for (size_t at = 0; r == 0 && at < listing.size; at += piece) {
        struct span part = span_slice(listing, at, piece);
        /* a copy of its own size, so that a sanitizer sees a read behind it */
        uint8_t *copy = malloc(part.size);
        memcpy(copy, part.bytes, part.size);
        r = listing_reader_feed(reader, copy, part.size, err);
        free(copy);
    }
    return r == 0 ? listing_reader_end(reader, out, err) : r;
}

static void assert_content(struct span listing, const char *content, uint64_t count)
{
    static const size_t pieces[] = { 1, 2, 7, 64, 100000 };
    struct listing_totals totals;
    char hex[DIGEST_HEX_SIZE];
    struct error err = { 0 };

    assert_int_equal(listing_check(listing, &totals, &err), 0);
    digest_hex(&totals.content, hex);
    assert_string_equal(hex, content);
    assert_int_equal(totals.count, count);
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        memset(&totals, 0, sizeof(totals));
        assert_int_equal(read_in_pieces(listing, pieces[i], NULL, NULL, &totals, &err), 0);
        digest_hex(&totals.content, hex);
        assert_string_equal(hex, content);
        assert_int_equal(totals.count, count);
        assert_int_equal(totals.size, listing.size);
    }
}

static void test_vectors(void **state)
{
    assert_content(LITERAL(MAGIC),
                   "a1aa3d004c0f2d83fb2591895121f21663f5ad5f9d1447720e862b8bde88d1de", 0);
    assert_content(LITERAL(MAGIC "f 0644 5 " HELLO " f\0"),
                   "c8f1c94965368960f777f3dbbbaa475939c188deded27657ed7edecd354366fa", 1);
    assert_content(sample(), "59b70a67ee19d6c1dc5b623ea2ad961d83798c9950d60058626132d02b09fbd8", 5);
}

/* Both readers refuse it, at the same offset. */
static void assert_refused(struct span listing, const char *text)
{
    struct listing_totals totals;
    struct error err = { 0 }, streamed = { 0 };

    assert_int_equal(listing_check(listing, &totals, &err), -EBADMSG);
    assert_string_equal(err.text, text);
    assert_int_equal(read_in_pieces(listing, 3, NULL, NULL, &totals, &streamed), -EBADMSG);
    assert_string_equal(streamed.text, text);
}

static void test_refused(void **state)
{
    assert_refused(LITERAL(""), "offset 0: a listing begins with \"kkartifact-listing-1\" NUL");
    assert_refused(LITERAL("kkartifact-listing-2\0"),
                   "offset 0: a listing begins with \"kkartifact-listing-1\" NUL");
    assert_refused(LITERAL(LISTING_MAGIC),
                   "offset 0: a listing begins with \"kkartifact-listing-1\" NUL");
    assert_refused(LITERAL(MAGIC "x a\0"), "offset 21: an entry begins with d, f or l");
    assert_refused(LITERAL(MAGIC "d\t0755 a\0"), "offset 22: one space stands behind the kind");
    assert_refused(LITERAL(MAGIC "d 0755 a"), "offset 28: the listing is cut off inside an entry");
    assert_refused(LITERAL(MAGIC "d"), "offset 21: the listing is cut off inside an entry");
    assert_refused(LITERAL(MAGIC "d 755 a\0"),
                   "offset 23: a mode is four octal digits from 0000 to 0777");
    assert_refused(LITERAL(MAGIC "d 1755 a\0"),
                   "offset 23: a mode is four octal digits from 0000 to 0777");
    assert_refused(LITERAL(MAGIC "d 00755 a\0"), "offset 23: a field is too long");
    assert_refused(LITERAL(MAGIC "f 0644 05 " HELLO " a\0"),
                   "offset 28: a size is decimal, without leading zeros, at most 2^53 - 1");
    assert_refused(LITERAL(MAGIC "f 0644 9007199254740992 " HELLO " a\0"),
                   "offset 28: a size is decimal, without leading zeros, at most 2^53 - 1");
    assert_refused(LITERAL(MAGIC "f 0644 9223372036854775808 " HELLO " a\0"),
                   "offset 28: a field is too long");
    assert_refused(LITERAL(MAGIC "f 0644 -1 " HELLO " a\0"),
                   "offset 28: a size is decimal, without leading zeros, at most 2^53 - 1");
    assert_refused(LITERAL(MAGIC "f 0644 5 ABC a\0"),
                   "offset 30: a sha256 is 64 lower-case hex digits");
    assert_refused(LITERAL(MAGIC "f 0644 5 " EMPTY " a\0"),
                   "offset 95: the sha256 of no bytes on a file that has some");
    assert_refused(LITERAL(MAGIC "f 0644 0 " HELLO " a\0"),
                   "offset 95: an empty file has the sha256 of no bytes");
    assert_refused(LITERAL(MAGIC "d 0755 /a\0"), "offset 28: empty component in a path");
    assert_refused(LITERAL(MAGIC "d 0755 a/..\0"), "offset 28: \".\" or \"..\" in a path");
    assert_refused(LITERAL(MAGIC "d 0755 \0"), "offset 28: empty path");
    assert_refused(LITERAL(MAGIC "d 0755 a/b\0"),
                   "offset 28: the parent is no directory of the tree");
    assert_refused(LITERAL(MAGIC "l a\0b\0l a/b\0c\0"),
                   "offset 29: the parent is no directory of the tree");
    assert_refused(LITERAL(MAGIC "d 0755 a\0d 0755 a\0"), "offset 37: a path stands twice");
    assert_refused(LITERAL(MAGIC "d 0755 b\0d 0755 a\0"), "offset 37: paths are not in order");
    assert_refused(LITERAL(MAGIC "l a\0\0"), "offset 23: a link's target has 1 to 4095 bytes");
    assert_refused(LITERAL(MAGIC "d 0755 .kkartifact\0"),
                   "offset 28: \".kkartifact\" and \".kkartifact.yml\" at the top are never part "
                   "of a version");
}

static void test_too_long(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(100000);

    buf_add(&out, MAGIC "d 0755 ", 28);
    for (int i = 0; i < 5000; i++)
        buf_add_byte(&out, 'a');
    assert_refused(buf_span(&out), "offset 28: a field is too long");
    buf_clear(&out);
    buf_add(&out, MAGIC "l a\0", 25);
    for (int i = 0; i < 5000; i++)
        buf_add_byte(&out, 'a');
    assert_refused(buf_span(&out), "offset 25: a field is too long");
}

/* Every shorter beginning that does not end with an entry is refused, as are changes of any byte
 * that leave the size: those either differ in content or are refused. */
static void test_cut_and_changed(void **state)
{
    struct span whole = sample();
    struct listing_totals totals, original;
    size_t accepted = 0;

    assert_int_equal(listing_check(whole, &original, NULL), 0);
    for (size_t size = 0; size < whole.size; size++)
        accepted += listing_check(span_slice(whole, 0, size), &totals, NULL) == 0;
    assert_int_equal(accepted, 5); /* behind the magic and behind four entries */
    for (size_t i = 0; i < whole.size; i++) {
        uint8_t copy[1000];
        memcpy(copy, whole.bytes, whole.size);
        copy[i] ^= 0x11;
        if (listing_check(span_of(copy, whole.size), &totals, NULL) == 0)
            assert_false(digest_equal(&totals.content, &original.content));
    }
}

static int copy_entry(void *context, const struct entry *entry, struct error *err)
{
    return listing_writer_add(context, entry, err);
}

static void test_written_again(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(100000);
    struct listing_totals totals, written;
    struct listing_writer writer;

    assert_int_equal(listing_writer_init(&writer, sink_to_buf(&out), NULL), 0);
    assert_int_equal(read_in_pieces(sample(), 5, copy_entry, &writer, &totals, NULL), 0);
    assert_int_equal(listing_writer_end(&writer, &written, NULL), 0);
    assert_true(span_equal(buf_span(&out), sample()));
    assert_true(digest_equal(&totals.content, &written.content));
    assert_int_equal(written.count, 5);
    assert_int_equal(written.file_count, 3);
    assert_int_equal(written.bytes, 10);
    assert_int_equal(written.size, out.size);
}

static void test_writer_refuses(void **state)
{
    struct entry entry = { .kind = ENTRY_DIRECTORY, .mode = 0755, .path = span_text("b") };
    struct listing_writer writer;
    struct error err = { 0 };
    uint64_t size = 0;

    assert_int_equal(listing_writer_init(&writer, sink_to_counter(&size), &err), 0);
    assert_int_equal(listing_writer_add(&writer, &entry, &err), 0);
    entry.path = span_text("a");
    assert_int_equal(listing_writer_add(&writer, &entry, &err), -EINVAL);
    assert_string_equal(err.text, "a: paths are not in order");
}

static int stop(void *context, const struct entry *entry, struct error *err)
{
    return error_set(err, -ECANCELED, "enough");
}

static int write_nothing(void *context, const void *bytes, size_t size, struct error *err)
{
    return error_set(err, -ENOSPC, "full");
}

static void test_callbacks_fail(void **state)
{
    struct listing_totals totals = { .count = 99 };
    struct listing_writer writer;
    struct error err = { 0 };

    assert_int_equal(read_in_pieces(sample(), 1, stop, NULL, &totals, &err), -ECANCELED);
    assert_int_equal(totals.count, 99);
    assert_int_equal(listing_writer_init(&writer, (struct sink){ .write = write_nothing }, &err),
                     0);
    assert_int_equal(listing_writer_end(&writer, &totals, &err), -ENOSPC);
    assert_int_equal(totals.count, 99);
}

static int read_sample(void)
{
    struct listing_totals totals;

    return read_in_pieces(sample(), 9, NULL, NULL, &totals, NULL);
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(read_sample());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_long),       cmocka_unit_test(test_cut_and_changed),
        cmocka_unit_test(test_written_again),  cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_callbacks_fail), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
