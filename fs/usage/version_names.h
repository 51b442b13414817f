/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"
#include "common/model/names.h"

/* version_names - the three names of a version, copied, and the key that stands for them in a
 * map. */
struct version_names {
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE], version[VERSION_TEXT_SIZE];
};

/* False: they break the rules of names, and are no version's. */
bool version_names_set(struct version_names *names, const char *project, const char *app,
                       const char *version);

#define VERSION_KEY_SIZE (2 * NAME_TEXT_SIZE + VERSION_TEXT_SIZE)
/* "project\0app\0version\0", in `room`. */
struct span version_names_key(const struct version_names *names, char room[VERSION_KEY_SIZE]);
