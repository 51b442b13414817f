/* SPDX-License-Identifier: MIT */
#include "fs/care/scrubber.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/client/blob_check.h"
#include "fs/care/scrub_place.h"

#define TICK_MS 1000
#define YIELD_STEP_MS 20
#define SAVE_MS 30000
#define PATH_SIZE_MAX 8192
#define TEXT_MAX 512
/* ioprio_set(2) has no wrapper. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

struct scrubber {
    struct scrubber_options options;
    char *path; /* DIR/scrub */
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stopping;
    bool elsewhere;
    struct scrub_place place;
    /* the thread's own */
    int fd;        /* of DIR/scrub, locked; -1 */
    bool unlocked; /* DIR/scrub cannot be made: nobody else can lock it */
    uint64_t next_ms, saved_ms;
};

/* Waiting ------------------------------------------------------------------------ */

/* True: it is to end. */
static bool sleep_until(struct scrubber *scrubber, uint64_t until_ms)
{
    struct timespec until = { (time_t)(until_ms / 1000), (long)(until_ms % 1000) * 1000000 };
    int r = 0;
    bool stopping;

    pthread_mutex_lock(&scrubber->lock);
    while (!scrubber->stopping && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&scrubber->changed, &scrubber->lock, &until);
    stopping = scrubber->stopping;
    pthread_mutex_unlock(&scrubber->lock);
    return stopping;
}

static bool yields(struct scrubber *scrubber)
{
    const struct scrubber_options *options = &scrubber->options;
    uint64_t until_ms = clock_monotonic_ms() + SCRUB_YIELD_MS;

    while (options->is_busy != NULL && options->is_busy(options->context) &&
           clock_monotonic_ms() < until_ms)
        if (sleep_until(scrubber, clock_monotonic_ms() + YIELD_STEP_MS))
            return true;
    return false;
}

static bool step(void *context, size_t size)
{
    struct scrubber *scrubber = context;
    uint64_t now = clock_monotonic_ms();

    if (yields(scrubber) || sleep_until(scrubber, scrubber->next_ms))
        return true;
    if (scrubber->next_ms < now) /* what was not used is not saved up */
        scrubber->next_ms = now;
    scrubber->next_ms += (uint64_t)size * 1000 / scrubber->options.bytes_per_s;
    return false;
}

/* The place on disk ---------------------------------------------------------------- */

static void load_place(struct scrubber *scrubber)
{
    char text[TEXT_MAX];
    struct scrub_place place;
    size_t size = 0;

    if (file_read_at(scrubber->fd, 0, text, sizeof(text), &size, NULL) < 0 ||
        scrub_place_read(span_of(text, size), &place) < 0)
        return;
    pthread_mutex_lock(&scrubber->lock);
    scrubber->place = place;
    pthread_mutex_unlock(&scrubber->lock);
}

static void save_place(struct scrubber *scrubber)
{
    cleanup(buf_release) struct buf text = buf_init(TEXT_MAX);

    scrubber->saved_ms = clock_monotonic_ms();
    scrub_place_write(&scrubber->place, &text);
    /* Nothing rests on it: a line that is torn begins the pass anew. */
    if (scrubber->fd >= 0 && buf_check(&text, NULL) == 0)
        file_write_at(scrubber->fd, 0, text.bytes, text.size, NULL);
}

/* Whether the work is ours. */
static bool is_ours(struct scrubber *scrubber)
{
    bool elsewhere = false;

    if (scrubber->fd < 0 && !scrubber->unlocked) {
        int fd = open(scrubber->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0) {
            scrubber->unlocked = true;
        } else if (file_lock(fd, NULL) < 0) {
            close(fd);
            elsewhere = true;
        } else {
            scrubber->fd = fd;
            load_place(scrubber);
        }
    }
    pthread_mutex_lock(&scrubber->lock);
    scrubber->elsewhere = elsewhere;
    pthread_mutex_unlock(&scrubber->lock);
    return !elsewhere;
}

/* A pass -------------------------------------------------------------------------- */

static bool is_due(const struct scrub_place *place, uint64_t every_ms)
{
    int64_t now = clock_now_s();

    return place->in_pass || place->started_at_s == 0 || place->started_at_s > now ||
           (uint64_t)(now - place->started_at_s) * 1000 >= every_ms;
}

static void begin(struct scrubber *scrubber)
{
    struct scrub_place *place = &scrubber->place;

    if (place->in_pass)
        return;
    pthread_mutex_lock(&scrubber->lock);
    *place = (struct scrub_place){ .in_pass = true,
                                   .started_at_s = clock_now_s(),
                                   .ended_at_s = place->ended_at_s,
                                   .passes = place->passes };
    pthread_mutex_unlock(&scrubber->lock);
    save_place(scrubber);
}

static void note(struct scrubber *scrubber, const struct digest *name, uint64_t size, int result)
{
    pthread_mutex_lock(&scrubber->lock);
    scrubber->place.name = *name;
    if (result == 0 || result == -EBADMSG) {
        scrubber->place.objects++;
        scrubber->place.bytes += size;
        scrubber->place.wrong += result != 0;
    }
    pthread_mutex_unlock(&scrubber->lock);
    if (clock_monotonic_ms() - scrubber->saved_ms >= SAVE_MS || result == -EBADMSG)
        save_place(scrubber);
}

