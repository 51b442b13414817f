/* SPDX-License-Identifier: MIT */
#include "common/base/volume.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "tests/support/unit.h"

CLEANUP_DEFINE(directory, directory_close);

static void space_is_that_of_the_system(void **state)
{
    cleanup(cleanup_directory) struct directory *at = NULL;
    struct volume_space space;
    struct statvfs vfs;
    double told;

    assert_int_equal(directory_open("/", &at, NULL), 0);
    assert_int_equal(volume_space(at, &space, NULL), 0);
    assert_int_equal(statvfs("/", &vfs), 0);
    told = (double)vfs.f_bavail * (double)vfs.f_frsize;
    /* Others write meanwhile. */
    assert_true((double)space.bytes > told * 0.5 - 1 && (double)space.bytes < told * 2 + 1);
    assert_true(vfs.f_files == 0 ? space.files == UINT64_MAX : space.files <= vfs.f_files);
}

static void syncing_passes(void **state)
{
    char path[] = "/tmp/kk-volume-XXXXXX";
    cleanup(cleanup_directory) struct directory *at = NULL;

    assert_non_null(mkdtemp(path));
    assert_int_equal(directory_open(path, &at, NULL), 0);
#ifdef __linux__
    assert_int_equal(volume_sync(at, NULL), 0);
#else
    assert_int_equal(volume_sync(at, NULL), -ENOTSUP);
#endif
    assert_int_equal(rmdir(path), 0);
}

static int found(void *context, const char *name, enum file_kind kind, struct error *err)
{
    return 1;
}

static void trying_to_share_leaves_nothing(void **state)
{
    char path[] = "/tmp/kk-volume-XXXXXX";
    cleanup(cleanup_directory) struct directory *at = NULL;
    bool shares;

    assert_non_null(mkdtemp(path));
    assert_int_equal(directory_open(path, &at, NULL), 0);
    shares = volume_shares(at);
    assert_int_equal(volume_shares(at), shares);
    assert_int_equal(directory_list(at, "", found, NULL, NULL), 0);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(space_is_that_of_the_system),
        cmocka_unit_test(syncing_passes),
        cmocka_unit_test(trying_to_share_leaves_nothing),
    };

    return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
