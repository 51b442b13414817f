/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "common/base/span.h"

struct error;

/*
 * labels - what a team sticks on a version: a sorted list of key and value.
 *
 *   key    [a-z0-9][a-z0-9._/-]{0,62}, once       value  0..256 bytes of plain text
 *   at most 64, sorted by key (bytes)
 *
 * Plain text is UTF-8 that YAML and JSON can show (yaml_text_is_plain()). Texts are
 * owned. One thread.
 */
#define LABELS_MAX_COUNT 64
#define LABEL_KEY_MAX_SIZE 63
#define LABEL_VALUE_MAX_SIZE 256

struct label {
    char *key;
    char *value;
};

struct labels {
    struct label *items; /* sorted */
    size_t count;
};

void labels_release(struct labels *labels); /* and makes it empty */

int label_check_key(struct span key, struct error *err);     /* -EINVAL */
int label_check_value(struct span value, struct error *err); /* -EINVAL */

/* Checks, copies, sorts in. -EINVAL: broken rule, key twice, too many. -ENOMEM. */
int labels_add(struct labels *labels, struct span key, struct span value, struct error *err);
const char *labels_get(const struct labels *labels, const char *key); /* or NULL */
