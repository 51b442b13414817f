/* SPDX-License-Identifier: MIT */
/* Names, paths, references, tokens, permissions, digests: what is taken is written as it was. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/model/names.h"
#include "common/model/permission.h"
#include "common/model/repr_digest.h"
#include "common/model/token_text.h"
#include "common/model/version_ref.h"
#include "tests/fuzz/fuzz.h"

static void check_ref(struct span text)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf twice = buf_init(BUF_UNLIMITED);
    struct version_ref ref, again;

    if (version_ref_parse(text, &ref, NULL) < 0)
        return;
    version_ref_format(&ref, &out);
    FUZZ_CHECK(version_ref_parse(buf_span(&out), &again, NULL) == 0);
    version_ref_format(&again, &twice);
    FUZZ_CHECK(span_equal(buf_span(&out), buf_span(&twice)));
    FUZZ_CHECK(ref.kind == again.kind);
}

static void check_path(struct span text)
{
    if (name_check_path(text, NULL) < 0)
        return;
    FUZZ_CHECK(text.size > 0 && text.size <= PATH_MAX_SIZE && text.bytes[0] != '/');
    FUZZ_CHECK(memchr(text.bytes, '\0', text.size) == NULL);
    FUZZ_CHECK(name_check_component(name_base(text), NULL) == 0);
    FUZZ_CHECK(name_parent(text).size == 0 || name_check_path(name_parent(text), NULL) == 0);
}

static void check_repr_digest(struct span text)
{
    char out[REPR_DIGEST_SIZE];
    struct digest found, again;

    if (repr_digest_parse(text, &found, NULL) < 0)
        return;
    repr_digest_write(&found, out);
    FUZZ_CHECK(repr_digest_parse(span_text(out), &again, NULL) == 0);
    FUZZ_CHECK(digest_equal(&found, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct span text = span_of(data, size);
    struct token_text token;
    unsigned set, again;
    uint32_t mode;

    for (int kind = NAME_PROJECT; kind <= NAME_VERSION; kind++)
        FUZZ_CHECK(name_check((enum name_kind)kind, text, NULL) < 0 || size <= VERSION_MAX_SIZE);
    check_path(text);
    check_ref(text);
    check_repr_digest(text);
    FUZZ_CHECK(name_check_target(text, NULL) < 0 || size <= TARGET_MAX_SIZE);
    if (name_parse_mode(text, &mode, NULL) == 0)
        FUZZ_CHECK(mode <= 0777 && size == 4);
    if (token_text_split(text, &token, NULL) == 0) {
        char joined[TOKEN_TEXT_SIZE + 1];
        token_text_join(&token, joined);
        FUZZ_CHECK(span_equal_text(text, joined));
    }
    if (permission_parse(text, &set, NULL) == 0) {
        permission_format(set, &out);
        FUZZ_CHECK(permission_parse(buf_span(&out), &again, NULL) == 0 && again == set);
    }
    return 0;
}
