/* SPDX-License-Identifier: MIT */
/* Servers that are passed over are looked at behind, so that no reader has to find out that one is
 * away still: GET /version needs no token and is small. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/api_private.h"

static int on_headers(void *context, int status, const struct http_headers *headers,
                      struct error *err)
{
    struct api_probe *probe = context;
    struct api_client *client = probe->client;
    const char *store = http_headers_get(headers, "X-Kkartifact-Store");

    probe->event = SERVER_FAILED;
    if (status != 200)
        return error_set(err, -EIO, "answered %d", status);
    if (client->store[0] != '\0' && store == NULL)
        return error_set(err, -EIO, "answered, but not as kkArtifact does");
    if (store != NULL && client->store[0] != '\0' && strcmp(store, client->store) != 0) {
        probe->event = SERVER_STRANGE;
        return error_set(err, -EIO, "belongs to another store (%.40s)", store);
    }
    probe->event = SERVER_ANSWERED;
    return 0;
}

static void on_done(void *context, const struct http_result *result)
{
    struct api_probe *probe = context;
    struct api_client *client = probe->client;
    enum server_event event = result->status > 0 ? probe->event : SERVER_LOST;

    probe->request = NULL;
    if (event == SERVER_ANSWERED && result->code != 0)
        event = SERVER_FAILED;
    if (event == SERVER_ANSWERED)
        atomic_store(&client->online, true);
    if (servers_probed(client->servers, probe->server, event, result->err.text,
                       clock_monotonic_ms()))
        api_client_tell(client, probe->server);
    else
        api_probe_schedule(client);
}

static int start(struct api_client *client, size_t index)
{
    struct api_probe *probe = &client->probes[index];
    cleanup(buf_release) struct buf url = buf_init(64 * 1024);
    struct http_request_spec spec = { .method = HTTP_GET };
    int r = api_client_prepare(client, index, 0, "/version", &url, &spec, NULL);

    if (r < 0)
        return r;
    *probe = (struct api_probe){ .client = client, .server = index };
    spec.bearer = NULL;
    spec.total_ms = servers_policy_of(client->servers)->patience;
    spec.body_maximum = API_ANSWER_MAX;
    spec.on_headers = on_headers;
    spec.on_done = on_done;
    spec.context = probe;
    return http_request_start(client->loop, &spec, &probe->request, NULL);
}

static void on_timer(void *context)
{
    struct api_client *client = context;
    size_t index;

    while (servers_probe(client->servers, clock_monotonic_ms(), &index)) {
        if (start(client, index) < 0)
            servers_probed(client->servers, index, SERVER_LOST, "out of memory",
                           clock_monotonic_ms());
    }
    api_probe_schedule(client);
}

void api_probe_schedule(struct api_client *client)
{
    uint64_t due_ms = servers_probe_due(client->servers);

    if (client->server_count == 1)
        return; /* nothing to choose from: it is asked in any case */
    client->probe_timer.function = on_timer;
    if (due_ms == UINT64_MAX)
        http_timer_clear(client->loop, &client->probe_timer);
    else
        http_timer_set(client->loop, &client->probe_timer, due_ms); /* else after the next change */
}

void api_probe_end(struct api_client *client)
{
    if (client->servers == NULL)
        return;
    for (size_t i = 0; client->probes != NULL && i < client->server_count; i++) {
        if (client->probes[i].request != NULL)
            http_request_cancel(client->probes[i].request);
    }
    http_timer_clear(client->loop, &client->probe_timer);
}
