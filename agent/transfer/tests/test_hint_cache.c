/* SPDX-License-Identifier: MIT */
#include "agent/transfer/hint_cache.h"

#include <string.h>

#include "tests/support/place.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"

static struct digest name_of(const char *text)
{
    return digest_of(text, strlen(text));
}

static void path_of(const char *text, const char *kind, struct buf *out)
{
    struct digest name = name_of(text);
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&name, hex);
    buf_format(out, "hints/%s.%s", hex, kind);
}

static void put(struct place *place, const char *text, const char *kind, const char *hint)
{
    struct digest name = name_of(text);

    hint_cache_put(place->at, &name, kind, span_text(hint));
}

static bool holds(struct place *place, const char *text, const char *kind, const char *hint)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct digest name = name_of(text);

    if (!hint_cache_get(place->at, &name, kind, &out))
        return false;
    assert_string_equal(buf_text(&out), hint);
    return true;
}

static void what_was_put_is_there(void **state)
{
    struct place *place = *state;

    assert_false(holds(place, "a", "chunks", ""));
    put(place, "a", "chunks", "one");
    put(place, "a", "merkle", "two");
    put(place, "b", "chunks", "");
    assert_true(holds(place, "a", "chunks", "one"));
    assert_true(holds(place, "a", "merkle", "two"));
    assert_true(holds(place, "b", "chunks", ""));
    assert_false(holds(place, "b", "merkle", ""));
    put(place, "a", "chunks", "three");
    assert_true(holds(place, "a", "chunks", "three"));
}

static void without_a_place_nothing_is_kept(void **state)
{
    struct digest name = name_of("a");
    struct buf out = buf_init(BUF_UNLIMITED);

    hint_cache_put(NULL, &name, "chunks", span_text("x"));
    assert_false(hint_cache_get(NULL, &name, "chunks", &out));
    hint_cache_trim(NULL, 0, 0);
}

/* Each byte changed, and each cut. */
static void damage_is_absence(void **state)
{
    struct place *place = *state;
    cleanup(buf_release) struct buf path = buf_init(256);
    struct file_info info;

    path_of("a", "chunks", &path);
    for (uint64_t at = 0; at < 3 + DIGEST_SIZE; at++) {
        cleanup_fd int fd = -1;
        uint8_t byte;
        size_t got;

        put(place, "a", "chunks", "one");
        assert_int_equal(directory_open_write(place->at, buf_text(&path), &fd, NULL), 0);
        assert_int_equal(file_read_at(fd, at, &byte, 1, &got, NULL), 0);
        byte ^= 1;
        assert_int_equal(file_write_at(fd, at, &byte, 1, NULL), 0);
        assert_false(holds(place, "a", "chunks", "one"));
        put(place, "a", "chunks", "one");
        assert_true(holds(place, "a", "chunks", "one"));
        cleanup_fd_at(&fd);
        assert_int_equal(directory_open_write(place->at, buf_text(&path), &fd, NULL), 0);
        assert_int_equal(file_truncate(fd, at, NULL), 0);
        assert_false(holds(place, "a", "chunks", "one"));
    }
    assert_int_equal(directory_info(place->at, buf_text(&path), &info, NULL), 0);
}

static void the_oldest_go_first(void **state)
{
    struct place *place = *state;
    static const char *const names[] = { "a", "b", "c", "d" };

    for (int i = 0; i < 4; i++) {
        cleanup(buf_release) struct buf path = buf_init(256);

        put(place, names[i], "chunks", "0123456789");
        path_of(names[i], "chunks", &path);
        assert_int_equal(directory_set_mtime(place->at, buf_text(&path), 1000 + i, NULL), 0);
    }
    assert_true(holds(place, "a", "chunks", "0123456789")); /* and is the youngest now */
    hint_cache_trim(place->at, 4, 4 * (10 + DIGEST_SIZE));
    assert_true(holds(place, "b", "chunks", "0123456789"));
    hint_cache_trim(place->at, 3, UINT64_MAX);
    assert_false(holds(place, "c", "chunks", "0123456789"));
    hint_cache_trim(place->at, 4, 3 * (10 + DIGEST_SIZE) - 1);
    assert_false(holds(place, "d", "chunks", "0123456789"));
    assert_true(holds(place, "a", "chunks", "0123456789"));
    hint_cache_trim(place->at, 0, UINT64_MAX);
    assert_false(holds(place, "a", "chunks", "0123456789"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(what_was_put_is_there),
        cmocka_unit_test(without_a_place_nothing_is_kept),
        IN_A_PLACE(damage_is_absence),
        IN_A_PLACE(the_oldest_go_first),
    };

    return cmocka_run_group_tests_name("hint_cache", tests, NULL, NULL);
}
