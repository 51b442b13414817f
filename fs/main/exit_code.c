/* SPDX-License-Identifier: MIT */
#include "fs/main/exit_code.h"

#include <errno.h>

static int of_server(int code)
{
    switch (code) {
    case -EPERM:
    case -EACCES:
    case -EPROTO:
        return EXIT_NOT_ALLOWED;
    case -ENOENT:
    case -ESTALE:
        return EXIT_NOT_FOUND;
    case -EAGAIN:
    case -ETIMEDOUT:
    case -ENETDOWN:
    case -EIO:
        return EXIT_NOT_REACHED;
    case -EBADMSG:
        return EXIT_INTEGRITY;
    case -EINVAL:
        return EXIT_USAGE;
    default:
        return EXIT_OTHER;
    }
}

int exit_code_of(enum exit_place place, int code)
{
    if (code == 0)
        return EXIT_DONE;
    if (code == -ENOMEM)
        return EXIT_OTHER;
    if (place == EXIT_OF_SERVER)
        return of_server(code);
    return place == EXIT_OF_LOCAL ? EXIT_LOCAL : EXIT_USAGE;
}
