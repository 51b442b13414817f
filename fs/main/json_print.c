/* SPDX-License-Identifier: MIT */
#include "fs/main/json_print.h"

#include <stddef.h>

#include "common/codec/json.h"

static void print_scalar(struct json_writer *writer, const char *name,
                         const struct json_value *value)
{
    const char *text;
    int64_t number;
    bool truth;

    if (json_get_text(value, "", &text, NULL) == 0)
        json_text(writer, name, text);
    else if (json_get_integer(value, "", &number, NULL) == 0)
        json_integer(writer, name, number);
    else if (json_get_bool(value, "", &truth, NULL) == 0)
        json_bool(writer, name, truth);
    else
        json_null(writer, name);
}

void json_print_members(struct json_writer *writer, const struct json_value *object)
{
    const struct json_value *at = NULL;

    while ((at = json_next(object, at)) != NULL)
        json_print(writer, json_name(at), at);
}

void json_print(struct json_writer *writer, const char *name, const struct json_value *value)
{
    const struct json_value *at = NULL;

    if (json_is_object(value)) {
        json_begin_object(writer, name);
        json_print_members(writer, value);
        json_end(writer);
    } else if (json_is_array(value)) {
        json_begin_array(writer, name);
        while ((at = json_next(value, at)) != NULL)
            json_print(writer, NULL, at);
        json_end(writer);
    } else {
        print_scalar(writer, name, value);
    }
}
