/* SPDX-License-Identifier: MIT */
#include "agent/cli/output.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"

int output_write(struct buf *bytes, struct error *err)
{
    int r = buf_check(bytes, err);

    if (r == 0)
        r = file_write(1, bytes->bytes, bytes->size, err);
    return r < 0 ? error_prefix(err, r, "standard output") : 0;
}

/* One write, so that the lines of threads do not mix. */
static void write_line(const char *kind, const char *text)
{
    cleanup(buf_release) struct buf line = buf_init(4096);

    buf_format(&line, "kkartifact-agent: %s%s\n", kind, text);
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
