/* SPDX-License-Identifier: MIT */
#include "common/codec/json.h"

#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/codec/json_check.h"

/*
 * A document is the library's tree, and a value one of its nodes: the two opaque
 * structs are never defined, only cast, so that cJSON.h stays in this file.
 */
static const cJSON *node(const struct json_value *value)
{
    return (const cJSON *)(const void *)value;
}

static const struct json_value *value_of(const cJSON *item)
{
    return (const struct json_value *)(const void *)item;
}

static bool is_container(const cJSON *item)
{
    return cJSON_IsObject(item) || cJSON_IsArray(item);
}

static int check_members(const cJSON *object, struct error *err)
{
    struct map seen = map_init();
    const cJSON *member;
    int r = 0;

    cJSON_ArrayForEach(member, object)
    {
        void *old = NULL;
        r = map_set(&seen, span_text(member->string), &seen, &old);
        if (r < 0)
            r = error_set(err, -ENOMEM, "out of memory");
        else if (old != NULL)
            r = error_set(err, -EBADMSG, "JSON member \"%s\" twice", member->string);
        if (r < 0)
            break;
    }
    map_release(&seen);
    return r;
}

/* Depth was bounded by json_check(), so this recursion is too. */
static int check_duplicates(const cJSON *item, struct error *err)
{
    const cJSON *child;
    int r = 0;

    if (!is_container(item))
        return 0;
    if (cJSON_IsObject(item))
        r = check_members(item, err);
    cJSON_ArrayForEach(child, item)
    {
        if (r == 0)
            r = check_duplicates(child, err);
    }
    return r;
}

int json_parse(struct span text, struct json **out_json, struct error *err)
{
    cJSON *root;
    int r = json_check(text, err);

    if (r < 0)
        return r;
    root = cJSON_ParseWithLength((const char *)text.bytes, text.size);
    if (root == NULL)
        return error_set(err, -ENOMEM, "out of memory"); /* the grammar was checked */
    r = check_duplicates(root, err);
    if (r < 0) {
        cJSON_Delete(root);
        return r;
    }
    *out_json = (struct json *)(void *)root;
    return 0;
}

struct json *json_free(struct json *json)
{
    cJSON_Delete((cJSON *)(void *)json);
    return NULL;
}

const struct json_value *json_root(const struct json *json)
{
    return (const struct json_value *)(const void *)json;
}

bool json_is_object(const struct json_value *value)
{
    return cJSON_IsObject(node(value));
}

bool json_is_array(const struct json_value *value)
{
    return cJSON_IsArray(node(value));
}

bool json_is_null(const struct json_value *value)
{
    return value == NULL || cJSON_IsNull(node(value));
}

const struct json_value *json_member(const struct json_value *value, const char *name)
{
    if (!json_is_object(value))
        return NULL;
    return value_of(cJSON_GetObjectItemCaseSensitive(node(value), name));
}

const struct json_value *json_next(const struct json_value *value, const struct json_value *at)
{
    if (at != NULL)
        return value_of(node(at)->next);
    return value != NULL && is_container(node(value)) ? value_of(node(value)->child) : NULL;
}

size_t json_count(const struct json_value *value)
{
    size_t count = 0;

    for (const struct json_value *at = json_next(value, NULL); at != NULL;
         at = json_next(value, at))
        count++;
    return count;
}

const char *json_name(const struct json_value *value)
{
    return value == NULL || node(value)->string == NULL ? "" : node(value)->string;
}

int json_get_text(const struct json_value *value, const char *what, const char **out,
                  struct error *err)
{
    if (!cJSON_IsString(node(value)))
        return error_set(err, -EINVAL, "%s must be a string", what);
    *out = node(value)->valuestring;
    return 0;
}

int json_get_integer(const struct json_value *value, const char *what, int64_t *out,
                     struct error *err)
{
    double number = cJSON_IsNumber(node(value)) ? node(value)->valuedouble : 0.5;

    if (number < -(double)JSON_INTEGER_MAX || number > (double)JSON_INTEGER_MAX ||
        number != (double)(int64_t)number)
        return error_set(err, -EINVAL, "%s must be an integer", what);
    *out = (int64_t)number;
    return 0;
}

int json_get_bool(const struct json_value *value, const char *what, bool *out, struct error *err)
{
    if (!cJSON_IsBool(node(value)))
        return error_set(err, -EINVAL, "%s must be true or false", what);
    *out = cJSON_IsTrue(node(value));
    return 0;
}

int json_member_text(const struct json_value *object, const char *name, const char **out,
                     struct error *err)
{
    const struct json_value *member = json_member(object, name);

    return json_is_null(member) ? 0 : json_get_text(member, name, out, err);
}

int json_member_integer(const struct json_value *object, const char *name, int64_t *out,
                        struct error *err)
{
    const struct json_value *member = json_member(object, name);

    return json_is_null(member) ? 0 : json_get_integer(member, name, out, err);
}

int json_member_bool(const struct json_value *object, const char *name, bool *out,
                     struct error *err)
{
    const struct json_value *member = json_member(object, name);

    return json_is_null(member) ? 0 : json_get_bool(member, name, out, err);
}
