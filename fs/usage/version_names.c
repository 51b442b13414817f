/* SPDX-License-Identifier: MIT */
#include "fs/usage/version_names.h"

#include <string.h>

static bool set(enum name_kind kind, const char *name, char *out)
{
    if (name == NULL || name_check(kind, span_text(name), NULL) < 0)
        return false;
    memcpy(out, name, strlen(name) + 1);
    return true;
}

bool version_names_set(struct version_names *names, const char *project, const char *app,
                       const char *version)
{
    return set(NAME_PROJECT, project, names->project) && set(NAME_APP, app, names->app) &&
           set(NAME_VERSION, version, names->version);
}

struct span version_names_key(const struct version_names *names, char room[VERSION_KEY_SIZE])
{
    const char *const texts[] = { names->project, names->app, names->version };
    size_t size = 0;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        const size_t length = strlen(texts[i]) + 1;

        memcpy(room + size, texts[i], length);
        size += length;
    }
    return span_of(room, size);
}
