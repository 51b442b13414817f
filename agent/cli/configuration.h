/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

#include "common/model/settings.h"

struct buf;
struct error;
struct options;

/*
 * configuration - what .kkartifact.yml, the environment and the flags say.
 *
 * flag > environment (KKARTIFACT_...) > file > default. A token comes from the file,
 * from KKARTIFACT_TOKEN or from a token file, never from a flag, and is never
 * printed. Patterns of --ignore are added to those of `ignore`.
 */
#define CONFIGURATION_NAME ".kkartifact.yml"

/* Every key of the file, one line each; ends with key NULL. */
extern const struct setting_spec configuration_specs[];

struct configuration {
    struct settings *settings;
    char *directory; /* of the file: what relative paths in it start from; NULL without a file */
};

enum configuration_need {
    CONFIGURATION_REQUIRED, /* without the file: -ENOENT, naming `init` */
    CONFIGURATION_OPTIONAL,
};

/* `directory`: where the file is looked for unless --config names it. *out_exit is set with a
 * failure: 2 (a flag), 3, or 9 (`directory` is none). */
int configuration_load(const struct options *options, const char *directory,
                       enum configuration_need need, struct configuration *out, int *out_exit,
                       struct error *err);
void configuration_release(struct configuration *configuration); /* of a zeroed one too */

/* A path among the settings: one that the file gives relatively starts from the file's
 * directory. NULL in *out_path when it is not set; memory_free() it. */
int configuration_path(const struct configuration *configuration, const char *key, char **out_path,
                       struct error *err);

/* By the rules of this system. */
bool configuration_is_absolute(const char *path);

/* A commented file, with these values (NULL: left commented out). */
void configuration_example(const char *server, const char *project, const char *app,
                           struct buf *out);
