/* SPDX-License-Identifier: MIT */
#include "common/client/secret.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"

#define SECRET_MAX 512
#define SECRET_FILE_MAX 4096

struct secret {
    char text[SECRET_MAX + 1];
};

static int secret_from_span(struct span text, struct secret **out_secret, struct error *err)
{
    struct secret *secret;

    text = span_trim(text);
    if (text.size == 0)
        return error_set(err, -EINVAL, "the token is empty");
    if (text.size > SECRET_MAX)
        return error_set(err, -EINVAL, "the token is longer than %d bytes", SECRET_MAX);
    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] <= ' ' || text.bytes[i] >= 0x7f)
            return error_set(err, -EINVAL, "the token holds a character that no token has");
    }
    secret = memory_new(sizeof(*secret));
    if (secret == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memcpy(secret->text, text.bytes, text.size);
    *out_secret = secret;
    return 0;
}

int secret_from_text(const char *text, struct secret **out_secret, struct error *err)
{
    return secret_from_span(span_text(text), out_secret, err);
}

int secret_load(const char *path, struct secret **out_secret, struct error *err)
{
    cleanup(buf_release) struct buf content = buf_init(SECRET_FILE_MAX);
    struct span rest, line;
    int r;

    r = file_load(path, &content, err);
    if (r == 0) {
        rest = buf_span(&content);
        if (!span_cut(&rest, '\n', &line))
            line = rest;
        r = secret_from_span(line, out_secret, err);
        if (r < 0)
            error_prefix(err, r, "token file %s", path);
    }
    if (content.bytes != NULL)
        memory_wipe(content.bytes, content.size);
    return r;
}

struct secret *secret_free(struct secret *secret)
{
    if (secret == NULL)
        return NULL;
    memory_wipe(secret, sizeof(*secret));
    return memory_free(secret);
}

const char *secret_text(const struct secret *secret)
{
    return secret == NULL ? NULL : secret->text;
}
