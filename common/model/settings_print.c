/* SPDX-License-Identifier: MIT */
/* What settings.h writes for people: values, what is allowed, an example. */

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/number.h"
#include "common/codec/json.h"
#include "common/codec/yaml.h"
#include "common/model/settings.h"

static void print_duration(uint64_t ms, struct buf *out)
{
    static const struct {
        uint64_t ms;
        const char *unit;
    } units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "m" }, { 1000, "s" }, { 1, "ms" } };

    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (ms >= units[i].ms && ms % units[i].ms == 0) {
            buf_format(out, "%llu%s", (unsigned long long)(ms / units[i].ms), units[i].unit);
            return;
        }
    }
    buf_add_text(out, "0");
}

static void print_limit(const struct setting_spec *spec, uint64_t limit, struct buf *out)
{
    char text[NUMBER_SIZE_TEXT];

    if (spec->type == SETTING_SIZE) {
        number_format_size(limit, text);
        buf_add_text(out, text);
    } else if (spec->type == SETTING_DURATION) {
        print_duration(limit, out);
    } else {
        buf_format(out, "%llu", (unsigned long long)limit);
    }
}

static void print_limits(const struct setting_spec *spec, struct buf *out)
{
    if (spec->min != 0 || spec->max != 0) {
        buf_add_text(out, " from ");
        print_limit(spec, spec->min, out);
    }
    if (spec->max != 0) {
        buf_add_text(out, " to ");
        print_limit(spec, spec->max, out);
    }
}

void settings_print_allowed(const struct setting_spec *spec, struct buf *out)
{
    static const char *const types[] = {
        [SETTING_TEXT] = "a text of one line",
        [SETTING_SECRET] = "a secret of one line",
        [SETTING_NUMBER] = "a number",
        [SETTING_SIZE] = "a size in bytes such as 512K, 8MiB or 10G",
        [SETTING_DURATION] = "a duration such as 500ms, 30s, 5m or 12h",
        [SETTING_SWITCH] = "true or false",
        [SETTING_LIST] = "a list of texts",
        [SETTING_CHOICE] = "one of ",
    };

    buf_add_text(out, types[spec->type]);
    if (spec->type == SETTING_CHOICE)
        buf_add_text(out, spec->choices);
    print_limits(spec, out);
}

static void print_value(const struct settings *settings, const struct setting_spec *spec,
                        struct buf *out)
{
    if (!settings_has(settings, spec->key)) {
        buf_add_text(out, "[]");
    } else if (spec->type == SETTING_SECRET) {
        buf_add_text(out, "\"(hidden)\"");
    } else if (spec->type == SETTING_LIST) {
        buf_add_byte(out, '[');
        for (size_t i = 0; i < settings_list_count(settings, spec->key); i++) {
            buf_add_text(out, i == 0 ? "" : ", ");
            yaml_add_quoted(out, span_text(settings_list(settings, spec->key, i)));
        }
        buf_add_byte(out, ']');
    } else {
        yaml_add_quoted(out, span_text(settings_text(settings, spec->key)));
    }
}

void settings_print(const struct settings *settings, struct buf *out)
{
    const struct setting_spec *spec;

    for (size_t i = 0; (spec = settings_spec(settings, i)) != NULL; i++) {
        bool is_set = settings_has(settings, spec->key) || spec->type == SETTING_LIST;
        buf_format(out, "%s# %s: ", i == 0 ? "" : "\n", spec->help);
        settings_print_allowed(spec, out);
        /* What has no value stands as a comment, so that the whole can be read as a file. */
        buf_format(out, "\n%s%s:", is_set ? "" : "#", spec->key);
        if (is_set) {
            buf_add_byte(out, ' ');
            print_value(settings, spec, out);
        }
        buf_format(out, "  # %s\n", is_set ? settings_place(settings, spec->key) : "not set");
    }
}

static void print_json_value(const struct settings *settings, const struct setting_spec *spec,
                             struct json_writer *writer)
{
    if (spec->type == SETTING_LIST) {
        json_begin_array(writer, "value");
        for (size_t i = 0; i < settings_list_count(settings, spec->key); i++)
            json_text(writer, NULL, settings_list(settings, spec->key, i));
        json_end(writer);
    } else if (spec->type == SETTING_SECRET || !settings_has(settings, spec->key)) {
        json_null(writer, "value");
    } else if (spec->type == SETTING_SWITCH) {
        json_bool(writer, "value", settings_switch(settings, spec->key));
    } else {
        json_text(writer, "value", settings_text(settings, spec->key));
    }
}

void settings_print_json(const struct settings *settings, struct buf *out)
{
    cleanup(buf_release) struct buf allowed = buf_init(4096);
    struct json_writer writer = json_writer_init(out);
    const struct setting_spec *spec;

    json_begin_object(&writer, NULL);
    for (size_t i = 0; (spec = settings_spec(settings, i)) != NULL; i++) {
        json_begin_object(&writer, spec->key);
        print_json_value(settings, spec, &writer);
        json_text(&writer, "place", settings_place(settings, spec->key));
        json_text(&writer, "help", spec->help);
        settings_print_allowed(spec, &allowed);
        json_text(&writer, "allowed", buf_text(&allowed));
        buf_clear(&allowed);
        json_end(&writer);
    }
    json_end(&writer);
}

static void print_example_value(const struct setting_spec *spec, struct buf *out)
{
    const char *value = spec->fallback != NULL ? spec->fallback : spec->example;
    const bool is_list = spec->type == SETTING_LIST;

    buf_add_text(out, is_list ? "[" : "");
    if (value != NULL || !is_list)
        yaml_add_quoted(out, span_text(value != NULL ? value : ""));
    buf_add_text(out, is_list ? "]" : "");
}

void settings_print_example(const struct setting_spec *specs, struct buf *out)
{
    for (const struct setting_spec *spec = specs; spec->key != NULL; spec++) {
        buf_format(out, "# %s: ", spec->help);
        settings_print_allowed(spec, out);
        buf_format(out, "\n#%s: ", spec->key);
        print_example_value(spec, out);
        buf_add_text(out, "\n\n");
    }
}
