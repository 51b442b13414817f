/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>

#include "agent/cli/interrupt.h"
#include "agent/cli/interrupt_signal.h"
#include "common/base/error.h"
#include "common/base/platform.h"

static sigset_t watched(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    return set;
}

static void *interrupt_main(void *context)
{
    sigset_t set = watched();
    int number;

    while (sigwait(&set, &number) == 0) {
        if (number == SIGHUP)
            interrupt_hung_up();
        else
            interrupt_arrived();
    }
    return NULL;
}

int interrupt_start(struct error *err)
{
    sigset_t set = watched();
    pthread_t thread;
    int failure;

    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    failure = platform_thread_start(&thread, interrupt_main, NULL);
    if (failure != 0)
        return error_system(err, failure, "cannot start a thread");
    pthread_detach(thread);
    return 0;
}
