/* SPDX-License-Identifier: MIT */
#include "server/security/token_secret.h"

#include <errno.h>
#include <string.h>

#include "tests/support/unit.h"

static void a_token_is_written_and_read(void **state)
{
    struct token_secret token;
    struct token_secret other;
    struct token_secret read;
    char text[TOKEN_SECRET_TEXT_SIZE];

    assert_int_equal(token_secret_make(&token, NULL), 0);
    assert_int_equal(token_secret_make(&other, NULL), 0);
    assert_string_not_equal(token.id, other.id);
    assert_string_not_equal(token.secret, other.secret);
    token_secret_format(&token, text);
    assert_int_equal(strlen(text), 60);
    assert_memory_equal(text, "kka_", 4);
    assert_int_equal(token_secret_parse(span_text(text), &read, NULL), 0);
    assert_string_equal(read.id, token.id);
    assert_string_equal(read.secret, token.secret);
    token_secret_wipe(&read);
    assert_int_equal(read.secret[0], 0);
    assert_int_equal(read.secret[42], 0);
    text[4] = '_';
    assert_int_equal(token_secret_parse(span_text(text), &read, NULL), -EINVAL);
    assert_int_equal(token_secret_parse(span_text(""), &read, NULL), -EINVAL);
}

static void only_its_secret_fits_a_hash(void **state)
{
    struct token_secret token;
    struct token_secret other;
    char hash[TOKEN_HASH_SIZE];
    char again[TOKEN_HASH_SIZE];

    assert_int_equal(token_secret_make(&token, NULL), 0);
    assert_int_equal(token_secret_hash(&token, hash, NULL), 0);
    assert_int_equal(token_secret_hash(&token, again, NULL), 0);
    assert_string_not_equal(hash, again); /* a new salt */
    assert_memory_equal(hash, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_null(strstr(hash, token.secret));
    assert_int_equal(token_secret_verify(&token, hash, NULL), 0);
    assert_int_equal(token_secret_verify(&token, again, NULL), 0);
    other = token;
    other.secret[42] = other.secret[42] == 'A' ? 'B' : 'A';
    assert_int_equal(token_secret_verify(&other, hash, NULL), -EPERM);
}

static void a_broken_hash_is_no_pass(void **state)
{
    static const char *const hashes[] = { "", "x", "$argon2id$", "$argon2id$v=19$m=19456,t=2,p=1$",
                                          "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$c29tZWhhc2g" };
    struct token_secret token;

    assert_int_equal(token_secret_make(&token, NULL), 0);
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++)
        assert_int_equal(token_secret_verify(&token, hashes[i], NULL), -EBADMSG);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_written_and_read),
        cmocka_unit_test(only_its_secret_fits_a_hash),
        cmocka_unit_test(a_broken_hash_is_no_pass),
    };

    return cmocka_run_group_tests_name("token_secret", tests, NULL, NULL);
}
