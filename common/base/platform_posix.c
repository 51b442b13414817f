/* SPDX-License-Identifier: MIT */
#include "common/base/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif

int platform_entropy(void *out, size_t size)
{
    return getentropy(out, size);
}

int platform_thread_start(pthread_t *out_thread, void *(*main)(void *), void *context)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(out_thread, NULL, main, context);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

int platform_guard_standard(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
            continue;
        /* The lowest free number, so this one; children have it too. */
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            return errno;
    }
    return 0;
}

size_t platform_cpu_count(void)
{
    long count;
#ifdef __linux__
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (size_t)CPU_COUNT(&set);
#endif
    count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (size_t)count;
}

bool platform_is_terminal(int fd)
{
    return isatty(fd) == 1;
}

int platform_terminal_columns(int fd)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void platform_host_name(char *out, size_t size)
{
    if (gethostname(out, size) != 0 || out[0] == '\0') {
        static const char unknown[] = "unknown";
        size_t copied = size < sizeof(unknown) ? size : sizeof(unknown);
        memcpy(out, unknown, copied);
    }
    out[size - 1] = '\0';
}
