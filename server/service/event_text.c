/* SPDX-License-Identifier: MIT */
#include "server/service/event_text.h"

#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/codec/json.h"
#include "server/db/events.h"

static void text_or_null(struct json_writer *writer, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_text(writer, name, text);
    else
        json_null(writer, name);
}

/* More than that no act writes; what is in the way of all who listen is left out. */
#define DATA_MAX (EVENT_TEXT_MAX / 2)

/* JSON as it was written, kept to one line: what breaks lines is space there. */
static void add_data(struct buf *out, const char *data)
{
    if (data == NULL || data[0] == '\0' || strlen(data) > DATA_MAX)
        data = "null";
    for (const char *at = data; *at != '\0'; at++)
        buf_add_byte(out, *at == '\n' || *at == '\r' ? ' ' : (uint8_t)*at);
}

static void write_json(struct buf *out, const struct event *event)
{
    struct json_writer writer = json_writer_init(out);
    char at[CLOCK_TEXT_SIZE] = "";

    clock_format(event->at_s, at, NULL);
    json_begin_object(&writer, NULL);
    json_integer(&writer, "number", event->number);
    json_text(&writer, "type", event->type);
    text_or_null(&writer, "at", at);
    text_or_null(&writer, "project", event->project);
    text_or_null(&writer, "app", event->app);
    text_or_null(&writer, "version", event->version);
    text_or_null(&writer, "actor", event->actor);
    buf_add_text(out, ",\"data\":");
    add_data(out, event->data);
    json_end(&writer);
}

void event_text_write(struct buf *out, const struct event *event)
{
    buf_format(out, "id: %lld\nevent: %s\ndata: ", (long long)event->number, event->type);
    write_json(out, event);
    buf_add_text(out, "\n\n");
}

void event_text_write_beat(struct buf *out, int64_t number)
{
    buf_format(out, ": beat\nid: %lld\n\n", (long long)number);
}

void event_text_write_gone(struct buf *out, int64_t after, int64_t number)
{
    buf_format(out, "id: %lld\nevent: gone\ndata: {\"after\":%lld,\"number\":%lld}\n\n",
               (long long)number, (long long)after, (long long)number);
}
