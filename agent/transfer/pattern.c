/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pattern.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/wildcard.h"
#include "common/base/error.h"
#include "common/base/memory.h"

struct pattern {
    char *text; /* without '!', the first and the last slash */
    size_t size;
    bool negated;
    bool directories_only;
    bool anchored; /* matched with the whole path, else with the last component */
};

struct pattern_list pattern_list_init(void)
{
    return (struct pattern_list){ 0 };
}

void pattern_list_release(struct pattern_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        memory_free(list->items[i].text);
    memory_free(list->items);
    *list = pattern_list_init();
}

/* Blanks at the end count only behind a backslash. */
static size_t trimmed_size(const char *item)
{
    size_t size = 0;

    for (size_t i = 0; item[i] != '\0'; i++) {
        if (item[i] == '\\' && item[i + 1] != '\0')
            i++;
        else if (item[i] == ' ')
            continue;
        size = i + 1;
    }
    return size;
}

int pattern_list_add(struct pattern_list *list, const char *item, struct error *err)
{
    struct pattern pattern = { 0 };
    struct pattern *items;
    const char *text = item;
    size_t size = trimmed_size(item);

    if (size == 0 || text[0] == '#')
        return 0;
    if (text[0] == '!') {
        pattern.negated = true;
        text++;
        size--;
    }
    if (size > 0 && text[size - 1] == '/') {
        pattern.directories_only = true;
        size--;
    }
    pattern.anchored = memchr(text, '/', size) != NULL;
    if (size > 0 && text[0] == '/') {
        text++;
        size--;
    }
    if (size == 0)
        return 0;
    items = memory_resize(list->items, list->count + 1, sizeof(*items));
    if (items == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    list->items = items;
    pattern.size = size;
    pattern.text = memory_copy(text, size);
    if (pattern.text == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    list->items[list->count++] = pattern;
    return 0;
}

static struct span base_of(struct span path)
{
    size_t start = path.size;

    while (start > 0 && path.bytes[start - 1] != '/')
        start--;
    return span_slice(path, start, path.size);
}

enum pattern_verdict pattern_list_judge(const struct pattern_list *list, struct span path,
                                        bool is_directory)
{
    struct span base = base_of(path);

    for (size_t i = list->count; i-- > 0;) {
        const struct pattern *pattern = &list->items[i];
        if (pattern->directories_only && !is_directory)
            continue;
        if (wildcard_matches(span_of(pattern->text, pattern->size),
                             pattern->anchored ? path : base))
            return pattern->negated ? PATTERN_TAKES_BACK : PATTERN_NAMES;
    }
    return PATTERN_SILENT;
}

bool pattern_list_covers(const struct pattern_list *list, struct span path, bool is_directory)
{
    for (size_t i = 0; i < path.size; i++) {
        if (path.bytes[i] == '/' &&
            pattern_list_judge(list, span_slice(path, 0, i), true) == PATTERN_NAMES)
            return true;
    }
    return pattern_list_judge(list, path, is_directory) == PATTERN_NAMES;
}
