/* SPDX-License-Identifier: MIT */

/*
 * pattern_probe - what the agent's patterns say of paths, for a comparison with git.
 *
 *     pattern_probe ITEM... <paths
 *
 * Each line of the input is a path, with a slash at its end when it is a directory; each line of
 * the output is 1 when the list covers it, else 0.
 */
#include <stdio.h>

#include "agent/transfer/pattern.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"

int main(int argc, char *argv[])
{
    cleanup(pattern_list_release) struct pattern_list list = pattern_list_init();
    cleanup(buf_release) struct buf input = buf_init(1 << 26);
    struct error err;
    struct span rest, line;

    for (int i = 1; i < argc; i++) {
        if (pattern_list_add(&list, argv[i], &err) < 0)
            return 1;
    }
    if (file_load("-", &input, &err) < 0)
        return 1;
    rest = buf_span(&input);
    while (span_cut(&rest, '\n', &line)) {
        bool is_directory = line.size > 0 && line.bytes[line.size - 1] == '/';
        if (line.size > 0)
            puts(pattern_list_covers(&list, span_slice(line, 0, line.size - is_directory),
                                     is_directory)
                     ? "1"
                     : "0");
    }
    return 0;
}
