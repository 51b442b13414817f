/* SPDX-License-Identifier: MIT */
#include "agent/transfer/kept_files.h"

#include <string.h>

#include "tests/support/place.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/file.h"

static struct digest name_of(char letter)
{
    return digest_of(&letter, 1);
}

/* A file of `size` equal letters is kept. */
static void put(struct place *place, char letter, size_t size)
{
    struct digest name = name_of(letter);
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    cleanup_fd int fd = -1;

    memset(buf_reserve(&bytes, size), letter, size);
    directory_remove_file(place->at, "file", NULL);
    assert_int_equal(directory_create(place->at, "file", 0600, &fd, NULL), 0);
    assert_int_equal(file_write(fd, bytes.bytes, size, NULL), 0);
    kept_files_put(place->at, &name, fd, size);
}

static bool holds(struct place *place, char letter, size_t size)
{
    struct digest name = name_of(letter);
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    cleanup_fd int fd = -1;
    uint8_t *at = buf_reserve(&bytes, size);
    size_t got = 0;

    if (!kept_files_open(place->at, &name, size, &fd))
        return false;
    assert_int_equal(file_read_at(fd, 0, at, size, &got, NULL), 0);
    assert_int_equal(got, size);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(at[i], letter);
    return true;
}

static void age(struct place *place, char letter, int64_t mtime_s)
{
    cleanup(buf_release) struct buf path = buf_init(256);
    struct digest name = name_of(letter);
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&name, hex);
    buf_format(&path, "kept/%s", hex);
    assert_int_equal(directory_set_mtime(place->at, buf_text(&path), mtime_s, NULL), 0);
}

static void what_was_put_is_there(void **state)
{
    struct place *place = *state;

    assert_false(holds(place, 'a', KEPT_FILES_MIN));
    put(place, 'a', KEPT_FILES_MIN);
    put(place, 'a', KEPT_FILES_MIN);
    assert_true(holds(place, 'a', KEPT_FILES_MIN));
    assert_false(holds(place, 'a', KEPT_FILES_MIN + 1));
    put(place, 'b', KEPT_FILES_MIN - 1);
    assert_false(holds(place, 'b', KEPT_FILES_MIN - 1));
}

static void without_a_place_nothing_is_kept(void **state)
{
    struct digest name = name_of('a');
    int fd = -1;

    kept_files_put(NULL, &name, 0, KEPT_FILES_MIN);
    assert_false(kept_files_open(NULL, &name, KEPT_FILES_MIN, &fd));
    kept_files_trim(NULL, 0);
}

static void the_oldest_go_first(void **state)
{
    struct place *place = *state;

    for (int i = 0; i < 3; i++) {
        put(place, (char)('a' + i), KEPT_FILES_MIN);
        age(place, (char)('a' + i), 1000 + i);
    }
    put(place, 'a', KEPT_FILES_MIN); /* and is the youngest now */
    kept_files_trim(place->at, 3 * KEPT_FILES_MIN);
    assert_true(holds(place, 'b', KEPT_FILES_MIN));
    kept_files_trim(place->at, 3 * KEPT_FILES_MIN - 1);
    assert_false(holds(place, 'b', KEPT_FILES_MIN));
    assert_true(holds(place, 'c', KEPT_FILES_MIN));
    kept_files_trim(place->at, KEPT_FILES_MIN);
    assert_false(holds(place, 'c', KEPT_FILES_MIN));
    assert_true(holds(place, 'a', KEPT_FILES_MIN));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(what_was_put_is_there),
        cmocka_unit_test(without_a_place_nothing_is_kept),
        IN_A_PLACE(the_oldest_go_first),
    };

    return cmocka_run_group_tests_name("kept_files", tests, NULL, NULL);
}
