/* SPDX-License-Identifier: MIT */
#include "agent/cli/session.h"

#include <errno.h>

#include "agent/cli/configuration.h"
#include "agent/cli/interrupt.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/client/secret.h"
#include "common/model/problem.h"
#include "common/net/http_loop.h"

CLEANUP_DEFINE(secret, secret_free);

/* A nearer source wins; of the same source, the file. */
static int load_token(const struct configuration *configuration, struct secret **out_token,
                      struct error *err)
{
    const struct settings *settings = configuration->settings;
    cleanup_memory char *path = NULL;
    bool has_text = settings_has(settings, "token");
    bool file_is_flag = false;
    int r = configuration_path(configuration, "token_file", &path, err);

    if (r < 0)
        return r;
    if (path != NULL)
        file_is_flag = settings_place(settings, "token_file")[0] == 'f' ||
                       settings_place(settings, "token")[0] != 'e';
    if (path != NULL && (!has_text || file_is_flag)) {
        r = secret_load(path, out_token, err);
        return r < 0 ? error_prefix(err, r, "token_file") : 0;
    }
    if (has_text)
        return secret_from_text(settings_text(settings, "token"), out_token, err);
    return 0;
}

static int make_client(const struct configuration *configuration, struct session *session,
                       struct error *err)
{
    const struct settings *settings = configuration->settings;
    size_t count = settings_list_count(settings, "server");
    cleanup_memory const char **servers = memory_array(count, sizeof(*servers));
    cleanup_memory char *ca_file = NULL;
    struct api_client_options options = { .loop = session->loop,
                                          .servers = servers,
                                          .server_count = count };
    int r;

    if (servers == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        servers[i] = settings_list(settings, "server", i);
    r = configuration_path(configuration, "ca_file", &ca_file, err);
    if (r == 0)
        r = load_token(configuration, &options.token, err);
    if (r < 0)
        return r;
    options.ca_file = ca_file;
    options.insecure = settings_switch(settings, "insecure");
    options.timeout_ms = settings_number(settings, "timeout");
    options.retry = retry_policy_default();
    options.retry.tries = (uint32_t)settings_number(settings, "retries") + 1;
    if (options.timeout_ms < 10000)
        options.connect_ms = options.timeout_ms;
    return api_client_new(&session->client, &options, err);
}

static void interrupt_client(void *context)
{
    api_client_interrupt(context);
}

int session_open(const struct configuration *configuration, size_t lasting, struct session *out,
                 int *out_exit, struct error *err)
{
    cleanup(session_close) struct session session = { 0 };
    size_t concurrency = (size_t)settings_number(configuration->settings, "concurrency");
    struct http_loop_options loop = { .connections_per_host = concurrency + lasting,
                                      .connections_idle = concurrency };
    int r;

    if (settings_has(configuration->settings, "bandwidth_limit"))
        loop.bytes_per_s = settings_number(configuration->settings, "bandwidth_limit");
    *out_exit = EXIT_CONFIGURATION;
    if (settings_list_count(configuration->settings, "server") == 0)
        return error_set(err, -EINVAL,
                         "no server is named: server in %s, KKARTIFACT_SERVER or --server",
                         CONFIGURATION_NAME);
    r = http_loop_new(&session.loop, &loop, err);
    if (r < 0) {
        *out_exit = EXIT_OTHER;
        return r;
    }
    r = make_client(configuration, &session, err);
    if (r < 0)
        return r;
    interrupt_on(interrupt_client, session.client);
    *out = session;
    session = (struct session){ 0 };
    return 0;
}

void session_close(struct session *session)
{
    if (session->client != NULL)
        interrupt_on(NULL, NULL);
    api_client_free(session->client);
    http_loop_free(session->loop);
    *session = (struct session){ 0 };
}
