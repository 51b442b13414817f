/* SPDX-License-Identifier: MIT */
#include "common/model/settings.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/yaml.h"

#define FILE_MAX_SIZE (1024 * 1024)
#define LIST_MAX_COUNT 10000
#define PLACE_MAX_SIZE 4400

/* Where a value comes from; a higher one wins. */
enum rank { RANK_NONE, RANK_TABLE, RANK_DEFAULT, RANK_FILE, RANK_ENVIRONMENT, RANK_FLAG };

struct value {
    enum rank rank;
    char *place;
    char **items; /* of all but lists: one */
    size_t count;
    uint64_t number; /* number, size, duration, switch */
};

struct settings {
    const struct setting_spec *specs;
    size_t count;
    struct value *values; /* as many as specs */
};

static void value_release(struct value *value)
{
    for (size_t i = 0; i < value->count; i++) {
        memory_wipe(value->items[i], strlen(value->items[i]));
        memory_free(value->items[i]);
    }
    memory_free(value->items);
    memory_free(value->place);
    *value = (struct value){ .rank = RANK_NONE };
}

struct settings *settings_free(struct settings *settings)
{
    if (settings == NULL)
        return NULL;
    for (size_t i = 0; settings->values != NULL && i < settings->count; i++)
        value_release(&settings->values[i]);
    memory_free(settings->values);
    return memory_free(settings);
}

CLEANUP_DEFINE(settings, settings_free);
CLEANUP_DEFINE(yaml_reader, yaml_reader_free);

static int no_memory(struct error *err)
{
    return error_set(err, -ENOMEM, "out of memory");
}

/* "invalid value: allowed is ..."; the value itself is told by nobody, it may be a secret in a
 * wrong place. */
static int refuse_value(const struct setting_spec *spec, const char *place, struct error *err)
{
    cleanup(buf_release) struct buf allowed = buf_init(4096);

    settings_print_allowed(spec, &allowed);
    return error_set(err, -EINVAL, "%s: %s: allowed is %s", place, spec->key, buf_text(&allowed));
}

static int parse_switch(struct span text, uint64_t *out)
{
    static const char *const words[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (span_equal_text(text, words[i])) {
            *out = i % 2;
            return 0;
        }
    }
    return -EINVAL;
}

static int parse_choice(const struct setting_spec *spec, struct span text)
{
    struct span rest = span_text(spec->choices), choice;

    while (span_cut(&rest, '|', &choice)) {
        if (span_equal(choice, text))
            return 0;
    }
    return -EINVAL;
}

static int parse_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.bytes[i] < 0x20 || text.bytes[i] == 0x7f)
            return -EINVAL;
    }
    return 0;
}

/* Type and limits. */
static int parse_value(const struct setting_spec *spec, struct span text, uint64_t *out)
{
    uint64_t max = spec->max == 0 ? UINT64_MAX : spec->max;
    int r = -EINVAL;

    switch (spec->type) {
    case SETTING_TEXT:
    case SETTING_SECRET:
    case SETTING_LIST:
        return parse_text(text);
    case SETTING_CHOICE:
        return parse_choice(spec, text);
    case SETTING_SWITCH:
        return parse_switch(text, out);
    case SETTING_NUMBER:
        r = number_parse(text, max, out, NULL);
        break;
    case SETTING_SIZE:
        r = number_parse_size(text, max, out, NULL);
        break;
    case SETTING_DURATION:
        r = number_parse_duration(text, max, out, NULL);
        break;
    }
    return r == 0 && *out < spec->min ? -EINVAL : r;
}

/* One item more. The value is not changed on failure. */
static int value_add(struct value *value, const struct setting_spec *spec, struct span text,
                     const char *place, struct error *err)
{
    cleanup_memory char *copy = NULL;
    struct error why = { 0 };
    uint64_t number = 0;
    char **items;

    if (parse_value(spec, text, &number) < 0 || value->count == LIST_MAX_COUNT)
        return refuse_value(spec, place, err);
    copy = memory_copy(text.bytes, text.size);
    if (copy == NULL)
        return no_memory(err);
    if (spec->check != NULL && spec->check(copy, &why) < 0)
        return error_set(err, -EINVAL, "%s: %s: %s", place, spec->key,
                         spec->type == SETTING_SECRET ? "a value of another form" : why.text);
    items = memory_resize(value->items, value->count + 1, sizeof(*items));
    if (items == NULL)
        return no_memory(err);
    value->items = items;
    items[value->count++] = take_pointer(&copy);
    value->number = number;
    return 0;
}

