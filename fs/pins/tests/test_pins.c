/* SPDX-License-Identifier: MIT */
#include "fs/pins/pins.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/client/tests/sample.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"
#include "fs/pins/content_set.h"
#include "tests/support/unit.h"

/* A cache with a tree image in it, and the pins of it. */
struct world {
    char *folder;
    struct pins *pins;
    struct blob_cache *cache;
    struct sample_tree tree;
    struct digest content; /* of one of its files */
};

static void open_world(struct world *world)
{
    struct blob_cache_options options = { .quota_bytes = 0 };

    assert_int_equal(pins_open(world->folder, &world->pins, NULL), 0);
    options.keeper = pins_keeper(world->pins);
    assert_int_equal(blob_cache_open(world->folder, &options, &world->cache, NULL), 0);
    pins_use(world->pins, world->cache);
}

static void close_world(struct world *world)
{
    world->cache = blob_cache_close(world->cache);
    world->pins = pins_close(world->pins);
}

static void put_image(struct world *world)
{
    struct blob_key key = { BLOB_TREE, world->tree.verity, world->tree.verity,
                            world->tree.image.size };
    struct blob_entry *entry = NULL;

    assert_true(key.size <= BLOB_PIECE_SIZE);
    assert_int_equal(blob_cache_entry(world->cache, &key, &entry, NULL), 0);
    assert_int_equal(blob_entry_put(entry, 0, world->tree.image.bytes, (size_t)key.size), 0);
    blob_entry_unref(entry);
}

static struct world world_new(void)
{
    struct world world = { .folder = temporary_new() };
    struct tree tree;

    open_world(&world);
    sample_tree_make(&world.tree, 7, 100);
    assert_int_equal(tree_open(buf_span(&world.tree.image), &tree, NULL), 0);
    for (uint32_t i = 0; i < tree.header.record_count; i++) {
        struct tree_record record = tree_record(&tree, i);

        if (record.kind == ENTRY_FILE && record.size > 0)
            world.content = tree_sha256(&tree, record.digest_index);
    }
    assert_false(digest_is_zero(&world.content));
    put_image(&world);
    return world;
}

static void world_free(struct world *world)
{
    close_world(world);
    sample_tree_release(&world->tree);
    temporary_remove(world->folder);
}

static struct pin pin_of(const struct world *world, const char *version)
{
    struct pin pin = { .store = "store-1",
                       .project = "web",
                       .app = "shop",
                       .tree = world->tree.verity,
                       .tree_size = world->tree.image.size };

    (void)snprintf(pin.version, sizeof(pin.version), "%s", version);
    return pin;
}

static bool has(struct world *world, const char *version)
{
    return pins_has(world->pins, "store-1", "web", "shop", version);
}

static bool keeps(struct world *world, const struct digest *name)
{
    const struct blob_cache_keeper *keeper = pins_keeper(world->pins);

    return keeper->keeps(keeper->context, name);
}

static void a_pin_lasts(void **state)
{
    struct world world = world_new();
    struct pin pin = pin_of(&world, "1.0");
    struct digest other = digest_of("another", 7);

    assert_false(keeps(&world, &world.content));
    assert_int_equal(pins_add(world.pins, &pin, NULL), 0);
    for (int round = 0; round < 2; round++) {
        assert_true(has(&world, "1.0"));
        assert_false(has(&world, "1.1"));
        assert_false(pins_has(world.pins, "store-2", "web", "shop", "1.0"));
        assert_true(keeps(&world, &world.content));
        assert_true(keeps(&world, &world.tree.verity));
        assert_false(keeps(&world, &other));
        close_world(&world);
        open_world(&world);
    }
    assert_int_equal(pins_remove(world.pins, &pin, NULL), 0);
    for (int round = 0; round < 2; round++) {
        assert_false(has(&world, "1.0"));
        assert_false(keeps(&world, &world.content));
        assert_int_equal(pins_remove(world.pins, &pin, NULL), -ENOENT);
        close_world(&world);
        open_world(&world);
    }
    world_free(&world);
}

static void a_tree_that_is_not_here(void **state)
{
    struct world world = world_new();
    struct pin pin = pin_of(&world, "1.0");

    pin.tree = digest_of("no tree", 7);
    assert_int_equal(pins_add(world.pins, &pin, NULL), -EAGAIN);
    assert_false(has(&world, "1.0"));
    world_free(&world);
}

