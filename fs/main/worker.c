/* SPDX-License-Identifier: MIT */
#include "fs/main/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/holder/json_bytes.h"
#include "fs/holder/message.h"
#include "fs/holder/worker_user.h"
#include "fs/main/attached.h"
#include "fs/main/exit_code.h"
#include "fs/main/mounted.h"
#include "fs/main/refusal.h"
#include "fs/main/rooms.h"
#include "fs/main/worker_config.h"
#include "fs/ring/ring.h"
#include "fs/session/session.h"
#include "fs/usage/usage.h"

CLEANUP_DEFINE(json, json_free);

void worker_status(const struct worker_config *config, bool has_holder, bool serves,
                   struct json_writer *writer)
{
    json_begin_object(writer, "holder");
    if (has_holder)
        json_integer(writer, "pid", config->holder);
    else
        json_null(writer, "pid");
    json_end(writer);
    json_begin_object(writer, "worker");
    if (serves)
        json_integer(writer, "pid", getpid());
    else
        json_null(writer, "pid");
    json_integer(writer, "restarts", (int64_t)config->restarts);
    json_text(writer, "last_end", config->reason);
    json_integer(writer, "uid", config->uid);
    if (config->uid_has_name)
        json_text(writer, "user", WORKER_USER);
    else
        json_null(writer, "user");
    json_end(writer);
}

static void hear_in_use(const struct json_value *slots, struct usage *usage)
{
    size_t count = 0, capacity = json_count(slots);
    uint32_t *numbers = memory_array(capacity, sizeof(*numbers));
    const struct json_value *at = NULL;

    while (numbers != NULL && (at = json_next(slots, at)) != NULL) {
        int64_t slot = 0;

        if (json_get_integer(at, "in_use", &slot, NULL) == 0 && slot > 0 && slot <= UINT32_MAX)
            numbers[count++] = (uint32_t)slot;
    }
    usage_seen(usage, numbers, count);
    memory_free(numbers);
}

static bool read_backing(const struct json_value *said, struct worker_backing *out)
{
    int64_t number = -1, error = 0, id = 0;

    if (json_member_integer(said, "backing", &number, NULL) < 0 || number < 0 ||
        json_member_integer(said, "error", &error, NULL) < 0 ||
        json_member_integer(said, "id", &id, NULL) < 0)
        return false;
    *out = (struct worker_backing){
        .number = (uint64_t)number,
        .result = error < 0 && error > INT32_MIN ? (int)error
                  : id > 0                       ? 0
                                                 : -EIO,
        .id = (uint32_t)id,
    };
    return true;
}

static enum worker_heard_what understand(const struct json_value *said, struct worker_heard *out)
{
    bool follow = false;
    const char *why = "";

    if (!json_is_null(json_member(said, "end")))
        return WORKER_HEARD_END;
    if (read_backing(said, &out->backing))
        return WORKER_HEARD_BACKING;
    if (!json_is_null(json_member(said, "follow")) &&
        json_member_bool(said, "follow", &follow, NULL) == 0)
        return follow ? WORKER_HEARD_FOLLOW : WORKER_HEARD_REST;
    if (json_is_null(json_member(said, "refused")) ||
        json_member_text(said, "refused", &why, NULL) < 0)
        return WORKER_HEARD_NOTHING;
    error_set(&out->why, -EBUSY, "%s", why);
    return WORKER_HEARD_REFUSED;
}

enum worker_heard_what worker_hear(int socket, struct usage *usage, struct worker_heard *out)
{
    cleanup(buf_release) struct buf text = buf_init(2 * MESSAGE_MAX);
    cleanup(cleanup_json) struct json *json = NULL;
    int descriptors[MESSAGE_DESCRIPTORS_MAX];

