/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/main/exit_code.h"
#include "fs/main/json_print.h"
#include "fs/session/mount_table.h"

#define TRIES 10
#define HOLDER_MS 12000 /* longer than it may take to try a new program */
#define ASK "{\"ask\":\"status\"}"

CLEANUP_DEFINE(json, json_free);

static int64_t integer(const struct json_value *object, const char *name)
{
    int64_t value = 0;

    json_member_integer(object, name, &value, NULL);
    return value;
}

static const char *text(const struct json_value *object, const char *name)
{
    const char *value = "";

    json_member_text(object, name, &value, NULL);
    return value;
}

static void begin_line(const char *label)
{
    printf("  %-9s ", label);
}

/* ", in use (open, recent)", with what keeps the server from knowing it. */
static void print_use(const struct json_value *version)
{
    const struct json_value *reasons = json_member(version, "in_use"), *at = NULL;
    const struct json_value *lease = json_member(version, "lease");
    const char *before = ", in use (", *word = "";

    while ((at = json_next(reasons, at)) != NULL && json_get_text(at, "in_use", &word, NULL) == 0) {
        printf("%s%s", before, word);
        before = ", ";
    }
    if (json_count(reasons) > 0)
        printf(")");
    if (strcmp(text(lease, "state"), "refused") == 0)
        printf(", no lease: %s", text(lease, "error"));
}

/* "12.3 MiB", or "5 B of 12.3 MiB". */
static void print_version(const struct json_value *version)
{
    char cached[NUMBER_SIZE_TEXT], all[NUMBER_SIZE_TEXT];
    const char *state = text(version, "state");
    bool pinned = false, whole = strcmp(state, "complete") == 0;

    number_format_size((uint64_t)integer(version, "cached_bytes"), cached);
    number_format_size((uint64_t)integer(version, "bytes"), all);
    json_member_bool(version, "pinned", &pinned, NULL);
    printf("    %-8s  %s/%s/%s  %s%s%s%s", state, text(version, "project"), text(version, "app"),
           text(version, "version"), whole ? "" : cached, whole ? "" : " of ", all,
           pinned ? ", pinned" : "");
    print_use(version);
    printf("\n");
    if (text(version, "last_error")[0] != '\0')
        printf("              failed last: %s\n", text(version, "last_error"));
}

static void print_leases(const struct json_value *mount)
{
    const struct json_value *leases = json_member(mount, "leases");

    if (integer(leases, "held") > 0) {
        begin_line("leases");
        printf("%lld held as host %s, renewed %s\n", (long long)integer(leases, "held"),
               text(leases, "host"), text(leases, "renewed_at"));
    }
    if (text(leases, "error")[0] != '\0') {
        begin_line("PROBLEM");
        printf("the server was not told what is in use: %s\n", text(leases, "error"));
    }
}

static const char *server_state(const struct json_value *mount)
{
    bool online = false, unauthorised = false, offline = false;

    json_member_bool(mount, "online", &online, NULL);
    json_member_bool(mount, "unauthorised", &unauthorised, NULL);
    json_member_bool(mount, "offline", &offline, NULL);
    if (offline)
        return "offline, as it was told";
    if (unauthorised)
        return online ? "online, the token is refused" : "offline, the token was refused";
    return online ? "online" : "offline";
}