/* Pinned by two names it stays until both are gone. */
static void two_pins_of_one_content(void **state)
{
    struct world world = world_new();
    struct pin one = pin_of(&world, "1.0"), other = pin_of(&world, "1.1");
    uint64_t alone = 0, both = 0;

    assert_int_equal(pins_add(world.pins, &one, NULL), 0);
    assert_int_equal(pins_bytes(world.pins, NULL, &alone, NULL), 0);
    assert_int_equal(pins_add(world.pins, &other, NULL), 0);
    assert_int_equal(pins_bytes(world.pins, NULL, &both, NULL), 0);
    assert_int_equal(both, alone + world.tree.image.size);
    assert_int_equal(pins_remove(world.pins, &one, NULL), 0);
    assert_true(keeps(&world, &world.content));
    assert_int_equal(pins_remove(world.pins, &other, NULL), 0);
    assert_false(keeps(&world, &world.content));
    world_free(&world);
}

/* What another process writes is seen, though not at every look. */
static void another_process(void **state)
{
    struct world world = world_new(), other = { .folder = world.folder };
    struct pin pin = pin_of(&world, "1.0");

    open_world(&other);
    assert_int_equal(pins_add(world.pins, &pin, NULL), 0);
    assert_false(has(&other, "1.0"));
    pins_use(other.pins, other.cache);
    assert_true(has(&other, "1.0"));
    assert_true(keeps(&other, &world.content));
    assert_int_equal(pins_remove(other.pins, &pin, NULL), 0);
    pins_use(world.pins, world.cache);
    assert_false(has(&world, "1.0"));
    close_world(&other);
    world_free(&world);
}

static void a_hold_ends(void **state)
{
    struct world world = world_new();
    struct content_set *set = NULL;
    struct pin_hold *hold;

    assert_int_equal(content_set_load(world.cache, &world.tree.verity, world.tree.image.size, &set,
                                      NULL),
                     0);
    hold = pins_hold(world.pins, set);
    assert_non_null(hold);
    assert_true(keeps(&world, &world.content));
    pins_let_go(world.pins, hold);
    assert_false(keeps(&world, &world.content));
    content_set_free(set);
    world_free(&world);
}

/* Lines that are damaged, of a later program, or with names that are none. */
static void lines_that_do_not_count(void **state)
{
    struct world world = world_new();
    struct pin pin = pin_of(&world, "1.0");
    char path[512];
    FILE *file;

    assert_int_equal(pins_add(world.pins, &pin, NULL), 0);
    close_world(&world);
    (void)snprintf(path, sizeof(path), "%s/pins", world.folder);
    file = fopen(path, "ab");
    assert_non_null(file);
    fputs("1 unpin store-1 web shop 1.0 torn\n\n2 pin x\n\xff\xfe\n", file);
    fclose(file);
    open_world(&world);
    assert_true(has(&world, "1.0"));
    assert_int_equal(pins_remove(world.pins, &pin, NULL), 0);
    close_world(&world);
    open_world(&world);
    assert_false(has(&world, "1.0"));
    world_free(&world);
}

static void without_a_directory(void **state)
{
    struct pins *pins = NULL;
    struct pin pin = { .store = "s", .project = "p", .app = "a", .version = "v" };

    assert_int_equal(pins_open(NULL, &pins, NULL), 0);
    assert_int_equal(pins_add(pins, &pin, NULL), -EROFS);
    pins_close(pins);
}

static int count(void *context, const struct pin *pin)
{
    (*(int *)context)++;
    return 0;
}

static void each_of_a_store(void **state)
{
    struct world world = world_new();
    struct pin one = pin_of(&world, "1.0"), other = pin_of(&world, "1.1");
    int found = 0;

    other.store[0] = 'x';
    assert_int_equal(pins_add(world.pins, &one, NULL), 0);
    assert_int_equal(pins_add(world.pins, &other, NULL), 0);
    assert_int_equal(pins_each(world.pins, "store-1", count, &found), 0);
    assert_int_equal(found, 1);
    assert_int_equal(pins_each(world.pins, "no-store", count, &found), 0);
    assert_int_equal(found, 1);
    world_free(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pin_lasts),
        cmocka_unit_test(a_tree_that_is_not_here),
        cmocka_unit_test(two_pins_of_one_content),
        cmocka_unit_test(another_process),
        cmocka_unit_test(a_hold_ends),
        cmocka_unit_test(lines_that_do_not_count),
        cmocka_unit_test(without_a_directory),
        cmocka_unit_test(each_of_a_store),
    };

    return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
