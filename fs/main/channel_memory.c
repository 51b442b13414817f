/* SPDX-License-Identifier: MIT */
#include "fs/main/channel_memory.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/client/api_client.h"
#include "common/codec/digest.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms.h"

static int make_path(const struct rooms *rooms, const char *channel, struct buf *out)
{
    const struct mount_options *options = rooms->options;
    cleanup(buf_release) struct buf name = buf_init(4096);
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;

    buf_format(&name, "%s %s %s/%s@%s", rooms->entry.store, api_client_token_name(rooms->client),
               options->only_project, options->only_app, channel);
    digest = digest_of_span(buf_span(&name));
    digest_hex(&digest, hex);
    buf_format(out, "%s/channels", options->cache);
    if (buf_check(&name, NULL) < 0 || buf_check(out, NULL) < 0)
        return -ENOMEM;
    file_make_directories(buf_text(out), 0700, NULL);
    buf_format(out, "/%s", hex);
    return buf_check(out, NULL);
}

int channel_memory_recall(const struct rooms *rooms, const char *channel,
                          char out_version[VERSION_TEXT_SIZE])
{
    cleanup(buf_release) struct buf path = buf_init(8192), text = buf_init(VERSION_TEXT_SIZE);
    struct span version;

    if (make_path(rooms, channel, &path) < 0 || file_load(buf_text(&path), &text, NULL) < 0)
        return -ENOENT;
    version = span_trim(buf_span(&text));
    if (name_check(NAME_VERSION, version, NULL) < 0)
        return -ENOENT;
    memcpy(out_version, version.bytes, version.size);
    out_version[version.size] = '\0';
    return 0;
}

void channel_memory_keep(const struct rooms *rooms, const char *channel, const char *version)
{
    cleanup(buf_release) struct buf path = buf_init(8192), text = buf_init(VERSION_TEXT_SIZE);
    char kept[VERSION_TEXT_SIZE];

    if (channel_memory_recall(rooms, channel, kept) == 0 && strcmp(kept, version) == 0)
        return;
    buf_format(&text, "%s\n", version);
    if (make_path(rooms, channel, &path) == 0)
        file_save(buf_text(&path), buf_span(&text), 0600, NULL);
}
