/* SPDX-License-Identifier: MIT */
#include "fs/main/held_mount.h"

#include <errno.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/client/secret.h"
#include "fs/control/control_path.h"
#include "fs/holder/holder.h"
#include "fs/holder/holder_state.h"
#include "fs/main/daemon.h"
#include "fs/main/exit_code.h"
#include "fs/main/former_mount.h"
#include "fs/main/mount_options.h"
#include "fs/main/mount_options_json.h"

static int set_text(char **at, const char *text, struct error *err)
{
    memory_free(*at);
    *at = text != NULL ? memory_text(text) : NULL;
    return text != NULL && *at == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

/* What is shown as mounted: the server, and of an attach also what of it. */
static int set_source(struct holder_state *state, const struct mount_options *options,
                      struct error *err)
{
    cleanup(buf_release) struct buf source = buf_init(BUF_UNLIMITED);

    buf_add_text(&source, options->servers[0]);
    if (options->attached)
        buf_format(&source, "/%s/%s%c%s", options->only_project, options->only_app,
                   options->attach_channel != NULL ? '@' : '/',
                   options->attach_channel != NULL ? options->attach_channel
                                                   : options->attach_version);
    return buf_check(&source, err) == 0 ? set_text(&state->source, buf_text(&source), err)
                                        : -ENOMEM;
}

static int fill_attach(struct attach_state *attach, const struct mount_options *options,
                       const char *exec, struct error *err)
{
    int r = set_text(&attach->project, options->only_project, err);

    if (r == 0)
        r = set_text(&attach->app, options->only_app, err);
    if (r == 0)
        r = set_text(&attach->channel, options->attach_channel, err);
    if (r == 0)
        r = set_text(&attach->exec, exec != NULL && exec[0] != '\0' ? exec : NULL, err);
    attach->is_attached = true;
    return r;
}

/* As this start of the program has it, whatever an earlier one was told. */
static int fill_state(struct holder_state *state, const struct mount_options *options,
                      bool foreground, struct error *err)
{
    int r = set_text(&state->mountpoint, options->mountpoint, err);

    state->program = memory_free(state->program);
    buf_clear(&state->config);
    mount_options_write(options, &state->config);
    if (r == 0)
        r = buf_check(&state->config, err);
    if (r == 0)
        r = set_source(state, options, err);
    if (r == 0)
        r = set_text(&state->cache, options->cache, err);
    if (r == 0)
        r = set_text(&state->token_file, options->token_file, err);
    if (r == 0)
        r = set_text(&state->ca_file, options->ca_file, err);
    if (r == 0)
        r = set_text(&state->metrics, options->metrics, err);
    state->deadline_ms = options->deadline_ms;
    state->noexec = options->noexec;
    state->passthrough = mount_options_want_passthrough(options);
    state->in_foreground = foreground;
    return r;
}

/* It must be there at the start; later the last one that could be read goes on. */
static int check_token(const struct mount_options *options, struct error *err)
{
    struct secret *token = NULL;
    int r = options->token_file != NULL ? secret_load(options->token_file, &token, err) : 0;

    secret_free(token);
    return r < 0 ? error_prefix(err, -EINVAL, "token_file") : 0;
}

/* Of this process: its number is in the name. */
static char *log_path_of(const struct holder *holder)
{
    cleanup(buf_release) struct buf directory = buf_init(4096), path = buf_init(4096);

    if (control_path_directory(&directory, NULL) < 0)
        return NULL;
    control_path_log(&path, buf_text(&directory), holder_device(holder));
    return buf_check(&path, NULL) == 0 ? buf_take(&path) : NULL;
}

static int hold(struct holder *holder, bool foreground, int *ready, struct error *err)
{
    cleanup_memory char *log_path = foreground ? NULL : log_path_of(holder);
    int r;

    daemon_ready(ready, log_path);
    if (!foreground)
        holder_share_log(holder);
    r = holder_run(holder, err);
    holder_close(holder);
    if (log_path != NULL)
        unlink(log_path);
    return exit_code_of(EXIT_OF_LOCAL, r);
}

static int open_and_hold(struct holder_state *state, int state_fd,
                         const struct mount_options *options, bool foreground, struct error *err)
{
    struct holder *holder = NULL;
    int ready = -1, code = 0, r;

    if (!foreground) {
        code = daemon_split(&ready, err);
        if (code >= 0)
            return code;
        code = 0;
    }
    r = holder_open(&holder, state, state_fd, &code, err);
    if (r < 0) {
        code = code != 0 ? code : exit_code_of(EXIT_OF_LOCAL, r);
        daemon_failed(&ready, code, err);
        if (!foreground)
            err->text[0] = '\0'; /* whoever waits says it */
        return code;
    }
    if (foreground && !options->attached)
        log_info("%s is mounted at %s", options->servers[0], options->mountpoint);
    return hold(holder, foreground, &ready, err);
}

int held_mount(const struct mount_options *options, bool foreground, struct error *err)
{
    struct holder_state state;
    int state_fd = -1, code, r = check_token(options, err);

    if (r < 0)
        return exit_code_of(EXIT_OF_SERVER, r);
    holder_state_init(&state);
    if (!holder_find_kept(&state, options->mountpoint, options->servers[0], &state_fd))
        r = former_mount_clear(options->mountpoint, options->servers[0], err);
    if (r == 0)
        r = fill_state(&state, options, foreground, err);
    if (r < 0)
        code = exit_code_of(EXIT_OF_LOCAL, r);
    else
        code = open_and_hold(&state, state_fd, options, foreground, err);
    holder_state_release(&state);
    return code;
}

int held_attach(const struct mount_options *options, const char *exec, bool foreground,
                struct error *err)
{
    struct holder_state state;
    int code, r = check_token(options, err);

    if (r < 0)
        return exit_code_of(EXIT_OF_SERVER, r);
    holder_state_init(&state);
    r = holder_check_place(options->mountpoint, err);
    if (r == 0)
        r = fill_state(&state, options, foreground, err);
    if (r == 0)
        r = fill_attach(&state.attach, options, exec, err);
    code = r < 0 ? exit_code_of(EXIT_OF_LOCAL, r)
                 : open_and_hold(&state, -1, options, foreground, err);
    holder_state_release(&state);
    return code;
}

int held_mount_resume(int state_fd, struct error *err)
{
    struct holder *holder = NULL;
    int none = -1, r = holder_resume(&holder, state_fd, err);

    if (r < 0)
        return exit_code_of(EXIT_OF_LOCAL, r);
    /* Standard error is where the former program left it. */
    return hold(holder, true, &none, err);
}
