/* SPDX-License-Identifier: MIT */
#include "common/model/repr_digest.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/base64.h"

#define ALGORITHM "sha-256"
#define BASE64_SIZE 44

void repr_digest_write(const struct digest *sha256, char out[REPR_DIGEST_SIZE])
{
    static const char head[] = ALGORITHM "=:";
    cleanup(buf_release) struct buf text = buf_init(REPR_DIGEST_SIZE);

    buf_add_text(&text, head);
    base64_encode(span_of(sha256->bytes, DIGEST_SIZE), &text);
    buf_add_text(&text, ":");
    memcpy(out, text.bytes, REPR_DIGEST_SIZE - 1);
    out[REPR_DIGEST_SIZE - 1] = '\0';
}

/* `:BASE64:`, perhaps with parameters behind it. */
static int parse_value(struct span value, struct digest *out, struct error *err)
{
    cleanup(buf_release) struct buf bytes = buf_init(DIGEST_SIZE);
    struct span text;
    int r = -EINVAL;

    span_cut(&value, ';', &text);
    text = span_trim(text);
    if (text.size == BASE64_SIZE + 2 && text.bytes[0] == ':' && text.bytes[text.size - 1] == ':')
        r = base64_decode(span_slice(text, 1, BASE64_SIZE), &bytes, err);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || bytes.size != DIGEST_SIZE)
        return error_set(err, -EINVAL, "Repr-Digest has a sha-256 that is none");
    memcpy(out->bytes, bytes.bytes, DIGEST_SIZE);
    return 0;
}

int repr_digest_parse(struct span text, struct digest *out, struct error *err)
{
    struct digest found;
    struct span member, name;
    int r = error_set(err, -EINVAL, "Repr-Digest has no sha-256");

    while (span_cut(&text, ',', &member)) {
        member = span_trim(member);
        span_cut(&member, '=', &name);
        if (span_equal_text(name, ALGORITHM))
            r = parse_value(member, &found, err);
        if (r < 0 && span_equal_text(name, ALGORITHM))
            return r;
    }
    if (r == 0)
        *out = found;
    return r;
}