static int value_set_place(struct value *value, enum rank rank, const char *place,
                           struct error *err)
{
    char *copy = memory_text(place);

    if (copy == NULL)
        return no_memory(err);
    memory_free(value->place);
    value->place = copy;
    value->rank = rank;
    return 0;
}

static struct value *find(const struct settings *settings, struct span key,
                          const struct setting_spec **out_spec)
{
    for (size_t i = 0; i < settings->count; i++) {
        if (span_equal_text(key, settings->specs[i].key)) {
            *out_spec = &settings->specs[i];
            return &settings->values[i];
        }
    }
    return NULL;
}

/* Takes the new value in place of the old one, unless the old one's source is stronger. */
static void value_replace(struct value *value, struct value *fresh)
{
    if (fresh->rank >= value->rank) {
        struct value old = *value;
        *value = *fresh;
        *fresh = old;
    }
}

/* A value from one text; separated by commas when it is a list. */
static int set_text(struct value *value, const struct setting_spec *spec, struct span text,
                    enum rank rank, const char *place, struct error *err)
{
    cleanup(value_release) struct value fresh = { .rank = RANK_NONE };
    struct span rest = text, item;
    int r = 0;

    if (spec->type != SETTING_LIST) {
        r = value_add(&fresh, spec, text, place, err);
    } else {
        while (r == 0 && span_cut(&rest, ',', &item)) {
            item = span_trim(item);
            if (item.size > 0)
                r = value_add(&fresh, spec, item, place, err);
        }
    }
    if (r == 0)
        r = value_set_place(&fresh, rank, place, err);
    if (r == 0)
        value_replace(value, &fresh);
    return r;
}

int settings_new(const struct setting_spec *specs, struct settings **out_settings,
                 struct error *err)
{
    cleanup(cleanup_settings) struct settings *settings = memory_new(sizeof(*settings));
    int r = 0;

    if (settings == NULL)
        return no_memory(err);
    settings->specs = specs;
    while (specs[settings->count].key != NULL)
        settings->count++;
    settings->values = memory_array(settings->count, sizeof(*settings->values));
    if (settings->values == NULL)
        return no_memory(err);
    for (size_t i = 0; r == 0 && i < settings->count; i++) {
        if (specs[i].fallback != NULL)
            r = set_text(&settings->values[i], &specs[i], span_text(specs[i].fallback), RANK_TABLE,
                         "default", err);
    }
    if (r == 0)
        *out_settings = take_pointer(&settings);
    return r;
}

/* Something with a place of "name:line". */
static int refuse_place(const char *name, const struct yaml_event *event, struct error *err,
                        const char *rule)
{
    return error_set(err, -EINVAL, "%s:%llu: %.*s: %s", name, (unsigned long long)event->line,
                     (int)event->text.size, event->text.bytes, rule);
}

#define DISTANCE_MAX 2
#define KEY_MAX_SIZE 64

/* Edits (insert, delete, change) from a to b: Levenshtein's distance, by rows. */
static size_t edit_distance(struct span a, struct span b)
{
    size_t row[KEY_MAX_SIZE + 1];

    if (a.size > KEY_MAX_SIZE || b.size > KEY_MAX_SIZE)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t changed = diagonal + (a.bytes[i - 1] != b.bytes[j - 1]);
            size_t shorter = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;
            diagonal = row[j];
            row[j] = changed < shorter ? changed : shorter;
        }
    }
    return row[b.size];
}

/* The key that was probably meant, or the keys there are. */
static int refuse_key(const struct settings *settings, const char *name,
                      const struct yaml_event *event, struct error *err)
{
    cleanup(buf_release) struct buf rule = buf_init(ERROR_TEXT_SIZE * 16);
    const struct setting_spec *spec, *near = NULL;
    size_t least = DISTANCE_MAX + 1;

    for (size_t i = 0; (spec = settings_spec(settings, i)) != NULL; i++) {
        size_t distance = edit_distance(event->text, span_text(spec->key));
        if (distance < least) {
            least = distance;
            near = spec;
        }
    }
    if (near != NULL)
        buf_format(&rule, "unknown key, did you mean %s?", near->key);
    else
        buf_add_text(&rule, "unknown key; there are");
    for (size_t i = 0; near == NULL && (spec = settings_spec(settings, i)) != NULL; i++)
        buf_format(&rule, " %s", spec->key);
    return refuse_place(name, event, err, buf_text(&rule));
}

