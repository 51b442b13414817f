/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

struct buf;
struct error;

/*
 * settings - a program's settings, from one table: flag > environment > file >
 * default, in whatever order they are loaded.
 *
 *     static const struct setting_spec specs[] = {
 *         { .key = "listen", .type = SETTING_TEXT, .fallback = "127.0.0.1:8080", .help = "..." },
 *         { .key = "part_size", .type = SETTING_SIZE, .fallback = "8MiB", .min = 65536, ... },
 *         { .key = "log_format", .type = SETTING_CHOICE, .choices = "text|json", ... },
 *         { .key = NULL },
 *     };
 *
 * The environment variable of `part_size` is KKARTIFACT_PART_SIZE, its flag
 * --part-size. Files are YAML of one level: `key: value`, lists in block or flow
 * form, comments; no anchors, aliases, tags, duplicate keys. An unknown key, a bad
 * value, an unreadable file give an error that names the key, the place (file:line,
 * "environment KKARTIFACT_X", "flag --x") and what is allowed: -EINVAL, or the
 * system's error. The values of secrets are in no error text and no print.
 *
 * The table outlives the settings. One thread, or read-only from many.
 */
enum setting_type {
    SETTING_TEXT,     /* one line */
    SETTING_SECRET,   /* a text that is never printed */
    SETTING_NUMBER,   /* min..max */
    SETTING_SIZE,     /* bytes: 8MiB; min..max */
    SETTING_DURATION, /* milliseconds: 30s; min..max */
    SETTING_SWITCH,   /* true|false, yes|no, on|off, 1|0 */
    SETTING_LIST,     /* of texts; in the environment separated by commas; later sources replace */
    SETTING_CHOICE,   /* one of `choices` */
};

struct setting_spec {
    const char *key; /* [a-z0-9_]+ */
    enum setting_type type;
    const char *fallback; /* the default, as text; NULL: unset (a list: empty) */
    const char *example;  /* what an example shows where there is no default; NULL: "" */
    uint64_t min, max;    /* of the value; max 0: none */
    const char *choices;  /* "text|json" */
    /* Further rule on the text (of a list: each item): 0, or a negative errno with the rule. May be
     * NULL. */
    int (*check)(const char *value, struct error *err);
    const char *help; /* one line, no period */
};

struct settings;

int settings_new(const struct setting_spec *specs, struct settings **out_settings,
                 struct error *err);
struct settings *settings_free(struct settings *settings); /* wipes secrets; NULL is fine */

/* Keys in the file that are not in the table are refused. -ENOENT when there is none. */
int settings_load_file(struct settings *settings, const char *path, struct error *err);
int settings_load_text(struct settings *settings, struct span yaml, const char *name,
                       struct error *err);
/* Looks up every key of the table; pass getenv. Empty variables count as not set. */
int settings_load_environment(struct settings *settings, char *(*get)(const char *name),
                              struct error *err);
/* A value of the command line; of a list each call adds an item. */
int settings_set_flag(struct settings *settings, const char *key, const char *value,
                      struct error *err);
/* A default found at run time (the data directory of this user): weaker than everything but the
 * table. */
int settings_set_default(struct settings *settings, const char *key, const char *value,
                         struct error *err);

/* An unknown key or the wrong type stops the program (a programming error). */
bool settings_has(const struct settings *settings, const char *key); /* has a value */
const char *settings_text(const struct settings *settings,
                          const char *key); /* NULL: unset; not of lists */
uint64_t settings_number(const struct settings *settings,
                         const char *key); /* number, size, duration; 0: unset */
bool settings_switch(const struct settings *settings, const char *key); /* false: unset */
size_t settings_list_count(const struct settings *settings, const char *key);
const char *settings_list(const struct settings *settings, const char *key,
                          size_t index); /* NULL behind */

/* "default", "/etc/kkartifact/server.yml:12", "environment KKARTIFACT_LISTEN", "flag --listen". */
const char *settings_place(const struct settings *settings, const char *key);

/* The table's lines, in order; NULL behind the last. */
const struct setting_spec *settings_spec(const struct settings *settings, size_t index);

/* All of them, each with what it means and what is allowed as a comment before it, as `key: "value"
 * # place`; secrets as "(hidden)", what has no value as a comment. */
void settings_print(const struct settings *settings, struct buf *out);
/* One JSON object key -> {value, place, help, allowed}; secrets: value null. */
void settings_print_json(const struct settings *settings, struct buf *out);
/* What is allowed for a key: "a size from 64 KiB to 64 MiB", "one of text|json". */
void settings_print_allowed(const struct setting_spec *spec, struct buf *out);
/* A commented file with every setting, its help, what is allowed, and its default or an example.
 * Each line is accepted as it stands when its '#' is taken away. */
void settings_print_example(const struct setting_spec *specs, struct buf *out);
/* "KKARTIFACT_PART_SIZE" for "part_size". */
void settings_variable(const char *key, struct buf *out);
