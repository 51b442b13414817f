/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pull_names.h"

#include <errno.h>

#include "agent/transfer/local_names.h"
#include "agent/transfer/transfer.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/model/problem.h"
#include "common/model/tree.h"

#define NAMED_MAX 20

struct unheld {
    struct transfer *transfer;
    struct span part; /* what is looked at; empty: all */
    uint64_t told;
    struct error first;
};

static bool is_in_part(struct span part, struct span path)
{
    return part.size == 0 || span_equal(part, path) ||
           (span_starts_with(path, part) && path.bytes[part.size] == '/');
}

static void on_unheld(void *context, struct span path, const char *why, struct span other)
{
    struct unheld *unheld = context;

    if (!is_in_part(unheld->part, path))
        return;
    if (++unheld->told == 1) {
        error_set(&unheld->first, -EINVAL, "%.*s: %s %.*s", (int)path.size,
                  (const char *)path.bytes, why, (int)other.size, (const char *)other.bytes);
        return;
    }
    if (unheld->told == 2)
        transfer_complaint(unheld->transfer, "%s", unheld->first.text);
    if (unheld->told <= NAMED_MAX)
        transfer_complaint(unheld->transfer, "%.*s: %s %.*s", (int)path.size,
                           (const char *)path.bytes, why, (int)other.size,
                           (const char *)other.bytes);
}

/* Our own directory, by another name. */
static bool folds_case(struct directory *dest)
{
    struct file_info one, other;

    if (directory_info(dest, ".kkartifact", &one, NULL) < 0)
        return local_system_here() != LOCAL_LINUX;
    return directory_info(dest, ".KKARTIFACT", &other, NULL) == 0 && one.inode == other.inode;
}

bool pull_names_has(struct directory *dest, const struct tree *tree, struct span path)
{
    return local_names_has(tree, local_system_here(), folds_case(dest), path);
}

int pull_names_check(struct transfer *transfer, struct directory *dest, const struct tree *tree,
                     uint32_t index, struct error *err)
{
    uint8_t room[PATH_MAX_SIZE];
    struct unheld unheld = { .transfer = transfer, .part = tree_path(tree, index, room) };
    struct local_names_options names = { .system = local_system_here(),
                                         .folds_case = folds_case(dest),
                                         .report = on_unheld,
                                         .context = &unheld };
    uint64_t count;
    int r = local_names_check(tree, &names, &count, err);

    if (r < 0 || unheld.told == 0)
        return r;
    if (unheld.told == 1)
        error_set(err, -EINVAL, "%s", unheld.first.text);
    else
        error_set(err, -EINVAL, "%llu names cannot be held here", (unsigned long long)unheld.told);
    return transfer_failed(transfer, -EINVAL, EXIT_LOCAL);
}
