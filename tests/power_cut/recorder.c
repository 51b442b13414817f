/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/recorder.h"

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/power_cut/journal.h"
#include "tests/power_cut/traced_call.h"

#define OPTIONS                                                                               \
    (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | \
     PTRACE_O_TRACEEXEC)
#define TASKS_MAX 256

struct task {
    pid_t id; /* 0: free */
    bool in_call;
    struct traced_call call;
};

struct recorder {
    struct traced traced;
    struct task tasks[TASKS_MAX];
    size_t task_count;
};

void recorder_mark(const char *text)
{
    (void)!write(TRACED_MARK_FD, text, strlen(text));
}

static struct task *task_of(struct recorder *recorder, pid_t id)
{
    struct task *none = NULL;

    for (size_t i = 0; i < TASKS_MAX; i++) {
        if (recorder->tasks[i].id == id)
            return &recorder->tasks[i];
        if (none == NULL && recorder->tasks[i].id == 0)
            none = &recorder->tasks[i];
    }
    if (none == NULL)
        errx(1, "recorder: more than %d tasks", TASKS_MAX);
    *none = (struct task){ .id = id };
    recorder->task_count++;
    return none;
}

static void task_gone(struct recorder *recorder, pid_t id)
{
    *task_of(recorder, id) = (struct task){ .id = 0 };
    recorder->task_count--;
}

/* Every thread stands still; until then a thread may make another one. */
static void seize(struct recorder *recorder, pid_t pid)
{
    char path[64];
    bool found = true;

    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    while (found) {
        DIR *list = opendir(path);
        struct dirent *entry;

        found = false;
        while (list != NULL && (entry = readdir(list)) != NULL) {
            pid_t id = (pid_t)strtol(entry->d_name, NULL, 10);
            size_t before = recorder->task_count;

            if (id <= 0)
                continue;
            task_of(recorder, id);
            if (recorder->task_count == before)
                continue;
            found = true;
            if (ptrace(PTRACE_SEIZE, id, NULL, OPTIONS) != 0 ||
                ptrace(PTRACE_INTERRUPT, id, NULL, NULL) != 0)
                err(1, "tracing %d", (int)id);
            if (waitpid(id, NULL, __WALL) != id)
                err(1, "waiting for %d", (int)id);
        }
        if (list == NULL)
            err(1, "%s", path);
        closedir(list);
    }
}

static void at_call(struct recorder *recorder, struct task *task)
{
    if (!task->in_call) {
        task->in_call = traced_call_begins(&recorder->traced, task->id, &task->call);
    } else {
        traced_call_ended(&recorder->traced, task->id, &task->call);
        task->in_call = false;
    }
}

/* A task that stopped goes on. */
static void look_at(struct recorder *recorder, pid_t id, int status)
{
    struct task *task = task_of(recorder, id);
    int signal = WSTOPSIG(status), event = status >> 16;
    long r;

    if (signal == (SIGTRAP | 0x80)) {
        at_call(recorder, task);
        r = ptrace(PTRACE_SYSCALL, id, NULL, 0);
    } else if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
        r = ptrace(PTRACE_LISTEN, id, NULL, 0);
    } else {
        r = ptrace(PTRACE_SYSCALL, id, NULL, event != 0 ? 0 : signal);
    }
    if (r != 0 && errno != ESRCH) /* killed meanwhile */
        err(1, "tracing %d", (int)id);
}

int recorder_run(pid_t pid, const char *directory, void (*begun)(void *context), void *context,
                 struct journal *journal)
{
    struct recorder *recorder = calloc(1, sizeof(*recorder));
    int status, result = 0;

    if (recorder == NULL)
        err(1, "recorder");
    traced_begin(&recorder->traced, directory, journal);
    seize(recorder, pid);
    traced_look(&recorder->traced);
    for (size_t i = 0; i < TASKS_MAX; i++)
        if (recorder->tasks[i].id != 0 &&
            ptrace(PTRACE_SYSCALL, recorder->tasks[i].id, NULL, 0) != 0)
            err(1, "tracing %d", (int)recorder->tasks[i].id);
    if (begun != NULL)
        begun(context);
    while (recorder->task_count > 0) {
        pid_t id = waitpid(-1, &status, __WALL);

        if (id < 0)
            err(1, "recorder");
        if (WIFSTOPPED(status)) {
            look_at(recorder, id, status);
            continue;
        }
        if (id == pid)
            result = status;
        task_gone(recorder, id);
    }
    traced_end(&recorder->traced);
    free(recorder);
    return result;
}