    *out = (struct worker_heard){ .what = WORKER_HEARD_NOTHING };
    if (message_receive(socket, &text, descriptors, NULL) < 0) {
        out->what = WORKER_HEARD_GONE;
        return out->what;
    }
    if (json_parse(buf_span(&text), &json, NULL) == 0) {
        if (!json_is_null(json_member(json_root(json), "log")) && descriptors[0] >= 0)
            dup2(descriptors[0], STDERR_FILENO);
        out->what = understand(json_root(json), out);
        if (usage != NULL && json_is_array(json_member(json_root(json), "in_use")))
            hear_in_use(json_member(json_root(json), "in_use"), usage);
    }
    for (size_t i = 0; i < MESSAGE_DESCRIPTORS_MAX; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    return out->what;
}

/* The holder, or whoever waits for the mount, is to say it. */
static int tell_failure(int socket, enum exit_place place, const struct error *why)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    int code = exit_code_of(place, why->code);

    json_begin_object(&writer, NULL);
    json_text(&writer, "failed", why->text);
    json_integer(&writer, "code", why->code);
    json_integer(&writer, "exit", code);
    json_end(&writer);
    if (buf_check(&text, NULL) == 0)
        message_send(socket, buf_span(&text), NULL, 0, NULL);
    return code;
}

static int tell_opened(int socket, const char *store, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    int r;

    json_begin_object(&writer, NULL);
    json_bytes_text(&writer, "opened", store);
    json_end(&writer);
    r = buf_check(&text, err);
    return r == 0 ? message_send(socket, buf_span(&text), NULL, 0, err) : r;
}

/* All that a worker has beside its configuration; freed from the roof down. */
struct work {
    struct mounted *mounted;
    struct attached *attached;
    struct ring *ring;
};

static int open_all(struct worker_config *config, int socket, struct work *work,
                    enum exit_place *place, struct error *err)
{
    struct rooms_given given = { take_pointer(&config->token), config->store,
                                 config->init.size > 0 };
    struct session_connection connection = {
        .fd = config->fuse,
        .without_resend = getenv(WORKER_WITHOUT_RESEND) != NULL,
    };
    int r = mounted_open_rooms(&work->mounted, &config->options, &given, place, err);

    if (r == 0 && config->options.attached)
        r = attached_open(&work->attached, config, mounted_rooms(work->mounted), socket, place,
                          err);
    if (r < 0)
        return r;
    *place = EXIT_OF_LOCAL;
    r = ring_open(config->ring, &work->ring, err);
    if (r == 0 && config->init.size == 0) {
        r = tell_opened(socket, mounted_rooms(work->mounted)->entry.store, err);
        if (r == 0)
            r = worker_config_await_mount(config, socket, err);
    }
    if (r < 0)
        return r;
    connection.ring = work->ring;
    connection.init = buf_span(&config->init);
    connection.device = config->device;
    return mounted_serve(work->mounted, config, &connection, socket, err);
}

static int serve(struct worker_config *config, int socket)
{
    enum exit_place place = EXIT_OF_LOCAL;
    struct work work = { .mounted = NULL };
    struct error err = { 0 };
    int r = open_all(config, socket, &work, &place, &err);

    if (r == 0) {
        r = mounted_run(work.mounted, &err);
        if (mounted_leaves(work.mounted))
            _exit(EXIT_DONE);
        if (r < 0)
            log_error("%s", err.text);
    } else {
        tell_failure(socket, place, &err);
    }
    if (!mounted_close(work.mounted))
        _exit(exit_code_of(place, r));
    attached_free(work.attached);
    ring_close(work.ring);
    return exit_code_of(place, r);
}

int worker_main(int socket)
{
    struct worker_config config;
    struct error err = { 0 };
    int code;

    prctl(PR_SET_NAME, "kkartifact-fs");
    umask(077);
    if (worker_config_receive(&config, socket, &err) < 0)
        code = tell_failure(socket, EXIT_OF_LOCAL, &err);
    else
        code = config.refuse_ms != 0 ? refusal_serve(&config, socket) : serve(&config, socket);
    worker_config_release(&config);
    return code;
}
