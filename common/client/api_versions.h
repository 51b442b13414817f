/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"
#include "common/codec/digest.h"
#include "common/model/record.h"

struct json_value;

/*
 * api_versions - projects, apps and versions, as the server tells them.
 *
 * Texts are checked on arrival (names by the rules of names, digests, integers in range): an answer
 * that breaks them is -EBADMSG. All calls run the loop until they are done; those that end in
 * _start do not wait. Structs with texts are released by their _release.
 */
struct api_version {
    /* project, app, version, content, times, tree, tree_size, file_count, bytes are set */
    struct record record;
    bool trashed, pinned;
    struct buf json; /* the whole object as it came, for those who show all of it */
};
void api_version_release(struct api_version *version); /* of a zeroed one too; and zeroes it */

/* A version object, checked. project, app, version of it must be the names asked for where
 * `version` is an exact one; pass NULL for what is not known. */
int api_version_read(struct span json, const char *project, const char *app, const char *version,
                     struct api_version *out, struct error *err);

/* The same for a version object that is a member of an answer; out->json is then the whole
 * answer. */
int api_version_read_member(struct span json, const char *member, const char *project,
                            const char *app, const char *version, struct api_version *out,
                            struct error *err);

/* version: a name, "latest" or "@channel". out->record.version is the name it resolved to. */
int api_version_get(struct api_client *client, const char *project, const char *app,
                    const char *version, struct api_version *out, struct error *err);
/* The same of one that may also be in the trash. */
int api_version_get_any(struct api_client *client, const char *project, const char *app,
                        const char *version, struct api_version *out, struct error *err);
/* api_version_get() without waiting. version is NULL on failure; valid until the callback
 * returns. */
typedef void api_version_done(void *context, const struct api_version *version,
                              const struct error *err);
int api_version_get_start(struct api_client *client, const char *project, const char *app,
                          const char *version, api_version_done *done, void *context,
                          struct error *err);

/* meta.yaml as it is streamed by the server. */
int api_version_meta(struct api_client *client, const char *project, const char *app,
                     const char *version, http_on_body *on_body, void *context, struct error *err);

/* One item of a list. */
struct api_name {
    const char *name; /* valid inside the callback */
    int64_t created_at_s;
    uint64_t count;     /* of apps in a project, of versions in an app */
    const char *latest; /* app: resolved, or NULL */
    const char *live;   /* app: or NULL */
};
/* Walks every page. Non-zero of `each` ends it and is returned. */
typedef int api_name_each(void *context, const struct api_name *item, struct error *err);
typedef int api_version_each(void *context, const struct api_version *version, struct error *err);
int api_projects_list(struct api_client *client, api_name_each *each, void *context,
                      struct error *err);
int api_apps_list(struct api_client *client, const char *project, api_name_each *each,
                  void *context, struct error *err);
int api_versions_list(struct api_client *client, const char *project, const char *app,
                      api_version_each *each, void *context, struct error *err);
/* Those in the trash. */
int api_trash_list(struct api_client *client, const char *project, const char *app,
                   api_version_each *each, void *context, struct error *err);

/* The same without waiting, page after page on the loop: done gets all names at once (err NULL), or
 * the failure. What: "/projects", or a path from api_path_app with "/versions" and the like. The
 * name of an item is its member `member` ("project", "app", "version"). */
struct api_names {
    char **names;
    size_t count;
};
typedef void api_names_done(void *context, const struct api_names *names, const struct error *err);
int api_names_start(struct api_client *client, const char *path, const char *member,
                    api_names_done *done, void *context, struct error *err);

/* GET /version: what the server is. */
struct api_server {
    char name[64];
    char version[64];
    int64_t api;
    char store[64];
};
/* deadline_ms: as in api_call_spec. */
int api_server_get(struct api_client *client, uint64_t deadline_ms, struct api_server *out,
                   struct error *err);
