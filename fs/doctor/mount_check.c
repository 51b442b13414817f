/* SPDX-License-Identifier: MIT */
/* The mounts of kkartifact: who answers for each, how it stands, and what would end a hung one. */
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/number.h"
#include "common/codec/json.h"
#include "fs/doctor/examination.h"
#include "fs/doctor/fuse_connection.h"
#include "fs/doctor/process.h"

#define COMMAND_MAX 16384
#define READ_AHEAD_KIB 1024
#define OWN_UNIT "kkartifact-fs@"

#define ADD(examination, mount, level, name, advice, format, ...)                                  \
    findings_add((examination)->findings, level, name, advice, "%s: " format, (mount)->mountpoint, \
                 __VA_ARGS__)

static const char *text_of(const struct json_value *object, const char *name)
{
    const char *value = "";

    json_member_text(object, name, &value, NULL);
    return value;
}

static int64_t integer_of(const struct json_value *object, const char *name)
{
    int64_t value = 0;

    json_member_integer(object, name, &value, NULL);
    return value;
}

static bool bool_of(const struct json_value *object, const char *name)
{
    bool value = false;

    json_member_bool(object, name, &value, NULL);
    return value;
}

/* Its processes ------------------------------------------------------------------------- */

static void check_processes(struct examination *examination, const struct mount_look *mount)
{
    const struct json_value *root = json_root(mount->status);
    const struct json_value *worker = json_member(root, "worker");
    const char *last_end = text_of(worker, "last_end");

    if (mount->worker == 0)
        ADD(examination, mount, FINDING_PROBLEM, "worker",
            "look at the reason; its log is in /run/kkartifact",
            "workers fail at their start, the next one comes in %lld s: %s",
            (long long)integer_of(root, "next_worker_ms") / 1000, last_end);
    else if (mount->has_holder && mount->holder == 0)
        ADD(examination, mount, FINDING_WARNING, "worker",
            "unmount and mount it when that suits; with systemd, kkartifact-fs@ starts a holder",
            "its holder is gone: nothing follows worker %lld when that ends",
            (long long)mount->worker);
    else if (integer_of(worker, "restarts") > 0)
        ADD(examination, mount, FINDING_NOTE, "worker", NULL,
            "worker %lld answers, after %lld restarts; the last because: %s",
            (long long)mount->worker, (long long)integer_of(worker, "restarts"), last_end);
    else
        ADD(examination, mount, FINDING_OK, "worker", NULL, "process %lld answers (FUSE %s)",
            (long long)mount->worker, text_of(root, "protocol"));
}

static void check_dead(struct examination *examination, const struct mount_look *mount)
{
    cleanup(buf_release) struct buf advice = buf_init(COMMAND_MAX);

    buf_format(&advice, "kkartifact-fs umount --lazy %s, then mount it again", mount->mountpoint);
    ADD(examination, mount, FINDING_PROBLEM, "worker", buf_text(&advice), "%s",
        "its daemon is gone: every access fails");
}

static void check_silent(struct examination *examination, const struct mount_look *mount)
{
    char worker = process_state(mount->worker), holder = process_state(mount->holder);

    if (mount->has_holder && mount->holder_answers)
        ADD(examination, mount, FINDING_PROBLEM, "worker",
            "the holder replaces a worker that stands still for ten seconds: ask again",
            "worker %lld does not answer (it is %s); its holder %lld does",
            (long long)mount->worker, process_state_text(worker), (long long)mount->holder);
    else if (mount->has_holder)
        ADD(examination, mount, FINDING_PROBLEM, "worker",
            "kill -CONT what is stopped; else look at what the processes wait for "
            "(/proc/PID/stack)",
            "neither worker %lld (%s) nor holder %lld (%s) answers", (long long)mount->worker,
            process_state_text(worker), (long long)mount->holder, process_state_text(holder));
    else
        ADD(examination, mount, FINDING_PROBLEM, "worker",
            "kill -CONT it when it is stopped; else look at what it waits for (/proc/PID/stack)",
            "process %lld does not answer (it is %s)", (long long)mount->worker,
            process_state_text(worker));
}

/* What it says of itself --------------------------------------------------------------------- */

static void check_server(struct examination *examination, const struct mount_look *mount)
{
    const struct json_value *root = json_root(mount->status);
    const char *server = text_of(root, "server");

    if (bool_of(root, "offline"))
        ADD(examination, mount, FINDING_NOTE, "server", NULL, "%s is not asked: mounted offline",
            server);
    else if (bool_of(root, "unauthorised"))
        ADD(examination, mount, FINDING_WARNING, "server",
            "put a token that may pull into token_file; the next worker reads it",
            "%s refuses the token: only what is known is shown", server);
    else if (!bool_of(root, "online"))
        ADD(examination, mount, FINDING_WARNING, "server",
            "look at the way to the server: name, address, proxy, certificate",
            "%s was away when it was asked last", server);
    else
        ADD(examination, mount, FINDING_OK, "server", NULL, "%s is online", server);
}

static void check_versions(struct examination *examination, const struct mount_look *mount)
{
    const struct json_value *list = json_member(json_root(mount->status), "versions");
    const struct json_value *at = NULL;
    size_t count = 0, wrong = 0;

    while ((at = json_next(list, at)) != NULL) {
        const char *error = text_of(at, "last_error");
        count++;
        if (error[0] == '\0')
            continue;
        wrong++;
        ADD(examination, mount, FINDING_WARNING, "versions",
            "the log says more; what was missing is fetched when it is read again",
            "%s/%s/%s: the last read that failed: %s", text_of(at, "project"), text_of(at, "app"),
            text_of(at, "version"), error);
    }
    if (wrong == 0)
        ADD(examination, mount, FINDING_OK, "versions", NULL, "%zu versions shown, no read failed",
            count);
}

