/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * names - which bytes may name a thing.
 *
 *   project, app, channel   [A-Za-z0-9][A-Za-z0-9._-]{0,62}
 *   version                 [A-Za-z0-9][A-Za-z0-9._+-]{0,127}
 *                           `latest` is reserved: none of the four may be called so
 *   host                    [A-Za-z0-9][A-Za-z0-9._-]{0,127}
 *   component of a path     1..255 bytes, no NUL, no '/', not "." nor ".."
 *   path of an entry        components joined by '/', at most 4096 bytes and 255 components; the
 *                           first is neither `.kkartifact` nor `.kkartifact.yml`
 *   target of a link        1..4095 bytes without NUL
 *   mode                    four octal digits, 0000 to 0777
 *
 * Compared byte by byte; no case folding, no Unicode normalisation. Every check
 * gives 0 or -EINVAL with the rule that was broken. Pure functions, any thread.
 */
#define NAME_MAX_SIZE 63     /* project, app, channel; bytes without the NUL */
#define VERSION_MAX_SIZE 128 /* version */
#define HOST_MAX_SIZE 128
#define NAME_TEXT_SIZE (NAME_MAX_SIZE + 1)
#define VERSION_TEXT_SIZE (VERSION_MAX_SIZE + 1)

#define COMPONENT_MAX_SIZE 255
#define PATH_MAX_SIZE 4096
#define PATH_MAX_DEPTH 255
#define TARGET_MAX_SIZE 4095

/* The channel that is meant when nobody names one. */
#define CHANNEL_DEFAULT "live"

enum name_kind { NAME_PROJECT, NAME_APP, NAME_CHANNEL, NAME_VERSION, NAME_HOST };

int name_check(enum name_kind kind, struct span name, struct error *err);

int name_check_component(struct span component, struct error *err);
int name_check_path(struct span path, struct error *err);
int name_check_target(struct span target, struct error *err);

/* True for `.kkartifact` and `.kkartifact.yml`, which no tree has at its top. */
bool name_is_ours(struct span component);

/* Exactly "0000" to "0777". */
int name_parse_mode(struct span text, uint32_t *out_mode, struct error *err);
#define MODE_TEXT_SIZE 5
void name_format_mode(uint32_t mode, char out[MODE_TEXT_SIZE]);

/* What stands before the last '/', empty without one; and what stands behind it. */
struct span name_parent(struct span path);
struct span name_base(struct span path);
