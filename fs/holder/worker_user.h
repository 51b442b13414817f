/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;

/*
 * worker_user - who the worker is: the user "kkartifact" where there is one, else a number that
 * nobody has.
 *
 * The number comes from the path of the cache, which belongs to that user and is all that it may
 * write; of a cache that is there from its owner. So mounts that share a cache have the same one,
 * by whatever path they know it, and others do not.
 */
#define WORKER_USER "kkartifact"

struct worker_user {
    uint32_t uid, gid;
    bool has_name; /* it is WORKER_USER */
};

/* -ENOENT: every number that could be taken belongs to somebody. */
int worker_user_find(const char *cache, struct worker_user *out, struct error *err);

/* The numbers that a path may get, in order; for tests. */
uint32_t worker_user_number(const char *cache, uint32_t attempt);

/* Whether a cache of that user's may be taken over for a worker. */
bool worker_user_takes(uint32_t owner);

/* Makes the cache (0700) and gives it to the user, with all in it that belonged to its owner
 * before; the directory is the caller's to close. -EACCES: it belongs to somebody who may be no
 * worker. */
int worker_user_open_cache(const char *cache, const struct worker_user *user, int *out_directory,
                           struct error *err);

/* Goes into the cache and, as root, becomes its owner for ever: what is made there then is made as
 * by a worker, and what is read there is read with its rights. For a verb that works on a cache
 * without a mount. */
int worker_user_enter_cache(const char *cache, struct error *err);

/* Becomes that user for ever, without capabilities and without a way to new ones. Of a process that
 * is about to run another program; errors are errno. */
int worker_user_become(const struct worker_user *user);

/* Whether this process can make one that is such a user: root can, but not the root of a name space
 * that knows no other users. */
bool worker_user_is_possible(const char *cache);
