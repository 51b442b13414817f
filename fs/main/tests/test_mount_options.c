/* SPDX-License-Identifier: MIT */
#include "fs/main/mount_options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static int parse(struct mount_options *options, const char *text, struct error *err)
{
    assert_int_equal(mount_options_init(options, NULL), 0);
    return mount_options_parse(options, text, err);
}

static void all_are_taken(void **state)
{
    struct mount_options options;

    assert_int_equal(
        parse(&options,
              "token_file=/t,server=http://a:1,server=https://b,cache=/c,cache_size=4G,"
              "cache_free=1G,deadline=500ms,learn=off,offline,strict_auth,xattr=on,insecure,"
              "ca_file=/ca,"
              "uid=12,gid=root,umask=027,only=demo/web,prefetch=all,scrub_rate=1M,scrub_every=2w,"
              "passthrough=on",
              NULL),
        0);
    assert_string_equal(options.token_file, "/t");
    assert_int_equal(options.server_count, 2);
    assert_string_equal(options.servers[1], "https://b");
    assert_string_equal(options.cache, "/c");
    assert_true(options.cache_size == 4ull << 30);
    assert_true(options.cache_free == 1ull << 30);
    assert_int_equal(options.cache_free_percent, 0);
    assert_int_equal(options.deadline_ms, 500);
    assert_true(options.offline && options.strict_auth && options.xattr && options.insecure);
    assert_false(options.learn);
    assert_int_equal(options.prefetch, PREFETCH_ALL);
    assert_int_equal(options.passthrough, PASSTHROUGH_ON);
    assert_true(mount_options_want_passthrough(&options));
    assert_int_equal(options.scrub_rate, 1 << 20);
    assert_int_equal(options.scrub_every_ms, 14ull * 24 * 3600 * 1000);
    assert_int_equal(options.uid, 12);
    assert_int_equal(options.gid, 0);
    assert_int_equal(options.umask, 027);
    assert_string_equal(options.only_project, "demo");
    assert_string_equal(options.only_app, "web");
    mount_options_release(&options);
}

static void defaults(void **state)
{
    struct mount_options options;

    assert_int_equal(parse(&options, "", NULL), 0);
    assert_true(options.cache_size == 10ull << 30);
    assert_int_equal(options.cache_free_percent, 5);
    assert_int_equal(options.deadline_ms, 30000);
    assert_int_equal(options.prefetch, PREFETCH_AUTO);
    assert_int_equal(options.passthrough, PASSTHROUGH_AUTO);
    assert_false(mount_options_want_passthrough(&options));
    assert_int_equal(options.scrub_rate, 8 << 20);
    assert_int_equal(options.scrub_every_ms, 24 * 3600 * 1000);
    assert_false(options.xattr);
    assert_true(options.learn);
    assert_int_equal(options.uid, getuid());
    if (geteuid() == 0)
        assert_string_equal(options.cache, "/var/cache/kkartifact");
    mount_options_release(&options);
}

static void what_mount_passes_is_taken(void **state)
{
    struct mount_options options;

    assert_int_equal(parse(&options,
                           "rw,defaults,noauto,_netdev,user,nofail,x-systemd.automount,,ro", NULL),
                     0);
    mount_options_release(&options);
}

static void the_later_word_counts(void **state)
{
    static const struct {
        const char *text;
        bool noexec, wants_write;
    } cases[] = {
        { "", false, false },
        { "rw", false, true },
        { "rw,ro", false, false },
        { "noexec", true, false },
        { "noexec,exec", false, false },
        { "user", true, false },
        { "user=joe,nosuid,nodev", true, false },
        { "users,exec", false, false },
        { "exec,owner", true, false },
        { "nouser,suid,dev,sync,X-mount.mkdir", false, false },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct mount_options options;
        assert_int_equal(parse(&options, cases[i].text, NULL), 0);
        assert_int_equal(options.noexec, cases[i].noexec);
        assert_int_equal(options.wants_write, cases[i].wants_write);
        mount_options_release(&options);
    }
}

static void paths_become_absolute(void **state)
{
    struct mount_options options;

    assert_int_equal(chdir("/tmp"), 0);
    assert_int_equal(parse(&options, "cache=c/d,token_file=../t,ca_file=/ca", NULL), 0);
    assert_string_equal(options.cache, "/tmp/c/d");
    assert_string_equal(options.token_file, "/tmp/../t");
    assert_string_equal(options.ca_file, "/ca");
    mount_options_release(&options);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(parse(&options, "cache=c", NULL), 0);
    assert_string_equal(options.cache, "/c");
    mount_options_release(&options);
}

