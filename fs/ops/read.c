/* SPDX-License-Identifier: MIT */
/*
 * Reads: the whole range, or an error; never short before the end, since the kernel would take a
 * file to be that short for everyone. The bytes are answered from memory of our own.
 */
#include <errno.h>
#include <string.h>

#include "common/base/workers.h"
#include "common/client/tree_fetch.h"
#include "fs/ops/question.h"
#include "fs/ops/siblings.h"
#include "fs/reader/reader.h"
#include "fs/reads/read_log.h"

static void reply_bytes(struct question *question)
{
    struct session_request *request = question_take(question);

    if (request != NULL)
        session_reply_bytes(request, span_of(question->buffer, question->buffer_size));
    question_end(question);
}

static void fail_read(struct question *question, const struct error *err)
{
    /* Gone at the server is not gone from the tree: the file is there, its bytes cannot be had. */
    struct error told = *err;

    if (told.code == -ENOENT || told.code == -ESTALE)
        told.code = -EIO;
    question_remember_failure(question->ops, question->node, told.code);
    question_fail(question, &told);
}

static void bytes_came(void *context, int result, const struct error *err)
{
    struct question *question = context;
    struct error unknown = { result, "the read failed" };

    if (question->request != NULL)
        question_note_wait(question);
    if (result == 0)
        question_note_bytes(question);
    if (result < 0 && question->request != NULL)
        fail_read(question, err != NULL ? err : &unknown);
    else
        reply_bytes(question);
}

void question_note_read(const struct question *question, uint64_t file_size, uint64_t offset,
                        uint64_t size)
{
    const struct ops_options *options = &question->ops->options;

    if (read_log_note(tree_mount_reads(question->mount), (uint32_t)question->place.index, file_size,
                      offset, size) &&
        options->first_read != NULL)
        options->first_read(options->first_read_context, question->mount, question->place.slot);
}

static void read_file(struct question *question, const struct tree_node *node)
{
    struct ops *ops = question->ops;
    struct reader_file file = { tree_mount_fetch(question->mount), node->digest_index, node->size };
    struct question *parked;
    struct error err = { 0 };
    int r = reader_try(ops->options.reader, &file, question->offset, question->buffer,
                       question->buffer_size);

    if (r == 0) {
        reply_bytes(question);
        return;
    }
    r = question_recent_failure(ops, question->node);
    if (r < 0) {
        question_fail_code(question, r);
        return;
    }
    siblings_cold(ops->siblings, question->mount, question->place.index, node);
    parked = question_park(question);
    if (parked == NULL)
        return;
    r = reader_start(ops->options.reader, &file, parked->offset, parked->buffer,
                     parked->buffer_size, parked->deadline_ms, bytes_came, parked, &err);
    if (r < 0)
        question_fail_later(parked, &err);
}

static void manifest_done(void *context)
{
    struct question *question = context;

    bytes_came(question, question->result, &question->err);
}

static void make_manifest(void *context)
{
    struct question *question = context;
    struct tree_mount *mount = question->mount;

    question->result = manifest_read(tree_mount_manifest(mount), tree_mount_fetch(mount),
                                     &tree_mount_view(mount)->tree, question->offset,
                                     question->buffer, question->buffer_size, &question->err);
    question->post = (struct http_post){ .function = manifest_done, .context = question };
    http_loop_post_at(question->ops->options.loop, &question->post);
}

static void image_came(void *context, int result, const struct error *err)
{
    static const struct error busy = { -EAGAIN, "too many manifests at once" };
    struct question *question = context;

    if (result < 0)
        bytes_came(question, result, err);
    else if (workers_try(question->ops->options.workers, make_manifest, question) < 0)
        bytes_came(question, busy.code, &busy);
}

static void complete_image(void *context)
{
    struct question *question = context;
    struct tree_fetch *fetch = tree_mount_fetch(question->mount);
    struct error err = { 0 };
    int r;

    if (tree_fetch_is_complete(fetch)) {
        image_came(question, 0, NULL);
        return;
    }
    r = tree_fetch_complete(fetch, question->deadline_ms, image_came, question, &err);
    if (r < 0)
        bytes_came(question, r, &err);
}

static void read_manifest(struct question *question)
{
    struct question *parked;
    int r = question_recent_failure(question->ops, question->node);

    if (r < 0) {
        question_fail_code(question, r);
        return;
    }
    parked = question_park(question);
    if (parked == NULL)
        return;
    parked->post = (struct http_post){ .function = complete_image, .context = parked };
    http_loop_post_at(parked->ops->options.loop, &parked->post);
}

/* What the file has of the range; false: nothing. */
static bool clamp(struct question *question, const struct tree_node *node)
{
    if (question->offset >= node->size)
        return false;
    question->buffer_size = question->size;
    if (question->buffer_size > node->size - question->offset)
        question->buffer_size = (size_t)(node->size - question->offset);
    return question->buffer_size > 0;
}

void question_read(struct question *question)
{
    struct tree_node node;

    if (tree_view_node(tree_mount_view(question->mount), question->place.index, &node) < 0 ||
        node.kind != ENTRY_FILE) {
        question_fail_code(question, -EISDIR);
        return;
    }
    if (!clamp(question, &node)) {
        reply_bytes(question);
        return;
    }
    question->ops->options.usage.read(question->ops->options.usage.context, &question->place);
    question->buffer = buffers_take(question->ops->buffers, question->buffer_size);
    if (question->buffer == NULL) {
        question_fail_code(question, -ENOMEM);
    } else if (node.is_manifest) {
        read_manifest(question);
    } else {
        question_note_read(question, node.size, question->offset, question->buffer_size);
        read_file(question, &node);
    }
}
