/* SPDX-License-Identifier: MIT */
#include "common/codec/digest.h"

#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "tests/support/unit.h"

static void assert_digest(struct digest digest, const char *hex)
{
    char text[DIGEST_HEX_SIZE];

    digest_hex(&digest, text);
    assert_string_equal(text, hex);
}

/* FIPS 180-4 examples. */
static void published_vectors(void **state)
{
    struct digest_stream stream;
    char many[1000];

    assert_digest(digest_of("", 0),
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_digest(digest_of("abc", 3),
                  "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    memset(many, 'a', sizeof(many));
    digest_stream_init(&stream);
    for (int i = 0; i < 1000; i++)
        digest_stream_add(&stream, many, sizeof(many));
    assert_digest(digest_stream_end(&stream),
                  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void a_saved_state_goes_on(void **state)
{
    uint8_t bytes[300];

    memset(bytes, 'x', sizeof(bytes));
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint8_t saved[DIGEST_SAVED_SIZE];
        struct digest_stream first, second;
        struct digest whole = digest_of(bytes, sizeof(bytes)), joined;
        digest_stream_init(&first);
        digest_stream_add(&first, bytes, cut);
        digest_stream_save(&first, saved);
        memset(&first, 0xff, sizeof(first));
        assert_int_equal(digest_stream_load(&second, span_of(saved, sizeof(saved)), NULL), 0);
        assert_int_equal(digest_stream_size(&second), cut);
        digest_stream_add(&second, bytes + cut, sizeof(bytes) - cut);
        joined = digest_stream_end(&second);
        assert_true(digest_equal(&whole, &joined));
    }
}

/* Each block as if it stood alone, in any number of them. */
static void blocks_have_their_own_digests(void **state)
{
    static const size_t sizes[] = { 64, 128, 4096 };
    uint8_t bytes[5 * 4096];
    struct digest out[6];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * i >> 3);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t count = 0; count <= 5; count++) {
            memset(out, 0xee, sizeof(out));
            digest_of_blocks(bytes, sizes[i], count, out);
            for (size_t at = 0; at < count; at++) {
                struct digest alone = digest_of(bytes + at * sizes[i], sizes[i]);
                assert_memory_equal(out[at].bytes, alone.bytes, DIGEST_SIZE);
            }
            assert_int_equal(out[count].bytes[0], 0xee);
        }
    }
}

/* Wherever the stream stands. */
static void blocks_go_to_a_stream_too(void **state)
{
    uint8_t bytes[200 + 3 * 4096 + 50];
    struct digest whole, joined, out[3], alone;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    whole = digest_of(bytes, sizeof(bytes));
    for (size_t before = 0; before <= 200; before++) {
        struct digest_stream stream;
        digest_stream_init(&stream);
        digest_stream_add(&stream, bytes, before);
        digest_stream_add_blocks(&stream, bytes + before, 4096, 3, out);
        assert_int_equal(digest_stream_size(&stream), before + (size_t)3 * 4096);
        digest_stream_add(&stream, bytes + before + (size_t)3 * 4096,
                          sizeof(bytes) - before - (size_t)3 * 4096);
        joined = digest_stream_end(&stream);
        assert_memory_equal(joined.bytes, whole.bytes, DIGEST_SIZE);
        for (size_t i = 0; i < 3; i++) {
            alone = digest_of(bytes + before + i * 4096, 4096);
            assert_memory_equal(out[i].bytes, alone.bytes, DIGEST_SIZE);
        }
    }
}

/* The count of bits goes on beyond 32 bits. */
static void a_long_stream(void **state)
{
    static const uint8_t zeros[3 * 4096];
    const uint64_t before = (1u << 29) - 4096; /* bytes */
    uint8_t saved[DIGEST_SAVED_SIZE] = { 0 };
    struct digest out[3], expected, found;
    struct digest_stream one, other;

    bytes_set_u64(saved, before);
    assert_int_equal(digest_stream_load(&one, span_of(saved, sizeof(saved)), NULL), 0);
    assert_int_equal(digest_stream_load(&other, span_of(saved, sizeof(saved)), NULL), 0);
    digest_stream_add(&one, zeros, sizeof(zeros));
    digest_stream_add_blocks(&other, zeros, 4096, 3, out);
    assert_int_equal(digest_stream_size(&other), before + sizeof(zeros));
    expected = digest_stream_end(&one);
    found = digest_stream_end(&other);
    assert_memory_equal(found.bytes, expected.bytes, DIGEST_SIZE);
}

static void damaged_states_are_refused(void **state)
{
    uint8_t saved[DIGEST_SAVED_SIZE] = { 0 };
    struct digest_stream stream;

    assert_int_equal(digest_stream_load(&stream, span_of(saved, 103), NULL), -EBADMSG);
    memset(saved, 0xff, 8);
    assert_int_equal(digest_stream_load(&stream, span_of(saved, sizeof(saved)), NULL), -EBADMSG);
}

/* RFC 4231, cases 1, 2 and 6 (a key longer than a block). */
static void keyed_vectors(void **state)
{
    uint8_t key[131];

    memset(key, 0x0b, 20);
    assert_digest(digest_keyed(span_of(key, 20), span_text("Hi There")),
                  "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_digest(digest_keyed(span_text("Jefe"), span_text("what do ya want for nothing?")),
                  "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    assert_digest(digest_keyed(span_of(key, sizeof(key)),
                               span_text("Test Using Larger Than Block-Size Key - Hash Key First")),
                  "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void parsing(void **state)
{
    struct digest digest = { 0 };
    struct digest empty = digest_of("", 0);
    char text[DIGEST_HEX_SIZE];

    digest_hex(&empty, text);
    assert_int_equal(digest_parse(span_text(text), &digest, NULL), 0);
    assert_true(digest_equal(&digest, &empty));
    assert_int_equal(digest_parse(span_of(text, 63), &digest, NULL), -EINVAL);
    text[5] = 'E';
    assert_int_equal(digest_parse(span_text(text), &digest, NULL), -EINVAL);
    assert_false(digest_is_zero(&digest));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(a_saved_state_goes_on),
        cmocka_unit_test(blocks_have_their_own_digests),
        cmocka_unit_test(blocks_go_to_a_stream_too),
        cmocka_unit_test(a_long_stream),
        cmocka_unit_test(damaged_states_are_refused),
        cmocka_unit_test(keyed_vectors),
        cmocka_unit_test(parsing),
    };

    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
