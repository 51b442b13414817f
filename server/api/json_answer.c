/* SPDX-License-Identifier: MIT */
#include "server/api/json_answer.h"

#include "common/codec/digest.h"
#include "common/codec/json.h"
#include "common/model/record.h"
#include "server/db/channels.h"
#include "server/db/jobs.h"
#include "server/service/projects.h"
#include "server/service/versions.h"

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
    json_time(writer, "created_at", info->created_at_s);
    json_integer(writer, "app_count", (int64_t)info->app_count);
    if (info->retain_versions >= 0)
        json_integer(writer, "retain_versions", info->retain_versions);
    json_end(writer);
}

void json_write_app(struct json_writer *writer, const char *name, const struct app_info *info)
{
    json_begin_object(writer, name);
    json_text(writer, "project", info->project);
    json_text(writer, "app", info->app);
    json_time(writer, "created_at", info->created_at_s);
    json_integer(writer, "version_count", (int64_t)info->version_count);
    if (info->retain_versions >= 0)
        json_integer(writer, "retain_versions", info->retain_versions);
    if (info->latest[0] != '\0')
        json_text(writer, "latest", info->latest);
    if (info->live[0] != '\0')
        json_text(writer, "live", info->live);
    if (info->has_channels) {
        json_begin_array(writer, "channels");
        for (size_t i = 0; i < info->channel_count; i++)
            json_write_channel(writer, NULL, &info->channels[i]);
        json_end(writer);
    }
    json_end(writer);
}

void json_channel_members(struct json_writer *writer, const struct channel *channel)
{
    json_text(writer, "version", channel->version);
    json_text(writer, "previous", channel->previous[0] != '\0' ? channel->previous : NULL);
    json_time(writer, "updated_at", channel->updated_at_s);
    json_text(writer, "updated_by", channel->updated_by[0] != '\0' ? channel->updated_by : NULL);
}

void json_write_channel(struct json_writer *writer, const char *name, const struct channel *channel)
{
    json_begin_object(writer, name);
    json_text(writer, "name", channel->name);
    json_channel_members(writer, channel);
    if (channel->trashed)
        json_bool(writer, "trashed", true);
    json_end(writer);
}

void json_write_version(struct json_writer *writer, const char *name,
                        const struct version_info *info)
{
    json_begin_object(writer, name);
    record_write_json(&info->record, writer);
    json_text(writer, "state", info->trashed ? "trashed" : "ready");
    json_bool(writer, "pinned", info->pinned);
    json_text(writer, "note", info->note);
    if (info->channel_count > 0) {
        json_begin_array(writer, "channels");
        for (size_t i = 0; i < info->channel_count; i++)
            json_text(writer, NULL, info->channels[i].name);
        json_end(writer);
    }
    if (info->trashed) {
        json_time(writer, "trashed_at", info->trashed_at_s);
        json_text(writer, "trashed_by", info->trashed_by);
        json_text(writer, "trash_reason", info->trash_reason);
        if (info->purge_at_s != 0)
            json_time(writer, "purge_at", info->purge_at_s);
    }
    json_end(writer);
}

static void write_ready(struct json_writer *writer, const char *name, const char *value)
{
    if (value != NULL)
        json_ready(writer, name, span_text(value));
}

static void write_passed(struct json_writer *writer, const char *name, int64_t time_s)
{
    if (time_s != 0)
        json_time(writer, name, time_s);
}

void json_write_job(struct json_writer *writer, const char *name, const struct job *job)
{
    json_begin_object(writer, name);
    json_text(writer, "id", job->id);
    json_text(writer, "kind", job->kind);
    json_text(writer, "state", job_state_name(job->state));
    if (job->cancelling && job->state == JOB_RUNNING)
        json_bool(writer, "cancelling", true);
    if (job->project[0] != '\0')
        json_text(writer, "project", job->project);
    if (job->app[0] != '\0')
        json_text(writer, "app", job->app);
    json_text(writer, "actor", job->actor);
    write_ready(writer, "params", job->params);
    json_integer(writer, "done", job->done);
    if (job->total > 0)
        json_integer(writer, "total", job->total);
    write_ready(writer, "result", job->result);
    json_text(writer, "problem", job->problem);
    json_time(writer, "created_at", job->created_at_s);
    write_passed(writer, "started_at", job->started_at_s);
    write_passed(writer, "finished_at", job->finished_at_s);
    json_end(writer);
}

void json_end_page(struct json_writer *writer, const char *next_cursor)
{
    json_end(writer);
    if (next_cursor[0] != '\0')
        json_text(writer, "next_cursor", next_cursor);
    json_end(writer);
}
