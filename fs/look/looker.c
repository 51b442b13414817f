/* SPDX-License-Identifier: MIT */
#include "fs/look/looker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"

#define DEVICES_MAX 256 /* in one look */
#define LINE_MAX_SIZE 40
#define OUTPUT_MAX ((size_t)LOOKER_USES_MAX * LINE_MAX_SIZE)

struct looker {
    int program;
    pid_t pid; /* 0: no look is going on */
    int pipe;  /* -1: all that it says was read */
    bool is_killed;
    struct buf output;
    uint64_t due_ms, limit_ms;
};

uint64_t looker_every_ms(void)
{
    const char *text = getenv(LOOKER_EVERY_VARIABLE);
    uint64_t every_ms = LOOKER_EVERY_MS;

    if (text != NULL && number_parse(span_text(text), LOOKER_EVERY_MS, &every_ms, NULL) < 0)
        every_ms = LOOKER_EVERY_MS;
    return every_ms;
}

int looker_new(struct looker **out_looker, int program, struct error *err)
{
    struct looker *looker = memory_new(sizeof(*looker));
    uint64_t every_ms = looker_every_ms();

    if (looker == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    looker->program = program;
    looker->pipe = -1;
    looker->output = buf_init(OUTPUT_MAX);
    looker->due_ms =
        clock_monotonic_ms() + (every_ms < LOOKER_FIRST_MS ? every_ms : LOOKER_FIRST_MS);
    *out_looker = looker;
    return 0;
}

struct looker *looker_free(struct looker *looker)
{
    if (looker == NULL)
        return NULL;
    if (looker->pid > 0 && kill(looker->pid, SIGKILL) == 0)
        waitpid(looker->pid, NULL, WNOHANG); /* or else whoever inherits it */
    if (looker->pipe >= 0)
        close(looker->pipe);
    buf_release(&looker->output);
    return memory_free(looker);
}

struct words {
    char numbers[DEVICES_MAX][24];
    char *at[DEVICES_MAX + 3];
};

static void make_words(struct words *words, const uint64_t *devices, size_t count)
{
    size_t used = 0;

    words->at[used++] = (char *)(uintptr_t) "kkartifact-fs";
    words->at[used++] = (char *)(uintptr_t)LOOK_WORD;
    for (size_t i = 0; i < count && i < DEVICES_MAX; i++) {
        snprintf(words->numbers[i], sizeof(words->numbers[i]), "%llu",
                 (unsigned long long)devices[i]);
        words->at[used++] = words->numbers[i];
    }
    words->at[used] = NULL;
}

/* In the child; nothing of the heap is used. It does not outlive whoever looks. */
static _Noreturn void become_look(int program, struct words *words, int output)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (dup2(output, STDOUT_FILENO) >= 0)
        fexecve(program, words->at, environ);
    _exit(127);
}

/* What cannot be begun is tried again when the next one is due. */
static void begin(struct looker *looker, const uint64_t *devices, size_t count, uint64_t now_ms)
{
    struct words words;
    int ends[2];

    looker->due_ms = now_ms + looker_every_ms();
    make_words(&words, devices, count);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return;
    looker->pid = fork();
    if (looker->pid == 0)
        become_look(looker->program, &words, ends[1]);
    close(ends[1]);
    if (looker->pid < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0) {
        close(ends[0]);
        looker->is_killed = true; /* if there is one */
        if (looker->pid > 0)
            kill(looker->pid, SIGKILL);
        else
            looker->pid = 0;
        return;
    }
    looker->pipe = ends[0];
    looker->is_killed = false;
    looker->limit_ms = now_ms + LOOKER_LIMIT_MS;
    buf_clear(&looker->output);
}

/* True when it has said all. */
static bool hear(struct looker *looker)
{
    for (;;) {
        uint8_t bytes[4096];
        ssize_t got = read(looker->pipe, bytes, sizeof(bytes));

        if (got > 0)
            buf_add(&looker->output, bytes, (size_t)got);
        else if (got == 0 || (errno != EINTR && errno != EAGAIN))
            return true;
        else if (errno == EAGAIN)
            return false;
    }
}

static const uint8_t *end_of_line(struct span text)
{
    return text.size > 0 ? memchr(text.bytes, '\n', text.size) : NULL;
}

static bool read_line(struct span line, struct look_use *out)
{
    struct span device_text;
    uint64_t device, slot;

    span_cut(&line, ' ', &device_text);
    if (number_parse(device_text, UINT64_MAX, &device, NULL) < 0 ||
        number_parse(line, UINT32_MAX, &slot, NULL) < 0)
        return false;
    *out = (struct look_use){ device, (uint32_t)slot };
    return true;
}

int looker_read(struct span text, struct look_use **out_uses, size_t *out_count, struct error *err)
{
    struct look_use *uses = NULL, use;
    size_t count = 0, capacity = 0;
    struct span line;

    while (count < LOOKER_USES_MAX && end_of_line(text) != NULL) {
        span_cut(&text, '\n', &line);
        if (!read_line(line, &use))
            continue;
        if (count == capacity) {
            struct look_use *grown = memory_resize(uses, capacity * 2 + 16, sizeof(*grown));
            if (grown == NULL) {
                memory_free(uses);
                return error_set(err, -ENOMEM, "out of memory");
            }
            uses = grown;
            capacity = capacity * 2 + 16;
        }
        uses[count++] = use;
    }
    *out_uses = uses;
    *out_count = count;
    return 0;
}

static void tell(struct looker *looker, looker_found *found, void *context)
{
    struct look_use *uses = NULL;
    size_t count = 0;

    if (looker_read(buf_span(&looker->output), &uses, &count, NULL) == 0)
        found(context, uses, count);
    memory_free(uses);
    buf_release(&looker->output);
}

void looker_turn(struct looker *looker, const uint64_t *devices, size_t count, looker_found *found,
                 void *context)
{
    uint64_t now_ms = clock_monotonic_ms();

    if (looker->pid == 0) {
        if (now_ms >= looker->due_ms && count > 0)
            begin(looker, devices, count, now_ms);
        return;
    }
    if (!looker->is_killed && now_ms >= looker->limit_ms)
        looker->is_killed = kill(looker->pid, SIGKILL) == 0;
    if (looker->pipe >= 0 && (hear(looker) || looker->is_killed)) {
        close(looker->pipe);
        looker->pipe = -1;
        tell(looker, found, context);
    }
    if (looker->pipe < 0 && waitpid(looker->pid, NULL, WNOHANG) != 0)
        looker->pid = 0;
}
