/* SPDX-License-Identifier: MIT */
#include "common/model/labels.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/yaml.h"

void labels_release(struct labels *labels)
{
    for (size_t i = 0; i < labels->count; i++) {
        memory_free(labels->items[i].key);
        memory_free(labels->items[i].value);
    }
    memory_free(labels->items);
    *labels = (struct labels){ .items = NULL, .count = 0 };
}

static bool is_letter_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int label_check_key(struct span key, struct error *err)
{
    bool good = key.size > 0 && key.size <= LABEL_KEY_MAX_SIZE && is_letter_or_digit(key.bytes[0]);

    for (size_t i = 1; good && i < key.size; i++)
        good = is_letter_or_digit(key.bytes[i]) || memchr("._/-", key.bytes[i], 4) != NULL;
    if (!good)
        return error_set(err, -EINVAL, "a label's key is [a-z0-9][a-z0-9._/-]{0,62}");
    return 0;
}

int label_check_value(struct span value, struct error *err)
{
    if (value.size > LABEL_VALUE_MAX_SIZE)
        return error_set(err, -EINVAL, "a label's value has at most %d bytes",
                         LABEL_VALUE_MAX_SIZE);
    if (!yaml_text_is_plain(value))
        return error_set(err, -EINVAL, "a label's value is UTF-8 without control characters");
    return 0;
}

/* Where the key stands or would stand. */
static size_t find(const struct labels *labels, struct span key, bool *out_there)
{
    size_t at = 0;
    int order = -1;

    while (at < labels->count) {
        order = span_compare(span_text(labels->items[at].key), key);
        if (order >= 0)
            break;
        at++;
    }
    *out_there = at < labels->count && order == 0;
    return at;
}

int labels_add(struct labels *labels, struct span key, struct span value, struct error *err)
{
    cleanup_memory char *new_key = NULL, *new_value = NULL;
    struct label *items;
    bool there;
    size_t at;
    int r = label_check_key(key, err);

    if (r == 0)
        r = label_check_value(value, err);
    if (r < 0)
        return r;
    at = find(labels, key, &there);
    if (there)
        return error_set(err, -EINVAL, "label \"%.*s\" stands twice", (int)key.size, key.bytes);
    if (labels->count == LABELS_MAX_COUNT)
        return error_set(err, -EINVAL, "at most %d labels", LABELS_MAX_COUNT);
    new_key = memory_copy(key.bytes, key.size);
    new_value = memory_copy(value.bytes, value.size);
    items = memory_resize(labels->items, labels->count + 1, sizeof(*items));
    if (items != NULL)
        labels->items = items;
    if (new_key == NULL || new_value == NULL || items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memmove(items + at + 1, items + at, (labels->count - at) * sizeof(*items));
    items[at].key = take_pointer(&new_key);
    items[at].value = take_pointer(&new_value);
    labels->count++;
    return 0;
}

const char *labels_get(const struct labels *labels, const char *key)
{
    bool there;
    size_t at = find(labels, span_text(key), &there);

    return there ? labels->items[at].value : NULL;
}
