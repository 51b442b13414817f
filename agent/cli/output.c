/* SPDX-License-Identifier: MIT */
#include "agent/cli/output.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/codec/base64.h"
#include "common/codec/json.h"
#include "common/codec/yaml.h"

int output_write(struct buf *bytes, struct error *err)
{
    int r = buf_check(bytes, err);

    if (r == 0)
        r = file_write(1, bytes->bytes, bytes->size, err);
    return r < 0 ? error_prefix(err, r, "standard output") : 0;
}

void output_add_path(struct buf *out, struct span path)
{
    for (size_t i = 0; i < path.size; i++) {
        uint8_t c = path.bytes[i];
        if (c < 0x20 || c == 0x7f || c == '\\')
            buf_format(out, "\\%03o", c);
        else
            buf_add_byte(out, c);
    }
}

void output_json_path(struct json_writer *writer, struct span path)
{
    cleanup(buf_release) struct buf encoded = buf_init(BUF_UNLIMITED);

    if (yaml_text_is_plain(path)) {
        json_text_span(writer, "path", path);
        return;
    }
    base64_encode(path, &encoded);
    json_text_span(writer, "path_base64", buf_span(&encoded));
}

/* One write, so that the lines of threads do not mix. Names in the text are somebody else's: what
 * steers a terminal, or would begin a line, does not reach it. */
static void write_line(const char *kind, const char *text)
{
    cleanup(buf_release) struct buf line = buf_init(4096);

    buf_format(&line, "kkartifact-agent: %s", kind);
    for (; *text != '\0'; text++) {
        const uint8_t c = (uint8_t)*text;

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            buf_format(&line, "\\%03o", c);
        else
            buf_add_byte(&line, c);
    }
    buf_add_byte(&line, '\n');
    if (buf_check(&line, NULL) == 0)
        file_write(2, line.bytes, line.size, NULL);
}

void output_error(const char *text)
{
    write_line("", text);
}

void output_warning(const struct output *output, const char *text)
{
    if (!output->quiet)
        write_line("warning: ", text);
}

void output_notice(const struct output *output, const char *text)
{
    if (!output->quiet && !output->json)
        write_line("", text);
}

void output_list(const struct output *output, struct buf *lines)
{
    if (!output->quiet && buf_check(lines, NULL) == 0)
        file_write(2, lines->bytes, lines->size, NULL);
}

void output_detail(const struct output *output, const char *format, ...)
{
    struct error line;
    va_list args;

    if (!output->verbose || output->quiet)
        return;
    va_start(args, format);
    if (vsnprintf(line.text, sizeof(line.text), format, args) < 0)
        line.text[0] = '\0';
    va_end(args);
    write_line("", line.text);
}
