/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

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

/* `lasting`: connections that stay open beside the requests. *out_exit is set with a failure:
 * mostly 3. */
int session_open(const struct configuration *configuration, size_t lasting, struct session *out,
                 int *out_exit, struct error *err);
void session_close(struct session *session); /* of a zeroed one too */
