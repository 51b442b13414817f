/* SPDX-License-Identifier: MIT */
#include "agent/cmd/hooks.h"

#include <errno.h>

#include "agent/cli/interrupt.h"
#include "agent/cmd/job.h"
#include "agent/transfer/pull.h"
#include "common/base/error.h"
#include "common/base/shell.h"
#include "common/model/problem.h"

static int run(const struct hooks *hooks, const char *flag, const char *command,
               const struct pull_change *change, struct error *err)
{
    char content[DIGEST_HEX_SIZE];
    const struct shell_variable variables[] = {
        { "KKARTIFACT_PROJECT", change->project },
        { "KKARTIFACT_APP", change->app },
        { "KKARTIFACT_VERSION", change->version },
        { "KKARTIFACT_PREVIOUS", change->previous },
        { "KKARTIFACT_DEST", hooks->dest },
        { "KKARTIFACT_CONTENT", content },
        { "KKARTIFACT_TOKEN", NULL },
        { NULL, NULL },
    };
    int status = 0;
    int r;

    if (command == NULL)
        return 0;
    digest_hex(&change->content, content);
    job_hide_progress(hooks->job); /* the command has the terminal */
    r = shell_run(command, variables, interrupt_flag(), &status, err);
    if (r == 0 && status != 0 && atomic_load(interrupt_flag()))
        return error_set(err, -ECANCELED, "interrupted");
    if (r == 0 && status != 0)
        r = error_set(err, -EIO, "--%s: the command ended with %d", flag, status);
    else if (r < 0)
        error_prefix(err, r, "--%s", flag);
    return job_failed(hooks->job, r, EXIT_OTHER);
}

int hooks_before(void *context, const struct pull_change *change, struct error *err)
{
    struct hooks *hooks = context;
    int r = run(hooks, "pre", hooks->pre, change, err);

    hooks->refused = r < 0;
    return r;
}

int hooks_after(struct hooks *hooks, const struct pull_change *change, struct error *err)
{
    return run(hooks, "post", hooks->post, change, err);
}
