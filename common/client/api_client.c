/* SPDX-License-Identifier: MIT */
#include "common/client/api_client.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_private.h"
#include "common/client/secret.h"

#define TOKEN_LABEL "kkartifact-token-name-1"

static int take_servers(struct api_client *client, const struct api_client_options *options,
                        struct error *err)
{
    if (options->server_count == 0)
        return error_set(err, -EINVAL, "no server is named");
    client->servers = memory_array(options->server_count, sizeof(*client->servers));
    if (client->servers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < options->server_count; i++) {
        struct url_base *base = &client->servers[i].base;
        int r = url_base_parse(options->servers[i], base, err);

        if (r < 0)
            return error_prefix(err, r, "server %zu", i + 1);
        client->server_count++;
        if (client->token != NULL && !base->tls && !base->loopback && !options->insecure)
            return error_set(
                err, -EINVAL,
                "the token is not sent to %s over plain HTTP: use https, or say insecure",
                base->text);
    }
    return 0;
}

bool api_client_is_local(const struct api_client *client)
{
    return client->servers[client->current].base.loopback;
}

static void name_token(struct api_client *client)
{
    const char *token = secret_text(client->token);
    struct digest name;

    if (token == NULL) {
        memcpy(client->token_name, "anonymous", sizeof("anonymous"));
        return;
    }
    name = digest_keyed(span_text(token), span_text(TOKEN_LABEL));
    digest_hex(&name, client->token_name);
}

int api_client_new(struct api_client **out_client, const struct api_client_options *options,
                   struct error *err)
{
    struct api_client *client = memory_new(sizeof(*client));
    const char *agent = options->user_agent;
    int r;

    if (client == NULL) {
        secret_free(options->token);
        return error_set(err, -ENOMEM, "out of memory");
    }
    client->token = options->token;
    client->loop = options->loop;
    client->insecure = options->insecure;
    client->offline = options->offline;
    client->connect_ms = options->connect_ms > 0 ? options->connect_ms : 10000;
    client->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : 30000;
    client->retry = options->retry.tries > 0 ? options->retry : retry_policy_default();
    r = take_servers(client, options, err);
    if (r == 0) {
        client->user_agent = memory_text(agent != NULL ? agent : "kkartifact/" KKARTIFACT_VERSION);
        client->ca_file = options->ca_file != NULL ? memory_text(options->ca_file) : NULL;
        if (client->user_agent == NULL || (options->ca_file != NULL && client->ca_file == NULL))
            r = error_set(err, -ENOMEM, "out of memory");
    }
    if (r < 0) {
        api_client_free(client);
        return r;
    }
    name_token(client);
    *out_client = client;
    return 0;
}

struct api_client *api_client_free(struct api_client *client)
{
    if (client == NULL)
        return NULL;
    api_client_cancel(client);
    secret_free(client->token);
    memory_free(client->servers);
    memory_free(client->ca_file);
    memory_free(client->user_agent);
    return memory_free(client);
}

struct http_loop *api_client_loop(const struct api_client *client)
{
    return client->loop;
}

size_t api_client_server_count(const struct api_client *client)
{
    return client->server_count;
}

const char *api_client_server(const struct api_client *client, size_t index)
{
    return index < client->server_count ? client->servers[index].base.text : "";
}

size_t api_client_current(const struct api_client *client)
{
    return client->current;
}

const char *api_client_store(const struct api_client *client)
{
    return client->store;
}

bool api_client_is_offline(const struct api_client *client)
{
    return client->offline;
}

bool api_client_online(const struct api_client *client)
{
    return atomic_load(&((struct api_client *)client)->online);
}

bool api_client_unauthorised(const struct api_client *client)
{
    return atomic_load(&((struct api_client *)client)->unauthorised);
}

const char *api_client_token_name(const struct api_client *client)
{
    return client->token_name;
}

void api_client_cancel(struct api_client *client)
{
    while (client->calls != NULL)
        api_call_cancel(client->calls);
}

bool api_client_is_interrupted(const struct api_client *client)
{
    return atomic_load(&((struct api_client *)client)->interrupted);
}

void api_client_interrupt(struct api_client *client)
{
    atomic_store(&client->interrupted, true);
    http_loop_wake(client->loop);
}

int api_client_prepare(const struct api_client *client, size_t index, const char *path,
                       struct buf *url, struct http_request_spec *spec, struct error *err)
{
    int r;

    if (index >= client->server_count)
        return error_set(err, -EINVAL, "no such server");
    if (client->offline)
        return error_set(err, -ENETDOWN, "offline: nothing is asked of %.150s",
                         client->servers[index].base.text);
    buf_add_text(url, client->servers[index].base.text);
    buf_add_text(url, API_BASE);
    buf_add_text(url, path);
    r = buf_check(url, err);
    if (r < 0)
        return r;
    spec->url = buf_text(url);
    spec->bearer = secret_text(client->token);
    spec->ca_file = client->ca_file;
    spec->user_agent = client->user_agent;
    spec->insecure = client->insecure;
    spec->connect_ms = client->connect_ms;
    return 0;
}

/* The first in the given order that did not fail lately; else the one that failed longest ago. */
static size_t best_server(const struct api_client *client)
{
    uint64_t now = clock_monotonic_ms();
    size_t best = 0;

    for (size_t i = 0; i < client->server_count; i++) {
        if (client->servers[i].away_until_ms <= now)
            return i;
        if (client->servers[i].away_until_ms < client->servers[best].away_until_ms)
            best = i;
    }
    return best;
}

void api_client_report(struct api_client *client, size_t index, bool reached, int status)
{
    if (index >= client->server_count)
        return;
    atomic_store(&client->online, reached);
    if (reached && status > 0)
        atomic_store(&client->unauthorised, status == 401 || status == 403);
    client->servers[index].away_until_ms = reached ? 0 : clock_monotonic_ms() + API_SERVER_AWAY_MS;
    client->current = best_server(client);
}

/* Paths -------------------------------------------------------------------- */

void api_path_project(struct buf *out, const char *project)
{
    buf_add_text(out, "/projects");
    url_add_step(out, project);
}

void api_path_app(struct buf *out, const char *project, const char *app)
{
    api_path_project(out, project);
    buf_add_text(out, "/apps");
    url_add_step(out, app);
}

/* A channel's '@' is as plain as a letter here, and servers compare it so. */
void api_path_version(struct buf *out, const char *project, const char *app, const char *version)
{
    api_path_app(out, project, app);
    buf_add_text(out, "/versions/");
    if (version[0] == '@') {
        buf_add_byte(out, '@');
        version++;
    }
    url_add_segment(out, span_text(version));
}

void api_path_blob(struct buf *out, const char *project, const char *app, const char *version,
                   const char *sha256_hex)
{
    api_path_version(out, project, app, version);
    buf_add_text(out, "/blobs/");
    buf_add_text(out, sha256_hex);
}