static int read_list(struct yaml_reader *reader, struct value *fresh,
                     const struct setting_spec *spec, const char *place, struct error *err)
{
    struct yaml_event event;

    for (;;) {
        int r = yaml_next(reader, &event, err);
        if (r < 0)
            return r;
        if (event.kind == YAML_LIST_END)
            return 0;
        if (event.kind != YAML_SCALAR)
            return refuse_value(spec, place, err);
        r = value_add(fresh, spec, event.text, place, err);
        if (r < 0)
            return r;
    }
}

static int read_value(struct settings *settings, struct yaml_reader *reader,
                      const struct yaml_event *key, const char *name, struct error *err)
{
    cleanup(buf_release) struct buf place = buf_init(PLACE_MAX_SIZE);
    cleanup(value_release) struct value fresh = { .rank = RANK_NONE };
    const struct setting_spec *spec = NULL;
    struct value *value = find(settings, key->text, &spec);
    struct yaml_event event;
    int r;

    if (value == NULL)
        return refuse_key(settings, name, key, err);
    buf_format(&place, "%s:%llu", name, (unsigned long long)key->line);
    r = buf_check(&place, err);
    if (r == 0)
        r = yaml_next(reader, &event, err);
    if (r < 0)
        return r;
    if (event.kind == YAML_LIST && spec->type == SETTING_LIST)
        r = read_list(reader, &fresh, spec, buf_text(&place), err);
    else if (event.kind == YAML_SCALAR)
        r = value_add(&fresh, spec, event.text, buf_text(&place), err);
    else
        r = refuse_value(spec, buf_text(&place), err);
    if (r == 0)
        r = value_set_place(&fresh, RANK_FILE, buf_text(&place), err);
    if (r == 0)
        value_replace(value, &fresh);
    return r;
}

static int read_keys(struct settings *settings, struct yaml_reader *reader, const char *name,
                     struct error *err)
{
    struct yaml_event event;
    int r = yaml_next(reader, &event, err);

    if (r < 0 || event.kind == YAML_END)
        return r;
    for (;;) {
        r = yaml_next(reader, &event, err);
        if (r < 0 || event.kind != YAML_KEY)
            return r;
        r = read_value(settings, reader, &event, name, err);
        if (r < 0)
            return r;
    }
}

/* "offset N: line L: rule" as "file:L: rule", the form in which places of values are told. */
static const char *text_from_line(const char *text)
{
    static const char before[] = ": line ";
    const char *at = strstr(text, before);

    return at == NULL ? text : at + sizeof(before) - 1;
}

/* Faults of the YAML itself have no name yet; those of values begin with it. */
int settings_load_text(struct settings *settings, struct span yaml, const char *name,
                       struct error *err)
{
    cleanup(cleanup_yaml_reader) struct yaml_reader *reader = NULL;
    struct error why = { 0 };
    int r = yaml_reader_new_span(yaml, YAML_PLAIN, &reader, &why);

    if (r == 0)
        r = read_keys(settings, reader, name, &why);
    if (r == -EBADMSG)
        return error_set(err, -EINVAL, "%s:%s", name, text_from_line(why.text));
    return r < 0 ? error_set(err, r, "%s", why.text) : 0;
}

int settings_load_file(struct settings *settings, const char *path, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(FILE_MAX_SIZE);
    int r = file_load(path, &text, err);

    if (r < 0)
        return r;
    r = settings_load_text(settings, buf_span(&text), path, err);
    memory_wipe(text.bytes, text.size);
    return r;
}

void settings_variable(const char *key, struct buf *out)
{
    buf_add_text(out, "KKARTIFACT_");
    for (; *key != '\0'; key++)
        buf_add_byte(out, (uint8_t)(*key >= 'a' && *key <= 'z' ? *key - 'a' + 'A' : *key));
}

