/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct error;
struct holder_state;

/*
 * holder - keeps a mount alive: /dev/fuse, the mount itself, the memory of requests, and one worker
 * after the other (docs/design/mount.md).
 *
 * It is root, and does nothing that strangers could drive: no network, no request of the kernel,
 * no file of the cache. One thread, one loop. A worker that ends without being told to is followed
 * by another at once. After HOLDER_DEATHS in a row of which none answered a request, or lived ten
 * seconds, there is a pause before the next, from a second to half a minute; meanwhile a worker of
 * a simpler kind stands in, which answers what is past its deadline with EIO. A worker whose event
 * loop does not turn for ten seconds is killed.
 *
 * Of an attach (holder_state.h) it is the same for one connection after the other, each of which
 * shows one version at the same place; former ones are kept alive until nobody uses them. Then it
 * ends with the last.
 *
 * It ends when the mount does: unmounted, or by SIGTERM or SIGINT. When it is killed the worker
 * goes on alone, and nobody follows it; a service manager that keeps descriptors starts a new
 * holder that finds the mount there.
 */
struct holder;

#define HOLDER_WORD "--holder"
#define HOLDER_CHECK_WORD "--holder-check"
#define HOLDER_DEATHS 5

/* Fills *state (initialised) from what the service manager kept of a mount at `mountpoint`, shown
 * as `source`: only what belongs to that mount. The descriptors are then in state->descriptors and
 * in *out_state_fd. False: there is none, or none that goes on. */
bool holder_find_kept(struct holder_state *state, const char *mountpoint, const char *source,
                      int *out_state_fd);

/* Starts: with a state that names a mount (holder_find_kept) it goes on with that one, else it
 * mounts, when the first worker has found the store. Returns when the mount answers. Takes over
 * *state and state_fd (-1: a new one), also on failure. *out_exit_code: as the worker judged the
 * failure; 0 when it was the holder's own. */
int holder_open(struct holder **out_holder, struct holder_state *state, int state_fd,
                int *out_exit_code, struct error *err);

/* After an upgrade, in the new program: from the state that the old one left. The worker of before
 * is replaced. */
int holder_resume(struct holder **out_holder, int state_fd, struct error *err);
/* Whether this program could do so: what an old holder has a new program tell before it becomes
 * it. */
int holder_check(int state_fd, struct error *err);

/* Whether something may be attached at a place (resolved): -EBUSY when a mount of ours is there
 * that somebody holds. One whose holder is gone is taken over, without a gap. */
int holder_check_place(const char *target, struct error *err);

uint64_t holder_device(const struct holder *holder);
/* The worker writes to what is the holder's standard error now. */
void holder_share_log(struct holder *holder);

/* Until the mount ends. 0, or why it broke. Does not return after an upgrade. */
int holder_run(struct holder *holder, struct error *err);
/* Ends the worker, takes the mount away. NULL is fine; returns NULL. */
struct holder *holder_close(struct holder *holder);
