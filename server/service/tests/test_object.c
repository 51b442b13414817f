/* SPDX-License-Identifier: MIT */
#include "server/service/object.h"

#include <errno.h>
#include <sys/mount.h>

#include "common/base/error.h"
#include "server/service/context.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"
#include "tests/support/place.h"
#include "tests/support/private_mounts.h"

#define MIB (1u << 20)

static struct world world;
static struct place *disk; /* where copies go: it has room for 1 MiB */
static bool can_mount;

static int setup(void **state)
{
    void *place;

    world_open(&world, WORLD_MEMORY);
    place_make(&place);
    disk = place;
    can_mount = mount("test", disk->path, "tmpfs", 0, "size=1m") == 0;
    memory_free(world.services->scratch_path);
    world.services->scratch_path = memory_text(disk->path);
    return 0;
}

static int teardown(void **state)
{
    void *place = disk;

    world_close(&world);
    if (can_mount)
        umount(disk->path);
    return place_remove(&place);
}

/* A stored object of so many bytes; what object_bytes() says of it. */
static int load(const char *key, uint64_t size)
{
    static const uint8_t piece[MIB] = { 1, 2, 3 };
    struct blob_writer *writer;
    struct object *object;
    struct span bytes;
    int r;

    if (blob_store_create(world.store, key, size, &writer, NULL) == 0) {
        for (uint64_t at = 0; at < size; at += sizeof(piece))
            assert_int_equal(blob_writer_write(writer, piece, sizeof(piece), NULL), 0);
        assert_int_equal(blob_writer_commit(writer, NULL), 0);
    }
    assert_int_equal(object_open(world.services, key, size, &object, NULL), 0);
    r = object_bytes(object, &bytes, NULL);
    if (r == 0) {
        assert_int_equal(bytes.size, size);
        assert_memory_equal(bytes.bytes + size - MIB, piece, sizeof(piece));
    }
    object_unref(object);
    return r;
}

/* Reading goes on in memory, as far as that is bounded; with room again all of it does. */
static void test_no_room_for_the_copy(void **state)
{
    if (!can_mount)
        skip();
    assert_int_equal(load("aaaa-small", 4 * MIB), 0);
    assert_int_equal(load("aaaa-large", 40 * MIB), -ENOSPC);
    assert_int_equal(mount("test", disk->path, "tmpfs", MS_REMOUNT, "size=100m"), 0);
    assert_int_equal(load("aaaa-large", 40 * MIB), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_room_for_the_copy, setup, teardown),
    };

    (void)private_mounts_begin();
    return cmocka_run_group_tests_name("object", tests, NULL, NULL);
}