/* "pid 12", or with a holder "worker 12 (kkartifact) of holder 11, 3 restarts: why the last". */
static void print_worker(const struct json_value *mount)
{
    const struct json_value *worker = json_member(mount, "worker");
    const struct json_value *holder = json_member(mount, "holder");
    int64_t restarts = integer(worker, "restarts");

    begin_line("process");
    if (json_is_null(holder)) {
        printf("pid %lld\n", (long long)integer(worker, "pid"));
        return;
    }
    if (json_is_null(json_member(worker, "pid")))
        printf("no worker (the next one in %lld s)",
               (long long)integer(mount, "next_worker_ms") / 1000);
    else if (text(worker, "user")[0] != '\0')
        printf("worker %lld (%s)", (long long)integer(worker, "pid"), text(worker, "user"));
    else
        printf("worker %lld (uid %lld)", (long long)integer(worker, "pid"),
               (long long)integer(worker, "uid"));
    if (json_is_null(json_member(holder, "pid")))
        printf(", its holder is gone: nothing would follow it");
    else
        printf(" of holder %lld", (long long)integer(holder, "pid"));
    if (restarts > 0)
        printf(", %lld restarts: %s", (long long)restarts, text(worker, "last_end"));
    printf("\n");
}

/* Which of several servers is used, and why the others are not. */
static void print_servers(const struct json_value *mount)
{
    const struct json_value *servers = json_member(mount, "servers"), *at = NULL;

    while (json_count(servers) > 1 && (at = json_next(servers, at)) != NULL) {
        bool ok = strcmp(text(at, "state"), "ok") == 0;

        begin_line("");
        printf("%s  %s%s%s\n", text(at, "url"), text(at, "state"), ok ? "" : ": ",
               ok ? "" : text(at, "cause"));
    }
}

static void print_cache(const struct json_value *mount)
{
    const struct json_value *cache = json_member(mount, "cache");
    char kept[NUMBER_SIZE_TEXT], limit[NUMBER_SIZE_TEXT], fetched[NUMBER_SIZE_TEXT],
        hit[NUMBER_SIZE_TEXT];
    bool degraded = false;

    number_format_size((uint64_t)integer(cache, "bytes"), kept);
    number_format_size((uint64_t)integer(cache, "limit"), limit);
    number_format_size((uint64_t)integer(mount, "fetched_bytes"), fetched);
    number_format_size((uint64_t)integer(mount, "hit_bytes"), hit);
    json_member_bool(cache, "degraded", &degraded, NULL);
    begin_line("cache");
    printf("%s%s%s, %lld files\n", kept, integer(cache, "limit") > 0 ? " of " : "",
           integer(cache, "limit") > 0 ? limit : "", (long long)integer(cache, "files"));
    begin_line("read");
    printf("%s from the cache, %s from the server in %lld requests\n", hit, fetched,
           (long long)integer(mount, "requests"));
    if (degraded) {
        begin_line("PROBLEM");
        printf("the cache keeps nothing at the moment: %s\n", text(cache, "last_error"));
    }
}

/* Nothing where it was not wanted. */
static void print_passthrough(const struct json_value *mount)
{
    const struct json_value *passthrough = json_member(mount, "passthrough");
    bool holds = false, wanted = false;

    json_member_bool(passthrough, "holds", &holds, NULL);
    json_member_bool(passthrough, "wanted", &wanted, NULL);
    if (!holds && !wanted)
        return;
    begin_line("passed");
    if (holds)
        printf("%lld opens of %lld files; through the page cache %lld opens\n",
               (long long)integer(passthrough, "opens"), (long long)integer(passthrough, "files"),
               (long long)integer(passthrough, "cached_opens"));
    else
        printf("no passthrough: %s\n", text(passthrough, "why"));
}

/* What is wrong is said, what is right is not. */
static void print_damage(const struct json_value *mount)
{
    const struct json_value *cache = json_member(mount, "cache");

    if (integer(mount, "integrity_failures") == 0)
        return;
    begin_line("WRONG");
    printf("%lld times bytes were not what their digest says; damaged in the cache: %lld; "
           "set aside: %lld\n",
           (long long)integer(mount, "integrity_failures"), (long long)integer(cache, "damaged"),
           (long long)integer(cache, "quarantined"));
}

