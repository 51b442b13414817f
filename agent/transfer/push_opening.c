/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_opening.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/codec/json.h"
#include "common/model/record.h"

#define ID_MAX 64

static void add_text(struct digest_stream *stream, const char *text)
{
    if (text == NULL)
        text = "";
    digest_stream_add(stream, text, strlen(text) + 1);
}

/* All that makes a push of another run as good as a new one. */
static int name_push(const struct push_opening *opening, const struct api_push_spec *spec,
                     uint64_t place, const struct record *metadata, struct digest *out,
                     struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&text);
    struct api_client *client = opening->transfer->client;
    struct record said = *metadata; /* a look, not a copy: nothing of it is released */
    struct digest_stream stream;
    int r;

    said.has_build_time = false;
    json_begin_object(&writer, NULL);
    record_write_metadata(&said, &writer);
    json_end(&writer);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    digest_stream_init(&stream);
    add_text(&stream, api_client_server(client, api_client_current(client)));
    add_text(&stream, spec->project);
    add_text(&stream, spec->app);
    add_text(&stream, spec->version);
    if (spec->content != NULL) {
        digest_stream_add(&stream, spec->content->bytes, DIGEST_SIZE);
        digest_stream_add(&stream, spec->times->bytes, DIGEST_SIZE);
    } else {
        digest_stream_add(&stream, &place, sizeof(place));
    }
    digest_stream_add(&stream, text.bytes, text.size);
    *out = digest_stream_end(&stream);
    return 0;
}

/* Another run for the same tree has it, or it cannot be had: nothing is kept then. */
static void take_file(struct push_opening *opening, const struct digest *name)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(name, hex);
    (void)snprintf(opening->path, sizeof(opening->path), "hints/%s.push", hex);
    if (directory_make_all(opening->cache, "hints", 0700, NULL) < 0)
        return;
    if (directory_create(opening->cache, opening->path, 0600, &opening->fd, NULL) < 0 &&
        directory_open_write(opening->cache, opening->path, &opening->fd, NULL) < 0)
        return;
    if (file_lock(opening->fd, NULL) < 0)
        cleanup_fd_at(&opening->fd);
}

static bool is_id(const char *text)
{
    size_t size = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz-");

    return size > 0 && text[size] == '\n' && text[size + 1] == '\0';
}

/* The push of an earlier run, still open: 0; else nothing is filled. */
static int take_up(struct push_opening *opening, const struct api_push_spec *spec,
                   struct api_push *out)
{
    char id[ID_MAX + 1] = "";
    size_t got = 0;

    if (opening->fd < 0 || file_read_at(opening->fd, 0, id, ID_MAX, &got, NULL) < 0)
        return -ENOENT;
    id[got] = '\0';
    if (!is_id(id))
        return -ENOENT;
    id[got - 1] = '\0';
    return api_push_get(opening->transfer->client, spec, id, out, NULL);
}

static void keep(const struct push_opening *opening, const char *id)
{
    char text[ID_MAX + 1];
    int size = snprintf(text, sizeof(text), "%s\n", id);

    if (opening->fd < 0 || size < 0 || (size_t)size >= sizeof(text))
        return;
    if (file_truncate(opening->fd, 0, NULL) == 0)
        file_write_at(opening->fd, 0, text, (size_t)size, NULL);
}

/* No earlier run has kept an id in it. */
static bool is_empty(const struct push_opening *opening)
{
    struct file_info info;

    return opening->fd >= 0 && file_info(opening->fd, &info, NULL) == 0 && info.size == 0;
}

static void begin(struct push_opening *opening, struct transfer *transfer, struct directory *cache,
                  const struct api_push_spec *spec, uint64_t place, const struct record *metadata)
{
    struct digest name;

    *opening = (struct push_opening){ .transfer = transfer, .cache = cache, .fd = -1 };
    if (cache != NULL && name_push(opening, spec, place, metadata, &name, NULL) == 0)
        take_file(opening, &name);
}

int push_opening_begin(struct push_opening *opening, struct transfer *transfer,
                       struct directory *cache, const struct api_push_spec *spec, uint64_t place,
                       const struct record *metadata, struct api_push *out, struct error *err)
{
    int r;

    begin(opening, transfer, cache, spec, place, metadata);
    if (take_up(opening, spec, out) == 0) {
        opening->is_taken_up = true;
        transfer_detail(transfer, "going on with the push that was left open");
        return 0;
    }
    r = transfer_stopped(transfer, err);
    if (r == 0)
        r = api_push_create(transfer->client, spec, out, err);
    if (r == 0 && !out->exists)
        keep(opening, out->id);
    else if (r == 0 || is_empty(opening))
        push_opening_forget(opening);
    return r;
}

void push_opening_adopt(struct push_opening *opening, struct transfer *transfer,
                        struct directory *cache, const struct api_push_spec *spec,
                        const struct record *metadata, const char *id)
{
    begin(opening, transfer, cache, spec, 0, metadata);
    keep(opening, id);
}

void push_opening_forget(struct push_opening *opening)
{
    if (opening->fd >= 0)
        directory_remove_file(opening->cache, opening->path, NULL);
}

void push_opening_release(struct push_opening *opening)
{
    cleanup_fd_at(&opening->fd);
}
