/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/api/handlers.h"
#include "server/api/json_answer.h"
#include "server/api/request.h"
#include "server/db/settings.h"
#include "server/http/http_answer.h"
#include "server/service/policy.h"

#define CHANGES_MAX 64
#define NUMBER_SIZE 24

CLEANUP_DEFINE(json, json_free);

static void write_entry(struct json_writer *writer, const struct policy_entry *entry)
{
    json_begin_object(writer, NULL);
    json_text(writer, "key", entry->key);
    json_text(writer, "kind", entry->kind);
    json_text(writer, "value", entry->value);
    json_text(writer, "default", entry->fallback);
    json_integer(writer, "max", entry->max);
    json_text(writer, "help", entry->help);
    if (entry->updated_at_s != 0)
        json_time(writer, "updated_at", entry->updated_at_s);
    if (entry->updated_by[0] != '\0')
        json_text(writer, "updated_by", entry->updated_by);
    json_end(writer);
}

static int answer(struct http_exchange *exchange, struct error *err)
{
    cleanup(buf_release) struct buf body = buf_init(JSON_ANSWER_MAX);
    struct json_writer writer = json_writer_init(&body);
    const size_t count = policy_key_count();
    cleanup_memory struct policy_entry *entries = memory_array(count, sizeof(*entries));
    int r = entries == NULL ? error_set(err, -ENOMEM, "out of memory")
                            : policy_entries_get(request_services(exchange), entries, err);

    if (r < 0)
        return r;
    json_begin_object(&writer, NULL);
    json_begin_array(&writer, "items");
    for (size_t i = 0; i < count; i++)
        write_entry(&writer, &entries[i]);
    json_end_page(&writer, "");
    return http_answer_json(exchange, 200, &body, err);
}

int api_config_get(struct http_exchange *exchange, void *context, struct error *err)
{
    return answer(exchange, err);
}

struct changes {
    struct setting_change items[CHANGES_MAX];
    char numbers[CHANGES_MAX][NUMBER_SIZE]; /* texts of values that are numbers */
    size_t count;
};

static int read_change(const struct json_value *member, struct changes *out, struct error *err)
{
    struct setting_change *change = &out->items[out->count];
    char *number = out->numbers[out->count];
    int64_t value;

    *change = (struct setting_change){ json_name(member), NULL };
    out->count++;
    if (json_is_null(member))
        return 0;
    if (json_get_integer(member, "a number", &value, NULL) == 0) {
        snprintf(number, NUMBER_SIZE, "%lld", (long long)value);
        change->value = number;
        return 0;
    }
    return json_get_text(member, "a setting", &change->value, err);
}

int api_config_change(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    cleanup(cleanup_json) struct json *json = NULL;
    const struct json_value *member = NULL;
    struct changes changes = { .count = 0 };
    int r = request_json(exchange, &json, err);

    if (r != 0)
        return r < 0 ? r : 0;
    if (json_count(json_root(json)) > CHANGES_MAX)
        return refusal_at(&request->why, "", error_set(err, -EINVAL, "there are fewer settings"));
    while ((member = json_next(json_root(json), member)) != NULL) {
        r = read_change(member, &changes, err);
        if (r < 0)
            return refusal_at(&request->why, "", r);
    }
    r = policy_change(request_services(exchange), &request->caller, changes.items, changes.count,
                      &request->why, err);
    return r < 0 ? r : answer(exchange, err);
}
