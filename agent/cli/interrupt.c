/* SPDX-License-Identifier: MIT */
#include "agent/cli/interrupt.h"

#include <pthread.h>
#include <stddef.h>
#include <unistd.h>

#include "agent/cli/interrupt_signal.h"
#include "common/model/problem.h"

/* Signals have no context of their own. */
static atomic_bool interrupted, hangup_ignored;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void (*on_interrupt)(void *context);
static void *on_interrupt_context;

const atomic_bool *interrupt_flag(void)
{
    return &interrupted;
}

void interrupt_on(void (*function)(void *context), void *context)
{
    pthread_mutex_lock(&lock);
    on_interrupt = function;
    on_interrupt_context = context;
    if (function != NULL && atomic_load(&interrupted))
        function(context);
    pthread_mutex_unlock(&lock);
}

void interrupt_arrived(void)
{
    if (atomic_exchange(&interrupted, true))
        _exit(EXIT_INTERRUPTED);
    pthread_mutex_lock(&lock);
    if (on_interrupt != NULL)
        on_interrupt(on_interrupt_context);
    pthread_mutex_unlock(&lock);
}

void interrupt_ignore_hangup(void)
{
    atomic_store(&hangup_ignored, true);
}

void interrupt_hung_up(void)
{
    if (!atomic_load(&hangup_ignored))
        interrupt_arrived();
}
