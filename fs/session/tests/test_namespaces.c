/* SPDX-License-Identifier: MIT */
#include "fs/session/namespaces.h"

#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/support/unit.h"

/* Ours: /srv is a mount of its own, shared; a version of ours is at the target. */
static const char shared[] = "22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw\n"
                             "30 22 254:1 / /srv rw shared:7 - ext4 /dev/vdb rw\n"
                             "31 30 0:50 / /srv/app rw shared:9 - fuse.kkartifact http://x ro\n";
static const char *const target = "/srv/app";

static bool judge(const char *ours, const char *theirs)
{
    return namespaces_is_private(span_text(ours), span_text(theirs), target, makedev(0, 50));
}

static void a_peer_and_a_slave_follow(void **state)
{
    assert_false(judge(shared, "60 1 254:1 / /srv rw shared:7 - ext4 /dev/vdb rw\n"));
    assert_false(judge(shared, "60 1 254:1 / /srv rw shared:8 master:7 - ext4 /dev/vdb rw\n"
                               "61 60 0:50 / /srv/app rw master:9 - fuse.kkartifact x ro\n"));
}

static void a_private_one_does_not(void **state)
{
    assert_true(judge(shared, "60 1 254:1 / /srv rw - ext4 /dev/vdb rw\n"));
    assert_true(judge(shared, "60 1 254:1 / /srv rw master:70 - ext4 /dev/vdb rw\n"));
    /* Where ours is private itself, nobody else follows. */
    assert_true(
        judge("22 1 254:0 / / rw - ext4 /dev/vda rw\n", "60 1 254:0 / / rw - ext4 /dev/vda rw\n"));
}

static void who_cannot_reach_it_is_left_alone(void **state)
{
    assert_false(judge(shared, "60 1 254:9 / / rw - ext4 /dev/vdz rw\n"));
    /* Another directory of the same file system, also one whose name begins alike. */
    assert_false(judge(shared, "60 1 254:1 /data /data rw - ext4 /dev/vdb rw\n"));
    assert_false(judge(shared, "60 1 254:1 /ap /data rw - ext4 /dev/vdb rw\n"));
    assert_true(judge(shared, "60 1 254:1 /app /data rw - ext4 /dev/vdb rw\n"));
    assert_false(judge(shared, "garbage\n\n60 1 x:y / / rw - a b c\n"));
    assert_false(judge("garbage\n", shared));
}

/* A container that was given the directory itself: what was mounted on it then stays. */
static void who_has_the_mount_elsewhere_keeps_it(void **state)
{
    assert_true(judge(shared, "60 1 254:9 / / rw - overlay o rw\n"
                              "61 60 0:50 / /app rw master:9 - fuse.kkartifact http://x ro\n"));
    assert_true(judge(shared, "61 60 0:50 / /app rw - fuse.kkartifact http://x ro\n"));
}

static int count(void *context, pid_t pid, const char *command)
{
    (*(size_t *)context)++;
    assert_int_not_equal(pid, getpid());
    assert_non_null(command);
    return 0;
}

static void the_real_ones_are_gone_over(void **state)
{
    size_t found = 0;

    assert_int_equal(namespaces_find_private("/", 0, count, &found, NULL), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_peer_and_a_slave_follow),
        cmocka_unit_test(a_private_one_does_not),
        cmocka_unit_test(who_cannot_reach_it_is_left_alone),
        cmocka_unit_test(who_has_the_mount_elsewhere_keeps_it),
        cmocka_unit_test(the_real_ones_are_gone_over),
    };

    return cmocka_run_group_tests_name("namespaces", tests, NULL, NULL);
}
