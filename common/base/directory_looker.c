/* SPDX-License-Identifier: MIT */
#include "common/base/directory_looker.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/span.h"

struct directory_looker {
    struct directory *at;
    struct directory *parent; /* open, or NULL */
    struct buf parent_path;   /* below `at` */
};

int directory_looker_new(struct directory *at, struct directory_looker **out_looker,
                         struct error *err)
{
    struct directory_looker *looker = memory_new(sizeof(*looker));

    if (looker == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    looker->at = at;
    looker->parent_path = buf_init(BUF_UNLIMITED);
    *out_looker = looker;
    return 0;
}

struct directory_looker *directory_looker_free(struct directory_looker *looker)
{
    if (looker == NULL)
        return NULL;
    directory_close(looker->parent);
    buf_release(&looker->parent_path);
    return memory_free(looker);
}

static bool is_open(const struct directory_looker *looker, struct span path)
{
    return looker->parent != NULL && span_equal(buf_span(&looker->parent_path), path);
}

static int open_parent(struct directory_looker *looker, struct span path)
{
    int r;

    looker->parent = directory_close(looker->parent);
    buf_clear(&looker->parent_path);
    buf_add_span(&looker->parent_path, path);
    r = buf_check(&looker->parent_path, NULL);
    return r < 0 ? r
                 : directory_open_below(looker->at, buf_text(&looker->parent_path), &looker->parent,
                                        NULL);
}

int directory_looker_spot(struct directory_looker *looker, const char *path,
                          struct looker_spot *out, struct error *err)
{
    const char *slash = strrchr(path, '/');
    struct span parent;
    int r = 0;

    *out = (struct looker_spot){ .at = looker->at, .name = path };
    if (slash == NULL || slash[1] == '\0')
        return 0;
    parent = span_of(path, (size_t)(slash - path));
    if (!is_open(looker, parent))
        r = open_parent(looker, parent);
    if (r == -ENOMEM)
        return error_set(err, r, "out of memory");
    /* A directory that may be passed need not be one that may be opened. */
    if (r == 0)
        *out = (struct looker_spot){ .at = looker->parent, .name = slash + 1 };
    return 0;
}

int directory_looker_info(struct directory_looker *looker, const char *path, struct file_info *out,
                          struct error *err)
{
    struct looker_spot spot;
    int r = directory_looker_spot(looker, path, &spot, err);

    if (r < 0)
        return r;
    if (spot.name == path)
        return directory_info(spot.at, path, out, err);
    r = directory_info(spot.at, spot.name, out, NULL);
    return r < 0 ? error_system(err, -r, "%s", path) : 0;
}
