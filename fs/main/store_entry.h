/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct api_client;
struct error;
struct known_versions;
struct mount_options;

/*
 * store_entry - which store a mount is of, and whether it may be entered.
 *
 * The server tells, and then must let the token see what is to be shown. A server that is away is
 * remembered: what this address and token led to last. Without that: -EAGAIN. A token that is
 * refused is no mount either (-EPERM, -EACCES), unless versions are known under it and strict_auth
 * is not set: a host whose token has run out still shows what it knows. Of an attach only
 * strict_auth asks whether the token may see anything.
 */
struct store_entry {
    char store[64];
    bool online; /* the server answered */
};

/* Runs the client's loop. *out_known is opened for the store and the token. */
int store_entry_find(struct store_entry *entry, struct api_client *client,
                     const struct mount_options *options, struct known_versions **out_known,
                     struct error *err);
/* A store that was entered before, by another process of the same mount: nobody is asked. */
int store_entry_resume(struct store_entry *entry, struct api_client *client,
                       const struct mount_options *options, const char *store,
                       struct known_versions **out_known, struct error *err);
