/* SPDX-License-Identifier: MIT */
#include "fs/main/following.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/client/api_versions.h"
#include "common/client/event_follow.h"
#include "common/codec/json.h"
#include "common/net/http_loop.h"
#include "common/net/retry.h"
#include "fs/holder/message.h"
#include "fs/main/arrival.h"
#include "fs/main/channel_memory.h"
#include "fs/main/mount_options.h"
#include "fs/main/rooms.h"

#define TYPES "version.promoted,version.rolled-back"
#define PAUSE_MIN_MS 1000
#define PAUSE_MAX_MS 60000
#define ANSWER_MS 120000 /* of the holder */
#define CALM_MS 50       /* from one look to the next */

enum following_state { RESTS, WATCHES, LOOKS, BRINGS, ASKED };

struct following {
    struct following_options options;
    enum following_state state;
    struct event_follow *events;
    bool events_ended; /* they are to be opened again */
    bool is_wanted;    /* another look */
    bool ended;
    uint64_t looked_ms;
    uint32_t failures;       /* in a row */
    struct http_timer timer; /* when there is something to do though nothing is told */
    struct arrival arrival;
    pthread_mutex_t lock; /* of what follows, for status */
    char coming[VERSION_TEXT_SIZE];
    struct error err;
};

static void step(struct following *following);

static void note(struct following *following, const char *coming, const struct error *err)
{
    pthread_mutex_lock(&following->lock);
    memset(following->coming, 0, sizeof(following->coming));
    memcpy(following->coming, coming, strnlen(coming, VERSION_MAX_SIZE));
    if (err != NULL)
        following->err = *err;
    pthread_mutex_unlock(&following->lock);
}

static void set_timer(struct following *following, uint64_t wait_ms)
{
    http_timer_set(following->options.rooms->loop, &following->timer,
                   clock_monotonic_ms() + wait_ms);
}

/* What came late for one that rests, or ends, is dropped. */
static bool is_past(const struct following *following, enum following_state state)
{
    return following->ended || following->state != state;
}

static void watch(struct following *following)
{
    following->state = WATCHES;
    step(following);
}

static void fail(struct following *following, const struct error *err)
{
    const struct retry_policy policy = { .tries = UINT32_MAX,
                                         .base_ms = PAUSE_MIN_MS,
                                         .max_ms = PAUSE_MAX_MS };
    uint64_t wait_ms = PAUSE_MAX_MS;
    uint32_t random = 0;

    if (following->failures == 0)
        log_warning("%s/%s@%s: %s", following->options.rooms->options->only_project,
                    following->options.rooms->options->only_app, following->options.channel,
                    err->text);
    random_bytes(&random, sizeof(random), NULL);
    following->failures += following->failures < 100;
    retry_wait(&policy, following->failures + 1, 0, random, &wait_ms);
    note(following, "", err);
    following->state = WATCHES;
    set_timer(following, wait_ms);
}

static void ask_holder(struct following *following)
{
    cleanup(buf_release) struct buf text = buf_init(MESSAGE_MAX);
    struct json_writer writer = json_writer_init(&text);
    char hex[DIGEST_HEX_SIZE];
    struct error err = { 0 };
    int r;

    digest_hex(&following->arrival.tree, hex);
    json_begin_object(&writer, NULL);
    json_text(&writer, "switch", following->arrival.version);
    json_text(&writer, "tree", hex);
    json_end(&writer);
    following->state = ASKED;
    set_timer(following, ANSWER_MS);
    r = buf_check(&text, &err);
    if (r == 0)
        r = message_send(following->options.socket, buf_span(&text), NULL, 0, &err);
    if (r < 0)
        fail(following, &err);
}

static void arrived(void *context, const struct error *err)
{
    struct following *following = context;

    if (is_past(following, BRINGS))
        return;
    if (err != NULL)
        fail(following, err);
    else
        ask_holder(following);
}

static void bring(struct following *following, const char *version)
{
    struct error err = { 0 };

    following->state = BRINGS;
    note(following, version, NULL);
    following->arrival = (struct arrival){ .rooms = following->options.rooms,
                                           .whole = following->options.whole,
                                           .done = arrived,
                                           .context = following };
    memcpy(following->arrival.version, version, strnlen(version, VERSION_MAX_SIZE));
    if (arrival_start(&following->arrival, &err) < 0)
        fail(following, &err);
}

static void looked(void *context, const struct api_version *version, const struct error *err)
{
    struct following *following = context;
    static const struct error none = { 0 };

    if (is_past(following, LOOKS))
        return;
    if (err != NULL && err->code != -ENOENT) {
        fail(following, err);
    } else if (err != NULL || strcmp(version->record.version, following->options.version) == 0) {
        /* Also when nothing is on the channel any more: what is shown stays. */
        following->failures = 0;
        note(following, "", err != NULL ? err : &none);
        if (err == NULL)
            channel_memory_keep(following->options.rooms, following->options.channel,
                                following->options.version);
        watch(following);
    } else {
        bring(following, version->record.version);
    }
}

