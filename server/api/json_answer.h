/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct app_info;
struct channel;
struct digest;
struct error;
struct http_exchange;
struct job;
struct json_writer;
struct project_info;
struct version_info;

/* json_answer - the JSON objects of the API that more than one handler writes
 * (api/openapi.yaml). */

/* Room for a page of 500 of the largest objects; a JSON answer is never longer. */
#define JSON_ANSWER_MAX ((size_t)64 << 20)

/* name: NULL as the root or inside an array. */
void json_write_project(struct json_writer *writer, const char *name,
                        const struct project_info *info);
void json_write_app(struct json_writer *writer, const char *name, const struct app_info *info);
void json_write_version(struct json_writer *writer, const char *name,
                        const struct version_info *info);
void json_write_job(struct json_writer *writer, const char *name, const struct job *job);
void json_write_channel(struct json_writer *writer, const char *name,
                        const struct channel *channel);
/* What it says beside its name, into an object that is open. */
void json_channel_members(struct json_writer *writer, const struct channel *channel);
void json_write_digest(struct json_writer *writer, const char *name, const struct digest *digest);

/* `next_cursor` when it is not "", and the end of the page's object. */
void json_end_page(struct json_writer *writer, const char *next_cursor);
