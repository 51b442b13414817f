/* SPDX-License-Identifier: MIT */
#include "fs/session/mount_table.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/support/unit.h"

static const char table[] = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
                            "30 22 0:40 / /srv/a\\040b rw - fuse.kkartifact http://x ro\n"
                            "31 22 0:41 / /srv/over rw - tmpfs tmpfs rw\n"
                            "32 31 0:42 / /srv/over rw - fuse.kkartifact http://x ro\n"
                            "garbage\n"
                            "33 22 x:y / /srv/bad rw - tmpfs tmpfs rw\n";

static void finds_by_path(void **state)
{
    uint64_t device = 0;

    assert_int_equal(mount_table_find(span_text(table), "/", &device, NULL, NULL), 0);
    assert_int_equal(device, makedev(254, 0));
    assert_int_equal(mount_table_find(span_text(table), "/srv/a b", &device, NULL, NULL), 0);
    assert_int_equal(device, makedev(0, 40));
}

static void the_topmost_counts(void **state)
{
    struct span type = { NULL, 0 }, source = { NULL, 0 };
    uint64_t device = 0;

    assert_int_equal(mount_table_find(span_text(table), "/srv/over", &device, &type, &source), 0);
    assert_int_equal(device, makedev(0, 42));
    assert_true(span_equal_text(type, "fuse.kkartifact"));
    assert_true(span_equal_text(source, "http://x"));
}

static void absent_and_malformed(void **state)
{
    uint64_t device = 7;

    assert_int_equal(mount_table_find(span_text(table), "/srv", &device, NULL, NULL), -ENOENT);
    assert_int_equal(mount_table_find(span_text(table), "/srv/bad", &device, NULL, NULL), -ENOENT);
    assert_int_equal(mount_table_find(span_text(""), "/", &device, NULL, NULL), -ENOENT);
    assert_int_equal(device, 7);
}

static void the_real_table_has_proc(void **state)
{
    struct stat stat_proc;
    uint64_t device = 0;
    char *mountpoint = NULL;

    assert_int_equal(stat("/proc", &stat_proc), 0);
    assert_int_equal(mount_table_device("/proc", &device, NULL), 0);
    assert_int_equal(device, stat_proc.st_dev);
    assert_int_equal(mount_table_mountpoint(device, &mountpoint, NULL), 0);
    assert_string_equal(mountpoint, "/proc");
    memory_free(mountpoint);
    assert_int_equal(mount_table_type("/proc", &mountpoint, NULL), 0);
    assert_string_equal(mountpoint, "proc");
    memory_free(mountpoint);
    assert_int_equal(mount_table_source("/proc", &mountpoint, NULL), 0);
    assert_string_equal(mountpoint, "proc");
    memory_free(mountpoint);
    assert_int_equal(mount_table_type("/proc/none", &mountpoint, NULL), -ENOENT);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_path),
        cmocka_unit_test(the_topmost_counts),
        cmocka_unit_test(absent_and_malformed),
        cmocka_unit_test(the_real_table_has_proc),
    };

    return cmocka_run_group_tests_name("mount_table", tests, NULL, NULL);
}
