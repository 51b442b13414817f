/* SPDX-License-Identifier: MIT */
#pragma once

struct database;
struct error;

/* audit - who did what. Texts may be NULL; data is JSON. */
struct audit_entry {
    const char *actor; /* token name or "host" */
    const char *token_id;
    const char *address;
    const char *request_id;
    const char *operation; /* "token.create" */
    const char *project, *app, *version;
    const char *result; /* "ok" or a problem's code */
    const char *data;
};

int audit_add(struct database *database, const struct audit_entry *entry, struct error *err);
