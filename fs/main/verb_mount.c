/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/options.h"
#include "fs/holder/worker_user.h"
#include "fs/main/daemon.h"
#include "fs/main/exit_code.h"
#include "fs/main/former_mount.h"
#include "fs/main/held_mount.h"
#include "fs/main/mount_options.h"
#include "fs/main/mounted.h"

/* One process mounts and answers: by fusermount3, or as the only user of a name space. */
static int serve_alone(const struct mount_options *options, int foreground, struct error *err)
{
    enum exit_place place = EXIT_OF_LOCAL;
    struct mounted *mounted = NULL;
    int ready = -1, code, r;

    r = former_mount_clear(options->mountpoint, options->servers[0], err);
    if (r < 0)
        return exit_code_of(EXIT_OF_LOCAL, r);
    if (!foreground) {
        code = daemon_split(&ready, err);
        if (code >= 0)
            return code;
    }
    r = mounted_open(&mounted, options, &place, err);
    if (r < 0) {
        code = exit_code_of(place, r);
        daemon_failed(&ready, code, err);
        if (!foreground)
            err->text[0] = '\0'; /* whoever waits says it */
        return code;
    }
    if (foreground)
        log_info("%s is mounted at %s", options->servers[0], options->mountpoint);
    daemon_ready(&ready, mounted_log_path(mounted));
    r = mounted_run(mounted, err);
    mounted_close(mounted);
    return exit_code_of(EXIT_OF_LOCAL, r);
}

int mount_and_serve(const struct mount_options *options, int foreground, struct error *err)
{
    if (options->wants_write)
        log_warning("%s is mounted read-only, always (say ro instead of rw)", options->mountpoint);
    return worker_user_is_possible(options->cache) ? held_mount(options, foreground, err)
                                                   : serve_alone(options, foreground, err);
}

int mount_words_read(const struct options *words, const char *place, const char *attached,
                     struct mount_options *options, struct error *err)
{
    const char *text;
    int r = mount_options_init(options, err);

    if (r == 0)
        r = mount_options_add_server(options, options_operand(words, 0), err);
    for (size_t i = 0; r == 0 && (text = options_list(words, "options", i)) != NULL; i++)
        r = mount_options_parse(options, text, err);
    if (r == 0 && attached != NULL)
        r = mount_options_attach(options, attached, options_has(words, "prefetch"), err);
    if (r < 0)
        return exit_code_of(EXIT_OF_WORDS, r);
    return exit_code_of(EXIT_OF_LOCAL, mount_options_set_mountpoint(options, place, err));
}

bool mount_words_want_help(const struct options *words)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    const char *first = options_list(words, "options", 0);

    if (first == NULL || strcmp(first, "help") != 0)
        return false;
    mount_options_help(&text);
    fputs(buf_text(&text), stdout);
    return true;
}

int verb_mount(const struct options *words, struct error *err)
{
    struct mount_options options = { 0 };
    int code;

    if (mount_words_want_help(words))
        return EXIT_DONE;
    if (options_operand_count(words) != 2) {
        error_set(err, -EINVAL, "mount takes SERVER and MOUNTPOINT");
        return EXIT_USAGE;
    }
    code = mount_words_read(words, options_operand(words, 1), NULL, &options, err);
    if (code == EXIT_DONE)
        code = mount_and_serve(&options, options_has(words, "foreground"), err);
    mount_options_release(&options);
    return code;
}
