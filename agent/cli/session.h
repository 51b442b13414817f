/* SPDX-License-Identifier: MIT */
#pragma once

struct api_client;
struct configuration;
struct error;
struct http_loop;

/*
 * session - the loop and the client for the servers that the configuration names.
 *
 * Ctrl-C ends every wait of it with -ECANCELED (interrupt.h).
 */
struct session {
    struct http_loop *loop;
    struct api_client *client;
};

/* *out_exit is set with a failure: mostly 3. */
int session_open(const struct configuration *configuration, struct session *out, int *out_exit,
                 struct error *err);
void session_close(struct session *session); /* of a zeroed one too */
