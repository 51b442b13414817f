/* SPDX-License-Identifier: MIT */
#include "fs/holder/json_bytes.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/base64.h"
#include "common/codec/json.h"

void json_bytes(struct json_writer *writer, const char *name, struct span bytes)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);

    base64_encode(bytes, &text);
    if (buf_check(&text, NULL) < 0)
        writer->out->failure = text.failure;
    else
        json_text_span(writer, name, buf_span(&text));
}

void json_bytes_text(struct json_writer *writer, const char *name, const char *text)
{
    if (text != NULL)
        json_bytes(writer, name, span_text(text));
}

int json_member_bytes(const struct json_value *object, const char *name, struct buf *out,
                      struct error *err)
{
    const char *text = NULL;
    int r = json_member_text(object, name, &text, err);

    if (r < 0 || text == NULL)
        return r;
    return base64_decode(span_text(text), out, err);
}

int json_member_bytes_text(const struct json_value *object, const char *name, char **out,
                           struct error *err)
{
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    char *copy;
    int r;

    if (json_is_null(json_member(object, name)))
        return 0;
    r = json_member_bytes(object, name, &bytes, err);
    if (r < 0)
        return r;
    copy = memory_text(buf_text(&bytes));
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memory_free(*out);
    *out = copy;
    return 0;
}
