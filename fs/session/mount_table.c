/* SPDX-License-Identifier: MIT */
#include "fs/session/mount_table.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/number.h"

#define TABLE_MAX (64 * 1024 * 1024)

/* `id parent major:minor root mountpoint options fields... - type source options`, see proc(5). */
struct line {
    uint64_t device;
    struct span mountpoint; /* with octal escapes */
    struct span type;
    struct span source; /* with octal escapes */
};

static bool parse_device(struct span text, uint64_t *out)
{
    struct span major_text;
    uint64_t major_number, minor_number;

    if (!span_cut(&text, ':', &major_text) ||
        number_parse(major_text, UINT32_MAX, &major_number, NULL) < 0 ||
        number_parse(text, UINT32_MAX, &minor_number, NULL) < 0)
        return false;
    *out = makedev((unsigned)major_number, (unsigned)minor_number);
    return true;
}

static bool parse_line(struct span text, struct line *out)
{
    struct span field;

    for (int i = 0; i < 5; i++) {
        if (!span_cut(&text, ' ', &field))
            return false;
        if (i == 2 && !parse_device(field, &out->device))
            return false;
    }
    out->mountpoint = field;
    while (span_cut(&text, ' ', &field))
        if (span_equal_text(field, "-"))
            return span_cut(&text, ' ', &out->type) && span_cut(&text, ' ', &out->source);
    return false;
}

/* Space, tab, newline and backslash stand as \ooo. */
static void unescape(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t *at = text.bytes + i;
        if (at[0] == '\\' && i + 3 < text.size) {
            buf_add_byte(out, (uint8_t)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0')));
            i += 3;
        } else {
            buf_add_byte(out, at[0]);
        }
    }
}

static int load(struct buf *out, struct error *err)
{
    return file_load("/proc/self/mountinfo", out, err);
}

int mount_table_find(struct span table, const char *mountpoint, uint64_t *out_device,
                     struct span *out_type, struct span *out_source)
{
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    struct span text;
    bool found = false;

    while (span_cut(&table, '\n', &text)) {
        struct line line;
        if (!parse_line(text, &line))
            continue;
        buf_clear(&path);
        unescape(line.mountpoint, &path);
        if (buf_check(&path, NULL) < 0)
            return -ENOMEM;
        if (span_equal_text(buf_span(&path), mountpoint)) {
            *out_device = line.device; /* later lines are mounted over earlier ones */
            if (out_type != NULL)
                *out_type = line.type;
            if (out_source != NULL)
                *out_source = line.source;
            found = true;
        }
    }
    return found ? 0 : -ENOENT;
}

int mount_table_device(const char *mountpoint, uint64_t *out_device, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX);
    int r = load(&table, err);

    if (r < 0)
        return r;
    r = mount_table_find(buf_span(&table), mountpoint, out_device, NULL, NULL);
    if (r < 0)
        return error_set(err, r, "nothing is mounted at %s", mountpoint);
    return 0;
}

int mount_table_type(const char *mountpoint, char **out_type, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX);
    struct span type;
    uint64_t device;
    char *copy;
    int r = load(&table, err);

    if (r < 0)
        return r;
    r = mount_table_find(buf_span(&table), mountpoint, &device, &type, NULL);
    if (r < 0)
        return error_set(err, r, "nothing is mounted at %s", mountpoint);
    copy = memory_copy(type.bytes, type.size);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_type = copy;
    return 0;
}

int mount_table_source(const char *mountpoint, char **out_source, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX), text = buf_init(BUF_UNLIMITED);
    struct span source;
    uint64_t device;
    char *copy;
    int r = load(&table, err);

    if (r < 0)
        return r;
    r = mount_table_find(buf_span(&table), mountpoint, &device, NULL, &source);
    if (r < 0)
        return error_set(err, r, "nothing is mounted at %s", mountpoint);
    unescape(source, &text);
    copy = buf_take(&text);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_source = copy;
    return 0;
}

int mount_table_mountpoint(uint64_t device, char **out_mountpoint, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX), path = buf_init(BUF_UNLIMITED);
    struct span rest, text;
    int r = load(&table, err);

    if (r < 0)
        return r;
    rest = buf_span(&table);
    while (span_cut(&rest, '\n', &text)) {
        struct line line;
        char *found;
        if (!parse_line(text, &line) || line.device != device)
            continue;
        unescape(line.mountpoint, &path);
        found = buf_take(&path);
        if (found == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        *out_mountpoint = found;
        return 0;
    }
    return error_set(err, -ENOENT, "no mount has that device");
}
