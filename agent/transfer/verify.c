/* SPDX-License-Identifier: MIT */
#include "agent/transfer/verify.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/hasher.h"
#include "agent/transfer/pattern.h"
#include "agent/transfer/pulled.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/problem.h"
#include "common/model/tree.h"

#define BUFFER_SIZE (256 * 1024)

struct verifying {
    const struct verify_options *options;
    struct verify_result result;
    uint8_t *buffer;
    char path[PATH_MAX_SIZE + 1];
};

const char *verify_difference_name(enum verify_difference difference)
{
    static const char *const names[] = { "missing", "kind", "content", "mode", "unreadable" };

    return names[difference];
}

static void differs(struct verifying *verifying, enum verify_difference difference)
{
    verifying->result.differences++;
    verifying->options->report(verifying->options->context, difference, span_text(verifying->path));
}

static int verify_file(struct verifying *verifying, const struct entry *entry, struct error *err)
{
    const struct verify_options *options = verifying->options;
    cleanup_fd int fd = -1;
    struct file_info info;
    struct digest sha256;
    int r;

    if (directory_open_read(options->root, verifying->path, &fd, NULL) < 0 ||
        file_info(fd, &info, NULL) < 0) {
        differs(verifying, VERIFY_UNREADABLE);
        return 0;
    }
    if (info.size != entry->size) {
        differs(verifying, VERIFY_CONTENT);
        return 0;
    }
    r = hasher_read(fd, entry->size, verifying->buffer, BUFFER_SIZE, options->transfer->stop,
                    &sha256, err);
    if (r == -ECANCELED)
        return r;
    if (r < 0)
        differs(verifying, VERIFY_UNREADABLE);
    else if (!digest_equal(&sha256, &entry->sha256))
        differs(verifying, VERIFY_CONTENT);
    verifying->result.files++;
    verifying->result.bytes += entry->size;
    transfer_done(options->transfer, 1, entry->size);
    return 0;
}

static void verify_link(struct verifying *verifying, const struct entry *entry)
{
    cleanup_memory char *target = NULL;

    if (directory_read_link(verifying->options->root, verifying->path, &target, NULL) < 0)
        differs(verifying, VERIFY_UNREADABLE);
    else if (!span_equal_text(entry->target, target))
        differs(verifying, VERIFY_CONTENT);
}

static int verify_entry(struct verifying *verifying, const struct entry *entry, struct error *err)
{
    struct file_info info;
    int r = directory_info(verifying->options->root, verifying->path, &info, NULL);

    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) {
        differs(verifying, VERIFY_MISSING);
        return 0;
    }
    if (r < 0) {
        differs(verifying, VERIFY_UNREADABLE);
        return 0;
    }
    if (info.kind != entry_file_kind(entry->kind)) {
        differs(verifying, VERIFY_KIND);
        return 0;
    }
    r = 0;
    if (entry->kind == ENTRY_LINK)
        verify_link(verifying, entry);
    else if (entry->kind == ENTRY_FILE)
        r = verify_file(verifying, entry, err);
#ifndef _WIN32
    if (r == 0 && entry->kind != ENTRY_LINK && (info.mode & 0777) != entry->mode)
        differs(verifying, VERIFY_MODE);
#endif
    return r;
}

static int verify_tree(struct verifying *verifying, const struct tree *tree, struct error *err)
{
    const struct verify_options *options = verifying->options;
    cleanup_memory struct tree_walk *walk = memory_new(sizeof(*walk));
    struct entry entry;
    int r = 0;

    if (walk == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    tree_walk_init(walk, tree, TREE_ROOT);
    while (r == 0 && tree_walk_next(walk, &entry)) {
        if (options->protect != NULL &&
            pattern_list_covers(options->protect, entry.path, entry.kind == ENTRY_DIRECTORY))
            continue;
        memcpy(verifying->path, entry.path.bytes, entry.path.size);
        verifying->path[entry.path.size] = '\0';
        r = transfer_stopped(options->transfer, err);
        if (r == 0)
            r = verify_entry(verifying, &entry, err);
    }
    return r;
}

static int check_record(const struct pulled *pulled, struct transfer *transfer, struct error *err)
{
    int r = 0;

    if (pulled->damaged != NULL)
        r = error_set(err, -EBADMSG, ".kkartifact/%s is damaged", pulled->damaged);
    else if (!pulled->has_current || !pulled->has_state)
        return error_set(err, -ENOENT, "no pull has ended in this directory");
    else if (!digest_equal(&pulled->record.content, &pulled->current.tree.header.content))
        r = error_set(err, -EBADMSG, ".kkartifact/tree is not that of the record");
    return transfer_failed(transfer, r, EXIT_INTEGRITY);
}

int verify_run(const struct verify_options *options, struct verify_result *out, struct error *err)
{
    cleanup(pulled_release) struct pulled pulled = { .lock_fd = -1 };
    cleanup_memory struct verifying *verifying = memory_new(sizeof(*verifying));
    cleanup_memory uint8_t *buffer = memory_new(BUFFER_SIZE);
    int r;

    if (verifying == NULL || buffer == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    verifying->options = options;
    verifying->buffer = buffer;
    r = transfer_local(options->transfer, pulled_open(options->root, PULLED_READ, &pulled, err));
    if (r == 0)
        r = check_record(&pulled, options->transfer, err);
    if (r < 0)
        return r;
    if (pulled.pending_count > 0)
        transfer_warning(options->transfer,
                         "a pull of another version has begun to change this directory and did "
                         "not end: pull again to complete it");
    transfer_meter(options->transfer, METER_SCANNING, pulled.current.tree.header.file_count,
                   pulled.current.tree.header.bytes);
    r = verify_tree(verifying, &pulled.current.tree, err);
    if (r < 0)
        return r;
    *out = verifying->result;
    memcpy(out->project, pulled.record.project, sizeof(out->project));
    memcpy(out->app, pulled.record.app, sizeof(out->app));
    memcpy(out->version, pulled.record.version, sizeof(out->version));
    out->content = pulled.record.content;
    return 0;
}
