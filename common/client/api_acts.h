/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/client/api_versions.h"
#include "common/model/names.h"
#include "common/model/version_ref.h"

/*
 * api_acts - what changes something above a version's content: channels, the trash.
 *
 * Names are checked on arrival, as in api_versions.h. All calls run the loop until they are done.
 * What may be done twice to the same end is tried again by the client's policy: all but a promotion
 * that expects something and a rollback that names no version.
 */
struct api_channel {
    char name[NAME_TEXT_SIZE];
    char version[VERSION_TEXT_SIZE];
    char previous[VERSION_TEXT_SIZE]; /* "": none */
    bool trashed;                     /* the version is: the channel resolves to nothing */
};

struct api_channels {
    struct api_channel *items; /* by name */
    size_t count;
};
int api_channels_get(struct api_client *client, const char *project, const char *app,
                     struct api_channels *out, struct error *err);
void api_channels_release(struct api_channels *channels);
/* NULL: there is none of that name. */
const struct api_channel *api_channels_find(const struct api_channels *channels, const char *name);

/* Texts but project and app may be NULL: the channel live, no expectation, no note. */
struct api_promotion {
    const char *project, *app, *channel;
    const char *version; /* a name or "@channel"; of a rollback NULL: the one before */
    const char *expect;  /* "": none is believed current */
    const char *note;
};

struct api_promoted {
    bool moved; /* false: it stood there already */
    struct api_channel channel;
};
int api_promote(struct api_client *client, const struct api_promotion *promotion,
                struct api_promoted *out, struct error *err);
int api_rollback(struct api_client *client, const struct api_promotion *promotion,
                 struct api_promoted *out, struct error *err);

/* By its exact name. *out is the version as it is then. -EBUSY: something protects it. */
int api_version_delete(struct api_client *client, const char *project, const char *app,
                       const char *version, bool force, struct api_version *out, struct error *err);
/* The same tree as to_project/to_app/to_version (NULL: the same name). *out is the copy. */
int api_version_copy(struct api_client *client, const struct version_ref *from,
                     const char *to_project, const char *to_app, const char *to_version,
                     struct api_version *out, bool *out_created, struct error *err);
int api_version_restore(struct api_client *client, const char *project, const char *app,
                        const char *version, struct api_version *out, struct error *err);
