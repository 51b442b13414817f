/* SPDX-License-Identifier: MIT */
#include "fs/main/mount_options_json.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/holder/json_bytes.h"
#include "fs/main/mount_options.h"

CLEANUP_DEFINE(json, json_free);

enum member_kind { MEMBER_TEXT, MEMBER_BOOL, MEMBER_NUMBER, MEMBER_SMALL };

/* One line per member; a text is bytes. */
static const struct {
    const char *name;
    enum member_kind kind;
    size_t offset;
} table[] = {
#define MEMBER(kind, name)                                \
    {                                                     \
#name, kind, offsetof(struct mount_options, name) \
    }
    MEMBER(MEMBER_TEXT, mountpoint),     MEMBER(MEMBER_TEXT, token_file),
    MEMBER(MEMBER_TEXT, cache),          MEMBER(MEMBER_TEXT, ca_file),
    MEMBER(MEMBER_TEXT, metrics),        MEMBER(MEMBER_TEXT, only_project),
    MEMBER(MEMBER_TEXT, only_app),       MEMBER(MEMBER_NUMBER, cache_size),
    MEMBER(MEMBER_NUMBER, cache_free),   MEMBER(MEMBER_SMALL, cache_free_percent),
    MEMBER(MEMBER_NUMBER, deadline_ms),  MEMBER(MEMBER_SMALL, prefetch),
    MEMBER(MEMBER_BOOL, learn),          MEMBER(MEMBER_SMALL, passthrough),
    MEMBER(MEMBER_NUMBER, scrub_rate),   MEMBER(MEMBER_NUMBER, scrub_every_ms),
    MEMBER(MEMBER_BOOL, offline),        MEMBER(MEMBER_BOOL, strict_auth),
    MEMBER(MEMBER_BOOL, xattr),          MEMBER(MEMBER_BOOL, insecure),
    MEMBER(MEMBER_BOOL, attached),       MEMBER(MEMBER_TEXT, attach_channel),
    MEMBER(MEMBER_TEXT, attach_version), MEMBER(MEMBER_BOOL, attach_prefetch),
    MEMBER(MEMBER_BOOL, noexec),         MEMBER(MEMBER_SMALL, uid),
    MEMBER(MEMBER_SMALL, gid),           MEMBER(MEMBER_SMALL, umask),
#undef MEMBER
};
_Static_assert(sizeof(enum mount_prefetch) == sizeof(uint32_t) &&
                   sizeof(enum mount_passthrough) == sizeof(uint32_t),
               "small members");
#define TABLE_SIZE (sizeof(table) / sizeof(*table))

static void write_member(struct json_writer *writer, size_t index, const void *at)
{
    const char *name = table[index].name;

    switch (table[index].kind) {
    case MEMBER_TEXT:
        json_bytes_text(writer, name, *(char *const *)at);
        break;
    case MEMBER_BOOL:
        json_bool(writer, name, *(const bool *)at);
        break;
    case MEMBER_NUMBER:
        json_integer(writer, name, (int64_t) * (const uint64_t *)at);
        break;
    case MEMBER_SMALL:
        json_integer(writer, name, *(const uint32_t *)at);
        break;
    }
}

void mount_options_write(const struct mount_options *options, struct buf *out)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "servers");
    for (size_t i = 0; i < options->server_count; i++)
        json_text(&writer, NULL, options->servers[i]);
    json_end(&writer);
    for (size_t i = 0; i < TABLE_SIZE; i++)
        write_member(&writer, i, (const char *)options + table[i].offset);
    json_end(&writer);
}

static int read_member(const struct json_value *root, size_t index, void *at, struct error *err)
{
    const char *name = table[index].name;
    int64_t number = -1;
    int r;

    if (table[index].kind == MEMBER_TEXT)
        return json_member_bytes_text(root, name, at, err);
    if (table[index].kind == MEMBER_BOOL)
        return json_member_bool(root, name, at, err);
    r = json_member_integer(root, name, &number, err);
    if (r < 0 || number < 0)
        return r;
    if (table[index].kind == MEMBER_NUMBER)
        *(uint64_t *)at = (uint64_t)number;
    else
        *(uint32_t *)at = (uint32_t)number;
    return 0;
}

int mount_options_read(struct mount_options *options, struct span text, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const struct json_value *servers, *at = NULL;
    int r = json_parse(text, &json, err);

    if (r < 0)
        return r;
    servers = json_member(json_root(json), "servers");
    while (r == 0 && (at = json_next(servers, at)) != NULL) {
        const char *url = "";
        r = json_get_text(at, "servers", &url, err);
        if (r == 0)
            r = mount_options_add_server(options, url, err);
    }
    for (size_t i = 0; r == 0 && i < TABLE_SIZE; i++)
        r = read_member(json_root(json), i, (char *)options + table[i].offset, err);
    if (r == 0 && (options->server_count == 0 || options->mountpoint == NULL))
        r = error_set(err, -EINVAL, "the options of the mount are not whole");
    return r;
}
