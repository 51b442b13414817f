/* SPDX-License-Identifier: MIT */
#include "tests/support/unit.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/model/version_ref.h"

static void round_trip(const char *text, enum version_ref_kind kind, const char *written)
{
    cleanup(buf_release) struct buf out = buf_init(8192);
    struct version_ref ref;
    struct error err = { 0 };

    assert_int_equal(version_ref_parse(span_text(text), &ref, &err), 0);
    assert_int_equal(ref.kind, kind);
    version_ref_format(&ref, &out);
    assert_string_equal(buf_text(&out), written);
}

static void test_accepted(void **state)
{
    struct version_ref ref;

    round_trip("p", VERSION_REF_PROJECT, "p");
    round_trip("p/a", VERSION_REF_APP, "p/a");
    round_trip("p/a@live", VERSION_REF_CHANNEL, "p/a@live");
    round_trip("p/a/@live", VERSION_REF_CHANNEL, "p/a@live");
    round_trip("p/a/latest", VERSION_REF_LATEST, "p/a/latest");
    round_trip("p/a/1.0+x", VERSION_REF_VERSION, "p/a/1.0+x");
    round_trip("p/a/1.0/bin/x y", VERSION_REF_VERSION, "p/a/1.0/bin/x y");
    round_trip("p/a@live/bin/app", VERSION_REF_CHANNEL, "p/a@live/bin/app");
    round_trip("p/a/1/.kkartifact/meta.yaml", VERSION_REF_VERSION, "p/a/1/.kkartifact/meta.yaml");
    assert_int_equal(version_ref_parse(span_text("p/a/1/x/y"), &ref, NULL), 0);
    assert_string_equal(ref.project, "p");
    assert_string_equal(ref.app, "a");
    assert_string_equal(ref.version, "1");
    assert_true(span_equal_text(ref.path, "x/y"));
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",         "/",          "p/",       "p//v",
        "p/a/",     "p/a/v/",     "p/a/v//x", "p/a/v/..",
        "p/a@",     "p/@c",       "p/a@c@d",  "latest",
        "p/latest", "p/a@latest", "p/a/v@c",  "p/a/v/.kkartifact/x"
    };
    struct version_ref ref;
    struct error err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err.code = 0;
        assert_int_equal(version_ref_parse(span_text(bad[i]), &ref, &err), -EINVAL);
        assert_int_equal(err.code, -EINVAL);
    }
}

static void test_version_alone(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(200);
    struct version_ref ref = { 0 };

    assert_int_equal(version_ref_parse_version(span_text("@live"), &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_CHANNEL);
    assert_string_equal(ref.channel, "live");
    version_ref_format_version(&ref, &out);
    assert_string_equal(buf_text(&out), "@live");
    assert_int_equal(version_ref_parse_version(span_text("latest"), &ref, NULL), 0);
    assert_int_equal(ref.kind, VERSION_REF_LATEST);
    assert_int_equal(version_ref_parse_version(span_text(""), &ref, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_version_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
