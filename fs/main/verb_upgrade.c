/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/main/exit_code.h"
#include "fs/session/mount_table.h"

#define WAIT_MS 30000
#define TURN_NS (20 * 1000 * 1000)

CLEANUP_DEFINE(json, json_free);

/* Asked for while it becomes the other program, it does not answer: that passes. */
static bool is_done(uint64_t device, int64_t before)
{
    cleanup(cleanup_json) struct json *state = NULL;
    int64_t upgrades = 0;
    bool serves = false;

    if (control_ask_holder(device, "{\"ask\":\"state\"}", &state, NULL) < 0)
        return false;
    json_member_integer(json_root(state), "upgrades", &upgrades, NULL);
    json_member_bool(json_root(state), "serves", &serves, NULL);
    if (upgrades > before && serves) {
        const char *version = "";
        json_member_text(json_root(state), "version", &version, NULL);
        printf("%s\n", version);
    }
    return upgrades > before && serves;
}

static int await_upgrade(uint64_t device, int64_t before, struct error *err)
{
    static const struct timespec turn = { .tv_nsec = TURN_NS };
    uint64_t until_ms = clock_monotonic_ms() + WAIT_MS;

    while (!is_done(device, before)) {
        if (clock_monotonic_ms() >= until_ms)
            return error_set(err, -ETIMEDOUT, "the new program does not serve; status tells why");
        nanosleep(&turn, NULL);
    }
    return 0;
}

static int upgrade(const char *mountpoint, struct error *err)
{
    cleanup(cleanup_json) struct json *answer = NULL;
    uint64_t device = 0;
    int64_t before = 0;
    int r = mount_table_device(mountpoint, &device, err);

    if (r == 0)
        r = control_ask_holder(device, "{\"ask\":\"upgrade\"}", &answer, err);
    if (r == -ENOENT)
        return error_set(err, r, "it is no mount of root's with a holder: unmount, and mount anew");
    if (r == 0)
        r = json_member_integer(json_root(answer), "upgrades", &before, err);
    return r == 0 ? await_upgrade(device, before, err) : r;
}

int verb_upgrade(const struct options *options, struct error *err)
{
    const char *path = options_operand(options, 0);
    char *mountpoint = realpath(path, NULL);
    int r;

    if (mountpoint == NULL) {
        error_system(err, errno, "%s", path);
        return EXIT_LOCAL;
    }
    r = upgrade(mountpoint, err);
    free(mountpoint);
    if (r < 0)
        error_prefix(err, r, "%s", path);
    return exit_code_of(r == -ENOENT ? EXIT_OF_SERVER : EXIT_OF_LOCAL, r);
}
