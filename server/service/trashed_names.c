/* SPDX-License-Identifier: MIT */
#include "server/service/trashed_names.h"

#include <stdio.h>

#include "server/db/apps.h"

#define TOLD_MAX 1000
#define ITEMS_MAX ((size_t)1 << 19)

struct trashed_names trashed_names_init(void)
{
    return (struct trashed_names){ .items = buf_init(ITEMS_MAX) };
}

void trashed_names_release(struct trashed_names *names)
{
    buf_release(&names->items);
}

/* The writer points at the buffer, which stands where it stays only now. */
static void begin(struct trashed_names *names)
{
    names->writer = json_writer_init(&names->items);
    json_begin_array(&names->writer, NULL);
}

void trashed_names_add(struct trashed_names *names, const char *project, const char *app,
                       const char *version)
{
    char name[NAME_SIZE + NAME_SIZE + VERSION_NAME_SIZE];

    if (names->count == 0)
        begin(names);
    if (names->count++ >= TOLD_MAX)
        return;
    snprintf(name, sizeof(name), "%s/%s/%s", project, app, version);
    json_text(&names->writer, NULL, name);
}

void trashed_names_write(struct trashed_names *names, struct json_writer *writer, const char *name)
{
    if (names->count == 0)
        begin(names);
    json_end(&names->writer);
    if (buf_check(&names->items, NULL) == 0)
        json_ready(writer, name, buf_span(&names->items));
}