static void look(struct following *following)
{
    const struct mount_options *options = following->options.rooms->options;
    char name[NAME_TEXT_SIZE + 1] = "@";
    struct error err = { 0 };

    memcpy(name + 1, following->options.channel,
           strnlen(following->options.channel, NAME_MAX_SIZE));
    following->is_wanted = false;
    following->looked_ms = clock_monotonic_ms();
    following->state = LOOKS;
    if (api_version_get_start(following->options.rooms->client, options->only_project,
                              options->only_app, name, looked, following, &err) < 0)
        fail(following, &err);
}

static void step(struct following *following)
{
    uint64_t calm_ms = following->looked_ms + CALM_MS, now_ms = clock_monotonic_ms();

    if (following->ended || following->state != WATCHES || !following->is_wanted)
        return;
    if (now_ms >= calm_ms)
        look(following);
    else
        set_timer(following, calm_ms - now_ms);
}

static void want(struct following *following)
{
    following->is_wanted = true;
    step(following);
}

static void on_event(void *context, struct span type, struct span data)
{
    struct following *following = context;

    if (event_follow_is_of_channel(data, following->options.channel))
        want(following);
}

static void on_anew(void *context)
{
    want(context);
}

/* The follower cannot be stopped from inside its own call. */
static void on_end(void *context, const struct error *err)
{
    struct following *following = context;

    following->events_ended = true;
    note(following, "", err);
    set_timer(following, PAUSE_MAX_MS);
}

static int open_events(struct following *following, struct error *err)
{
    const struct event_follow_spec spec = {
        .project = following->options.rooms->options->only_project,
        .app = following->options.rooms->options->only_app,
        .types = TYPES,
        .on_event = on_event,
        .on_anew = on_anew,
        .on_end = on_end,
        .context = following,
    };

    following->events = event_follow_stop(following->events);
    following->events_ended = false;
    return event_follow_start(following->options.rooms->client, &spec, &following->events, err);
}

static void start_events(struct following *following)
{
    struct error err = { 0 };

    if (open_events(following, &err) == 0)
        return;
    following->events_ended = true;
    note(following, "", &err);
    set_timer(following, PAUSE_MAX_MS);
}

static void on_timer(void *context)
{
    static const struct error silent = { -ETIMEDOUT, "the holder does not answer" };
    struct following *following = context;

    if (following->ended || following->state == RESTS)
        return;
    if (following->events_ended)
        start_events(following);
    if (following->state == ASKED)
        fail(following, &silent);
    else
        want(following);
}

int following_new(struct following **out_following, const struct following_options *options,
                  struct error *err)
{
    struct following *following = memory_new(sizeof(*following));

    if (following == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    following->options = *options;
    following->timer = (struct http_timer){ .function = on_timer, .context = following };
    pthread_mutex_init(&following->lock, NULL);
    *out_following = following;
    return 0;
}

void following_set(struct following *following, bool on)
{
    if (following->ended || on == (following->state != RESTS))
        return;
    if (on) {
        following->state = WATCHES;
        start_events(following);
        want(following);
        return;
    }
    following->state = RESTS;
    following->events = event_follow_stop(following->events);
    http_timer_clear(following->options.rooms->loop, &following->timer);
    note(following, "", NULL);
}

void following_refused(struct following *following, const char *why)
{
    struct error err = { 0 };

    if (is_past(following, ASKED))
        return;
    error_set(&err, -EBUSY, "%s", why);
    fail(following, &err);
}

void following_end(struct following *following)
{
    if (following == NULL || following->ended)
        return;
    following_set(following, false);
    following->ended = true;
}

struct following *following_free(struct following *following)
{
    if (following == NULL)
        return NULL;
    pthread_mutex_destroy(&following->lock);
    return memory_free(following);
}

static void json_text_or_null(struct json_writer *writer, const char *name, const char *text)
{
    if (text[0] != '\0')
        json_text(writer, name, text);
    else
        json_null(writer, name);
}

void following_json(struct following *following, struct json_writer *writer)
{
    char coming[VERSION_TEXT_SIZE] = "";
    struct error err = { 0 };

    if (following != NULL) {
        pthread_mutex_lock(&following->lock);
        memcpy(coming, following->coming, sizeof(coming));
        err = following->err;
        pthread_mutex_unlock(&following->lock);
    }
    json_text_or_null(writer, "coming", coming);
    json_text_or_null(writer, "error", err.text);
}
