/* SPDX-License-Identifier: MIT */
#include "common/net/url.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "tests/support/unit.h"

static void paths_are_encoded_by_component(void **state)
{
    cleanup(buf_release) struct buf out = buf_init(1024);

    url_add_path(&out, span_text("a b/c#?%&\"/\xff\n"));
    assert_string_equal(buf_text(&out), "a%20b/c%23%3F%25%26%22/%FF%0A");
    buf_clear(&out);
    url_add_segment(&out, span_text("a/b"));
    assert_string_equal(buf_text(&out), "a%2Fb");
    buf_clear(&out);
    url_add_path(&out, span_text("../.hidden/./x.."));
    assert_string_equal(buf_text(&out), "%2E%2E/.hidden/%2E/x..");
    buf_clear(&out);
    url_add_step(&out, "projects");
    url_add_query(&out, "prefix", span_text("a&b"));
    url_add_query(&out, "limit", span_text("5"));
    assert_string_equal(buf_text(&out), "/projects?prefix=a%26b&limit=5");
}

static void every_byte_comes_back(void **state)
{
    cleanup(buf_release) struct buf text = buf_init(1024);
    cleanup(buf_release) struct buf back = buf_init(1024);
    uint8_t bytes[256];

    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    url_add_segment(&text, span_of(bytes, sizeof(bytes)));
    assert_int_equal(url_decode(buf_span(&text), &back, NULL), 0);
    assert_int_equal(back.size, 256);
    assert_memory_equal(back.bytes, bytes, 256);
    assert_int_equal(url_decode(span_text("%2"), &back, NULL), -EINVAL);
    assert_int_equal(url_decode(span_text("%"), &back, NULL), -EINVAL);
    assert_int_equal(url_decode(span_text("%zz"), &back, NULL), -EINVAL);
}

static void addresses_are_taken_apart(void **state)
{
    static const struct {
        const char *text, *base, *host;
        int port;
        bool tls, loopback;
    } cases[] = {
        { "https://repo.example.org", "https://repo.example.org", "repo.example.org", 443, true,
          false },
        { "http://127.0.0.1:8080/", "http://127.0.0.1:8080", "127.0.0.1", 8080, false, true },
        { " https://h:1/a/b// ", "https://h:1/a/b", "h", 1, true, false },
        { "http://[::1]:80", "http://[::1]:80", "::1", 80, false, true },
        { "http://[2001:db8::1]", "http://[2001:db8::1]", "2001:db8::1", 80, false, false },
        { "http://localhost", "http://localhost", "localhost", 80, false, true },
        { "http://127.0.0.1.evil.org", "http://127.0.0.1.evil.org", "127.0.0.1.evil.org", 80, false,
          false },
        { "http://127.1.2.300", "http://127.1.2.300", "127.1.2.300", 80, false, false },
    };
    static const char *const refused[] = {
        "",
        "repo.example.org",
        "ftp://h",
        "https://",
        "https://:80",
        "https://u:p@h",
        "https://h:0",
        "https://h:65536",
        "https://h:x",
        "https://h/?q",
        "https://h/#f",
        "https://h/a b",
        "http://[::1",
        "http://[::1]x",
        "http://a\nb",
        "http://h\\@x",
        "https://h:",
        "http://a_b~c",
        "HTTP://h",
    };
    struct url_base base;
    struct error err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(url_base_parse(cases[i].text, &base, NULL), 0);
        assert_string_equal(base.text, cases[i].base);
        assert_string_equal(base.host, cases[i].host);
        assert_int_equal(base.port, cases[i].port);
        assert_int_equal(base.tls, cases[i].tls);
        assert_int_equal(base.loopback, cases[i].loopback);
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (url_base_parse(refused[i], &base, &err) != -EINVAL)
            fail_msg("\"%s\" was taken", refused[i]);
    }
    assert_int_equal(url_base_parse("https://name:secret@h", &base, &err), -EINVAL);
    assert_null(strstr(err.text, "secret"));
}

static void origins_keep_path_and_query_out(void **state)
{
    struct url_base base;

    assert_int_equal(url_origin_parse("http://127.0.0.1:99/a/b?c=d@e#f", &base, NULL), 0);
    assert_string_equal(base.text, "http://127.0.0.1:99");
    assert_true(base.loopback);
    assert_int_equal(base.port, 99);
    assert_int_equal(url_origin_parse("http://127.0.0.1@evil.org/", &base, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_encoded_by_component),
        cmocka_unit_test(every_byte_comes_back),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(origins_keep_path_and_query_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
