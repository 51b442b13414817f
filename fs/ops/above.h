/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "fs/catalog/catalog.h"
#include "fs/ops/ops.h"
#include "fs/session/session.h"

struct ids_place;
struct ops;
struct question;

/*
 * above - what above.c (what is known there), above_lookup.c (a name) and above_list.c (a directory
 * and its list) share. A question's place is the directory that is asked about.
 */
#define ABOVE_NAME_S 1.0 /* how long the kernel believes a name, or that there is none */

/* The last list, or NULL; its reference is the caller's. */
struct catalog_list *above_peek(const struct question *question, bool *out_fresh);
/* Has it asked for again, behind. */
void above_refresh(const struct question *question);
/* What is known there from former times, as a list; NULL: nothing. */
struct catalog_list *above_known(const struct question *question);
/* Parks the question and asks for the list; the question is then done's. */
void above_ask_list(struct question *question, catalog_done *done);
/* The server refuses the token, and then nothing is to be shown. */
bool above_is_denied(const struct ops *ops);

struct ops_numbers above_numbers(const struct question *question);
/* The time that a directory shows; app and project may be NULL. */
int64_t above_changed_ns(const struct ops *ops, const char *project, const char *app,
                         bool *out_fresh);
/* When a version was made, from whoever knows. */
int64_t above_version_time(const struct ops *ops, const struct ids_place *place);
/* The entry of an item below the question's node. */
struct session_entry above_entry(const struct question *question, const struct catalog_item *item);

/* The three questions; each is answered, failed or parked. */
void above_look_up(struct question *question);
void above_tell_attributes(struct question *question);
void above_show_list(struct question *question);
