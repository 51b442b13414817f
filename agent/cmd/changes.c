/* SPDX-License-Identifier: MIT */
#include "agent/cmd/changes.h"

#include "agent/cli/output.h"
#include "agent/transfer/change.h"
#include "common/base/buf.h"
#include "common/codec/json.h"

void changes_write_text(const struct change_list *list, struct buf *out)
{
    for (size_t i = 0; i < change_list_count(list); i++) {
        struct change change = change_list_at(list, i);
        buf_format(out, "%c\t", change_letter(&change));
        output_add_path(out, change.path);
        buf_add_text(out, change.is_directory ? "/\n" : "\n");
    }
}

static void write_one(const struct change *change, struct json_writer *writer)
{
    unsigned what = change->what;
    const char *name;

    json_begin_object(writer, NULL);
    output_json_path(writer, change->path);
    if (change->is_directory)
        json_bool(writer, "directory", true);
    if (change->kind == CHANGE_CHANGED) {
        json_begin_array(writer, "what");
        while ((name = change_next_name(&what)) != NULL)
            json_text(writer, NULL, name);
        json_end(writer);
    }
    json_end(writer);
}

void changes_write_json(const struct change_list *list, struct json_writer *writer)
{
    static const enum change_kind kinds[] = { CHANGE_ADDED, CHANGE_REMOVED, CHANGE_CHANGED };

    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        json_begin_array(writer, change_name(kinds[k]));
        for (size_t i = 0; i < change_list_count(list); i++) {
            struct change change = change_list_at(list, i);
            if (change.kind == kinds[k])
                write_one(&change, writer);
        }
        json_end(writer);
    }
}
