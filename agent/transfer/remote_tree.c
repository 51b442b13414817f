/* SPDX-License-Identifier: MIT */
#include "agent/transfer/remote_tree.h"

#include <errno.h>
#include <stdlib.h>

#include "agent/transfer/pull_tree.h"
#include "agent/transfer/transfer.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/random.h"

CLEANUP_DEFINE(directory, directory_close);

static const char *place_for_scratch(void)
{
#ifdef _WIN32
    const char *place = getenv("TEMP");
    return place != NULL && place[0] != '\0' ? place : ".";
#else
    const char *place = getenv("TMPDIR");
    return place != NULL && place[0] != '\0' ? place : "/tmp";
#endif
}

/* A new directory that nobody else may enter. */
static int make_scratch(char **out_name, struct directory **out, struct error *err)
{
    cleanup(cleanup_directory) struct directory *place = NULL;
    cleanup(buf_release) struct buf name = buf_init(64);
    uint64_t number;
    int r = directory_open(place_for_scratch(), &place, err);

    if (r == 0)
        r = random_bytes(&number, sizeof(number), err);
    if (r < 0)
        return r;
    buf_format(&name, "kkartifact-%016llx", (unsigned long long)number);
    r = buf_check(&name, err);
    if (r == 0)
        r = directory_make(place, buf_text(&name), 0700, err);
    if (r == 0)
        r = directory_open_below(place, buf_text(&name), out, err);
    if (r < 0)
        return r;
    *out_name = buf_take(&name);
    return *out_name == NULL ? error_set(err, -ENOMEM, "out of memory") : 0;
}

static int remove_scratch(const char *name)
{
    cleanup(cleanup_directory) struct directory *place = NULL;
    int r = directory_open(place_for_scratch(), &place, NULL);

    return r < 0 ? r : directory_remove_all(place, name, NULL);
}

void remote_tree_release(struct remote_tree *tree)
{
    pulled_close_tree(&tree->image);
    api_version_release(&tree->version);
    if (tree->scratch != NULL)
        remove_scratch(tree->scratch);
    memory_free(tree->scratch);
    *tree = (struct remote_tree){ 0 };
}

int remote_tree_fetch(struct transfer *transfer, const char *project, const char *app,
                      const char *version, struct remote_tree *out, struct error *err)
{
    cleanup(remote_tree_release) struct remote_tree tree = { 0 };
    cleanup(cleanup_directory) struct directory *scratch = NULL;
    int r;

    transfer_meter(transfer, METER_ASKING, 0, 0);
    r = api_version_get(transfer->client, project, app, version, &tree.version, err);
    if (r < 0)
        return r;
    r = transfer_local(transfer, make_scratch(&tree.scratch, &scratch, err));
    if (r == 0)
        r = pull_tree(transfer, &tree.version.record, scratch, &tree.image, err);
    if (r < 0)
        return r;
    /* Mapped memory outlives the name of its file, but not on Windows. */
    if (remove_scratch(tree.scratch) == 0)
        tree.scratch = memory_free(tree.scratch);
    *out = tree;
    tree = (struct remote_tree){ 0 };
    return 0;
}
