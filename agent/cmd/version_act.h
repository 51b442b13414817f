/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/model/version_ref.h"

struct api_promoted;
struct error;
struct job;

/* version_act - what promote, rollback, delete, restore and copy have in common. */

/* The operand, of the form that the kind says; anything else is exit 2. */
enum version_act {
    ACT_ON_VERSION,
    ACT_ON_VERSION_OR_CHANNEL,
    ACT_ON_ANY_VERSION, /* `latest`, too */
    ACT_ON_APP,
    ACT_ON_ANY_PLACE, /* a version by its exact name, an app, or a project */
};
int version_act_parse(struct job *job, enum version_act kind, struct version_ref *out,
                      struct error *err);

/* The version that stands on the channel now: a line P/A/V, or one JSON object. */
int version_act_write_promoted(struct job *job, const struct version_ref *ref, const char *moved,
                               const struct api_promoted *promoted, struct error *err);

/* A line P/A/V, or one JSON object with the state. */
int version_act_write(struct job *job, const struct version_ref *ref, const char *state,
                      struct error *err);
