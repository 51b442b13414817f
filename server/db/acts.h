/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct transaction;

/*
 * acts - somebody changed something: the event that others wait for and the entry of the audit log,
 * written in the transaction of the change, so that all three are there, or none.
 */

/* Who: a token, or nobody's but the host's (token_id NULL). Texts may be NULL. */
struct actor {
    const char *name; /* the token's name, "host", "retention" */
    const char *token_id;
    const char *address;
    const char *request_id;
};
extern const struct actor actor_host;

/* What. Texts but `operation` may be NULL; data is JSON, and both get it. */
struct act {
    const char *operation; /* "version.promote" */
    const char *event;     /* "version.promoted"; NULL: nobody waits for it */
    const char *project, *app, *version;
    const char *data;
};

int act_write(struct transaction *tx, const struct actor *by, const struct act *act,
              struct error *err);
