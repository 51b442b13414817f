/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct transaction;

/* What is to be told, written with what it tells of. Texts but `type` may be NULL; data is JSON. */
struct event_draft {
    const char *type;
    const char *project, *app, *version;
    const char *actor;
    const char *data;
};

int event_add(struct transaction *tx, const struct event_draft *draft, struct error *err);