static void print_scrub(const struct json_value *mount)
{
    const struct json_value *scrub = json_member(mount, "scrub");
    const char *ended = text(scrub, "ended_at");

    begin_line("scrub");
    if (strcmp(text(scrub, "state"), "elsewhere") == 0) {
        printf("by another mount of this cache\n");
        return;
    }
    printf("%s, %lld%%, %lld objects, %lld wrong", text(scrub, "state"),
           (long long)integer(scrub, "percent"), (long long)integer(scrub, "objects"),
           (long long)integer(scrub, "wrong"));
    if (ended[0] != '\0')
        printf("; last round ended %s", ended);
    printf("\n");
}

/* Whoever of the two knows it. */
static const char *either(const struct json_value *own, const struct json_value *more,
                          const char *name)
{
    const char *value = text(own, name);

    return value[0] != '\0' ? value : text(more, name);
}

/* "p/a@live is 1.2, since 2026-01-01T00:00:00Z instead of 1.1", and what is amiss. own: what the
 * worker says, more: what the holder does; either may be NULL. */
static void print_attached(const struct json_value *own, const struct json_value *more)
{
    const struct json_value *exec = json_member(more, "exec"), *at = NULL;
    const struct json_value *in_use = json_member(more, "in_use");
    const char *channel = either(own, more, "channel");

    begin_line("shows");
    printf("%s/%s%s%s is %s", either(own, more, "project"), either(own, more, "app"),
           channel[0] != '\0' ? "@" : "", channel, either(own, more, "version"));
    if (integer(more, "switches") > 0)
        printf(", since %s instead of %s", text(more, "switched_at"), text(more, "previous"));
    printf("\n");
    if (text(own, "coming")[0] != '\0') {
        begin_line("coming");
        printf("%s\n", text(own, "coming"));
    }
    if (text(own, "error")[0] != '\0') {
        begin_line("PROBLEM");
        printf("it is not followed at the moment: %s\n", text(own, "error"));
    }
    while ((at = json_next(in_use, at)) != NULL) {
        const char *version = "";
        json_get_text(at, "in_use", &version, NULL);
        begin_line("former");
        printf("%s is still in use\n", version);
    }
    if (text(exec, "failure")[0] != '\0') {
        begin_line("failed");
        printf("the command for %s: %s\n", text(exec, "version"), text(exec, "failure"));
    }
}

/* For people. holder: what it says, or NULL. */
static void print_mount(const struct json_value *mount, const struct json_value *holder)
{
    const struct json_value *versions = json_member(mount, "versions"), *at = NULL;

    printf("%s\n", text(mount, "mountpoint"));
    begin_line("server");
    printf("%s, %s\n", text(mount, "server"), server_state(mount));
    print_servers(mount);
    print_worker(mount);
    if (!json_is_null(json_member(mount, "attached")) ||
        !json_is_null(json_member(holder, "attached")))
        print_attached(json_member(mount, "attached"), json_member(holder, "attached"));
    if (json_is_object(json_member(mount, "cache"))) { /* there is a worker, and it tells */
        print_cache(mount);
        print_passthrough(mount);
        print_damage(mount);
        print_scrub(mount);
        print_leases(mount);
    }
    if (text(mount, "last_error")[0] != '\0') {
        begin_line("failed");
        printf("last: %s\n", text(mount, "last_error"));
    }
    if (json_next(versions, NULL) == NULL)
        return;
    printf("  versions\n");
    while ((at = json_next(versions, at)) != NULL)
        print_version(at);
}

struct showing {
    bool as_json;
    struct buf out;
    struct json_writer writer;
};

/* Those of `other` that `object` has not. */
static void write_others(struct json_writer *writer, const struct json_value *object,
                         const struct json_value *other)
{
    const struct json_value *at = NULL;

    while ((at = json_next(other, at)) != NULL)
        if (json_member(object, json_name(at)) == NULL)
            json_print(writer, json_name(at), at);
}

