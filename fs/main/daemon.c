/* SPDX-License-Identifier: MIT */
#include "fs/main/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/file.h"
#include "fs/main/exit_code.h"

struct outcome {
    int exit_code;
    struct error err;
};

static int wait_for(int fd, pid_t child, struct error *err)
{
    struct outcome outcome = { .exit_code = EXIT_OTHER };
    size_t size = 0;
    int status;

    if (file_read(fd, &outcome, sizeof(outcome), &size, NULL) < 0 || size != sizeof(outcome)) {
        waitpid(child, &status, 0);
        error_set(err, -EIO, "the daemon ended before it was ready");
        return EXIT_OTHER;
    }
    *err = outcome.err;
    return outcome.exit_code;
}

int daemon_split(int *out_ready, struct error *err)
{
    int ends[2], null, code;
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) < 0) {
        error_system(err, errno, "pipe");
        return EXIT_OTHER;
    }
    child = fork();
    if (child != 0) {
        close(ends[1]);
        code = child < 0 ? EXIT_OTHER : wait_for(ends[0], child, err);
        if (child < 0)
            error_system(err, errno, "fork");
        close(ends[0]);
        return code;
    }
    close(ends[0]);
    setsid();
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        close(null);
    }
    *out_ready = ends[1];
    return -1;
}

static void tell(int *ready, const struct outcome *outcome)
{
    /* Whoever waited may be gone: then nobody is to be told. */
    file_write(*ready, outcome, sizeof(*outcome), NULL);
    close(*ready);
    *ready = -1;
}

void daemon_ready(int *ready, const char *log_path)
{
    struct outcome outcome = { .exit_code = EXIT_DONE };
    int fd = -1;

    if (*ready < 0)
        return;
    if (log_path != NULL)
        fd = open(log_path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        dup2(fd, STDERR_FILENO);
        close(fd);
    }
    tell(ready, &outcome);
}

void daemon_failed(int *ready, int exit_code, const struct error *err)
{
    struct outcome outcome = { .exit_code = exit_code, .err = *err };

    if (*ready >= 0)
        tell(ready, &outcome);
}
