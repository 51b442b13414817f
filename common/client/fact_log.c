/* SPDX-License-Identifier: MIT */
#include "common/client/fact_log.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/codec/digest.h"

#define LINE_MAX_SIZE 4096
#define FILE_MAX_SIZE (64 * 1024 * 1024)
#define CHECK_SIZE 16

static bool is_field(const char *text)
{
    if (text[0] == '\0')
        return false;
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text > '~')
            return false;
    }
    return true;
}

int fact_log_add(const char *path, const char *const *fields, size_t count, struct error *err)
{
    cleanup(buf_release) struct buf line = buf_init(LINE_MAX_SIZE);
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;
    FILE *file;
    bool failed;
    int saved;

    /* First a line's end: what a crash tore off before must not swallow this line. */
    buf_add_byte(&line, '\n');
    for (size_t i = 0; i < count; i++) {
        if (!is_field(fields[i]) || count > FACT_FIELDS_MAX)
            return error_set(err, -EINVAL, "a text that cannot be remembered");
        buf_add_text(&line, fields[i]);
        buf_add_byte(&line, ' ');
    }
    digest = digest_of_span(span_slice(buf_span(&line), 1, SIZE_MAX));
    digest_hex(&digest, hex);
    buf_add(&line, hex, CHECK_SIZE);
    buf_add_byte(&line, '\n');
    if (buf_check(&line, err) < 0)
        return -ENOMEM;
    file = fopen(path, "ab");
    if (file == NULL)
        return error_system(err, errno, "%s", path);
    setvbuf(file, NULL, _IONBF, 0);
    failed = fwrite(line.bytes, 1, line.size, file) != line.size;
    saved = errno;
    failed = fclose(file) != 0 || failed;
    return failed ? error_system(err, saved, "%s", path) : 0;
}

static int give_line(struct span line, fact_log_each *each, void *context, struct error *err)
{
    struct span fields[FACT_FIELDS_MAX], rest;
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;
    size_t count = 0;

    if (line.size <= CHECK_SIZE + 1)
        return 0;
    rest = span_slice(line, 0, line.size - CHECK_SIZE);
    digest = digest_of_span(rest);
    digest_hex(&digest, hex);
    if (memcmp(hex, line.bytes + rest.size, CHECK_SIZE) != 0)
        return 0;
    rest.size--; /* the space before the checksum */
    while (count < FACT_FIELDS_MAX && span_cut(&rest, ' ', &fields[count]))
        count++;
    return each(context, fields, count, err);
}

int fact_log_read(const char *path, fact_log_each *each, void *context, struct error *err)
{
    cleanup(buf_release) struct buf content = buf_init(FILE_MAX_SIZE);
    struct span rest, line;
    int r;

    r = file_load(path, &content, err);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    rest = buf_span(&content);
    while (span_cut(&rest, '\n', &line)) {
        r = give_line(line, each, context, err);
        if (r != 0)
            return r;
    }
    return 0;
}
