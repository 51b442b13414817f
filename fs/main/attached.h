/* SPDX-License-Identifier: MIT */
#pragma once

#include "fs/main/exit_code.h"

struct attached;
struct error;
struct following;
struct json_writer;
struct rooms;
struct worker_config;

/*
 * attached - which version a worker shows alone, before it serves.
 *
 * Of a connection that has been served before the holder tells (config->version, ->tree). The first
 * one finds out: what was named, or what the channel points to (channel_memory.h when the server is
 * away or does not take the token, unless strict_auth). On a new connection (config->is_new) the
 * version arrives (arrival.h) before this returns, and config->tree is set: whoever comes in is
 * answered at once.
 *
 * Runs the loop, and meanwhile hears what the holder says over `socket`: -ECANCELED, it ends.
 * *out_place tells where a failure came from. *out_attached is set in any case, but to NULL without
 * memory; what is under way may still come to it, so it is freed after the rooms were closed.
 */
int attached_open(struct attached **out_attached, struct worker_config *config, struct rooms *rooms,
                  int socket, enum exit_place *out_place, struct error *err);
struct attached *attached_free(struct attached *attached); /* NULL is fine; returns NULL */

/* Tells the holder that this worker serves, and on a new connection what. Of every worker. */
int attached_tell_serving(const struct worker_config *config, const char *store, int socket,
                          struct error *err);
/* The member "attached" of status: what the worker knows; null of one that shows all, and where
 * there is none (config NULL). following: or NULL. */
void attached_json(const struct worker_config *config, struct following *following,
                   struct json_writer *writer);
