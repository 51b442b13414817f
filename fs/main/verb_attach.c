/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "fs/holder/worker_user.h"
#include "fs/main/exit_code.h"
#include "fs/main/held_mount.h"
#include "fs/main/mount_options.h"
#include "fs/session/mount_table.h"
#include "fs/session/namespaces.h"

#define NAMED_MAX 5

/* What is a mount already is not asked: its daemon may be gone. */
static int check_target(const char *target, struct error *err)
{
    struct stat found;
    uint64_t device;

    if (mount_table_device(target, &device, NULL) == 0)
        return 0;
    if (stat(target, &found) < 0)
        return error_system(err, errno, "%s", target);
    return S_ISDIR(found.st_mode) ? 0 : error_set(err, -ENOTDIR, "%s is no directory", target);
}

struct naming {
    const char *target;
    size_t count;
};

static int name_process(void *context, pid_t pid, const char *command)
{
    struct naming *naming = context;

    if (naming->count++ < NAMED_MAX)
        log_warning("process %d (%s) is in a mount namespace of its own that does not follow: what "
                    "it sees at %s stays as it is until it is started anew",
                    (int)pid, command, naming->target);
    return 0;
}

static void warn_of_private_ones(const char *target)
{
    struct naming naming = { .target = target };
    struct error err = { 0 };
    uint64_t device = 0;

    mount_table_device(target, &device, NULL);
    if (namespaces_find_private(target, device, name_process, &naming, &err) < 0)
        log_warning("processes in other mount namespaces were not looked for: %s", err.text);
    if (naming.count > NAMED_MAX)
        log_warning("so are %zu more processes", naming.count - NAMED_MAX);
}

static int attach(const struct options *words, const struct mount_options *options,
                  struct error *err)
{
    int r = check_target(options->mountpoint, err);

    if (r == 0 && !worker_user_is_possible(options->cache))
        r = error_set(err, -EPERM, "only root can attach; others can mount");
    if (r < 0)
        return exit_code_of(EXIT_OF_LOCAL, r);
    warn_of_private_ones(options->mountpoint);
    return held_attach(options, options_get(words, "exec"), options_has(words, "foreground"), err);
}

int verb_attach(const struct options *words, struct error *err)
{
    struct mount_options options = { 0 };
    int code;

    if (mount_words_want_help(words))
        return EXIT_DONE;
    if (options_operand_count(words) != 3) {
        error_set(err, -EINVAL, "attach takes SERVER, P/A[@CHANNEL|/V] and TARGET");
        return EXIT_USAGE;
    }
    code = mount_words_read(words, options_operand(words, 2), options_operand(words, 1), &options,
                            err);
    if (code == EXIT_DONE)
        code = attach(words, &options, err);
    mount_options_release(&options);
    return code;
}