/* The worker's members; of an attach the holder has more. */
static void write_mount(struct json_writer *writer, const struct json_value *mount,
                        const struct json_value *holder)
{
    const struct json_value *own = json_member(mount, "attached"), *at = NULL;
    const struct json_value *more = json_member(holder, "attached");

    json_begin_object(writer, NULL);
    while ((at = json_next(mount, at)) != NULL)
        if (at != own)
            json_print(writer, json_name(at), at);
    if (json_is_null(own) && json_is_null(more)) {
        json_null(writer, "attached");
    } else {
        json_begin_object(writer, "attached");
        json_print_members(writer, own);
        write_others(writer, own, more);
        json_end(writer);
    }
    json_end(writer);
}

/* What worker and holder of one connection say. */
struct said {
    struct json *mount, *holder; /* holder NULL: it has none, or that is gone */
    bool is_current;             /* false: of an attach, which shows something else by now */
};

static void said_release(struct said *said)
{
    said->mount = json_free(said->mount);
    said->holder = json_free(said->holder);
}

static int ask_both(uint64_t device, struct said *out, struct error *err)
{
    int r = control_ask(device, ASK, &out->mount, err);

    if (r < 0)
        return r;
    out->is_current = true;
    if (control_ask_within(device, CONTROL_OF_HOLDER, "{\"ask\":\"state\"}", HOLDER_MS,
                           &out->holder, NULL) == 0)
        json_member_bool(json_root(out->holder), "current", &out->is_current, NULL);
    return 0;
}

static void show(struct showing *showing, const struct said *said)
{
    const struct json_value *holder = said->holder != NULL ? json_root(said->holder) : NULL;

    if (showing->as_json)
        write_mount(&showing->writer, json_root(said->mount), holder);
    else
        print_mount(json_root(said->mount), holder);
}

/* One that does not answer any more is passed over: it has left its socket behind. */
static int show_each(void *context, uint64_t device, struct error *err)
{
    struct said said = { NULL, NULL, false };

    if (ask_both(device, &said, NULL) == 0 && said.is_current)
        show(context, &said);
    said_release(&said);
    return 0;
}

static int show_all(struct showing *showing, struct error *err)
{
    int r;

    if (showing->as_json)
        json_begin_array(&showing->writer, NULL);
    r = control_list(show_each, showing, err);
    if (showing->as_json)
        json_end(&showing->writer);
    return r;
}

/* What is on top at a place may be another while it is asked. */
static int ask_place(const char *mountpoint, struct said *said, struct error *err)
{
    uint64_t device = 0, now = 0;
    int r = mount_table_device(mountpoint, &device, err);

    for (unsigned tries = 0; r == 0; tries++) {
        said_release(said);
        r = ask_both(device, said, err);
        if (mount_table_device(mountpoint, &now, NULL) < 0 || now == device || tries == TRIES)
            break;
        device = now;
        r = 0;
    }
    return r;
}

static int show_one(struct showing *showing, const char *path, struct error *err)
{
    struct said said = { NULL, NULL, false };
    char *mountpoint = realpath(path, NULL);
    int r;

    if (mountpoint == NULL)
        return error_system(err, errno, "%s", path);
    r = ask_place(mountpoint, &said, err);
    free(mountpoint);
    if (r == 0)
        show(showing, &said);
    said_release(&said);
    return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

int verb_status(const struct options *options, struct error *err)
{
    struct showing showing = { .as_json = options_has(options, "json"),
                               .out = buf_init(BUF_UNLIMITED) };
    int r;

    showing.writer = json_writer_init(&showing.out);
    if (options_operand_count(options) == 0)
        r = show_all(&showing, err);
    else
        r = show_one(&showing, options_operand(options, 0), err);
    if (r == 0)
        r = buf_check(&showing.out, err);
    if (r == 0 && showing.as_json)
        printf("%s\n", buf_text(&showing.out));
    buf_release(&showing.out);
    return exit_code_of(r == -ENOENT ? EXIT_OF_SERVER : EXIT_OF_LOCAL, r);
}
