/* SPDX-License-Identifier: MIT */
/* One version at one place, and the next one in its stead. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/control/control_path.h"
#include "fs/holder/holder_private.h"
#include "fs/holder/json_bytes.h"
#include "fs/session/kernel_mount.h"
#include "fs/session/kernel_place.h"
#include "fs/session/mount_table.h"

#define SUBTYPE "kkartifact"
#define TYPE "fuse." SUBTYPE
#define STACK_MAX 16
#define LOCK_TURNS 300

/* For tests: as on a kernel before 6.5; and ends the process at a step of a switch. */
#define WITHOUT_BENEATH "KKARTIFACT_FS_WITHOUT_BENEATH"
#define DIE_AT "KKARTIFACT_FS_DIE_AT"

CLEANUP_DEFINE(json, json_free);

static void die_at(const char *step)
{
    const char *named = getenv(DIE_AT);

    if (named != NULL && strcmp(named, step) == 0)
        kill(getpid(), SIGKILL);
}

int attach_connect(struct seat *seat, struct error *err)
{
    struct holder *holder = seat->holder;
    const struct kernel_mount_options options = { .source = holder->state.source,
                                                  .subtype = SUBTYPE,
                                                  .allow_other = true,
                                                  .noexec = holder->state.noexec };
    uint64_t device = 0;
    int r = kernel_place_make(seat->state->descriptors.fuse, &options, &holder->coming_mount,
                              &device, err);

    if (r < 0)
        return r;
    holder->coming = seat;
    r = seat_take_device(seat, device, err);
    return r == 0 ? seat_open_sockets(seat, false, err) : r;
}

/* Of what a worker says of itself, or asks for. */
static int read_version(const struct json_value *said, const char *member, struct seat_state *out,
                        struct error *err)
{
    const char *version = "", *tree = "";
    struct digest digest;
    int r = json_member_text(said, member, &version, err);

    if (r == 0)
        r = json_member_text(said, "tree", &tree, err);
    if (r == 0)
        r = name_check(NAME_VERSION, span_text(version), err);
    if (r == 0)
        r = digest_parse(span_text(tree), &digest, err);
    if (r < 0)
        return r;
    (void)snprintf(out->version, sizeof(out->version), "%s", version);
    digest_hex(&digest, out->tree);
    return 0;
}

