/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/names.h"
#include "server/service/access.h"

struct channel;

/*
 * projects - projects and their apps: get, list, make.
 *
 * Lists are in the order of names and hold only what the identity sees. A cursor
 * is opaque text that a page gave; "" or NULL starts; one that is broken: -EINVAL.
 */
#define CURSOR_SIZE 2400 /* room for any cursor of this folder, with the NUL */
#define PAGE_LIMIT_DEFAULT 50
#define PAGE_LIMIT_MAX 500

struct page_request {
    uint32_t limit; /* 1..PAGE_LIMIT_MAX; 0: the default */
    const char *cursor;
};

struct project_info {
    char project[NAME_TEXT_SIZE];
    int64_t created_at_s;
    uint64_t app_count;      /* of all its apps that the identity sees */
    int64_t retain_versions; /* of each app that says nothing else; -1: as the policy says */
};

struct app_info {
    char project[NAME_TEXT_SIZE];
    char app[NAME_TEXT_SIZE];
    int64_t created_at_s;
    uint64_t version_count;         /* ready ones */
    int64_t retain_versions;        /* so many stay; -1: as its project says */
    char latest[VERSION_TEXT_SIZE]; /* "" when there is none */
    char live[VERSION_TEXT_SIZE];
    bool has_channels;        /* of one app, by name; not in lists */
    struct channel *channels; /* server/db/channels.h */
    size_t channel_count;
};
void app_info_release(struct app_info *info);

struct project_page {
    struct project_info *items;
    size_t count;
    char next_cursor[CURSOR_SIZE]; /* "" on the last page */
};

struct app_page {
    struct app_info *items;
    size_t count;
    char next_cursor[CURSOR_SIZE];
};

int projects_list(struct services *services, const struct identity *identity,
                  const struct page_request *request, struct project_page *out, struct refusal *why,
                  struct error *err);
int projects_get(struct services *services, const struct identity *identity, const char *project,
                 struct project_info *out, struct refusal *why, struct error *err);
/* ADMIN of the project. 1: made; 0: it was there. -EINVAL: a bad name. retain: NULL leaves what is
 * there, RETENTION_INHERIT (server/db/retention.h) takes it back; at most POLICY_RETAIN_MAX. */
int projects_put(struct services *services, const struct caller *caller, const char *project,
                 const int64_t *retain, struct project_info *out, struct refusal *why,
                 struct error *err);
void project_page_release(struct project_page *page);

int apps_list(struct services *services, const struct identity *identity, const char *project,
              const struct page_request *request, struct app_page *out, struct refusal *why,
              struct error *err);
/* With its channels: app_info_release() it. */
int apps_get(struct services *services, const struct identity *identity, const char *project,
             const char *app, struct app_info *out, struct refusal *why, struct error *err);
/* ADMIN of the app; makes the project too when the scope allows. 1: made; 0: it was there. retain:
 * as above. */
int apps_put(struct services *services, const struct caller *caller, const char *project,
             const char *app, const int64_t *retain, struct app_info *out, struct refusal *why,
             struct error *err);
void app_page_release(struct app_page *page);
