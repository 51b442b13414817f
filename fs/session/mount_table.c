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

static bool parse_number(struct span text, uint64_t *out)
{
    return number_parse(text, UINT32_MAX, out, NULL) == 0;
}

/* `id parent major:minor root mountpoint options fields... - type source options` */
bool mount_line_parse(struct span text, struct mount_line *out)
{
    struct span words[6], word;
    struct mount_line line = { 0 };

    for (size_t i = 0; i < 6; i++)
        if (!span_cut(&text, ' ', &words[i]))
            return false;
    if (!parse_number(words[0], &line.id) || !parse_number(words[1], &line.parent) ||
        !parse_device(words[2], &line.device))
        return false;
    line.root = words[3];
    line.mountpoint = words[4];
    line.fields = span_of(text.bytes, 0);
    while (span_cut(&text, ' ', &word)) {
        if (span_equal_text(word, "-")) {
            if (!span_cut(&text, ' ', &line.type) || !span_cut(&text, ' ', &line.source))
                return false;
            span_cut(&text, ' ', &line.options);
            *out = line;
            return true;
        }
        line.fields.size = (size_t)(word.bytes + word.size - line.fields.bytes);
    }
    return false;
}

void mount_line_unescape(struct span text, struct buf *out)
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

static bool is_at(const struct mount_line *line, const char *mountpoint, struct buf *path)
{
    buf_clear(path);
    mount_line_unescape(line->mountpoint, path);
    return buf_check(path, NULL) == 0 && span_equal_text(buf_span(path), mountpoint);
}

/* The last line at the mount point; with `below` the one that is mounted on that. */
static bool find_line(struct span table, const char *mountpoint, const struct mount_line *below,
                      struct mount_line *out)
{
    cleanup(buf_release) struct buf path = buf_init(BUF_UNLIMITED);
    struct mount_line line;
    struct span text;
    bool found = false;

    while (span_cut(&table, '\n', &text)) {
        if (!mount_line_parse(text, &line) || (below != NULL && line.parent != below->id) ||
            !is_at(&line, mountpoint, &path))
            continue;
        *out = line;
        found = true;
    }
    return found;
}

int mount_table_find(struct span table, const char *mountpoint, struct mount_line *out)
{
    struct mount_line line, above;

    if (!find_line(table, mountpoint, NULL, &line))
        return -ENOENT;
    /* The numbers of what is mounted over each other make no circle; a damaged text may. */
    for (size_t left = table.size; left > 0 && find_line(table, mountpoint, &line, &above); left--)
        line = above;
    *out = line;
    return 0;
}

/* What is on top; its parts lie in *text. */
static int find_now(const char *mountpoint, struct buf *text, struct mount_line *out,
                    struct error *err)
{
    int r = load(text, err);

    if (r < 0)
        return r;
    r = mount_table_find(buf_span(text), mountpoint, out);
    return r < 0 ? error_set(err, r, "nothing is mounted at %s", mountpoint) : 0;
}

int mount_table_device(const char *mountpoint, uint64_t *out_device, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX);
    struct mount_line line;
    int r = find_now(mountpoint, &table, &line, err);

    if (r == 0)
        *out_device = line.device;
    return r;
}

static int copy_unescaped(struct span text, char **out, struct error *err)
{
    cleanup(buf_release) struct buf copy = buf_init(BUF_UNLIMITED);
    char *made;

    mount_line_unescape(text, &copy);
    made = buf_take(&copy);
    if (made == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out = made;
    return 0;
}

int mount_table_type(const char *mountpoint, char **out_type, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX);
    struct mount_line line;
    int r = find_now(mountpoint, &table, &line, err);

    return r == 0 ? copy_unescaped(line.type, out_type, err) : r;
}

int mount_table_source(const char *mountpoint, char **out_source, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX);
    struct mount_line line;
    int r = find_now(mountpoint, &table, &line, err);

    return r == 0 ? copy_unescaped(line.source, out_source, err) : r;
}

static bool find_by_id(struct span table, uint64_t id, struct mount_line *out)
{
    struct span text;

    while (span_cut(&table, '\n', &text))
        if (mount_line_parse(text, out) && out->id == id)
            return true;
    return false;
}

size_t mount_table_stack(const char *mountpoint, const char *type, uint64_t *out_devices,
                         size_t max)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX), path = buf_init(BUF_UNLIMITED);
    struct mount_line line;
    bool found = find_now(mountpoint, &table, &line, NULL) == 0;
    size_t count = 0;

    while (found && count < max && span_equal_text(line.type, type)) {
        out_devices[count++] = line.device;
        found = find_by_id(buf_span(&table), line.parent, &line) && is_at(&line, mountpoint, &path);
    }
    return count;
}

/* "rw,user_id=1000,group_id=1000" */
static uint32_t user_of(struct span options)
{
    static const char name[] = "user_id=";
    struct span option;
    uint64_t user = 0;

    while (span_cut(&options, ',', &option))
        if (span_starts_with(option, span_text(name)))
            number_parse(span_slice(option, strlen(name), SIZE_MAX), UINT32_MAX, &user, NULL);
    return (uint32_t)user;
}

static int tell(const struct mount_line *line, mount_table_each *each, void *context)
{
    cleanup(buf_release) struct buf mountpoint = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf type = buf_init(BUF_UNLIMITED),
                                    source = buf_init(BUF_UNLIMITED);
    struct mount_table_entry entry = { .device = line->device, .user = user_of(line->options) };

    mount_line_unescape(line->mountpoint, &mountpoint);
    mount_line_unescape(line->type, &type);
    mount_line_unescape(line->source, &source);
    entry.mountpoint = buf_text(&mountpoint);
    entry.type = buf_text(&type);
    entry.source = buf_text(&source);
    if (buf_check(&mountpoint, NULL) < 0 || buf_check(&type, NULL) < 0 ||
        buf_check(&source, NULL) < 0)
        return -ENOMEM;
    return each(context, &entry);
}

int mount_table_walk_text(struct span table, mount_table_each *each, void *context)
{
    struct span text;
    int r = 0;

    while (r == 0 && span_cut(&table, '\n', &text)) {
        struct mount_line line;
        if (mount_line_parse(text, &line))
            r = tell(&line, each, context);
    }
    return r;
}

int mount_table_walk(mount_table_each *each, void *context, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX);
    int r = load(&table, err);

    return r < 0 ? r : mount_table_walk_text(buf_span(&table), each, context);
}

int mount_table_mountpoint(uint64_t device, char **out_mountpoint, struct error *err)
{
    cleanup(buf_release) struct buf table = buf_init(TABLE_MAX);
    struct span rest, text;
    int r = load(&table, err);

    if (r < 0)
        return r;
    rest = buf_span(&table);
    while (span_cut(&rest, '\n', &text)) {
        struct mount_line line;
        if (mount_line_parse(text, &line) && line.device == device)
            return copy_unescaped(line.mountpoint, out_mountpoint, err);
    }
    return error_set(err, -ENOENT, "no mount has that device");
}
