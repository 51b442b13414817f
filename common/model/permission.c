/* SPDX-License-Identifier: MIT */
#include "common/model/permission.h"

#include <errno.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/error.h"

static const struct {
    enum permission bit;
    const char *name;
} permissions[] = {
    { PERMISSION_PULL, "pull" },
    { PERMISSION_PUSH, "push" },
    { PERMISSION_PROMOTE, "promote" },
    { PERMISSION_ADMIN, "admin" },
};
#define PERMISSION_COUNT (sizeof(permissions) / sizeof(permissions[0]))

static unsigned bit_of(struct span name)
{
    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        if (span_equal_text(name, permissions[i].name))
            return permissions[i].bit;
    }
    return 0;
}

int permission_parse(struct span text, unsigned *out_set, struct error *err)
{
    bool ends_in_comma = text.size > 0 && text.bytes[text.size - 1] == ',';
    struct span rest = text, name;
    unsigned set = 0;

    while (span_cut(&rest, ',', &name)) {
        unsigned bit = bit_of(span_trim(name));
        if (bit == 0 || (set & bit) != 0 || ends_in_comma) {
            set = 0;
            break;
        }
        set |= bit;
    }
    if (set == 0)
        return error_set(err, -EINVAL,
                         "permissions are some of pull, push, promote, admin, each once");
    *out_set = set;
    return 0;
}

void permission_format(unsigned set, struct buf *out)
{
    const char *comma = "";

    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        if ((set & permissions[i].bit) == 0)
            continue;
        buf_add_text(out, comma);
        buf_add_text(out, permissions[i].name);
        comma = ",";
    }
}

const char *permission_name(enum permission permission)
{
    for (size_t i = 0; i < PERMISSION_COUNT; i++) {
        if (permission == permissions[i].bit)
            return permissions[i].name;
    }
    return NULL;
}

bool permission_allows(unsigned set, enum permission wanted)
{
    return (set & (unsigned)wanted) == (unsigned)wanted || (set & PERMISSION_ADMIN) != 0;
}
