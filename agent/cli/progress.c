/* SPDX-License-Identifier: MIT */
#include "agent/cli/progress.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/platform.h"

#define BAR_TURN_MS 200
#define PLAIN_TURN_MS 2000
#define BAR_WIDTH_MAX 30

struct progress {
    bool bar;
    progress_sampler *sampler;
    void *context;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool ending;
    const char *label; /* of the phase that is shown */
    uint64_t phase_began_ms;
};

int progress_parse(const char *text, enum progress_mode *out, struct error *err)
{
    static const char *const names[] = { "auto", "plain", "none" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum progress_mode)i;
            return 0;
        }
    }
    return error_set(err, -EINVAL, "--progress is auto, plain or none, not \"%s\"", text);
}

static void put_duration(struct buf *out, uint64_t seconds)
{
    if (seconds >= 3600)
        buf_format(out, "%llu:%02u:%02u", (unsigned long long)(seconds / 3600),
                   (unsigned)(seconds / 60 % 60), (unsigned)(seconds % 60));
    else
        buf_format(out, "%u:%02u", (unsigned)(seconds / 60), (unsigned)(seconds % 60));
}

static void put_counts(const struct progress_sample *sample, uint64_t elapsed_ms, struct buf *out)
{
    const uint64_t files = sample->files_total > 0 ? sample->files_total : sample->files_done;
    const char *noun = files == 1 ? "file" : "files";
    char done[NUMBER_SIZE_TEXT], total[NUMBER_SIZE_TEXT], rate[NUMBER_SIZE_TEXT];
    uint64_t per_s = elapsed_ms > 0 ? sample->bytes_done * 1000 / elapsed_ms : 0;

    if (sample->files_total > 0)
        buf_format(out, " %llu/%llu %s", (unsigned long long)sample->files_done,
                   (unsigned long long)sample->files_total, noun);
    else if (sample->files_done > 0)
        buf_format(out, " %llu %s", (unsigned long long)sample->files_done, noun);
    if (sample->bytes_done == 0 && sample->bytes_total == 0)
        return;
    number_format_size(sample->bytes_done, done);
    number_format_size(sample->bytes_total, total);
    number_format_size(per_s, rate);
    if (sample->bytes_total > 0)
        buf_format(out, " %s/%s", done, total);
    else
        buf_format(out, " %s", done);
    if (per_s > 0) /* else nothing moves yet, or it moves where no byte is counted */
        buf_format(out, " %s/s", rate);
    if (sample->bytes_total > sample->bytes_done && per_s > 0) {
        buf_add_text(out, " ETA ");
        put_duration(out, (sample->bytes_total - sample->bytes_done) / per_s);
    }
}

/* How much is done, in parts of `width`. */
static unsigned share(const struct progress_sample *sample, unsigned width)
{
    uint64_t done = sample->bytes_done, total = sample->bytes_total;

    if (total == 0) {
        done = sample->files_done;
        total = sample->files_total;
    }
    if (total == 0)
        return 0;
    return done >= total ? width : (unsigned)((double)done / (double)total * width);
}

void progress_format(const struct progress_sample *sample, uint64_t elapsed_ms, int columns,
                     struct buf *out)
{
    cleanup(buf_release) struct buf counts = buf_init(1024);
    size_t label = strlen(sample->label);
    size_t limit =
        columns > 1 ? (size_t)columns - 1 : 1; /* the last column makes some terminals wrap */
    bool known = sample->bytes_total > 0 || sample->files_total > 0;
    size_t start = out->size;

    put_counts(sample, elapsed_ms, &counts);
    buf_add_text(out, sample->label);
    if (known && label + counts.size + 12 < limit) {
        unsigned room = (unsigned)(limit - label - counts.size - 3);
        unsigned width = room > BAR_WIDTH_MAX ? BAR_WIDTH_MAX : room;
        unsigned full = share(sample, width);
        buf_add_text(out, " [");
        for (unsigned i = 0; i < width; i++)
            buf_add_byte(out, i < full ? '#' : '.');
        buf_add_byte(out, ']');
    }
    buf_add_span(out, buf_span(&counts));
    if (out->size - start > limit)
        out->size = start + limit;
}

static void show(struct progress *progress)
{
    cleanup(buf_release) struct buf line = buf_init(4096);
    struct progress_sample sample = { .label = "" };
    uint64_t now = clock_monotonic_ms();

    progress->sampler(progress->context, &sample);
    if (progress->label != sample.label) {
        progress->label = sample.label;
        progress->phase_began_ms = now;
    }
    if (progress->bar)
        buf_add_byte(&line, '\r');
    progress_format(&sample, now - progress->phase_began_ms,
                    progress->bar ? platform_terminal_columns(2) : 200, &line);
    buf_add_text(&line, progress->bar ? "\033[K" : "\n");
    if (buf_check(&line, NULL) == 0)
        file_write(2, line.bytes, line.size, NULL);
}

/* The time of day at which the next turn is due, as condition variables want it. */
static struct timespec due_in(uint64_t ms)
{
    struct timespec due;

    clock_gettime(CLOCK_REALTIME, &due);
    due.tv_sec += (time_t)(ms / 1000);
    due.tv_nsec += (long)(ms % 1000) * 1000000;
    if (due.tv_nsec >= 1000000000) {
        due.tv_sec++;
        due.tv_nsec -= 1000000000;
    }
    return due;
}

static void *progress_main(void *context)
{
    struct progress *progress = context;

    pthread_mutex_lock(&progress->lock);
    while (!progress->ending) {
        struct timespec due = due_in(progress->bar ? BAR_TURN_MS : PLAIN_TURN_MS);
        if (pthread_cond_timedwait(&progress->ended, &progress->lock, &due) == ETIMEDOUT &&
            !progress->ending)
            show(progress);
    }
    pthread_mutex_unlock(&progress->lock);
    return NULL;
}

int progress_start(enum progress_mode mode, progress_sampler *sampler, void *context,
                   struct progress **out_progress, struct error *err)
{
    struct progress *progress;
    int failure;

    *out_progress = NULL;
    if (mode == PROGRESS_NONE || (mode == PROGRESS_AUTO && !platform_is_terminal(2)))
        return 0;
    progress = memory_new(sizeof(*progress));
    if (progress == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    progress->bar = mode == PROGRESS_AUTO;
    progress->sampler = sampler;
    progress->context = context;
    pthread_mutex_init(&progress->lock, NULL);
    pthread_cond_init(&progress->ended, NULL);
    failure = platform_thread_start(&progress->thread, progress_main, progress);
    if (failure != 0) {
        memory_free(progress);
        return error_system(err, failure, "cannot start a thread");
    }
    *out_progress = progress;
    return 0;
}

struct progress *progress_stop(struct progress *progress)
{
    static const char clear[] = "\r\033[K";

    if (progress == NULL)
        return NULL;
    pthread_mutex_lock(&progress->lock);
    progress->ending = true;
    pthread_cond_signal(&progress->ended);
    pthread_mutex_unlock(&progress->lock);
    pthread_join(progress->thread, NULL);
    if (progress->bar)
        file_write(2, clear, sizeof(clear) - 1, NULL);
    pthread_cond_destroy(&progress->ended);
    pthread_mutex_destroy(&progress->lock);
    return memory_free(progress);
}
