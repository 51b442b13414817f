/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"

/* Every call to the store is made to fail once, or is the last that the process makes: nothing half
 * is visible, and the next push completes. */
static void each_call(enum world_kind kind, int error, int for_ever, int restart)
{
    struct world world;
    struct sample sample;
    enum pushes_outcome outcome;
    struct version_info info = { 0 };
    char version[16];

    world_open(&world, kind);
    for (int64_t n = 0;; n++) {
        struct refusal why = { 0 };
        struct error err = { 0 };
        int r;

        /* Fresh bytes each time, so that every step is made. */
        sample_make(&sample, (uint32_t)(5000 + n), 3, 5000);
        snprintf(version, sizeof(version), "v%d", (int)n);
        fault_store_fail(world.store, n, error, for_ever);
        r = sample_push(&world, &world.caller, "p", "a", version, &sample, &outcome, NULL, &why,
                        &err);
        fault_store_heal(world.store);
        if (!fault_store_failed(world.store)) {
            assert_int_equal(r, 0);
            sample_release(&sample);
            assert_true(n > 10);
            break;
        }
        if (r < 0)
            assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "a", version,
                                          &info, NULL, NULL),
                             -ENOENT);
        if (restart)
            world_restart(&world);
        r = sample_push(&world, &world.caller, "p", "a", version, &sample, &outcome, NULL, &why,
                        &err);
        if (r < 0)
            print_error("call %d: %s\n", (int)n, err.text);
        assert_int_equal(r, 0);
        sample_check(&world, "p", "a", version, &sample);
        sample_release(&sample);
    }
    world_close(&world);
}

static void test_one_call_fails(void **state)
{
    each_call(WORLD_MEMORY, -EIO, 0, 0);
    each_call(WORLD_MEMORY, -EAGAIN, 0, 0);
}

static void test_disk_full_from_a_call_on(void **state)
{
    each_call(WORLD_MEMORY, -ENOSPC, 1, 0);
    each_call(WORLD_FILE, -ENOSPC, 1, 0);
}

static void test_read_only_from_a_call_on(void **state)
{
    each_call(WORLD_FILE, -EROFS, 1, 0);
}

static void test_killed_at_a_call(void **state)
{
    each_call(WORLD_MEMORY, -EIO, 1, 1);
    each_call(WORLD_FILE, -EIO, 1, 1);
}

/* The same push goes on where it was cut off, in a new process. */
static void test_the_same_push_goes_on(void **state)
{
    struct world world;
    struct sample sample;

    world_open(&world, WORLD_FILE);
    for (int64_t n = 0;; n++) {
        struct version_info info = { 0 };
        enum pushes_outcome outcome;
        struct push_info open;
        bool failed;
        int r;

        sample_make(&sample, (uint32_t)(7000 + n), 1, 30000);
        sample_open(&world, &world.caller, "p", "b", NULL, &sample, &open);
        fault_store_fail(world.store, n, -EIO, 1);
        r = sample_put_listing(&world, &world.caller, "p", "b", open.id, buf_span(&sample.listing),
                               NULL, NULL);
        if (r == 0)
            r = sample_put_times(&world, &world.caller, "p", "b", open.id, buf_span(&sample.times),
                                 NULL, NULL);
        if (r == 0)
            r = sample_put_blob(&world, &world.caller, "p", "b", open.id, &sample.blobs[0], 10000,
                                NULL, NULL);
        failed = fault_store_failed(world.store);
        world_restart(&world);
        sample_describe(&world, &world.caller, "p", "b", open.id, &sample);
        for (uint64_t at = 0, length = 1; at < length;) {
            struct blob_upload *upload;
            uint64_t size;

            assert_int_equal(blob_upload_offset(world.services, &world.caller, "p", "b", open.id,
                                                &sample.blobs[0].sha256, &at, &length, NULL, NULL),
                             0);
            if (at == length)
                break;
            size = length - at < 10000 ? length - at : 10000;
            assert_int_equal(blob_upload_begin(world.services, &world.caller, "p", "b", open.id,
                                               &sample.blobs[0].sha256, at, length, size, &upload,
                                               NULL, NULL),
                             0);
            assert_int_equal(blob_upload_add(upload, span_of(sample.blobs[0].bytes + at, size),
                                             NULL, NULL),
                             0);
            r = blob_upload_end(upload, &at, NULL, NULL);
            blob_upload_free(upload);
            assert_int_equal(r, 0);
        }
        assert_int_equal(pushes_commit(world.services, &world.caller, "p", "b", open.id, NULL,
                                       &outcome, &info, NULL, NULL),
                         0);
        sample_check(&world, "p", "b", info.record.version, &sample);
        version_info_release(&info);
        sample_release(&sample);
        if (!failed)
            break;
    }
    world_close(&world);
}

/* The n-th allocation of a push fails: -ENOMEM, and the next push completes. */
static void test_out_of_memory(void **state)
{
    struct world world;
    struct sample sample;
    enum pushes_outcome outcome;
    char version[16];

    world_open(&world, WORLD_MEMORY);
    for (int64_t n = 0;; n += 1 + n / 40) {
        bool failed;
        int r;

        sample_make(&sample, (uint32_t)(9000 + n), 2, 5000);
        snprintf(version, sizeof(version), "v%d", (int)n);
        memory_fail_after(n);
        r = sample_push(&world, &world.caller, "p", "a", version, &sample, &outcome, NULL, NULL,
                        NULL);
        failed = memory_failed();
        memory_fail_after(-1);
        if (!failed)
            assert_int_equal(r, 0);
        assert_int_equal(sample_push(&world, &world.caller, "p", "a", version, &sample, &outcome,
                                     NULL, NULL, NULL),
                         0);
        sample_check(&world, "p", "a", version, &sample);
        sample_release(&sample);
        if (!failed)
            break;
    }
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_call_fails),
        cmocka_unit_test(test_disk_full_from_a_call_on),
        cmocka_unit_test(test_read_only_from_a_call_on),
        cmocka_unit_test(test_killed_at_a_call),
        cmocka_unit_test(test_the_same_push_goes_on),
        cmocka_unit_test(test_out_of_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
