/* SPDX-License-Identifier: MIT */
#include "common/codec/ed25519.h"

#include <errno.h>
#include <string.h>

#include "common/codec/hex.h"
#include "tests/support/unit.h"

/* RFC 8032, section 7.1, tests 1 and 3. */
static void published_vectors(void **state)
{
    static const struct {
        const char *seed, *key, *message, *signature;
    } known[] = {
        { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
          "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
          "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
          "5fb8821590a33bacc61e39701cf9b46b"
          "d25bf5f0595bbe24655141438e7a100b" },
        { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
          "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
          "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
          "18ff9b538d16f290ae67f760984dc659"
          "4a7c15e9716ed28dc027beceea1ec40a" },
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint8_t seed[32], key[32], message[8], signature[64], made_key[32], made[64];
        struct span text = span_of(message, strlen(known[i].message) / 2);
        assert_int_equal(hex_decode(span_text(known[i].seed), seed), 0);
        assert_int_equal(hex_decode(span_text(known[i].key), key), 0);
        assert_int_equal(hex_decode(span_text(known[i].message), message), 0);
        assert_int_equal(hex_decode(span_text(known[i].signature), signature), 0);
        assert_int_equal(ed25519_public_key(seed, made_key, NULL), 0);
        assert_memory_equal(made_key, key, 32);
        assert_int_equal(ed25519_sign(seed, text, made, NULL), 0);
        assert_memory_equal(made, signature, 64);
        assert_int_equal(ed25519_verify(key, text, signature, NULL), 0);
        signature[10] ^= 1;
        assert_int_equal(ed25519_verify(key, text, signature, NULL), -EBADMSG);
    }
}

static void seeds_differ(void **state)
{
    uint8_t a[32], b[32];

    assert_int_equal(ed25519_make_seed(a, NULL), 0);
    assert_int_equal(ed25519_make_seed(b, NULL), 0);
    assert_memory_not_equal(a, b, 32);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(seeds_differ),
    };

    return cmocka_run_group_tests_name("ed25519", tests, NULL, NULL);
}