static void check_bytes(struct examination *examination, const struct mount_look *mount)
{
    const struct json_value *root = json_root(mount->status);
    const struct json_value *cache = json_member(root, "cache");
    int64_t wrong = integer_of(root, "integrity_failures");

    if (bool_of(cache, "degraded"))
        ADD(examination, mount, FINDING_PROBLEM, "cache-writing",
            "look at the cache's disk: df, dmesg, owner and mode",
            "the cache keeps nothing at the moment: %s", text_of(cache, "last_error"));
    if (wrong > 0)
        ADD(examination, mount, FINDING_WARNING, "integrity",
            "look at what lies between (proxies), at the server (fsck), and at the cache's disk",
            "%lld times bytes were not what their digest says; they were not shown",
            (long long)wrong);
    else
        ADD(examination, mount, FINDING_OK, "integrity", NULL, "no wrong bytes %s", "came");
}

static void check_read_ahead(struct examination *examination, const struct mount_look *mount)
{
    cleanup(buf_release) struct buf text = buf_init(64);
    cleanup(buf_release) struct buf advice = buf_init(256);
    char path[80];
    uint64_t kib = 0;

    (void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(mount->device),
                   minor(mount->device));
    if (file_load(path, &text, NULL) < 0 ||
        number_parse(span_trim(buf_span(&text)), UINT32_MAX, &kib, NULL) < 0 ||
        kib >= READ_AHEAD_KIB)
        return;
    buf_format(&advice, "echo %d > %s (as root)", READ_AHEAD_KIB, path);
    ADD(examination, mount, FINDING_NOTE, "read-ahead", buf_text(&advice),
        "the kernel reads %llu KiB ahead instead of 1 MiB: large files are slower to read",
        (unsigned long long)kib);
}

static void check_answering(struct examination *examination, const struct mount_look *mount)
{
    check_processes(examination, mount);
    if (mount->worker == 0)
        return;
    check_server(examination, mount);
    check_versions(examination, mount);
    check_bytes(examination, mount);
    check_read_ahead(examination, mount);
}

void check_mounts(struct examination *examination)
{
    if (examination->mount_count == 0)
        findings_add(examination->findings, FINDING_OK, "mounts", NULL, "nothing is mounted");
    for (size_t i = 0; i < examination->mount_count; i++) {
        const struct mount_look *mount = &examination->mounts[i];
        switch (mount->answer) {
        case MOUNT_ANSWERS:
            check_answering(examination, mount);
            break;
        case MOUNT_SILENT:
            check_silent(examination, mount);
            break;
        case MOUNT_DEAD:
            check_dead(examination, mount);
            break;
        case MOUNT_FOREIGN:
            ADD(examination, mount, FINDING_NOTE, "worker", "ask as that user",
                "a mount of user %u, who alone is answered", mount->user);
            break;
        }
    }
}

/* Connections ----------------------------------------------------------------------------- */

static void check_connection(struct examination *examination, const struct mount_look *mount,
                             bool fusectl)
{
    cleanup(buf_release) struct buf command = buf_init(COMMAND_MAX);
    bool answers = mount->answer == MOUNT_ANSWERS;
    uint64_t waiting = 0;

    if (!fuse_connection_waiting(mount->device, &waiting)) {
        if (!answers)
            ADD(examination, mount, FINDING_NOTE, "connection", "ask as root", "%s",
                "whether requests wait cannot be seen");
    } else if (waiting > 0 && !answers && mount->answer != MOUNT_FOREIGN) {
        fuse_connection_abort_command(mount->device, fusectl, &command);
        ADD(examination, mount, FINDING_PROBLEM, "connection", buf_text(&command),
            "%llu requests wait, and nobody answers; if that does not end, the command frees who "
            "waits (every access then fails)",
            (unsigned long long)waiting);
    } else {
        ADD(examination, mount, answers ? FINDING_OK : FINDING_NOTE, "connection", NULL,
            "%llu requests wait for an answer", (unsigned long long)waiting);
    }
}

void check_connections(struct examination *examination)
{
    bool fusectl = fuse_connection_is_mounted();

    for (size_t i = 0; i < examination->mount_count; i++)
        check_connection(examination, &examination->mounts[i], fusectl);
}

/* Units --------------------------------------------------------------------------------- */

/* A mount that was made from inside another service ends with that. */
void check_units(struct examination *examination)
{
    for (size_t i = 0; i < examination->mount_count; i++) {
        const struct mount_look *mount = &examination->mounts[i];
        int64_t pid = mount->has_holder ? mount->holder : mount->worker;
        char service[256];

        if (process_service(pid, service, sizeof(service)) &&
            strncmp(service, OWN_UNIT, strlen(OWN_UNIT)) != 0 && strncmp(service, "user@", 5) != 0)
            ADD(examination, mount, FINDING_WARNING, "unit",
                "mount it by its own unit (kkartifact-fs@) or by fstab",
                "its daemon runs inside %s: when that is stopped or restarted, systemd kills the "
                "daemon with it (KillMode)",
                service);
    }
}
