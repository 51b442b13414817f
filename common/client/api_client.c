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
    int r = servers_new(&client->servers, options->server_count, options->policy, err);

    if (r < 0)
        return r;
    client->bases = memory_array(options->server_count, sizeof(*client->bases));
    client->probes = memory_array(options->server_count, sizeof(*client->probes));
    if (client->bases == NULL || client->probes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < options->server_count; i++) {
        struct url_base *base = &client->bases[i];

        r = url_base_parse(options->servers[i], base, err);
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
    return client->bases[api_client_current(client)].loopback;
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
    client->on_server = options->on_server;
    client->server_context = options->server_context;
    client->probe_timer.context = client;
    if (options->store != NULL)
        api_client_expect_store(client, options->store);
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
    api_probe_end(client);
    secret_free(client->token);
    servers_free(client->servers);
    memory_free(client->bases);
    memory_free(client->probes);
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
    return index < client->server_count ? client->bases[index].text : "";
}

size_t api_client_current(const struct api_client *client)
{
    return servers_pick(client->servers, 0, clock_monotonic_ms());
}

void api_client_server_status(const struct api_client *client, size_t index,
                              struct server_status *out)
{
    servers_status(client->servers, index, clock_monotonic_ms(), out);
}

struct servers *api_client_servers(const struct api_client *client)
{
    return client->servers;
}

const char *api_client_store(const struct api_client *client)
{
    return client->store;
}

bool api_client_is_offline(const struct api_client *client)
{
    return client->offline;
}

void api_client_expect_store(struct api_client *client, const char *store)
{
    size_t size = strlen(store);

    if (size < API_STORE_SIZE)
        memcpy(client->store, store, size + 1);
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

/* While another one could be asked, less than a third of what somebody may be waiting. */
static uint64_t connect_limit(const struct api_client *client, uint64_t tried)
{
    uint64_t limit_ms = servers_policy_of(client->servers)->connect;

    if (!servers_has_ok(client->servers, tried, clock_monotonic_ms()))
        return client->connect_ms;
    if (limit_ms > client->timeout_ms / 3)
        limit_ms = client->timeout_ms / 3 + 1;
    return limit_ms < client->connect_ms ? limit_ms : client->connect_ms;
}

int api_client_prepare(const struct api_client *client, size_t index, uint64_t tried,
                       const char *path, struct buf *url, struct http_request_spec *spec,
                       struct error *err)
{
    int r;

    if (index >= client->server_count)
        return error_set(err, -EINVAL, "no such server");
    if (client->offline)
        return error_set(err, -ENETDOWN, "offline: nothing is asked of %.150s",
                         client->bases[index].text);
    buf_add_text(url, client->bases[index].text);
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
    spec->connect_ms = connect_limit(client, tried | (uint64_t)1 << index);
    return 0;
}

/* What comes of requests ---------------------------------------------------- */

void api_client_tell(struct api_client *client, size_t index)
{
    struct server_status status;

    api_probe_schedule(client);
    if (client->on_server == NULL)
        return;
    api_client_server_status(client, index, &status);
    client->on_server(client->server_context, index, &status);
}

void api_client_note(struct api_client *client, size_t index, enum server_event event,
                     const char *why)
{
    if (servers_note(client->servers, index, event, why, clock_monotonic_ms()))
        api_client_tell(client, index);
}

int api_client_check_store(struct api_client *client, size_t index,
                           const struct http_headers *headers, struct error *err)
{
    const char *store = http_headers_get(headers, "X-Kkartifact-Store");
    struct error why;

    if (store == NULL || strlen(store) >= API_STORE_SIZE || strcmp(store, client->store) == 0)
        return 0;
    if (client->store[0] == '\0') {
        api_client_expect_store(client, store);
        return 0;
    }
    error_set(&why, -EIO, "%.100s belongs to another store (%.40s)",
              api_client_server(client, index), store);
    api_client_note(client, index, SERVER_STRANGE, why.text);
    atomic_store(&client->online,
                 servers_has_ok(client->servers, (uint64_t)1 << index, clock_monotonic_ms()));
    return error_set(err, -EIO, "%s", why.text);
}

static enum server_event event_of(const struct http_result *result)
{
    if (result->code == -EAGAIN || result->code == -ETIMEDOUT ||
        result->code == -EPROTO) /* its certificate */
        return SERVER_LOST;
    if (result->status == 502 || result->status == 503 || result->status == 504)
        return SERVER_LOST;
    if (retry_judge(result->code, result->status) == RETRY_NEXT ||
        retry_judge(0, result->status) == RETRY_NEXT)
        return SERVER_FAILED;
    return SERVER_ANSWERED;
}

void api_client_report(struct api_client *client, size_t index, const struct http_result *result,
                       uint64_t retry_after_ms)
{
    uint64_t now_ms = clock_monotonic_ms();
    enum server_event event;
    char why[SERVER_CAUSE_SIZE];

    if (index >= client->server_count || result->code == -ECANCELED || result->code == -ENOMEM)
        return;
    event = event_of(result);
    atomic_store(&client->online,
                 event == SERVER_ANSWERED ||
                     servers_has_ok(client->servers, (uint64_t)1 << index, now_ms));
    if (event == SERVER_ANSWERED && result->status > 0)
        atomic_store(&client->unauthorised, result->status == 401 || result->status == 403);
    if (retry_after_ms > 0 && (result->status == 429 || result->status == 503)) {
        if (servers_note_later(client->servers, index, retry_after_ms, now_ms))
            api_client_tell(client, index);
        return;
    }
    if (event != SERVER_ANSWERED && result->code != 0)
        (void)snprintf(why, sizeof(why), "%.150s", result->err.text);
    else
        (void)snprintf(why, sizeof(why), "answered %d", result->status);
    api_client_note(client, index, event, why);
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
