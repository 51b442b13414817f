/* SPDX-License-Identifier: MIT */
#include "server/api/json_answer.h"

#include "common/base/clock.h"
#include "common/codec/digest.h"
#include "common/codec/json.h"
#include "common/model/record.h"
#include "server/service/projects.h"
#include "server/service/versions.h"

void json_write_time(struct json_writer *writer, const char *name, int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];

    if (clock_format(time_s, text, NULL) == 0)
        json_text(writer, name, text);
}

void json_write_digest(struct json_writer *writer, const char *name, const struct digest *digest)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(digest, hex);
    json_text(writer, name, hex);
}

void json_write_project(struct json_writer *writer, const char *name,
                        const struct project_info *info)
{
    json_begin_object(writer, name);
    json_text(writer, "project", info->project);
    json_write_time(writer, "created_at", info->created_at_s);
    json_integer(writer, "app_count", (int64_t)info->app_count);
    json_end(writer);
}

void json_write_app(struct json_writer *writer, const char *name, const struct app_info *info)
{
    json_begin_object(writer, name);
    json_text(writer, "project", info->project);
    json_text(writer, "app", info->app);
    json_write_time(writer, "created_at", info->created_at_s);
    json_integer(writer, "version_count", (int64_t)info->version_count);
    if (info->latest[0] != '\0')
        json_text(writer, "latest", info->latest);
    if (info->live[0] != '\0')
        json_text(writer, "live", info->live);
    json_end(writer);
}

void json_write_version(struct json_writer *writer, const char *name,
                        const struct version_info *info)
{
    json_begin_object(writer, name);
    record_write_json(&info->record, writer);
    json_text(writer, "state", info->trashed ? "trashed" : "ready");
    json_bool(writer, "pinned", info->pinned);
    json_end(writer);
}

void json_end_page(struct json_writer *writer, const char *next_cursor)
{
    json_end(writer);
    if (next_cursor[0] != '\0')
        json_text(writer, "next_cursor", next_cursor);
    json_end(writer);
}