/* What is at a place is changed by one holder at a time. */
static int take_lock(int *out_fd, struct error *err)
{
    static const struct timespec turn = { .tv_nsec = 10 * 1000 * 1000 };
    cleanup(buf_release) struct buf path = buf_init(4096);
    cleanup_fd int fd = -1;
    int r = control_path_directory(&path, err);

    buf_add_text(&path, "/attach.lock");
    if (r == 0)
        r = buf_check(&path, err);
    if (r < 0)
        return r;
    fd = open(buf_text(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_system(err, errno, "%s", buf_text(&path));
    r = file_lock(fd, err);
    for (unsigned left = LOCK_TURNS; r == -EBUSY && left > 0; left--) {
        nanosleep(&turn, NULL);
        r = file_lock(fd, err);
    }
    if (r < 0)
        return error_prefix(err, r, "%s", buf_text(&path));
    *out_fd = take_fd(&fd);
    return 0;
}

/* A worker that goes on without its holder: of an attach it may be replaced, of a mount not. */
static bool is_shown_by_attach(uint64_t device)
{
    cleanup(cleanup_json) struct json *answer = NULL;

    return control_ask(device, "{\"ask\":\"status\"}", &answer, NULL) < 0 ||
           !json_is_null(json_member(json_root(answer), "attached"));
}

int holder_check_place(const char *target, struct error *err)
{
    cleanup(cleanup_json) struct json *answer = NULL;
    uint64_t device;

    if (mount_table_stack(target, TYPE, &device, 1) == 0)
        return 0;
    if (control_ask_holder(device, "{\"ask\":\"state\"}", &answer, NULL) < 0 &&
        is_shown_by_attach(device))
        return 0;
    return error_set(err, -EBUSY, "%s is in use by a mount of ours", target);
}

static int take_all_off(const char *target, size_t keep, struct error *err)
{
    uint64_t devices[STACK_MAX];
    size_t count;
    int r = 0;

    while (r == 0 && (count = mount_table_stack(target, TYPE, devices, STACK_MAX)) > keep)
        r = kernel_place_take_off(target, devices[0], err);
    return r;
}

/* Where the kernel puts nothing below: away with the one, then the other. */
static int place_with_gap(struct holder *holder, struct error *err)
{
    const char *target = holder->state.mountpoint;
    uint64_t began_ms = clock_monotonic_ms();
    int r = take_all_off(target, 0, err);

    die_at("gap");
    if (r == 0)
        r = kernel_place_on(holder->coming_mount, target, err);
    if (r == 0)
        log_warning("%s had no version for %llu ms: this kernel puts no mount below another",
                    target, (unsigned long long)(clock_monotonic_ms() - began_ms));
    return r;
}

/* Below the one that is there, which is then taken off: whoever opens something meanwhile gets the
 * one or the other. When the process ends in between, who attaches next sees two of ours there: the
 * lower one is the newer. */
static int place_beneath(struct holder *holder, uint64_t shown, struct error *err)
{
    const char *target = holder->state.mountpoint;
    int r = getenv(WITHOUT_BENEATH) == NULL
                ? kernel_place_beneath(holder->coming_mount, target, err)
                : -EINVAL;

    if (r == -EINVAL)
        return place_with_gap(holder, err);
    if (r < 0)
        return r;
    die_at("beneath");
    if (kernel_place_take_off(target, shown, err) < 0)
        log_error("%s: the former version stays on top: %s", target,
                  err != NULL ? err->text : "it cannot be taken off");
    die_at("taken_off");
    return 0;
}

/* On what is there, be it mounts of ours whose holder is gone. */
static int place_first(struct holder *holder, struct error *err)
{
    const char *target = holder->state.mountpoint;
    uint64_t device;
    int r = holder_check_place(target, err);

    if (r == 0)
        r = take_all_off(target, 1, err);
    if (r < 0)
        return r;
    if (mount_table_stack(target, TYPE, &device, 1) == 0)
        return kernel_place_on(holder->coming_mount, target, err);
    log_info("%s: what was attached there before is replaced", target);
    return place_beneath(holder, device, err);
}

static int place_next(struct holder *holder, struct error *err)
{
    uint64_t device = 0;

    die_at("made");
    if (holder->is_detached || holder->current == NULL ||
        mount_table_device(holder->state.mountpoint, &device, NULL) < 0 ||
        device != holder->current->state->device) {
        attach_detach(holder);
        return error_set(err, -ENOENT, "what was attached at %s is not there any more",
                         holder->state.mountpoint);
    }
    return place_beneath(holder, device, err);
}

static void forget_coming(struct holder *holder)
{
    if (holder->coming_mount >= 0)
        close(holder->coming_mount);
    holder->coming_mount = -1;
    holder->coming = NULL;
}

/* It is in its place. */
static void switched(struct holder *holder, struct seat *seat)
{
    struct attach_state *attach = &holder->state.attach;
    struct seat *former = holder->current;

    forget_coming(holder);
    holder->current = seat;
    if (former != NULL) {
        memcpy(attach->previous, former->state->version, sizeof(attach->previous));
        attach->switches++;
        attach->switched_at_s = clock_now_s();
        seat_tell_follow(former, false);
    }
    log_info("%s shows %s/%s/%s", holder->state.mountpoint, attach->project, attach->app,
             seat->state->version);
    seat_tell_follow(seat, attach_follows(seat));
    holder_save(holder);
    if (former != NULL)
        exec_due(holder);
}

int attach_arrive(struct seat *seat, const struct json_value *said, struct error *err)
{
    struct holder *holder = seat->holder;
    cleanup_fd int lock = -1;
    int r = read_version(said, "version", seat->state, err);

    if (r == 0)
        r = take_lock(&lock, err);
    if (r == 0)
        r = json_member_bytes_text(said, "store", &holder->state.store, err);
    if (r == 0 && seat != holder->coming)
        r = error_set(err, -EINVAL, "this connection is not the one that is to come");
    if (r == 0)
        r = holder->current == NULL && !holder->is_detached ? place_first(holder, err)
                                                            : place_next(holder, err);
    if (r < 0)
        return r;
    switched(holder, seat);
    return 0;
}

static int begin(struct holder *holder, const struct seat_state *wanted, struct error *err)
{
    struct seat_state *state = holder_state_add_seat(&holder->state);
    struct seat *seat = NULL;
    int r = state != NULL ? 0 : error_set(err, -ENOMEM, "there is no room for a connection");

    if (r < 0)
        return r;
    memcpy(state->version, wanted->version, sizeof(state->version));
    memcpy(state->tree, wanted->tree, sizeof(state->tree));
    r = holder_add_seat(holder, state, &seat, err);
    if (r < 0) {
        holder_state_remove_seat(&holder->state, holder->state.seat_count - 1);
        return r;
    }
    r = seat_prepare(seat, err);
    if (r == 0)
        r = attach_connect(seat, err);
    if (r == 0)
        r = seat_start_worker(seat, 0, err);
    if (r < 0) {
        seat->over = true;
        forget_coming(holder);
    }
    return r;
}

static int check_asked(const struct seat *seat, const struct seat_state *wanted, struct error *err)
{
    const struct holder *holder = seat->holder;

    if (seat != holder->current || holder->is_detached)
        return error_set(err, -EINVAL, "this version is not the one that is shown");
    if (strcmp(wanted->version, seat->state->version) == 0)
        return error_set(err, -EINVAL, "it is shown already");
    if (holder->coming != NULL || holder->upgrade)
        return error_set(err, -EBUSY, "another change is being made");
    if (holder->seat_count > ATTACH_FORMER_MAX)
        return error_set(err, -EBUSY,
                         "%d former versions are still in use: %s waits for one of "
                         "them to end",
                         ATTACH_FORMER_MAX, wanted->version);
    return 0;
}

void attach_asked(struct seat *seat, const struct json_value *said)
{
    struct seat_state wanted = { .device = 0 };
    struct error err = { 0 };
    int r = read_version(said, "switch", &wanted, &err);

    if (r == 0)
        r = check_asked(seat, &wanted, &err);
    if (r == 0)
        r = begin(seat->holder, &wanted, &err);
    if (r < 0)
        seat_tell_refused(seat, err.text);
}

/* Of a worker that brings its version: as long as that may take, and then as long as any may. */
static bool is_late(const struct seat *seat)
{
    return !seat->was_ready && seat->holder->current != NULL &&
           clock_monotonic_ms() - seat->started_ms >=
               SEAT_START_MS + seat->holder->state.deadline_ms;
}

void attach_look_after(struct holder *holder)
{
    struct seat *seat = holder->coming;

    /* The first one's failure is that of the program. */
    if (seat == NULL || holder->seats[0] == seat)
        return;
    if (seat->failure.code == 0 && is_late(seat))
        error_set(&seat->failure, -ETIMEDOUT, "its worker did not begin to serve");
    if (seat->failure.code == 0)
        return;
    log_error("%s does not become %s: %s", holder->state.mountpoint, seat->state->version,
              seat->failure.text);
    if (holder->current != NULL)
        seat_tell_refused(holder->current, seat->failure.text);
    forget_coming(holder); /* which ends its connection */
    seat->over = true;
    if (seat->worker > 0)
        kill(seat->worker, SIGKILL);
}

void attach_detach(struct holder *holder)
{
    if (!holder->state.attach.is_attached)
        return;
    holder->is_detached = true;
    if (holder->current != NULL)
        seat_tell_follow(holder->current, false);
    holder->current = NULL;
}

bool attach_follows(const struct seat *seat)
{
    const struct holder *holder = seat->holder;

    return seat == holder->current && !holder->is_detached && holder->state.attach.channel != NULL;
}

static void text_or_null(struct json_writer *writer, const char *name, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_text(writer, name, text);
    else
        json_null(writer, name);
}

static void time_or_null(struct json_writer *writer, const char *name, int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];

    text_or_null(writer, name, time_s != 0 && clock_format(time_s, text, NULL) == 0 ? text : NULL);
}

static void exec_json(const struct attach_state *attach, struct json_writer *writer)
{
    if (attach->exec == NULL) {
        json_null(writer, "exec");
        return;
    }
    json_begin_object(writer, "exec");
    json_bool(writer, "running", attach->exec_pid != 0);
    text_or_null(writer, "version", attach->exec_version);
    time_or_null(writer, "ended_at", attach->exec_at_s);
    text_or_null(writer, "failure", attach->exec_result);
    json_end(writer);
}

void attach_json(const struct holder *holder, struct json_writer *writer)
{
    const struct attach_state *attach = &holder->state.attach;
    const struct seat *current = holder->current;

    if (!attach->is_attached) {
        json_null(writer, "attached");
        return;
    }
    json_begin_object(writer, "attached");
    json_text(writer, "project", attach->project);
    json_text(writer, "app", attach->app);
    text_or_null(writer, "channel", attach->channel);
    text_or_null(writer, "version", current != NULL ? current->state->version : NULL);
    text_or_null(writer, "previous", attach->previous);
    json_integer(writer, "switches", (int64_t)attach->switches);
    time_or_null(writer, "switched_at", attach->switched_at_s);
    json_begin_array(writer, "in_use"); /* former versions that somebody still uses */
    for (size_t i = 0; i < holder->seat_count; i++)
        if (holder->seats[i] != current && holder->seats[i] != holder->coming)
            json_text(writer, NULL, holder->seats[i]->state->version);
    json_end(writer);
    exec_json(attach, writer);
    json_end(writer);
}
