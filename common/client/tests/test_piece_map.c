/* SPDX-License-Identifier: MIT */
#include "common/client/piece_map.h"

#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/client/tests/sample.h"
#include "tests/support/unit.h"

static void bits_are_counted(void **state)
{
    static const uint64_t counts[] = { 0, 1, 7, 8, 9, 1000 };

    for (size_t i = 0; i < 6; i++) {
        struct piece_map map;

        assert_int_equal(piece_map_init(&map, counts[i]), 0);
        assert_false(piece_map_has(&map, 0));
        piece_map_fill(&map, true);
        assert_int_equal(map.set, counts[i]);
        assert_false(piece_map_has(&map, counts[i]));
        assert_false(piece_map_add(&map, counts[i]));
        if (counts[i] > 0) {
            assert_true(piece_map_remove(&map, counts[i] - 1));
            assert_false(piece_map_remove(&map, counts[i] - 1));
            assert_int_equal(map.set, counts[i] - 1);
            assert_true(piece_map_add(&map, counts[i] - 1));
        }
        piece_map_release(&map);
    }
}

static void the_file_survives_a_torn_write(void **state)
{
    char *folder = temporary_new();
    struct directory *at = NULL;
    struct digest verity = digest_of("x", 1), other = digest_of("y", 1);
    struct piece_map map, read;
    uint64_t generation = 0;
    cleanup_fd int fd = -1;

    assert_int_equal(directory_open(folder, &at, NULL), 0);
    assert_int_equal(piece_map_init(&map, 100), 0);
    assert_int_equal(piece_map_init(&read, 100), 0);
    assert_int_equal(piece_map_load(at, "a.m", 5000, &verity, &read, &generation, NULL), -ENOENT);
    for (uint64_t i = 0; i < 5; i++) {
        piece_map_add(&map, i * 7);
        assert_int_equal(piece_map_save(at, "a.m", 5000, &verity, &map, i, NULL), 0);
        assert_int_equal(piece_map_load(at, "a.m", 5000, &verity, &read, &generation, NULL), 0);
        assert_int_equal(generation, i + 1);
        assert_int_equal(read.set, i + 1);
        assert_true(piece_map_has(&read, i * 7));
    }
    assert_int_equal(piece_map_load(at, "a.m", 5001, &verity, &read, &generation, NULL), -ENOENT);
    assert_int_equal(piece_map_load(at, "a.m", 5000, &other, &read, &generation, NULL), -ENOENT);
    /* generation 4 is in slot 0: damage it, and 3 is found */
    assert_int_equal(directory_open_write(at, "a.m", &fd, NULL), 0);
    assert_int_equal(file_write_at(fd, 90, "\xff", 1, NULL), 0);
    assert_int_equal(piece_map_load(at, "a.m", 5000, &verity, &read, &generation, NULL), 0);
    assert_int_equal(generation, 4);
    assert_int_equal(read.set, 4);
    assert_int_equal(file_truncate(fd, 100, NULL), 0);
    assert_int_equal(piece_map_load(at, "a.m", 5000, &verity, &read, &generation, NULL), -ENOENT);
    piece_map_release(&map);
    piece_map_release(&read);
    directory_close(at);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_counted),
        cmocka_unit_test(the_file_survives_a_torn_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
