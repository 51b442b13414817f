/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "agent/transfer/pull_base.h"
#include "agent/transfer/pull_lane.h"
#include "agent/transfer/pull_patch.h"
#include "agent/transfer/transfer.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/workers.h"
#include "common/client/api_client.h"
#include "common/model/delta.h"

#define LATER_MS 500 /* so long nothing is asked for again that there was no turn for */

bool lane_is_delta(const struct api_answer *answer)
{
    const char *type = http_headers_get(answer->headers, "Content-Type");

    return type != NULL && strcmp(type, DELTA_MEDIA_TYPE) == 0;
}

/* Failures that are not those of the delta alone. */
static bool is_fatal(int r)
{
    return r == -ECANCELED || r == -ENOMEM || r == -EAGAIN || r == -ETIMEDOUT || r == -EPERM;
}

static void come_whole(struct lane *lane, const struct error *cause)
{
    transfer_detail(lane->fetching->options->transfer, "%s: no delta: %s", lane->blob->base->path,
                    cause->text);
    lane->blob->base->is_known = false;
    directory_remove_file(lane->fetching->options->stage, lane->part, NULL);
    lane_restart(lane);
    lane_fetch(lane);
}

static void apply_delta(void *context)
{
    struct lane *lane = context;
    const struct pull_fetch_options *options = lane->fetching->options;
    const struct pull_patch patch = { .transfer = options->transfer,
                                      .dest = options->dest,
                                      .stage = options->stage,
                                      .blob = lane->blob,
                                      .delta = lane->part,
                                      .made = lane->made };

    lane->patch_result = pull_patch_apply(&patch, &lane->disk_failed, &lane->patch_error);
    http_loop_post_at(lane->fetching->loop, &lane->patched);
}

/* The delta was right, its base not quite. */
static void leave_to_mend(struct lane *lane)
{
    lane->blob->base->is_made = true;
    lane->blob->base->is_known = false;
    directory_remove_file(lane->fetching->options->stage, lane->part, NULL);
    lane_restart(lane);
    lane->blob = NULL;
    lane_fill(lane);
}

void lane_delta_is_applied(void *context)
{
    struct lane *lane = context;
    struct fetching *fetching = lane->fetching;
    struct transfer *transfer = fetching->options->transfer;
    struct error err = lane->patch_error;
    int r = lane->patch_result;

    fetching->at_threads--;
    if (fetching->result != 0) {
        directory_remove_file(fetching->options->stage, lane->made, NULL);
        lane_end(lane);
        return;
    }
    if (r == PULL_PATCH_CHANGED) {
        leave_to_mend(lane);
        return;
    }
    if (r < 0 && !is_fatal(r) && !lane->disk_failed) {
        come_whole(lane, &err);
        return;
    }
    if (r < 0 && lane->disk_failed)
        transfer_local(transfer, r);
    if (r == 0)
        r = lane_keep(lane, lane->made, &err);
    if (r < 0) {
        lane_fail(lane, r, &err);
        return;
    }
    directory_remove_file(fetching->options->stage, lane->part, NULL);
    transfer_detail(transfer, "%s: delta, %llu bytes of %llu", lane->blob->base->path,
                    (unsigned long long)lane->body.offset, (unsigned long long)lane->blob->size);
    transfer_done(transfer, 0, lane->blob->size - lane->body.offset);
    lane_is_done(lane);
}

void lanes_pause_is_over(void *context)
{
    struct fetching *fetching = context;

    fetching->is_paused = false;
    lanes_fill(fetching);
}

/* There was no turn for it: others are there as well. */
static void come_later(struct lane *lane)
{
    struct fetching *fetching = lane->fetching;

    transfer_detail(fetching->options->transfer, "%s: the server has no turn for a delta",
                    lane->blob->base->path);
    pull_queue_put_back(&fetching->queue, lane->blob);
    if (!fetching->is_paused)
        fetching->is_paused =
            http_timer_set(fetching->loop, &fetching->pause, clock_monotonic_ms() + LATER_MS) == 0;
    directory_remove_file(fetching->options->stage, lane->part, NULL);
    lane_restart(lane);
    pull_body_close(&lane->body);
    lane->blob = NULL;
    lane_fill(lane);
}

bool lane_take_delta(struct lane *lane, const struct api_answer *answer)
{
    if (!lane->asks_delta)
        return false;
    if (answer->code == 0 && answer->status == 202 && lane->may_come_later) {
        come_later(lane);
        return true;
    }
    if (answer->code == 0 && lane_is_delta(answer)) {
        pull_queue_delta_came(&lane->fetching->queue);
        pull_body_close(&lane->body);
        lane->fetching->at_threads++;
        workers_submit(lane->fetching->workers, apply_delta, lane);
        return true;
    }
    if (answer->code == 0 || lane->disk_failed ||
        (is_fatal(answer->code) &&
         answer->status != 500)) /* 500: deltas may be all that is broken */
        return false;
    come_whole(lane, &answer->err);
    return true;
}
