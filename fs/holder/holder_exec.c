/* SPDX-License-Identifier: MIT */
/* The command that is run after a switch. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "fs/holder/holder_private.h"

/* In the child. What it prints goes to the log. */
static _Noreturn void become_command(const struct holder *holder)
{
    const struct attach_state *attach = &holder->state.attach;
    const struct {
        const char *name, *value;
    } variables[] = { { "KKARTIFACT_PROJECT", attach->project },
                      { "KKARTIFACT_APP", attach->app },
                      { "KKARTIFACT_VERSION", attach->exec_version },
                      { "KKARTIFACT_PREVIOUS", attach->previous },
                      { "KKARTIFACT_TARGET", holder->state.mountpoint } };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++)
        if (setenv(variables[i].name, variables[i].value, 1) < 0)
            _exit(127);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", attach->exec, (char *)NULL);
    _exit(127);
}

static void note_result(struct attach_state *attach, const char *text)
{
    attach->exec_at_s = clock_now_s();
    (void)snprintf(attach->exec_result, sizeof(attach->exec_result), "%s", text);
    if (text[0] != '\0')
        log_error("--exec for %s: %s", attach->exec_version, text);
}

static void start(struct holder *holder)
{
    struct attach_state *attach = &holder->state.attach;
    pid_t pid;

    holder->wants_exec = false;
    if (holder->current == NULL)
        return;
    memcpy(attach->exec_version, holder->current->state->version, sizeof(attach->exec_version));
    pid = fork();
    if (pid == 0)
        become_command(holder);
    if (pid < 0)
        note_result(attach, strerror(errno));
    else
        attach->exec_pid = pid;
    holder_save(holder);
}

void exec_due(struct holder *holder)
{
    if (holder->state.attach.exec == NULL)
        return;
    holder->wants_exec = true;
    if (holder->state.attach.exec_pid == 0)
        start(holder);
}

void exec_ended(struct holder *holder, int status)
{
    struct attach_state *attach = &holder->state.attach;
    char text[sizeof(attach->exec_result)] = "";

    attach->exec_pid = 0;
    if (WIFSIGNALED(status))
        (void)snprintf(text, sizeof(text), "signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        (void)snprintf(text, sizeof(text), "exit code %d", WEXITSTATUS(status));
    note_result(attach, text);
    holder_save(holder);
    if (holder->wants_exec && !holder->over)
        start(holder);
}
