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

/* "12.3 MiB", or "5 B of 12.3 MiB". */
static void print_version(const struct json_value *version)
{
    char cached[NUMBER_SIZE_TEXT], all[NUMBER_SIZE_TEXT];
    const char *state = text(version, "state");
    bool pinned = false, whole = strcmp(state, "complete") == 0;

    number_format_size((uint64_t)integer(version, "cached_bytes"), cached);
    number_format_size((uint64_t)integer(version, "bytes"), all);
    json_member_bool(version, "pinned", &pinned, NULL);
    printf("    %-8s  %s/%s/%s  %s%s%s%s\n", state, text(version, "project"), text(version, "app"),
           text(version, "version"), whole ? "" : cached, whole ? "" : " of ", all,
           pinned ? ", pinned" : "");
    if (text(version, "last_error")[0] != '\0')
        printf("              failed last: %s\n", text(version, "last_error"));
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

/* "p/a@live is 1.2, since 2026-01-01T00:00:00Z instead of 1.1", and what is amiss. */
static void print_attached(const struct json_value *mount, const struct json_value *attached)
{
    const struct json_value *exec = json_member(attached, "exec");
    const struct json_value *in_use = json_member(attached, "in_use"), *at = NULL;
    const struct json_value *own = json_member(mount, "attached");
    const char *channel = text(attached, "channel");

    begin_line("shows");
    printf("%s/%s%s%s is %s", text(attached, "project"), text(attached, "app"),
           channel[0] != '\0' ? "@" : "", channel,
           text(attached, "version")[0] != '\0' ? text(attached, "version") : "taken away");
    if (integer(attached, "switches") > 0)
        printf(", since %s instead of %s", text(attached, "switched_at"),
               text(attached, "previous"));
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
    if (!json_is_null(json_member(holder, "attached")))
        print_attached(mount, json_member(holder, "attached"));
    if (json_is_object(json_member(mount, "cache"))) { /* there is a worker, and it tells */
        print_cache(mount);
        print_damage(mount);
        print_scrub(mount);
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

/* The worker's members; of an attach the holder's are more. */
static void write_mount(struct json_writer *writer, const struct json_value *mount,
                        const struct json_value *holder)
{
    const struct json_value *at = NULL;

    json_begin_object(writer, NULL);
    while ((at = json_next(mount, at)) != NULL)
        if (strcmp(json_name(at), "attached") != 0)
            json_print(writer, json_name(at), at);
    if (json_is_null(json_member(holder, "attached"))) {
        json_null(writer, "attached");
    } else {
        json_begin_object(writer, "attached");
        json_print_members(writer, json_member(holder, "attached"));
        json_print_members(writer, json_member(mount, "attached"));
        json_end(writer);
    }
    json_end(writer);
}

/* in_place: one that an attach still serves, though another is shown in its place, is passed
 * over. */
static int show_device(struct showing *showing, uint64_t device, bool in_place, struct error *err)
{
    cleanup(cleanup_json) struct json *mount = NULL, *holder = NULL;
    bool is_current = true;
    int r = control_ask(device, ASK, &mount, err);

    if (r < 0)
        return r;
    if (control_ask_holder(device, "{\"ask\":\"state\"}", &holder, NULL) == 0)
        json_member_bool(json_root(holder), "current", &is_current, NULL);
    if (in_place && !is_current)
        return 0;
    if (showing->as_json)
        write_mount(&showing->writer, json_root(mount), holder != NULL ? json_root(holder) : NULL);
    else
        print_mount(json_root(mount), holder != NULL ? json_root(holder) : NULL);
    return 0;
}

/* One that does not answer any more is passed over: it has left its socket behind. */
static int show_each(void *context, uint64_t device, struct error *err)
{
    show_device(context, device, true, NULL);
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

static int show_one(struct showing *showing, const char *path, struct error *err)
{
    char *mountpoint = realpath(path, NULL);
    uint64_t device;
    int r;

    if (mountpoint == NULL)
        return error_system(err, errno, "%s", path);
    r = mount_table_device(mountpoint, &device, err);
    free(mountpoint);
    if (r == 0)
        r = show_device(showing, device, false, err);
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
