/* SPDX-License-Identifier: MIT */
#include "fs/main/worker_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/client/secret.h"
#include "common/codec/json.h"
#include "fs/holder/json_bytes.h"
#include "fs/holder/message.h"
#include "fs/main/mount_options_json.h"

#define CONFIG_MAX (2 * MESSAGE_MAX)

CLEANUP_DEFINE(json, json_free);

static int take_descriptors(struct worker_config *config, const struct json_value *names,
                            int descriptors[MESSAGE_DESCRIPTORS_MAX], struct error *err)
{
    const struct {
        const char *name;
        int *at;
    } places[] = { { "fuse", &config->fuse },      { "ring", &config->ring },
                   { "opens", &config->opens },    { "control", &config->control },
                   { "cache", &config->cache },    { "ca", &config->ca },
                   { "metrics", &config->metrics } };
    const struct json_value *at = NULL;
    size_t index = 0;

    while ((at = json_next(names, at)) != NULL && index < MESSAGE_DESCRIPTORS_MAX) {
        const char *name = "";
        int fd = descriptors[index++], r = json_get_text(at, "descriptors", &name, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
            if (strcmp(places[i].name, name) == 0)
                *places[i].at = fd;
    }
    if (config->fuse < 0 || config->ring < 0 || config->cache < 0)
        return error_set(err, -EBADMSG, "the holder did not give what a worker needs");
    return 0;
}

static int read_connection(struct worker_config *config, const struct json_value *root,
                           struct error *err)
{
    int64_t device = 0;
    int r = json_member_integer(root, "device", &device, err);

    config->device = (uint64_t)device;
    buf_clear(&config->init);
    return r == 0 ? json_member_bytes(root, "init", &config->init, err) : r;
}

static int read_numbers(struct worker_config *config, const struct json_value *root,
                        struct error *err)
{
    int64_t restarts = 0, uid = 0, refuse_ms = 0;
    const char *reason = "";
    int r = json_member_integer(root, "restarts", &restarts, err);

    if (r == 0)
        r = json_member_integer(root, "holder", &config->holder, err);
    if (r == 0)
        r = json_member_integer(root, "uid", &uid, err);
    if (r == 0)
        r = json_member_integer(root, "refuse_ms", &refuse_ms, err);
    if (r == 0)
        r = json_member_bool(root, "uid_has_name", &config->uid_has_name, err);
    if (r == 0)
        r = json_member_text(root, "reason", &reason, err);
    config->restarts = (uint64_t)restarts;
    config->uid = (uint32_t)uid;
    config->refuse_ms = (uint64_t)refuse_ms;
    memcpy(config->reason, reason, strnlen(reason, sizeof(config->reason) - 1));
    return r;
}

static int read_token(struct worker_config *config, const struct json_value *root,
                      struct error *err)
{
    char *token = NULL;
    int r = json_member_bytes_text(root, "token", &token, err);

    if (r == 0 && token != NULL)
        r = secret_from_text(token, &config->token, err);
    if (token != NULL)
        memory_wipe(token, strlen(token));
    memory_free(token);
    return r;
}

static int read_options(struct worker_config *config, const struct json_value *root,
                        struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(CONFIG_MAX);
    int r = json_member_bytes(root, "config", &text, err);

    if (r == 0)
        r = mount_options_init(&config->options, err);
    return r == 0 ? mount_options_read(&config->options, buf_span(&text), err) : r;
}

/* What is shown here, of an attach. */
static int read_version(struct worker_config *config, const struct json_value *root,
                        struct error *err)
{
    const char *version = NULL, *tree = NULL;
    int r = json_member_text(root, "version", &version, err);

    if (r == 0)
        r = json_member_text(root, "tree", &tree, err);
    if (r == 0)
        r = json_member_bool(root, "new", &config->is_new, err);
    if (r == 0)
        r = json_member_bool(root, "follows", &config->follows, err);
    if (r == 0 && tree != NULL) {
        r = digest_parse(span_text(tree), &config->tree, err);
        config->has_tree = r == 0;
    }
    if (r == 0 && version != NULL) {
        config->version = memory_text(version);
        r = config->version != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
    }
    return r;
}

static int set_path(char **at, const char *path, struct error *err)
{
    char *copy = memory_text(path);

    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memory_free(*at);
    *at = copy;
    return 0;
}

/* As the worker reaches them. */
static int move_paths(struct worker_config *config, struct error *err)
{
    char path[32];

    if (fchdir(config->cache) < 0)
        return error_system(err, errno, "cache %s", config->options.cache);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", config->ca);
    if (config->ca >= 0 && set_path(&config->options.ca_file, path, err) < 0)
        return -ENOMEM;
    config->cache_path = take_pointer(&config->options.cache);
    return set_path(&config->options.cache, ".", err);
}

static int read_all(struct worker_config *config, const struct json_value *root, struct error *err)
{
    int r = read_connection(config, root, err);

    if (r == 0)
        r = read_numbers(config, root, err);
    if (r == 0)
        r = read_token(config, root, err);
    if (r == 0)
        r = json_member_bytes_text(root, "store", &config->store, err);
    if (r == 0)
        r = read_version(config, root, err);
    if (r == 0)
        r = read_options(config, root, err);
    return r == 0 ? move_paths(config, err) : r;
}

int worker_config_receive(struct worker_config *config, int socket, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(CONFIG_MAX);
    cleanup(cleanup_json) struct json *json = NULL;
    int descriptors[MESSAGE_DESCRIPTORS_MAX], r;

    *config = (struct worker_config){
        .init = buf_init(CONFIG_MAX),
        .fuse = -1,
        .ring = -1,
        .opens = -1,
        .control = -1,
        .cache = -1,
        .ca = -1,
        .metrics = -1,
    };
    r = message_receive(socket, &text, descriptors, err);
    if (r == 0)
        r = json_parse(buf_span(&text), &json, err);
    if (r == 0)
        r = take_descriptors(config, json_member(json_root(json), "descriptors"), descriptors, err);
    if (r == 0)
        r = read_all(config, json_root(json), err);
    if (text.bytes != NULL)
        memory_wipe(text.bytes, text.size); /* the token */
    return r;
}

void worker_config_release(struct worker_config *config)
{
    const int given[] = { config->fuse,  config->ring, config->opens,  config->control,
                          config->cache, config->ca,   config->metrics };

    mount_options_release(&config->options);
    config->token = secret_free(config->token);
    config->store = memory_free(config->store);
    config->version = memory_free(config->version);
    config->cache_path = memory_free(config->cache_path);
    buf_release(&config->init);
    for (size_t i = 0; i < sizeof(given) / sizeof(*given); i++)
        if (given[i] >= 0)
            close(given[i]);
}

int worker_config_await_mount(struct worker_config *config, int socket, struct error *err)
{
    for (;;) {
        cleanup(buf_release) struct buf text = buf_init(CONFIG_MAX);
        cleanup(cleanup_json) struct json *json = NULL;
        int descriptors[MESSAGE_DESCRIPTORS_MAX];
        bool serve = false;
        int r = message_receive(socket, &text, descriptors, err);

        if (r == 0)
            r = json_parse(buf_span(&text), &json, err);
        if (r < 0)
            return r;
        json_member_bool(json_root(json), "serve", &serve, NULL);
        if (serve) {
            config->control = descriptors[0];
            config->opens = descriptors[1];
            return read_connection(config, json_root(json), err);
        }
        if (!json_is_null(json_member(json_root(json), "end")))
            return error_set(err, -ECANCELED, "interrupted");
    }
}
