/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/*
 * log - lines for the operator, on stderr.
 *
 * Only main loops, jobs and request ends log, once (libraries return errors).
 * One write a line, so that lines of threads and processes do not mix. A line has 4096 bytes,
 * a message 1023: what is longer is cut and says so, by "..." or the member `cut`. Text is
 * UTF-8; control characters, line separators, marks that turn the direction of text, and bytes
 * that are no UTF-8 are shown as \u and four hexadecimal digits. Secrets are never passed here.
 * The level and the form are set once in main, before threads start; they are this project's one
 * global besides the signal flag.
 */
enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };
enum log_form { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level level, enum log_form form);
int log_level_parse(const char *text, enum log_level *out); /* error|warning|info|debug; -EINVAL */
int log_form_parse(const char *text, enum log_form *out);   /* text|json; -EINVAL */

/* False when a line of this level would be dropped: for callers whose fields cost something to
 * make. */
bool log_enabled(enum log_level level);

/* One line: the message, then ` key=value` for each pair of `fields` (or JSON members).
 * fields: key, value, key, value, ..., NULL; may be NULL. A NULL value is left out. */
void log_event(enum log_level level, const char *const *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As log_info, whatever the level: for the line that scripts wait for. */
void log_always(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define log_error(...) log_event(LOG_ERROR, NULL, __VA_ARGS__)
#define log_warning(...) log_event(LOG_WARNING, NULL, __VA_ARGS__)
#define log_info(...) log_event(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...) log_event(LOG_DEBUG, NULL, __VA_ARGS__)
