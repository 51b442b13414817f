/* SPDX-License-Identifier: MIT */
#include "fs/care/scrub_place.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "tests/support/unit.h"

static struct scrub_place some(void)
{
    struct scrub_place place = { .in_pass = true,
                                 .folder = 511,
                                 .started_at_s = 1700000000,
                                 .ended_at_s = 1600000000,
                                 .passes = 3,
                                 .objects = 7,
                                 .bytes = 1ull << 40,
                                 .wrong = 1 };

    place.name = digest_of("x", 1);
    return place;
}

static void what_is_written_is_read(void **state)
{
    struct scrub_place places[] = { some(), { .folder = 0 } };

    for (size_t i = 0; i < 2; i++) {
        struct buf text = buf_init(512);
        struct scrub_place read;

        memset(&read, 0xff, sizeof(read));
        scrub_place_write(&places[i], &text);
        assert_int_equal(buf_check(&text, NULL), 0);
        /* What stood in the file before it may be longer. */
        buf_add_text(&text, "garbage of a longer line\n");
        assert_int_equal(scrub_place_read(buf_span(&text), &read), 0);
        assert_int_equal(read.in_pass, places[i].in_pass);
        assert_int_equal(read.folder, places[i].folder);
        assert_true(digest_equal(&read.name, &places[i].name));
        assert_int_equal(read.started_at_s, places[i].started_at_s);
        assert_int_equal(read.ended_at_s, places[i].ended_at_s);
        assert_int_equal(read.passes, places[i].passes);
        assert_int_equal(read.objects, places[i].objects);
        assert_int_equal(read.bytes, places[i].bytes);
        assert_int_equal(read.wrong, places[i].wrong);
        buf_release(&text);
    }
}

/* Each byte of it changed, and each length of it. */
static void damage_is_seen(void **state)
{
    struct scrub_place place = some(), read = { .folder = 77 };
    struct buf text = buf_init(512);

    scrub_place_write(&place, &text);
    for (size_t i = 0; i < text.size; i++) {
        text.bytes[i] ^= 1;
        assert_int_equal(scrub_place_read(buf_span(&text), &read), -EBADMSG);
        text.bytes[i] ^= 1;
        assert_int_equal(scrub_place_read(span_of(text.bytes, i), &read), -EBADMSG);
    }
    assert_int_equal(read.folder, 77);
    buf_release(&text);
}

static void other_numbers_are_refused(void **state)
{
    struct scrub_place place = some(), read;
    struct buf text = buf_init(512);

    place.folder = SCRUB_FOLDERS;
    scrub_place_write(&place, &text);
    assert_int_equal(scrub_place_read(buf_span(&text), &read), -EBADMSG);
    assert_int_equal(scrub_place_read(span_text(""), &read), -EBADMSG);
    assert_int_equal(scrub_place_read(span_text("\n"), &read), -EBADMSG);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(other_numbers_are_refused),
    };

    return cmocka_run_group_tests_name("scrub_place", tests, NULL, NULL);
}
