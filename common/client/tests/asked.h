/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/client/api_client.h"
#include "common/net/tests/origin.h"

/* asked - a client, and the scripted server that it asks: for tests of what the API says. */
struct asked {
    struct origin *origin;
    struct http_loop *loop;
    struct api_client *client;
};

/* `options` may be NULL; loop and server are set here. */
void asked_start(struct asked *asked, origin_handler *handler, void *context,
                 const struct api_client_options *options);
void asked_stop(struct asked *asked);
