/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_names.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/unit.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/listing.h"

/* Directories `a`, `b` and `c` with files of one name, one at the top, and one that is named after
 * a version. */
static void write_listing(struct buf *out)
{
    static const struct {
        const char *path;
        uint64_t size;
    } files[] = { { "a", 0 },
                  { "a/app", 5000 },
                  { "b", 0 },
                  { "b/app", 9000 },
                  { "b/tiny", 10 },
                  { "c", 0 },
                  { "c/app", 7000 },
                  { "lib", 6000 },
                  { "v1.0", 0 },
                  { "v1.0/opt", 0 },
                  { "v1.0/opt/l-1.9.jar", 6000 },
                  { "v1.0/usr", 0 },
                  { "v1.0/usr/l-1.9.jar", 8000 } };
    struct listing_writer writer;
    struct listing_totals totals;

    assert_int_equal(listing_writer_init(&writer, sink_to_buf(out), NULL), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct entry entry = { .kind = files[i].size > 0 ? ENTRY_FILE : ENTRY_DIRECTORY,
                               .path = span_text(files[i].path),
                               .mode = 0755,
                               .size = files[i].size,
                               .sha256 = { { (uint8_t)(i + 1) } } };
        assert_int_equal(listing_writer_add(&writer, &entry, NULL), 0);
    }
    assert_int_equal(listing_writer_end(&writer, &totals, NULL), 0);
}

static void check(struct push_names *names, const char *path, uint64_t size, const char *expected)
{
    const struct push_name *found = push_names_find(names, span_text(path), size);

    if (expected == NULL) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    if (!span_equal_text(found->path, expected))
        fail_msg("%s of %llu: found %.*s, not %s", path, (unsigned long long)size,
                 (int)found->path.size, (const char *)found->path.bytes, expected);
    assert_true(found->size >= 5000 && found->sha256.bytes[0] != 0);
}

static void paths_come_before_names(void **state)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(push_names_release) struct push_names names = { 0 };

    write_listing(&listing);
    assert_int_equal(push_names_read(buf_span(&listing), 5000, &names, NULL), 0);
    check(&names, "b/app", 5000, "b/app");
    check(&names, "d/app", 7100, "c/app");
    check(&names, "app", 0, "a/app");
    check(&names, "d/e/app", UINT64_MAX, "b/app");
    check(&names, "d/lib", 1, "lib");
    check(&names, "d/ib", 1, NULL);
    check(&names, "v1.1/opt/l-1.9.jar", 8000, "v1.0/opt/l-1.9.jar");
    check(&names, "v1.1/usr/l-1.10.jar", 6000, "v1.0/usr/l-1.9.jar");
    check(&names, "other/l-2.jar", 6100, "v1.0/opt/l-1.9.jar");
    check(&names, "b/tiny", 10, NULL); /* too small to be read */
    check(&names, "a", 5000, NULL);    /* a directory */
}

#define MANY 20000

/* So many of one name but for the numbers, each in a directory of its own. */
static void write_many(struct buf *out)
{
    struct listing_writer writer;
    struct listing_totals totals;
    char path[32];

    assert_int_equal(listing_writer_init(&writer, sink_to_buf(out), NULL), 0);
    for (unsigned i = 0; i < MANY; i++) {
        struct entry entry = { .kind = ENTRY_DIRECTORY, .mode = 0755 };

        (void)snprintf(path, sizeof(path), "d%05u", i);
        entry.path = span_text(path);
        assert_int_equal(listing_writer_add(&writer, &entry, NULL), 0);
        (void)snprintf(path, sizeof(path), "d%05u/tile-%05u.png", i, i);
        entry = (struct entry){ .kind = ENTRY_FILE,
                                .path = span_text(path),
                                .mode = 0644,
                                .size = 100000,
                                .sha256 = { { 1 } } };
        assert_int_equal(listing_writer_add(&writer, &entry, NULL), 0);
    }
    assert_int_equal(listing_writer_end(&writer, &totals, NULL), 0);
}

/* Compared with each other they would take minutes. */
static void any_number_of_like_names_is_gone_through(void **state)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(push_names_release) struct push_names names = { 0 };
    char path[32], moved[32];

    write_many(&listing);
    assert_int_equal(push_names_read(buf_span(&listing), 1, &names, NULL), 0);
    check(&names, "d00007/tile-99999.png", 1, "d00007/tile-00007.png");
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(moved, sizeof(moved), "e/tile-%05u.png", MANY + i);
        push_names_find(&names, span_text(moved), 1);
        (void)snprintf(path, sizeof(path), "d%05u/tile-%05u.png", i, i);
        check(&names, path, 1, path);
    }
}

static void a_broken_listing_is_none(void **state)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    struct push_names names = { .files = buf_init(1) };

    write_listing(&listing);
    assert_int_equal(push_names_read(span_slice(buf_span(&listing), 0, listing.size - 1), 1, &names,
                                     NULL),
                     -EBADMSG);
    assert_int_equal(push_names_read(span_text("x"), 1, &names, NULL), -EBADMSG);
    assert_int_equal(names.files.maximum, 1);
}

static int read_and_release(struct span listing)
{
    struct push_names names;
    int r = push_names_read(listing, 1, &names, NULL);

    if (r == 0)
        push_names_release(&names);
    return r;
}

static void lack_of_memory_is_told(void **state)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);

    write_listing(&listing);
    assert_survives_no_memory(read_and_release(buf_span(&listing)));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_come_before_names),
        cmocka_unit_test(any_number_of_like_names_is_gone_through),
        cmocka_unit_test(a_broken_listing_is_none),
        cmocka_unit_test(lack_of_memory_is_told),
    };

    return cmocka_run_group_tests_name("push_names", tests, NULL, NULL);
}
