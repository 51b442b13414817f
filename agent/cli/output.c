/* SPDX-License-Identifier: MIT */
#include "agent/cli/output.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/utf8.h"
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

/* Control characters, those too that have two bytes in UTF-8, and what turns the direction of
 * writing, or ends lines. */
static bool steers_terminals(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e ||
           code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* `plain` is left as it is, `odd` is written as \ooo; a NUL: none. */
static void add_harmless(struct buf *out, struct span text, char plain, char odd)
{
    while (text.size > 0) {
        uint32_t code = 0xfffd;
        size_t size = utf8_next(text, &code);
        bool escaped;

        if (size == 0) {
            code = 0xfffd;
            size = 1;
        }
        escaped = code == 0 || (code == (uint8_t)odd) ||
                  (steers_terminals(code) && code != (uint8_t)plain);
        for (size_t i = 0; i < size; i++) {
            if (escaped)
                buf_format(out, "\\%03o", text.bytes[i]);
            else
                buf_add_byte(out, text.bytes[i]);
        }
        text = span_slice(text, size, text.size - size);
    }
}

void output_add_path(struct buf *out, struct span path)
{
    add_harmless(out, path, '\0', '\\');
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
    add_harmless(&line, span_text(text), '\t', '\0');
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