int settings_load_environment(struct settings *settings, char *(*get)(const char *name),
                              struct error *err)
{
    for (size_t i = 0; i < settings->count; i++) {
        cleanup(buf_release) struct buf variable = buf_init(256);
        cleanup(buf_release) struct buf place = buf_init(300);
        const char *text;
        int r;
        settings_variable(settings->specs[i].key, &variable);
        buf_add_text(&place, "environment ");
        buf_add_span(&place, buf_span(&variable));
        r = buf_check(&variable, err);
        if (r == 0)
            r = buf_check(&place, err);
        if (r < 0)
            return r;
        text = get(buf_text(&variable));
        if (text == NULL || text[0] == '\0')
            continue;
        r = set_text(&settings->values[i], &settings->specs[i], span_text(text), RANK_ENVIRONMENT,
                     buf_text(&place), err);
        if (r < 0)
            return r;
    }
    return 0;
}

int settings_set_flag(struct settings *settings, const char *key, const char *text,
                      struct error *err)
{
    cleanup(buf_release) struct buf place = buf_init(300);
    const struct setting_spec *spec = NULL;
    struct value *value = find(settings, span_text(key), &spec);
    int r;

    if (value == NULL)
        return error_set(err, -EINVAL, "flag --%s: unknown setting", key);
    buf_add_text(&place, "flag --");
    for (const char *at = key; *at != '\0'; at++)
        buf_add_byte(&place, (uint8_t)(*at == '_' ? '-' : *at));
    r = buf_check(&place, err);
    if (r < 0)
        return r;
    if (spec->type == SETTING_LIST && value->rank == RANK_FLAG)
        return value_add(value, spec, span_text(text), buf_text(&place), err);
    if (spec->type == SETTING_LIST) {
        cleanup(value_release) struct value fresh = { .rank = RANK_NONE };
        r = value_add(&fresh, spec, span_text(text), buf_text(&place), err);
        if (r == 0)
            r = value_set_place(&fresh, RANK_FLAG, buf_text(&place), err);
        if (r == 0)
            value_replace(value, &fresh);
        return r;
    }
    return set_text(value, spec, span_text(text), RANK_FLAG, buf_text(&place), err);
}

int settings_set_default(struct settings *settings, const char *key, const char *text,
                         struct error *err)
{
    const struct setting_spec *spec = NULL;
    struct value *value = find(settings, span_text(key), &spec);

    if (value == NULL)
        return error_set(err, -EINVAL, "%s: unknown setting", key);
    return set_text(value, spec, span_text(text), RANK_DEFAULT, "default", err);
}

/* The value of a key that the program itself names. */
static const struct value *get(const struct settings *settings, const char *key, bool is_list)
{
    const struct setting_spec *spec = NULL;
    const struct value *value = find(settings, span_text(key), &spec);

    if (value == NULL || (spec->type == SETTING_LIST) != is_list)
        abort();
    return value;
}

bool settings_has(const struct settings *settings, const char *key)
{
    const struct setting_spec *spec = NULL;
    const struct value *value = find(settings, span_text(key), &spec);

    if (value == NULL)
        abort();
    return value->count > 0;
}

const char *settings_text(const struct settings *settings, const char *key)
{
    const struct value *value = get(settings, key, false);

    return value->count > 0 ? value->items[0] : NULL;
}

uint64_t settings_number(const struct settings *settings, const char *key)
{
    return get(settings, key, false)->number;
}

bool settings_switch(const struct settings *settings, const char *key)
{
    return get(settings, key, false)->number != 0;
}

size_t settings_list_count(const struct settings *settings, const char *key)
{
    return get(settings, key, true)->count;
}

const char *settings_list(const struct settings *settings, const char *key, size_t index)
{
    const struct value *value = get(settings, key, true);

    return index < value->count ? value->items[index] : NULL;
}

const char *settings_place(const struct settings *settings, const char *key)
{
    const struct setting_spec *spec = NULL;
    const struct value *value = find(settings, span_text(key), &spec);

    if (value == NULL)
        abort();
    return value->place == NULL ? "not set" : value->place;
}

const struct setting_spec *settings_spec(const struct settings *settings, size_t index)
{
    return index < settings->count ? &settings->specs[index] : NULL;
}
