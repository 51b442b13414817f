/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/base/span.h"
#include "common/model/names.h"

struct error;
struct identity;

/*
 * event_filter - which events somebody wants, and may know of.
 *
 * May: what lies in the token's scope. An app's token sees what tells of that app, a project's
 * what tells of that project. What tells of no project, and what tells of tokens, webhooks and
 * settings, is for administrators (of that scope; without a project: of everything).
 *
 * Wants: of one project, of one app of it, of some types. A type that ends with `*` stands for all
 * that begin so.
 */
#define EVENT_TYPES_MAX 32
#define EVENT_TYPE_SIZE 64

struct event_filter {
    char seen_project[NAME_TEXT_SIZE], seen_app[NAME_TEXT_SIZE]; /* the token's; "": all */
    bool is_admin;
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE]; /* wanted; "": all */
    char (*types)[EVENT_TYPE_SIZE];                    /* NULL: all; memory of the filter */
    size_t type_count;
};

/* For an identity that may pull; nothing is filtered yet. */
void event_filter_init(struct event_filter *filter, const struct identity *identity);
void event_filter_release(struct event_filter *filter);

/* One or more types, with commas between. -EINVAL: no type can be called so; -EFBIG: too many. */
int event_filter_add_types(struct event_filter *filter, struct span list, struct error *err);

/* May it be known of? "" where the event has none. */
bool event_filter_sees(const struct event_filter *filter, const char *type, const char *project,
                       const char *app);
/* And is it wanted? */
bool event_filter_takes(const struct event_filter *filter, const char *type, const char *project,
                        const char *app);
