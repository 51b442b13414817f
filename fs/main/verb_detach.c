/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/main/exit_code.h"
#include "fs/main/former_mount.h"
#include "fs/main/mount_options.h"
#include "fs/session/mount_table.h"

CLEANUP_DEFINE(json, json_free);

/* Its holder is to put nothing there any more. One that is gone does not. */
static int tell_holder(const char *target, uint64_t device, struct error *err)
{
    cleanup(cleanup_json) struct json *answer = NULL;

    if (control_ask_holder(device, "{\"ask\":\"state\"}", &answer, NULL) < 0)
        return 0;
    if (json_is_null(json_member(json_root(answer), "attached")))
        return error_set(err, -EINVAL, "%s shows all versions: it is mounted, not attached",
                         target);
    answer = json_free(answer);
    return control_ask_holder(device, "{\"ask\":\"detach\"}", &answer, err);
}

static int detach(const char *target, struct error *err)
{
    uint64_t device;
    int r = 0;

    if (mount_table_stack(target, FORMER_MOUNT_TYPE, &device, 1) == 0)
        return error_set(err, -ENOENT, "nothing is attached at %s", target);
    r = tell_holder(target, device, err);
    /* What it has left, or who is gone has. */
    while (r == 0 && mount_table_stack(target, FORMER_MOUNT_TYPE, &device, 1) > 0)
        r = former_mount_remove(target, true, err);
    return r;
}

int verb_detach(const struct options *words, struct error *err)
{
    struct mount_options options = { 0 };
    int code = exit_code_of(EXIT_OF_LOCAL,
                            mount_options_set_mountpoint(&options, options_operand(words, 0), err));

    if (code == EXIT_DONE) {
        int r = detach(options.mountpoint, err);
        code = exit_code_of(r == -ENOENT ? EXIT_OF_SERVER : EXIT_OF_LOCAL, r);
    }
    mount_options_release(&options);
    return code;
}
