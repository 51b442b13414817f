/* SPDX-License-Identifier: MIT */
#include "agent/cmd/command.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/problem.h"

int command_version(struct command *command, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(4096);
    struct json_writer writer = json_writer_init(&out);

    if (command->output.json) {
        json_begin_object(&writer, NULL);
        json_text(&writer, "name", command->program->name);
        json_text(&writer, "version", command->program->version);
        json_end(&writer);
        buf_add_byte(&out, '\n');
    } else {
        buf_format(&out, "%s %s\n", command->program->name, command->program->version);
    }
    return output_write(&out, err) < 0 ? EXIT_LOCAL : EXIT_DONE;
}
