/* SPDX-License-Identifier: MIT */
#include "tests/support/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/file.h"
#include "common/base/memory.h"

int place_make(void **state)
{
    struct place *place = memory_new(sizeof(*place));

    assert_non_null(place);
    *place = (struct place){ "/tmp/kk-place-XXXXXX", NULL };
    assert_non_null(mkdtemp(place->path));
    assert_int_equal(directory_open(place->path, &place->at, NULL), 0);
    *state = place;
    return 0;
}

int place_remove(void **state)
{
    struct place *place = *state;
    char command[256];

    directory_close(place->at);
    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", place->path, place->path);
    assert_int_equal(system(command), 0);
    memory_free(place);
    return 0;
}

void place_put(struct place *place, const char *path, const char *text)
{
    cleanup(buf_release) struct buf parent = buf_init(4096);
    cleanup_fd int fd = -1;
    const char *slash = strrchr(path, '/');

    if (slash != NULL) {
        buf_add(&parent, path, (size_t)(slash - path));
        assert_int_equal(directory_make_all(place->at, buf_text(&parent), 0755, NULL), 0);
    }
    directory_remove_file(place->at, path, NULL);
    assert_int_equal(directory_create(place->at, path, 0644, &fd, NULL), 0);
    assert_int_equal(file_write(fd, text, strlen(text), NULL), 0);
}
