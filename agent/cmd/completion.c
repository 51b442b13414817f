/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/options.h"
#include "common/model/problem.h"

int command_completion(struct command *command, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(1 << 20);

    if (options_completion(command->program, options_operand(command->options, 0), &out, err) < 0)
        return EXIT_USAGE;
    return output_write(&out, err) < 0 ? EXIT_LOCAL : EXIT_DONE;
}
