/* SPDX-License-Identifier: MIT */
#include "fs/main/looking.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/memory.h"
#include "fs/look/looker.h"
#include "fs/usage/usage.h"

#define TURN_MS 1000

static void found(void *context, const struct look_use *uses, size_t count)
{
    const struct looking *looking = context;
    uint32_t *slots = memory_array(count, sizeof(*slots));

    for (size_t i = 0; slots != NULL && i < count; i++)
        slots[i] = uses[i].slot;
    if (slots != NULL)
        usage_seen(looking->usage, slots, count);
    memory_free(slots);
}

static void turn(void *context)
{
    struct looking *looking = context;

    looker_turn(looking->looker, &looking->device, 1, found, looking);
    http_timer_set(looking->loop, &looking->timer, clock_monotonic_ms() + TURN_MS);
}

void looking_start(struct looking *looking, struct http_loop *loop, struct usage *usage,
                   uint64_t device)
{
    *looking = (struct looking){ .loop = loop, .usage = usage, .device = device };
    looking->timer = (struct http_timer){ .function = turn, .context = looking };
    looking->program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (looking->program >= 0 && looker_new(&looking->looker, looking->program, NULL) == 0)
        turn(looking);
}

void looking_stop(struct looking *looking)
{
    if (looking->loop == NULL)
        return;
    http_timer_clear(looking->loop, &looking->timer);
    looking->looker = looker_free(looking->looker);
    if (looking->program >= 0)
        close(looking->program);
    looking->loop = NULL;
}
