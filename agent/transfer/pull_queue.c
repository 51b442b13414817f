/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_queue.h"

#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_fetch.h"

/* Questions for a delta at a time: whoever finds no room at the server (services.c) gets the whole
 * blob. They keep the two busy that it makes at a time, also over a line that is long. */
#define TURNS 4
#define TURNS_GOOD 8 /* deltas that came, after which there may be room for one more */

struct pull_queue pull_queue_init(struct pull_blob *blobs, size_t count)
{
    return (struct pull_queue){ .blobs = blobs, .count = count, .turns_max = TURNS };
}

static bool is_to_come(const struct pull_blob *blob)
{
    return !blob->is_here && (blob->base == NULL || !blob->base->is_made);
}

static bool comes_as_delta(const struct pull_blob *blob)
{
    return blob->base != NULL && blob->base->is_known;
}

static bool is_next(const struct pull_queue *queue, const struct pull_blob *blob, bool as_delta)
{
    return is_to_come(blob) && comes_as_delta(blob) == as_delta &&
           (!as_delta || blob->base->is_late == queue->is_again);
}

static struct pull_blob *next_blob(struct pull_queue *queue, bool as_delta)
{
    size_t *next = &queue->next[as_delta];

    while (*next < queue->count && !is_next(queue, &queue->blobs[*next], as_delta))
        ++*next;
    return *next < queue->count ? &queue->blobs[(*next)++] : NULL;
}

static struct pull_blob *next_delta(struct pull_queue *queue, bool again)
{
    struct pull_blob *blob = NULL;

    if (!queue->is_again)
        blob = next_blob(queue, true);
    if (blob != NULL || queue->late == 0 || !again)
        return blob;
    if (queue->is_again)
        blob = next_blob(queue, true);
    if (blob == NULL) {
        queue->is_again = true;
        queue->next[true] = 0;
        blob = next_blob(queue, true);
    }
    blob->base->is_late = false;
    queue->late--;
    return blob;
}

struct pull_blob *pull_queue_next(struct pull_queue *queue, bool again)
{
    struct pull_blob *blob = NULL;

    if (queue->turns < queue->turns_max)
        blob = next_delta(queue, again);
    return blob != NULL ? blob : next_blob(queue, false);
}

void pull_queue_take_turn(struct pull_queue *queue)
{
    queue->turns++;
}

void pull_queue_leave_turn(struct pull_queue *queue)
{
    queue->turns--;
}

void pull_queue_put_back(struct pull_queue *queue, struct pull_blob *blob)
{
    blob->base->is_late = true;
    blob->base->times_late++;
    queue->late++;
    queue->turns_max = queue->turns > 0 ? queue->turns : 1;
    queue->good = 0;
}

void pull_queue_delta_came(struct pull_queue *queue)
{
    if (++queue->good < TURNS_GOOD || queue->turns_max >= TURNS)
        return;
    queue->good = 0;
    queue->turns_max++;
}
