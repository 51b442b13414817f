/* SPDX-License-Identifier: MIT */
#include "fs/main/store_entry.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/client/api_versions.h"
#include "common/client/known_versions.h"
#include "common/net/http_loop.h"
#include "fs/catalog/catalog_fetch.h"
#include "fs/main/mount_options.h"

struct look {
    bool done;
    struct error err;
};

static void looked(void *context, struct catalog_list *list, const struct error *err)
{
    struct look *look = context;

    catalog_list_unref(list);
    if (err != NULL)
        look->err = *err;
    look->done = true;
}

static bool is_done(void *context)
{
    return ((struct look *)context)->done;
}

/* Asks for the topmost list that is to be shown. */
static int look_inside(struct api_client *client, const struct mount_options *options,
                       uint64_t deadline_ms, struct error *err)
{
    struct catalog_server server = { .client = client };
    struct look look = { .done = false };
    int r = catalog_fetch_start(&server, options->only_project, options->only_app, deadline_ms,
                                looked, &look, err);

    if (r == 0)
        r = http_loop_run_until(api_client_loop(client), is_done, &look, UINT64_MAX, err);
    if (r == 0 && look.err.code < 0) {
        r = look.err.code;
        if (err != NULL)
            *err = look.err;
    }
    return r;
}

static int count_one(void *context, const char *project, const char *app, const char *version,
                     const struct known_version *fact, struct error *err)
{
    *(bool *)context = true;
    return 1;
}

static bool knows_any(struct known_versions *known)
{
    bool any = false;

    known_versions_list(known, count_one, &any, NULL);
    return any;
}

static int ask_store(struct store_entry *entry, struct api_client *client, const char *directory,
                     const struct mount_options *options, uint64_t deadline_ms, struct error *err)
{
    const char *token_name = api_client_token_name(client);
    struct api_server server;
    int r = api_server_get(client, deadline_ms, &server, err);

    if (r == 0) {
        memcpy(entry->store, server.store, sizeof(entry->store));
        entry->online = true;
        for (size_t i = 0; i < options->server_count; i++)
            known_store_set(directory, options->servers[i], token_name, entry->store, NULL);
        return 0;
    }
    for (size_t i = 0; i < options->server_count; i++)
        if (known_store_get(directory, options->servers[i], token_name, entry->store, NULL) == 0) {
            api_client_expect_store(client, entry->store);
            return 0;
        }
    return options->offline ? error_set(err, r, "offline, and nothing of %.100s is known in %.100s",
                                        options->servers[0], options->cache)
                            : r;
}

/* Whether the mount is to be made all the same. */
static int judge(const struct store_entry *entry, struct known_versions *known,
                 const struct mount_options *options, int looked_at, struct error *err)
{
    bool refused = looked_at == -EPERM || looked_at == -EACCES;

    if (looked_at == 0)
        return 0;
    if (options->offline && knows_any(known))
        return 0; /* as it was asked for */
    if (looked_at == -ENOENT || looked_at == -EBADMSG || (refused && options->strict_auth) ||
        !knows_any(known))
        return looked_at;
    log_warning("only what is known is shown: %s", err->text);
    return 0;
}

static int open_known(const struct store_entry *entry, struct api_client *client,
                      const char *directory, struct known_versions **out_known, struct error *err)
{
    return known_versions_open(directory, entry->store, api_client_token_name(client), out_known,
                               err);
}

static int known_directory(const struct mount_options *options, struct buf *out, struct error *err)
{
    buf_format(out, "%s/known", options->cache);
    return buf_check(out, err);
}

int store_entry_resume(struct store_entry *entry, struct api_client *client,
                       const struct mount_options *options, const char *store,
                       struct known_versions **out_known, struct error *err)
{
    cleanup(buf_release) struct buf directory = buf_init(8192);
    int r = known_directory(options, &directory, err);

    if (r == 0 && strlen(store) >= sizeof(entry->store))
        r = error_set(err, -EBADMSG, "the id of the store is too long");
    if (r < 0)
        return r;
    memcpy(entry->store, store, strlen(store) + 1);
    api_client_expect_store(client, store);
    return open_known(entry, client, buf_text(&directory), out_known, err);
}

int store_entry_find(struct store_entry *entry, struct api_client *client,
                     const struct mount_options *options, struct known_versions **out_known,
                     struct error *err)
{
    cleanup(buf_release) struct buf directory = buf_init(8192);
    uint64_t deadline_ms = clock_monotonic_ms() + options->deadline_ms;
    struct error why = { 0 };
    int r;

    r = known_directory(options, &directory, err);
    if (r == 0)
        r = ask_store(entry, client, buf_text(&directory), options, deadline_ms, &why);
    if (r == 0)
        r = open_known(entry, client, buf_text(&directory), out_known, &why);
    /* One version alone is asked for by itself, which tells the same. */
    if (r == 0 && (!options->attached || options->strict_auth)) {
        r = entry->online
                ? look_inside(client, options, deadline_ms, &why)
                : error_set(&why, options->offline ? -ENETDOWN : -EAGAIN,
                            options->offline ? "offline, and nothing is known under this token"
                                             : "the server is away");
        r = judge(entry, *out_known, options, r, &why);
    }
    return r < 0 ? error_set(err, r, "%s", why.text) : 0;
}
