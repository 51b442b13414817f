/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/notify.h"
#include "common/base/options.h"
#include "common/base/workers.h"
#include "common/model/settings.h"
#include "server/api/api.h"
#include "server/http/http_metrics.h"
#include "server/http/http_server.h"
#include "server/jobs/runner.h"
#include "server/main/app.h"
#include "server/main/server_settings.h"
#include "server/main/verbs.h"
#include "server/service/services.h"

#define PEM_MAX ((size_t)1 << 20)
#define DESCRIPTORS_BESIDE 1024 /* of the database, and of trees and blobs that are kept open */

/* Everything that runs while the server does, in the order of its start. */
struct serving {
    struct app app;
    struct workers *workers;
    struct http_metrics *metrics;
    struct api *api;
    struct runner *runner;
    struct http_server *http;
    uint64_t grace_ms;
};

static void serving_end(struct serving *serving)
{
    if (serving->app.services != NULL)
        services_stop(serving->app.services);
    serving->http = http_server_stop(serving->http, serving->grace_ms);
    serving->runner = runner_stop(serving->runner);
    serving->workers = workers_free(serving->workers);
    serving->api = api_free(serving->api);
    serving->metrics = http_metrics_free(serving->metrics);
    app_close(&serving->app);
}

static int load_pem(const struct settings *settings, const char *key, struct buf *out,
                    struct error *err)
{
    int r;

    if (!settings_has(settings, key))
        return 0;
    r = file_load(settings_text(settings, key), out, err);
    return r < 0 ? error_prefix(err, r, "%s", key) : 0;
}

static int copy_proxies(const struct settings *settings, const char ***out, struct error *err)
{
    size_t count = settings_list_count(settings, "trusted_proxies");
    const char **proxies = memory_array(count + 1, sizeof(*proxies));

    if (proxies == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++)
        proxies[i] = settings_list(settings, "trusted_proxies", i);
    *out = proxies;
    return 0;
}

static int start_http(const struct settings *settings, struct serving *serving, struct error *err)
{
    const struct http_application application = api_application(serving->api);
    cleanup(buf_release) struct buf certificate = buf_init(PEM_MAX);
    cleanup(buf_release) struct buf key = buf_init(PEM_MAX);
    cleanup_memory const char **proxies = NULL;
    cleanup_memory char *address = NULL;
    struct http_options options = {
        .loop_count = (unsigned)settings_number(settings, "loops"),
        .connection_max = (unsigned)settings_number(settings, "connections"),
        .connection_per_address_max =
            (unsigned)settings_number(settings, "connections_per_address"),
        .idle_timeout_s = (unsigned)(settings_number(settings, "idle_timeout") / 1000),
        .header_max = (size_t)settings_number(settings, "header_size"),
        .waiting_max = (size_t)settings_number(settings, "waiting"),
        .workers = serving->workers,
        .metrics = serving->metrics,
    };
    int r = server_settings_listen(settings, &address, &options.port, err);

    if (r == 0)
        r = load_pem(settings, "tls_cert", &certificate, err);
    if (r == 0)
        r = load_pem(settings, "tls_key", &key, err);
    if (r == 0)
        r = copy_proxies(settings, &proxies, err);
    if (r < 0)
        return r;
    options.address = address;
    options.trusted_proxies = proxies;
    if (settings_has(settings, "tls_cert")) {
        options.tls_certificate = buf_text(&certificate);
        options.tls_key = buf_text(&key);
    }
    r = http_server_start(&options, &application, &serving->http, err);
    memory_wipe(key.bytes, key.size);
    return r;
}

/* A request is in the queue once at most; a stream that ends is in it beside the next request. */
static int start_workers(const struct settings *settings, struct serving *serving,
                         struct error *err)
{
    return workers_new(&serving->workers, (size_t)settings_number(settings, "workers"),
                       2 * (size_t)settings_number(settings, "connections") + 64, err);
}

/* A shell gives 1024 descriptors of the many that it may: a connection is one, and what is read and
 * written for it, some more. */
static void allow_descriptors(const struct settings *settings)
{
    const rlim_t wanted = (rlim_t)settings_number(settings, "connections") * 2 + DESCRIPTORS_BESIDE;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted)
        log_warning("the system allows %llu open files, connections may need %llu",
                    (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
}

static int serving_start(const struct settings *settings, struct serving *serving,
                         struct error *err)
{
    struct api_options options = { 0 };
    int r;

    allow_descriptors(settings);
    r = app_open(settings, APP_SERVE, &serving->app, err);

    serving->grace_ms = settings_number(settings, "stop_timeout");
    if (r == 0)
        r = start_workers(settings, serving, err);
    if (r == 0)
        r = http_metrics_new(&serving->metrics, err);
    if (r < 0)
        return r;
    options = (struct api_options){ serving->app.services, serving->metrics, serving->workers,
                                    settings_text(settings, "metrics_token") };
    r = api_new(&options, &serving->api, err);
    if (r == 0)
        r = runner_start(serving->app.services, &serving->runner, err);
    if (r == 0)
        r = start_http(settings, serving, err);
    return r;
}

/* One line that people and scripts wait for, whatever the level of the log. */
static void tell_ready(const struct settings *settings, const struct serving *serving)
{
    const char *listen = settings_text(settings, "listen");
    const int address_size = (int)(strrchr(listen, ':') - listen);

    log_always("listening on %s://%.*s:%u", settings_has(settings, "tls_cert") ? "https" : "http",
               address_size, listen, http_server_port(serving->http));
    notify_manager("READY=1");
}

static void reload(const struct options *options)
{
    struct settings *settings = NULL;
    struct error err = { 0 };

    if (server_settings_load(options, &settings, &err) < 0) {
        log_error("the settings are not read again: %s", err.text);
        return;
    }
    server_settings_apply_log(settings);
    log_info("log_level and log_format were read again");
    settings_free(settings);
}

static void wait_for_end(const struct options *options, const sigset_t *signals)
{
    for (;;) {
        int number = sigwaitinfo(signals, NULL);

        if (number == SIGHUP)
            reload(options);
        else if (number == SIGTERM || number == SIGINT)
            return;
    }
}

int verb_serve(const struct options *options, struct settings *settings, struct error *err)
{
    struct serving serving = { 0 };
    sigset_t signals;
    int r;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* before any thread is started */
    signal(SIGPIPE, SIG_IGN);
    memory_give_back();
    r = serving_start(settings, &serving, err);
    if (r == 0) {
        tell_ready(settings, &serving);
        wait_for_end(options, &signals);
        notify_manager("STOPPING=1");
        log_info("stopping");
    }
    serving_end(&serving);
    if (r < 0 && strcmp(settings_text(settings, "log_format"), "json") == 0) {
        log_error("%s", err->text);
        err->text[0] = '\0'; /* whoever reads the lines takes no other form */
    }
    return r;
}
