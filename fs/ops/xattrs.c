/* SPDX-License-Identifier: MIT */
/* Extended attributes, only with xattr=on. One line each in the table. */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/tree_fetch.h"
#include "fs/ops/faults.h"
#include "fs/ops/question.h"
#include "fs/reader/reader.h"

#define PREFIX "user.kkartifact."
#define VALUE_MAX 4096

struct xattr {
    const char *name;
    bool of_version; /* else of files */
    bool works;      /* not on a session's thread: looks at every file */
    int (*write)(struct question *question, const struct tree_node *node, struct buf *out);
};

static struct reader_file file_of(const struct question *question, const struct tree_node *node)
{
    return (struct reader_file){ tree_mount_fetch(question->mount), node->digest_index,
                                 node->size };
}

static int write_digest(struct question *question, const struct tree_node *node, struct buf *out,
                        bool verity)
{
    struct reader_file file = file_of(question, node);
    struct digest sha256, of_tree;
    char hex[DIGEST_HEX_SIZE];
    int r = reader_digests_try(&file, &sha256, &of_tree);

    if (r == -EAGAIN && question->has_digests) {
        sha256 = question->digests.sha256;
        of_tree = question->digests.verity;
        r = 0;
    }
    if (r == 0) {
        digest_hex(verity ? &of_tree : &sha256, hex);
        buf_add_text(out, hex);
    }
    return r;
}

static int write_sha256(struct question *question, const struct tree_node *node, struct buf *out)
{
    return write_digest(question, node, out, false);
}

static int write_verity(struct question *question, const struct tree_node *node, struct buf *out)
{
    return write_digest(question, node, out, true);
}

static int write_cached(struct question *question, const struct tree_node *node, struct buf *out)
{
    struct reader_file file = file_of(question, node);
    uint64_t bytes = 0;
    int r = reader_cached_bytes(question->ops->options.reader, &file, &bytes);

    if (r == 0)
        buf_format(out, "%llu", (unsigned long long)bytes);
    return r;
}

static int write_content(struct question *question, const struct tree_node *node, struct buf *out)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&tree_mount_view(question->mount)->tree.header.content, hex);
    buf_add_text(out, hex);
    return 0;
}

static int write_version(struct question *question, const struct tree_node *node, struct buf *out)
{
    buf_add_text(out, question->place.version);
    return 0;
}

static int write_state(struct question *question, const struct tree_node *node, struct buf *out)
{
    buf_add_text(out, version_state_of(question->ops, question->mount).text);
    return 0;
}

static int write_last_error(struct question *question, const struct tree_node *node,
                            struct buf *out)
{
    const struct ids_place *place = &question->place;
    char name[FAULTS_NAME_SIZE], text[FAULTS_TEXT_SIZE];

    fault_name(name, place->project, place->app, place->version);
    faults_of(question->ops->faults, name, text);
    buf_add_text(out, text);
    return 0;
}

static const struct xattr xattrs[] = {
    { PREFIX "sha256", false, false, write_sha256 },
    { PREFIX "verity", false, false, write_verity },
    { PREFIX "cached", false, false, write_cached },
    { PREFIX "content", true, false, write_content },
    { PREFIX "version", true, false, write_version },
    { PREFIX "state", true, true, write_state },
    { PREFIX "last_error", true, false, write_last_error },
};

static bool fits(const struct xattr *xattr, const struct question *question,
                 const struct tree_node *node)
{
    if (xattr->of_version)
        return question->place.index == TREE_ROOT;
    return node->kind == ENTRY_FILE && !node->is_manifest;
}

static const struct xattr *find(const struct question *question, const struct tree_node *node)
{
    for (size_t i = 0; i < sizeof(xattrs) / sizeof(*xattrs); i++)
        if (strcmp(xattrs[i].name, question->name) == 0 && fits(&xattrs[i], question, node))
            return &xattrs[i];
    return NULL;
}

/* By getxattr(2): the size when 0 was asked, ERANGE when it does not fit. */
static void reply_value(struct question *question, const struct buf *value)
{
    struct session_request *request = question_take(question);

    if (request == NULL)
        return;
    if (buf_check(value, NULL) < 0)
        session_reply_error(request, ENOMEM);
    else if (question->size == 0)
        session_reply_xattr_size(request, value->size);
    else if (value->size > question->size)
        session_reply_error(request, ERANGE);
    else
        session_reply_bytes(request, buf_span(value));
}

static void list(struct question *question, const struct tree_node *node)
{
    struct buf names = buf_init(VALUE_MAX);

    for (size_t i = 0; i < sizeof(xattrs) / sizeof(*xattrs); i++)
        if (fits(&xattrs[i], question, node))
            buf_add(&names, xattrs[i].name, strlen(xattrs[i].name) + 1);
    reply_value(question, &names);
    buf_release(&names);
    question_end(question);
}

static void worked(void *context)
{
    struct question *question = context;

    reply_value(question, question->text);
    question_end(question);
}

static void work(void *context)
{
    struct question *question = context;
    struct tree_node node;

    if (tree_view_node(tree_mount_view(question->mount), question->place.index, &node) == 0)
        find(question, &node)->write(question, &node, question->text);
    question->post = (struct http_post){ .function = worked, .context = question };
    http_loop_post_at(question->ops->options.loop, &question->post);
}

static void hand_to_worker(struct question *question)
{
    static const struct error busy = { -EAGAIN, "too much to look at" };
    struct question *parked = question_park(question);

    if (parked == NULL)
        return;
    parked->text = memory_new(sizeof(*parked->text));
    if (parked->text != NULL) {
        *parked->text = buf_init(VALUE_MAX);
        if (workers_try(parked->ops->options.workers, work, parked) == 0)
            return;
    }
    question_fail_later(parked, &busy);
}

static void get(struct question *question, const struct tree_node *node);

static void digests_came(void *context, int result, const struct error *err)
{
    struct question *question = context;
    struct tree_node node;

    if (question_is_over(question))
        return;
    question->has_digests = true;
    if (result < 0)
        question_fail(question, err);
    else if (tree_view_node(tree_mount_view(question->mount), question->place.index, &node) == 0)
        get(question, &node);
}

static void ask_digests(struct question *question, const struct tree_node *node)
{
    struct question *parked = question_park(question);
    struct reader_file file;
    struct error err = { 0 };

    if (parked == NULL)
        return;
    file = file_of(parked, node);
    if (reader_digests_start(parked->ops->options.reader, &file, &parked->digests,
                             parked->deadline_ms, digests_came, parked, &err) < 0)
        question_fail_later(parked, &err);
}

static void get(struct question *question, const struct tree_node *node)
{
    const struct xattr *xattr = find(question, node);
    struct buf value = buf_init(VALUE_MAX);
    int r;

    if (xattr == NULL) {
        question_fail_code(question, -ENODATA);
        return;
    }
    if (xattr->works) {
        hand_to_worker(question);
        return;
    }
    r = xattr->write(question, node, &value);
    if (r == -EAGAIN && !question->has_digests) {
        ask_digests(question, node);
    } else if (r < 0) {
        question_fail_code(question, r);
    } else {
        reply_value(question, &value);
        question_end(question);
    }
    buf_release(&value);
}

void question_xattr(struct question *question)
{
    struct tree_node node;

    if (tree_view_node(tree_mount_view(question->mount), question->place.index, &node) < 0)
        question_fail_code(question, -ESTALE);
    else if (question->kind == QUESTION_XATTR_LIST)
        list(question, &node);
    else
        get(question, &node);
}