/* False: it is to end. */
static bool check(struct scrubber *scrubber, enum blob_kind kind, const struct digest *name)
{
    const struct scrubber_options *options = &scrubber->options;
    struct blob_check how = { step, scrubber };
    struct error err = { 0 };
    uint64_t size = 0;
    int r;

    blob_cache_look_aside(options->cache);
    r = blob_cache_check(options->cache, kind, name, &how, &size, &err);

    if (r == -ECANCELED)
        return false;
    if (r == -EBADMSG && options->found != NULL)
        options->found(options->context, kind, name, err.text);
    note(scrubber, name, size, r);
    return true;
}

static bool scrub_folder(struct scrubber *scrubber)
{
    uint32_t folder = scrubber->place.folder;
    enum blob_kind kind = folder < SCRUB_FOLDERS / 2 ? BLOB_CONTENT : BLOB_TREE;
    cleanup_memory struct digest *names = NULL;
    size_t count = 0;

    if (blob_cache_names(scrubber->options.cache, kind, (uint8_t)folder, &names, &count, NULL) < 0)
        return !sleep_until(scrubber, clock_monotonic_ms() + TICK_MS);
    for (size_t i = 0; i < count; i++)
        if (digest_compare(&names[i], &scrubber->place.name) > 0 &&
            !check(scrubber, kind, &names[i]))
            return false;
    return true;
}

static void pass(struct scrubber *scrubber)
{
    struct scrub_place *place = &scrubber->place;
    bool goes_on = true;

    begin(scrubber);
    while (goes_on && place->in_pass) {
        goes_on = scrub_folder(scrubber);
        if (!goes_on)
            break;
        pthread_mutex_lock(&scrubber->lock);
        place->folder++;
        memset(&place->name, 0, sizeof(place->name));
        if (place->folder == SCRUB_FOLDERS) {
            place->folder = 0;
            place->in_pass = false;
            place->passes++;
            place->ended_at_s = clock_now_s();
        }
        pthread_mutex_unlock(&scrubber->lock);
    }
    save_place(scrubber);
}

/* The thread ------------------------------------------------------------------------ */

static void be_humble(void)
{
    pid_t self = (pid_t)syscall(SYS_gettid);

    setpriority(PRIO_PROCESS, (id_t)self, 19);
    syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, self, IOPRIO_IDLE);
}

static void *scrubber_main(void *context)
{
    struct scrubber *scrubber = context;

    be_humble();
    is_ours(scrubber); /* where it is can be told at once */
    while (!sleep_until(scrubber, clock_monotonic_ms() + TICK_MS)) {
        blob_cache_look_aside(scrubber->options.cache);
        if (is_ours(scrubber) && is_due(&scrubber->place, scrubber->options.every_ms))
            pass(scrubber);
    }
    return NULL;
}

static struct scrubber *release(struct scrubber *scrubber)
{
    cleanup_fd_at(&scrubber->fd);
    pthread_cond_destroy(&scrubber->changed);
    pthread_mutex_destroy(&scrubber->lock);
    memory_free(scrubber->path);
    return memory_free(scrubber);
}

int scrubber_start(struct scrubber **out_scrubber, const struct scrubber_options *options,
                   struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE_MAX);
    struct scrubber *scrubber = memory_new(sizeof(*scrubber));
    pthread_condattr_t monotonic;
    int r;

    if (scrubber == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    scrubber->options = *options;
    scrubber->fd = -1;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&scrubber->lock, NULL);
    pthread_cond_init(&scrubber->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    buf_format(&path, "%s/scrub", options->directory);
    scrubber->path = buf_take(&path);
    r = scrubber->path == NULL ? ENOMEM
                               : platform_thread_start(&scrubber->thread, scrubber_main, scrubber);
    if (r != 0) {
        release(scrubber);
        return error_system(err, r, "the scrubber's thread");
    }
    *out_scrubber = scrubber;
    return 0;
}

struct scrubber *scrubber_stop(struct scrubber *scrubber)
{
    if (scrubber == NULL)
        return NULL;
    pthread_mutex_lock(&scrubber->lock);
    scrubber->stopping = true;
    pthread_cond_signal(&scrubber->changed);
    pthread_mutex_unlock(&scrubber->lock);
    pthread_join(scrubber->thread, NULL);
    return release(scrubber);
}

void scrubber_progress(struct scrubber *scrubber, struct scrub_progress *out)
{
    const struct scrub_place *place = &scrubber->place;

    pthread_mutex_lock(&scrubber->lock);
    *out = (struct scrub_progress){
        .state = scrubber->elsewhere ? SCRUB_ELSEWHERE
                 : place->in_pass    ? SCRUB_RUNS
                                     : SCRUB_WAITS,
        .passes = place->passes,
        .objects = place->objects,
        .bytes = place->bytes,
        .wrong = place->wrong,
        .started_at_s = place->started_at_s,
        .ended_at_s = place->ended_at_s,
        .done_percent = place->in_pass ? place->folder * 100 / SCRUB_FOLDERS : 100,
    };
    pthread_mutex_unlock(&scrubber->lock);
}
