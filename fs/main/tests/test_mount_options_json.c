/* SPDX-License-Identifier: MIT */
#include "fs/main/mount_options_json.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "fs/main/mount_options.h"
#include "tests/support/unit.h"

static void they_come_back_whole(void **state)
{
    struct mount_options sent = { 0 }, got = { 0 };
    struct buf text = buf_init(BUF_UNLIMITED);

    assert_int_equal(mount_options_init(&sent, NULL), 0);
    assert_int_equal(mount_options_add_server(&sent, "https://a.example", NULL), 0);
    assert_int_equal(mount_options_set_mountpoint(&sent, "/tmp", NULL), 0);
    assert_int_equal(mount_options_parse(&sent,
                                         "server=https://b.example,token_file=/a\xff,cache=/b,"
                                         "cache_size=5M,cache_free=7%,deadline=3s,strict_auth,"
                                         "xattr=on,insecure,noexec,uid=1,gid=2,umask=027,"
                                         "ca_file=/c,prefetch=all,scrub_rate=1M,"
                                         "scrub_every=2h,offline,metrics=:9100,learn=off,"
                                         "passthrough=off",
                                         NULL),
                     0);
    assert_int_equal(mount_options_attach(&sent, "p/a@beta", true, NULL), 0);
    mount_options_write(&sent, &text);
    assert_int_equal(mount_options_init(&got, NULL), 0);
    assert_int_equal(mount_options_read(&got, buf_span(&text), NULL), 0);
    assert_int_equal(got.server_count, 2);
    assert_string_equal(got.servers[1], "https://b.example");
    assert_string_equal(got.mountpoint, "/tmp");
    assert_string_equal(got.token_file, "/a\xff");
    assert_string_equal(got.cache, "/b");
    assert_string_equal(got.ca_file, "/c");
    assert_string_equal(got.only_project, "p");
    assert_string_equal(got.only_app, "a");
    assert_true(got.attached && got.attach_prefetch);
    assert_string_equal(got.attach_channel, "beta");
    assert_null(got.attach_version);
    assert_int_equal(got.cache_size, sent.cache_size);
    assert_int_equal(got.cache_free, 0);
    assert_int_equal(got.cache_free_percent, 7);
    assert_int_equal(got.deadline_ms, 3000);
    assert_int_equal(got.prefetch, PREFETCH_ALL);
    assert_int_equal(got.passthrough, PASSTHROUGH_OFF);
    assert_int_equal(got.scrub_rate, sent.scrub_rate);
    assert_int_equal(got.scrub_every_ms, 7200000);
    assert_string_equal(got.metrics, ":9100");
    assert_true(got.offline && got.strict_auth && got.xattr && got.insecure && got.noexec);
    assert_false(got.learn);
    assert_int_equal(got.uid, 1);
    assert_int_equal(got.gid, 2);
    assert_int_equal(got.umask, 027);
    mount_options_release(&sent);
    mount_options_release(&got);
    buf_release(&text);
}

static int read_text(struct mount_options *options, const char *text)
{
    mount_options_release(options);
    assert_int_equal(mount_options_init(options, NULL), 0);
    return mount_options_read(options, span_text(text), NULL);
}

/* From a newer version, from an older one, and what is none. */
static void what_is_not_known_is_passed_over(void **state)
{
    struct mount_options options = { 0 };

    assert_int_equal(read_text(&options, "{\"servers\":[\"http://a\"],\"mountpoint\":\"L2E=\","
                                         "\"later\":{\"x\":1},\"still_later\":\"auto\"}"),
                     0);
    assert_string_equal(options.mountpoint, "/a");
    assert_int_equal(options.deadline_ms, 30000);
    assert_int_equal(read_text(&options, "{\"servers\":[\"http://a\"]}"), -EINVAL);
    assert_int_equal(read_text(&options, "{\"mountpoint\":\"L2E=\"}"), -EINVAL);
    assert_int_equal(read_text(&options, "{\"servers\":[\"http://a\"],\"mountpoint\":\"L2E=\","
                                         "\"uid\":\"x\"}"),
                     -EINVAL);
    assert_int_equal(read_text(&options, "nonsense"), -EBADMSG);
    mount_options_release(&options);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_come_back_whole),
        cmocka_unit_test(what_is_not_known_is_passed_over),
    };

    return cmocka_run_group_tests_name("mount_options_json", tests, NULL, NULL);
}
