/* SPDX-License-Identifier: MIT */
#include "fs/session/mount_table.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "tests/support/unit.h"

static const char table[] = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
                            "30 22 0:40 / /srv/a\\040b rw - fuse.kkartifact http://x ro\n"
                            "31 22 0:41 / /srv/over rw - tmpfs tmpfs rw\n"
                            "32 31 0:42 / /srv/over rw - fuse.kkartifact http://x ro\n"
                            "garbage\n"
                            "33 22 x:y / /srv/bad rw - tmpfs tmpfs rw\n";

static uint64_t device_at(const char *text, const char *mountpoint)
{
    struct mount_line line;

    assert_int_equal(mount_table_find(span_text(text), mountpoint, &line), 0);
    return line.device;
}

static void finds_by_path(void **state)
{
    assert_int_equal(device_at(table, "/"), makedev(254, 0));
    assert_int_equal(device_at(table, "/srv/a b"), makedev(0, 40));
}

static void the_topmost_counts(void **state)
{
    struct mount_line line;

    assert_int_equal(mount_table_find(span_text(table), "/srv/over", &line), 0);
    assert_int_equal(line.device, makedev(0, 42));
    assert_int_equal(line.id, 32);
    assert_int_equal(line.parent, 31);
    assert_true(span_equal_text(line.type, "fuse.kkartifact"));
    assert_true(span_equal_text(line.source, "http://x"));
    assert_int_equal(line.fields.size, 0);
    assert_int_equal(mount_table_find(span_text(table), "/", &line), 0);
    assert_true(span_equal_text(line.fields, "shared:1"));
    assert_true(span_equal_text(line.root, "/"));
}

/* 50 was there, 51 was put below it, then 52 below 50; and in another order. */
static void one_below_another_is_not_on_top(void **state)
{
    static const char below[] = "22 1 254:0 / / rw - ext4 /dev/vda rw\n"
                                "50 52 0:50 / /srv rw - fuse.kkartifact x ro\n"
                                "51 22 0:51 / /srv rw - fuse.kkartifact x ro\n"
                                "52 51 0:52 / /srv rw - fuse.kkartifact x ro\n";
    static const char circle[] = "50 51 0:50 / /srv rw - a x ro\n51 50 0:51 / /srv rw - a x ro\n";
    struct mount_line line;

    assert_int_equal(device_at(below, "/srv"), makedev(0, 50));
    assert_int_equal(mount_table_find(span_text(circle), "/srv", &line), 0);
}

struct walked {
    size_t count;
    uint32_t user;
};

static int walk_one(void *context, const struct mount_table_entry *entry)
{
    struct walked *walked = context;

    walked->count++;
    if (strcmp(entry->mountpoint, "/srv/a b") == 0) {
        assert_int_equal(entry->device, makedev(0, 40));
        assert_string_equal(entry->type, "fuse.kkartifact");
        assert_string_equal(entry->source, "http://x");
    }
    if (entry->user != 0)
        walked->user = entry->user;
    return strcmp(entry->mountpoint, "/home/u/end") == 0 ? 7 : 0;
}

static void every_mount_is_walked(void **state)
{
    static const char users[] =
        "40 22 0:50 / /home/u/end ro - fuse.kkartifact http://y ro,user_id=1000,group_id=1001\n"
        "41 22 0:51 / /home/u/more ro - fuse.kkartifact http://y ro\n";
    struct walked walked = { 0 };

    assert_int_equal(mount_table_walk_text(span_text(table), walk_one, &walked), 0);
    assert_int_equal(walked.count, 4); /* the malformed are none */
    walked = (struct walked){ 0 };
    assert_int_equal(mount_table_walk_text(span_text(users), walk_one, &walked), 7);
    assert_int_equal(walked.count, 1);
    assert_int_equal(walked.user, 1000);
    assert_int_equal(mount_table_walk(walk_one, &walked, NULL), 0);
    assert_true(walked.count > 1);
}

static void absent_and_malformed(void **state)
{
    struct mount_line line = { .device = 7 };

    assert_int_equal(mount_table_find(span_text(table), "/srv", &line), -ENOENT);
    assert_int_equal(mount_table_find(span_text(table), "/srv/bad", &line), -ENOENT);
    assert_int_equal(mount_table_find(span_text(""), "/", &line), -ENOENT);
    assert_int_equal(line.device, 7);
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
        cmocka_unit_test(one_below_another_is_not_on_top),
        cmocka_unit_test(every_mount_is_walked),
        cmocka_unit_test(absent_and_malformed),
        cmocka_unit_test(the_real_table_has_proc),
    };

    return cmocka_run_group_tests_name("mount_table", tests, NULL, NULL);
}
