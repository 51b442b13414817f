/* SPDX-License-Identifier: MIT */
#include "common/base/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define LOOK_NS 20000000

extern char **environ;

static const struct shell_variable *find(const struct shell_variable *variables, const char *entry)
{
    for (const struct shell_variable *at = variables; at->name != NULL; at++) {
        const size_t size = strlen(at->name);

        if (strncmp(entry, at->name, size) == 0 && entry[size] == '=')
            return at;
    }
    return NULL;
}

/* The texts of *texts and, NULL-ended, where each begins. */
static int make_environment(const struct shell_variable *variables, struct buf *texts, char ***out,
                            struct error *err)
{
    size_t count = 0, at = 0;
    char **list;
    int r;

    for (char **entry = environ; *entry != NULL; entry++) {
        if (find(variables, *entry) != NULL)
            continue;
        buf_add(texts, *entry, strlen(*entry) + 1);
        count++;
    }
    for (const struct shell_variable *one = variables; one->name != NULL; one++) {
        if (one->value == NULL)
            continue;
        buf_format(texts, "%s=%s", one->name, one->value);
        buf_add_byte(texts, '\0');
        count++;
    }
    r = buf_check(texts, err);
    list = r == 0 ? memory_array(count + 1, sizeof(*list)) : NULL;
    if (list == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        list[i] = (char *)texts->bytes + at;
        at += strlen(list[i]) + 1;
    }
    *out = list;
    return 0;
}

/* Our threads block the signals that a person sends; the command's own do not. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, plain;
    int failure;

    sigemptyset(&none);
    sigemptyset(&plain);
    sigaddset(&plain, SIGPIPE);
    sigaddset(&plain, SIGINT);
    sigaddset(&plain, SIGTERM);
    sigaddset(&plain, SIGHUP);
    failure = posix_spawnattr_setsigmask(attributes, &none);
    if (failure == 0)
        failure = posix_spawnattr_setsigdefault(attributes, &plain);
    if (failure == 0)
        failure = posix_spawnattr_setpgroup(attributes, 0);
    if (failure == 0)
        failure =
            posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                     POSIX_SPAWN_SETPGROUP);
    return failure;
}

#ifdef __GLIBC_PREREQ /* elsewhere it is no macro that can be asked */
#if __GLIBC_PREREQ(2, 34)
#define HAVE_CLOSE_FROM
#endif
#endif

/* What libraries opened, as connections that stay open to a server, is not the command's: a daemon
 * that it starts would keep them. */
static int close_others(posix_spawn_file_actions_t *actions)
{
#ifdef HAVE_CLOSE_FROM
    return posix_spawn_file_actions_addclosefrom_np(actions, 3);
#else
    return 0;
#endif
}

static int set_files(posix_spawn_file_actions_t *actions)
{
    int failure = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);

    if (failure == 0)
        failure = posix_spawn_file_actions_adddup2(actions, 2, 1);
    return failure == 0 ? close_others(actions) : failure;
}

static int start(const char *command, char **environment, pid_t *out, struct error *err)
{
    const char *arguments[] = { "sh", "-c", command, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int failure;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    failure = set_files(&actions);
    if (failure == 0)
        failure = set_attributes(&attributes);
    if (failure == 0)
        failure = posix_spawn(out, "/bin/sh", &actions, &attributes,
                              (char *const *)(uintptr_t)arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure == 0 ? 0 : error_system(err, failure, "/bin/sh");
}

/* It has ended, and keeps its number until it is fetched: 1. Not yet: 0. */
static int has_ended(pid_t pid)
{
    siginfo_t info = { 0 };

    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        return errno == EINTR ? 0 : -errno;
    return info.si_pid == pid;
}

static int wait_for(pid_t pid, const atomic_bool *stop, int *out_status, struct error *err)
{
    const struct timespec nap = { .tv_nsec = LOOK_NS };
    bool asked = false;
    int status = 0;
    int ended;

    while ((ended = has_ended(pid)) == 0) {
        if (!asked && stop != NULL && atomic_load(stop)) {
            kill(-pid, SIGTERM);
            asked = true;
        }
        nanosleep(&nap, NULL);
    }
    if (asked) /* what it has started since, for one that ends in its own time */
        kill(-pid, SIGTERM);
    if (ended < 0 || waitpid(pid, &status, 0) < 0)
        return error_system(err, ended < 0 ? -ended : errno, "wait for /bin/sh");
    *out_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return 0;
}

int shell_run(const char *command, const struct shell_variable *variables, const atomic_bool *stop,
              int *out_status, struct error *err)
{
    cleanup(buf_release) struct buf texts = buf_init(BUF_UNLIMITED);
    cleanup_memory char **environment = NULL;
    pid_t pid;
    int r = make_environment(variables, &texts, &environment, err);

    if (r == 0)
        r = start(command, environment, &pid, err);
    return r < 0 ? r : wait_for(pid, stop, out_status, err);
}
