/* SPDX-License-Identifier: MIT */
#include "fs/main/care_client.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/platform.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/main/exit_code.h"
#include "fs/session/mount_table.h"

#define ASK_FIRST_MS 10
#define ASK_MOST_MS 200
#define AWAY_MS 15000 /* a daemon that is started anew */

CLEANUP_DEFINE(json, json_free);

struct asking {
    uint64_t device;
    const char *ask, *version;
    int64_t job;
    bool shows; /* on a terminal */
    bool shown;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void take_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static int ask_once(const struct asking *asking, struct json **out_answer, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(4096);
    struct json_writer writer = json_writer_init(&text);
    int r;

    json_begin_object(&writer, NULL);
    json_text(&writer, "ask", asking->ask);
    json_text(&writer, "version", asking->version);
    if (asking->job > 0)
        json_integer(&writer, "job", asking->job);
    json_end(&writer);
    r = buf_check(&text, err);
    return r < 0 ? r : control_ask(asking->device, buf_text(&text), out_answer, err);
}

static uint64_t number(const struct json_value *answer, const char *name)
{
    int64_t value = 0;

    json_member_integer(answer, name, &value, NULL);
    return value < 0 ? 0 : (uint64_t)value;
}

static void show(struct asking *asking, const struct json_value *answer)
{
    char done[NUMBER_SIZE_TEXT], all[NUMBER_SIZE_TEXT];
    uint64_t bytes = number(answer, "bytes");

    if (!asking->shows || bytes == 0)
        return;
    number_format_size(number(answer, "done_bytes"), done);
    number_format_size(bytes, all);
    fprintf(stderr, "\r\033[K%s  %s of %s, %llu of %llu files", asking->ask, done, all,
            (unsigned long long)number(answer, "done_files"),
            (unsigned long long)number(answer, "files"));
    asking->shown = true;
}

static void clear_shown(const struct asking *asking)
{
    if (asking->shown)
        fputs("\r\033[K", stderr);
}

static void sleep_ms(uint64_t ms)
{
    struct timespec wait = { 0, (long)ms * 1000000 };

    nanosleep(&wait, NULL); /* a signal ends it */
}

/* How the work ended. */
static int judge(const struct json_value *answer, struct error *err)
{
    const struct json_value *failure = json_member(answer, "failure");
    const char *text = "";
    int64_t code = EIO;

    if (json_is_null(failure))
        return 0;
    json_member_text(failure, "text", &text, NULL);
    json_member_integer(failure, "code", &code, NULL);
    return error_set(err, code > 0 && code < 4096 ? (int)-code : -EIO, "%s", text);
}

/* The daemon is away, and may come back: the same is asked again. */
static bool is_away(int code, bool answered, uint64_t last_ms)
{
    return answered && (code == -EAGAIN || code == -ENOENT) &&
           clock_monotonic_ms() - last_ms < AWAY_MS;
}

static int wait_for(struct asking *asking, struct json **out_answer, struct error *err)
{
    uint64_t pause_ms = ASK_FIRST_MS, last_ms = clock_monotonic_ms();
    bool answered = false, running = true;

    for (;;) {
        cleanup(cleanup_json) struct json *answer = NULL;
        int r = ask_once(asking, &answer, err);

        if (r < 0 && !is_away(r, answered, last_ms))
            return r;
        if (r == 0) {
            answered = true;
            last_ms = clock_monotonic_ms();
            running = false;
            json_member_bool(json_root(answer), "running", &running, NULL);
            json_member_integer(json_root(answer), "job", &asking->job, NULL);
            show(asking, json_root(answer));
        }
        if (r == 0 && !running) {
            r = judge(json_root(answer), err);
            if (r == 0)
                *out_answer = take_pointer(&answer);
            return r;
        }
        if (interrupted == 0)
            sleep_ms(pause_ms);
        if (interrupted != 0)
            return error_set(err, -EINTR, "interrupted; the mount goes on with it");
        pause_ms = pause_ms * 2 < ASK_MOST_MS ? pause_ms * 2 : ASK_MOST_MS;
    }
}

int care_client_ask(const char *mountpoint, const char *ask, const char *version,
                    struct json **out_answer, struct error *err)
{
    struct asking asking = { .ask = ask,
                             .version = version,
                             .shows = platform_is_terminal(STDERR_FILENO) };
    char *path = realpath(mountpoint, NULL);
    int r;

    if (path == NULL)
        return error_system(err, errno, "%s", mountpoint);
    r = mount_table_device(path, &asking.device, err);
    free(path);
    if (r < 0)
        return error_prefix(err, r, "%s", mountpoint);
    take_signals();
    r = wait_for(&asking, out_answer, err);
    clear_shown(&asking);
    return r;
}

int care_client_exit(int code)
{
    switch (code) {
    case -EINTR:
        return EXIT_INTERRUPTED;
    case -ENOSPC:
    case -EDQUOT:
    case -EROFS:
        return EXIT_LOCAL;
    default:
        return exit_code_of(EXIT_OF_SERVER, code);
    }
}
