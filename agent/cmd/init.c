/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "agent/cli/configuration.h"
#include "agent/cmd/command.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "common/model/problem.h"
#include "common/model/settings.h"

CLEANUP_DEFINE(directory, directory_close);

/* The flags are judged by the rules of the file. */
static int make_text(const struct options *options, struct buf *out, struct error *err)
{
    static const char *const keys[] = { "server", "project", "app" };
    struct settings *settings = NULL;
    int r = settings_new(configuration_specs, &settings, err);

    for (size_t i = 0; r == 0 && i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *value = options_get(options, keys[i]);
        if (value != NULL)
            r = settings_set_flag(settings, keys[i], value, err);
    }
    settings_free(settings);
    if (r < 0)
        return r;
    configuration_example(options_get(options, "server"), options_get(options, "project"),
                          options_get(options, "app"), out);
    return buf_check(out, err);
}

static int save_new(const char *path, struct span text, struct error *err)
{
    cleanup(cleanup_directory) struct directory *directory = NULL;
    cleanup_fd int fd = -1;
    int r = file_make_directories(path, 0755, err);

    if (r == 0)
        r = directory_open(path, &directory, err);
    if (r == 0)
        r = directory_create(directory, CONFIGURATION_NAME, 0644, &fd, err);
    if (r == -EEXIST)
        return error_set(err, r, "%s/%s is there already", path, CONFIGURATION_NAME);
    return r < 0 ? r : file_write(fd, text.bytes, text.size, err);
}

int command_init(struct command *command, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(1 << 20);
    cleanup(buf_release) struct buf said = buf_init(1 << 16);
    const char *path =
        options_operand_count(command->options) > 0 ? options_operand(command->options, 0) : ".";
    struct json_writer writer = json_writer_init(&said);
    int r = make_text(command->options, &text, err);

    if (r < 0)
        return r == -ENOMEM ? EXIT_OTHER : EXIT_USAGE;
    if (save_new(path, buf_span(&text), err) < 0)
        return EXIT_LOCAL;
    if (command->output.json) {
        json_begin_object(&writer, NULL);
        buf_clear(&text);
        buf_format(&text, "%s/%s", path, CONFIGURATION_NAME);
        json_text(&writer, "file", buf_text(&text));
        json_end(&writer);
        buf_add_byte(&said, '\n');
    } else {
        buf_format(&said, "%s/%s\n", path, CONFIGURATION_NAME);
    }
    return output_write(&said, err) < 0 ? EXIT_LOCAL : EXIT_DONE;
}
