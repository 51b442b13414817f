/* SPDX-License-Identifier: MIT */
#include "server/main/output.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/error.h"

int output_write(struct buf *out, struct error *err)
{
    int r = buf_check(out, err);

    if (r < 0)
        return r;
    if (fwrite(out->bytes, 1, out->size, stdout) != out->size || fflush(stdout) != 0)
        return error_set(err, -EIO, "standard output cannot be written");
    return 0;
}
