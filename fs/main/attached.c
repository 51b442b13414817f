/* SPDX-License-Identifier: MIT */
#include "fs/main/attached.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/client/api_versions.h"
#include "common/codec/json.h"
#include "common/net/http_loop.h"
#include "fs/holder/json_bytes.h"
#include "fs/holder/message.h"
#include "fs/ids/ids.h"
#include "fs/main/arrival.h"
#include "fs/main/channel_memory.h"
#include "fs/main/following.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms.h"
#include "fs/main/worker.h"
#include "fs/main/worker_config.h"

struct attached {
    struct worker_config *config;
    struct rooms *rooms;
    struct arrival arrival; /* what is waited for, and: */
    struct http_watch holder;
    bool is_done;
    bool is_over; /* the holder says so, or is gone */
    struct error err;
};

static void on_holder(void *context)
{
    struct attached *attached = context;
    struct worker_heard heard;

    worker_hear(attached->holder.fd, NULL, &heard);
    if (heard.what == WORKER_HEARD_END || heard.what == WORKER_HEARD_GONE)
        attached->is_over = true;
}

static void arrived(void *context, const struct error *err)
{
    struct attached *attached = context;

    if (err != NULL)
        attached->err = *err;
    attached->is_done = true;
}

static bool is_waited(void *context)
{
    const struct attached *attached = context;

    return attached->is_done || attached->is_over;
}

static int wait_for_arrival(struct attached *attached, struct error *err)
{
    struct http_loop *loop = attached->rooms->loop;
    int r;

    http_watch_add(loop, &attached->holder);
    r = http_loop_run_until(loop, is_waited, attached, UINT64_MAX, err);
    http_watch_remove(loop, &attached->holder);
    if (r == 0 && attached->is_over)
        return error_set(err, -ECANCELED, "interrupted");
    if (r == 0 && attached->err.code < 0)
        return error_set(err, attached->err.code, "%s", attached->err.text);
    return r;
}

static bool may_be_remembered(const struct mount_options *options, int code)
{
    return code == -EAGAIN || code == -ETIMEDOUT || code == -EIO || code == -ENETDOWN ||
           ((code == -EPERM || code == -EACCES) && !options->strict_auth);
}

static int set_version(struct worker_config *config, const char *version, struct error *err)
{
    config->version = memory_text(version);
    return config->version != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

static int look_at_channel(struct worker_config *config, struct rooms *rooms, struct error *err)
{
    const struct mount_options *options = &config->options;
    struct api_version found = { 0 };
    struct error why = { 0 };
    char name[NAME_TEXT_SIZE + 1] = "@", kept[VERSION_TEXT_SIZE];
    int r;

    memcpy(name + 1, options->attach_channel, strnlen(options->attach_channel, NAME_MAX_SIZE));
    r = api_version_get(rooms->client, options->only_project, options->only_app, name, &found,
                        &why);
    if (r == 0) {
        channel_memory_keep(rooms, options->attach_channel, found.record.version);
        r = set_version(config, found.record.version, err);
        api_version_release(&found);
        return r;
    }
    if (!may_be_remembered(options, r) ||
        channel_memory_recall(rooms, options->attach_channel, kept) < 0)
        return error_set(err, r, "%s/%s%s: %s", options->only_project, options->only_app, name,
                         why.text);
    log_warning("%s/%s%s is %s, as it was last seen: %s", options->only_project, options->only_app,
                name, kept, why.text);
    return set_version(config, kept, err);
}

static int find_version(struct worker_config *config, struct rooms *rooms, struct error *err)
{
    if (config->version != NULL)
        return 0;
    return config->options.attach_version != NULL
               ? set_version(config, config->options.attach_version, err)
               : look_at_channel(config, rooms, err);
}

static int await_arrival(struct attached *attached, struct error *err)
{
    struct worker_config *config = attached->config;
    const struct mount_options *options = &config->options;
    struct arrival *arrival = &attached->arrival;
    int r;

    arrival->rooms = attached->rooms;
    arrival->whole = options->attach_prefetch;
    arrival->done = arrived;
    arrival->context = attached;
    memcpy(arrival->version, config->version, strnlen(config->version, VERSION_MAX_SIZE));
    r = arrival_start(arrival, err);
    if (r == 0)
        r = wait_for_arrival(attached, err);
    if (r < 0)
        return error_prefix(err, r, "%s/%s/%s", options->only_project, options->only_app,
                            config->version);
    if (config->has_tree && !digest_equal(&config->tree, &arrival->tree))
        return error_set(err, -ESTALE, "%s/%s/%s has another tree now", options->only_project,
                         options->only_app, config->version);
    config->tree = arrival->tree;
    config->has_tree = true;
    return 0;
}

int attached_open(struct attached **out_attached, struct worker_config *config, struct rooms *rooms,
                  int socket, enum exit_place *out_place, struct error *err)
{
    struct attached *attached = memory_new(sizeof(*attached));
    int r;

    *out_attached = attached;
    *out_place = EXIT_OF_SERVER;
    if (attached == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    attached->config = config;
    attached->rooms = rooms;
    attached->holder =
        (struct http_watch){ .function = on_holder, .context = attached, .fd = socket };
    r = find_version(config, rooms, err);
    if (r == 0)
        r = ids_attach(rooms->ids, config->options.only_project, config->options.only_app,
                       config->version, config->has_tree ? &config->tree : NULL, err);
    if (r == 0 && config->is_new)
        r = await_arrival(attached, err);
    if (r == -ENOSPC)
        *out_place = EXIT_OF_LOCAL;
    return r;
}

struct attached *attached_free(struct attached *attached)
{
    return memory_free(attached);
}

int attached_tell_serving(const struct worker_config *config, const char *store, int socket,
                          struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    char hex[DIGEST_HEX_SIZE];
    int r;

    json_begin_object(&writer, NULL);
    json_bool(&writer, "serving", true);
    if (config->is_new) {
        digest_hex(&config->tree, hex);
        json_bytes_text(&writer, "store", store);
        json_text(&writer, "version", config->version);
        json_text(&writer, "tree", hex);
    }
    json_end(&writer);
    r = buf_check(&text, err);
    return r == 0 ? message_send(socket, buf_span(&text), NULL, 0, err) : r;
}

void attached_json(const struct worker_config *config, struct following *following,
                   struct json_writer *writer)
{
    if (config == NULL || !config->options.attached) {
        json_null(writer, "attached");
        return;
    }
    json_begin_object(writer, "attached");
    json_text(writer, "project", config->options.only_project);
    json_text(writer, "app", config->options.only_app);
    if (config->options.attach_channel != NULL)
        json_text(writer, "channel", config->options.attach_channel);
    else
        json_null(writer, "channel");
    json_text(writer, "version", config->version);
    following_json(following, writer);
    json_end(writer);
}