static void the_rest_is_refused_by_name(void **state)
{
    static const char *const wrong[] = {
        "token",
        "cache",
        "cache=",
        "xattr=maybe",
        "learn=once",
        "strict_auth=1",
        "deadline=0",
        "deadline=soon",
        "cache_size=x",
        "cache_free=100%",
        "cache_free=-1",
        "umask=8",
        "umask=1777",
        "umask=",
        "uid=nobody-such",
        "only=a/b/c",
        "only=/",
        "server=ftp://x",
        "server=x",
        "token_file=/a,token_file=/b",
        "offline=on",
        "metrics",
        "metrics=0.0.0.0:9100",
        "metrics=some.where:9100",
        "passthrough=yes",
        "passthrough",
        "passthrough=on,passthrough=on",
        "remount",
        "bind",
        "prefetch=some",
        "scrub_rate=1",
        "scrub_rate=fast",
        "scrub_every=0s",
        "TOKEN_FILE=/x",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        struct mount_options options;
        struct error err = { 0 };
        char name[32] = "";
        if (parse(&options, wrong[i], &err) != -EINVAL)
            fail_msg("taken: %s", wrong[i]);
        memcpy(name, wrong[i], strcspn(wrong[i], "=,"));
        if (strstr(err.text, name) == NULL)
            fail_msg("%s is not named in: %s", wrong[i], err.text);
        mount_options_release(&options);
    }
}

static void mountpoints_are_resolved(void **state)
{
    struct mount_options options;
    struct error err = { 0 };

    assert_int_equal(mount_options_init(&options, NULL), 0);
    assert_int_equal(mount_options_set_mountpoint(&options, "/tmp/../tmp/.", NULL), 0);
    assert_string_equal(options.mountpoint, "/tmp");
    assert_int_equal(mount_options_set_mountpoint(&options, "/nonexistent", &err), -ENOENT);
    assert_non_null(strstr(err.text, "/nonexistent"));
    mount_options_release(&options);
}

static void help_has_a_line_each(void **state)
{
    struct buf text = buf_init(BUF_UNLIMITED);

    mount_options_help(&text);
    assert_non_null(strstr(buf_text(&text), "  token_file=FILE"));
    assert_non_null(strstr(buf_text(&text), "  only=P[/A]"));
    buf_release(&text);
}

static int use(void)
{
    struct mount_options options;
    int r = mount_options_init(&options, NULL);

    if (r == 0)
        r = mount_options_parse(&options,
                                "token_file=t,server=http://a:1,server=http://b:1,only=p/a", NULL);
    mount_options_release(&options);
    return r;
}

static void survives_no_memory(void **state)
{
    assert_survives_no_memory(use());
}

static void what_is_attached(void **state)
{
    static const struct {
        const char *name, *channel, *version; /* both NULL: it is refused */
    } cases[] = {
        { "p/a", "live", NULL }, { "p/a@beta", "beta", NULL }, { "p/a/1.0+x", NULL, "1.0+x" },
        { "p", NULL, NULL },     { "p/a/latest", NULL, NULL }, { "p/a/v/file", NULL, NULL },
        { "p/a@", NULL, NULL },  { "p/a/..", NULL, NULL },     { "", NULL, NULL },
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct mount_options options = { 0 };
        bool is_good = cases[i].channel != NULL || cases[i].version != NULL;
        assert_int_equal(mount_options_init(&options, NULL), 0);
        assert_int_equal(mount_options_attach(&options, cases[i].name, true, NULL),
                         is_good ? 0 : -EINVAL);
        assert_int_equal(options.attached, is_good);
        if (is_good)
            assert_string_equal(options.only_app, "a");
        if (cases[i].channel != NULL)
            assert_string_equal(options.attach_channel, cases[i].channel);
        if (cases[i].version != NULL)
            assert_string_equal(options.attach_version, cases[i].version);
        mount_options_release(&options);
    }
}

static void an_attach_has_passthrough_unless_it_is_off(void **state)
{
    static const struct {
        const char *text;
        bool is_wanted;
    } cases[] = { { "", true },
                  { "passthrough=auto", true },
                  { "passthrough=on", true },
                  { "passthrough=off", false } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct mount_options options;
        assert_int_equal(parse(&options, cases[i].text, NULL), 0);
        assert_int_equal(mount_options_attach(&options, "p/a", false, NULL), 0);
        assert_int_equal(mount_options_want_passthrough(&options), cases[i].is_wanted);
        mount_options_release(&options);
    }
}

static void an_attach_is_of_one_app_by_itself(void **state)
{
    struct mount_options options = { 0 };

    assert_int_equal(mount_options_init(&options, NULL), 0);
    assert_int_equal(mount_options_parse(&options, "only=p/a", NULL), 0);
    assert_int_equal(mount_options_attach(&options, "p/a", false, NULL), -EINVAL);
    mount_options_release(&options);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_taken),
        cmocka_unit_test(defaults),
        cmocka_unit_test(what_mount_passes_is_taken),
        cmocka_unit_test(the_later_word_counts),
        cmocka_unit_test(paths_become_absolute),
        cmocka_unit_test(the_rest_is_refused_by_name),
        cmocka_unit_test(mountpoints_are_resolved),
        cmocka_unit_test(help_has_a_line_each),
        cmocka_unit_test(survives_no_memory),
        cmocka_unit_test(what_is_attached),
        cmocka_unit_test(an_attach_has_passthrough_unless_it_is_off),
        cmocka_unit_test(an_attach_is_of_one_app_by_itself),
    };

    return cmocka_run_group_tests_name("mount_options", tests, NULL, NULL);
}
