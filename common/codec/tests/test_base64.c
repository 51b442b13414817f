/* SPDX-License-Identifier: MIT */
#include "common/codec/base64.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "tests/support/unit.h"

/* RFC 4648, section 10. */
static void published_vectors(void **state)
{
    static const struct {
        const char *bytes, *text;
    } known[] = { { "", "" },
                  { "f", "Zg==" },
                  { "fo", "Zm8=" },
                  { "foo", "Zm9v" },
                  { "foob", "Zm9vYg==" },
                  { "fooba", "Zm9vYmE=" },
                  { "foobar", "Zm9vYmFy" } };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        cleanup(buf_release) struct buf text = buf_init(100), bytes = buf_init(100);
        base64_encode(span_text(known[i].bytes), &text);
        assert_string_equal(buf_text(&text), known[i].text);
        assert_int_equal(base64_decode(span_text(known[i].text), &bytes, NULL), 0);
        assert_string_equal(buf_text(&bytes), known[i].bytes);
    }
}

static void all_bytes_in_the_url_alphabet(void **state)
{
    cleanup(buf_release) struct buf text = buf_init(1000), back = buf_init(1000);
    uint8_t bytes[256];

    for (int i = 0; i < 256; i++)
        bytes[i] = (uint8_t)(255 - i);
    base64_url_encode(span_of(bytes, sizeof(bytes)), &text);
    assert_int_equal(text.size, 342);
    assert_null(memchr(text.bytes, '/', text.size));
    assert_int_equal(base64_url_decode(buf_span(&text), &back, NULL), 0);
    assert_true(span_equal(buf_span(&back), span_of(bytes, sizeof(bytes))));
}

static void one_writing_of_each_thing(void **state)
{
    static const char *const bad[] = { "Zg",     "Zg=",  "Zg===", "Zh==", "Zm9=", "Zm 9v",
                                       "Zm9v\n", "====", "Z===",  "Zm8_", "=Zg=" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cleanup(buf_release) struct buf bytes = buf_init(100);
        assert_int_equal(base64_decode(span_text(bad[i]), &bytes, NULL), -EINVAL);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(all_bytes_in_the_url_alphabet),
        cmocka_unit_test(one_writing_of_each_thing),
    };

    return cmocka_run_group_tests_name("base64", tests, NULL, NULL);
}
