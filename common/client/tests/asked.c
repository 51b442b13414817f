/* SPDX-License-Identifier: MIT */
#include "common/client/tests/asked.h"

#include "common/net/http_loop.h"
#include "tests/support/unit.h"

void asked_start(struct asked *asked, origin_handler *handler, void *context,
                 const struct api_client_options *options)
{
    struct api_client_options own = { .server_count = 0 };
    const char *url;

    if (options != NULL)
        own = *options;
    asked->origin = origin_start(handler, context);
    assert_int_equal(http_loop_new(&asked->loop, NULL, NULL), 0);
    url = origin_url(asked->origin);
    own.loop = asked->loop;
    own.servers = &url;
    own.server_count = 1;
    assert_int_equal(api_client_new(&asked->client, &own, NULL), 0);
}

void asked_stop(struct asked *asked)
{
    api_client_free(asked->client);
    http_loop_free(asked->loop);
    origin_stop(asked->origin);
}
