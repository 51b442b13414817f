/* SPDX-License-Identifier: MIT */
#include "fs/doctor/findings.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/utf8.h"

#define TEXT_SIZE 1024

void findings_release(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        memory_free(findings->items[i].what);
        memory_free(findings->items[i].advice);
    }
    memory_free(findings->items);
    *findings = (struct findings){ 0 };
}

/* For a terminal and for JSON: paths and what others said may be anything. */
static char *clean_copy(const char *text)
{
    char *copy = memory_text(text);
    bool is_text = utf8_is_valid(span_text(text));

    for (char *at = copy; at != NULL && *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f || (!is_text && (unsigned char)*at >= 0x80))
            *at = '?';
    return copy;
}

static bool make_room(struct findings *findings)
{
    struct finding *grown;

    if (findings->count < findings->capacity)
        return true;
    grown = memory_resize(findings->items, findings->capacity * 2 + 32, sizeof(*grown));
    if (grown == NULL)
        return false;
    findings->items = grown;
    findings->capacity = findings->capacity * 2 + 32;
    return true;
}

void findings_add(struct findings *findings, enum finding_level level, const char *name,
                  const char *advice, const char *format, ...)
{
    struct finding finding = { .level = level, .name = name };
    char text[TEXT_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    finding.what = clean_copy(text);
    if (advice != NULL)
        finding.advice = clean_copy(advice);
    if (finding.what == NULL || (advice != NULL && finding.advice == NULL) ||
        !make_room(findings)) {
        memory_free(finding.what);
        memory_free(finding.advice);
        findings->failure = -ENOMEM;
        return;
    }
    findings->items[findings->count++] = finding;
}

int findings_check(const struct findings *findings, struct error *err)
{
    return findings->failure == 0 ? 0 : error_set(err, findings->failure, "out of memory");
}

enum finding_level findings_worst(const struct findings *findings)
{
    enum finding_level worst = FINDING_OK;

    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].level > worst)
            worst = findings->items[i].level;
    return worst;
}

const char *finding_level_name(enum finding_level level)
{
    static const char *const names[] = { [FINDING_OK] = "ok",
                                         [FINDING_NOTE] = "note",
                                         [FINDING_WARNING] = "warning",
                                         [FINDING_PROBLEM] = "problem" };

    return names[level];
}
