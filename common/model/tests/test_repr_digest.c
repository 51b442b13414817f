/* SPDX-License-Identifier: MIT */
#include "common/model/repr_digest.h"

#include <errno.h>
#include <string.h>

#include "tests/support/unit.h"

/* SHA-256 of no bytes, as in RFC 9530, appendix B.3. */
#define OF_NOTHING "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"

static void test_written_and_read(void **state)
{
    struct digest nothing = digest_of("", 0), found;
    char text[REPR_DIGEST_SIZE];

    repr_digest_write(&nothing, text);
    assert_string_equal(text, OF_NOTHING);
    assert_int_equal(repr_digest_parse(span_text(text), &found, NULL), 0);
    assert_true(digest_equal(&found, &nothing));
}

static void test_among_others(void **state)
{
    static const char *const texts[] = {
        "sha-512=:AAAA:, " OF_NOTHING,
        OF_NOTHING ",md5=:AAAA:",
        OF_NOTHING ";a=1",
        "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:\t,\t" OF_NOTHING " ",
        "other, " OF_NOTHING,
    };
    struct digest nothing = digest_of("", 0), found;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        memset(&found, 1, sizeof(found));
        assert_int_equal(repr_digest_parse(span_text(texts[i]), &found, NULL), 0);
        assert_true(digest_equal(&found, &nothing));
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        ",",
        "sha-256",
        "sha-256=",
        "sha-256=::",
        "sha-256=:AAAA:",
        "SHA-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "sha-512=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=:", /* a bit too many */
        "sha-256=:47DEQpj8HBSa+_TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
        "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA:",
        "sha-256=:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855:",
        OF_NOTHING ", sha-256=:AAAA:",
    };
    struct digest found;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        memset(&found, 1, sizeof(found));
        assert_int_equal(repr_digest_parse(span_text(texts[i]), &found, NULL), -EINVAL);
        assert_int_equal(found.bytes[0], 1);
    }
}

static int parse(void)
{
    struct digest found;

    return repr_digest_parse(span_text(OF_NOTHING), &found, NULL);
}

static void test_no_memory(void **state)
{
    assert_survives_no_memory(parse());
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_and_read),
        cmocka_unit_test(test_among_others),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests_name("repr_digest", tests, NULL, NULL);
}
