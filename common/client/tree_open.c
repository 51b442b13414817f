/* SPDX-License-Identifier: MIT */
/* How a tree is opened: the version's facts, then its names, then what the flags ask for. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/client/api_client.h"
#include "common/client/api_versions.h"
#include "common/client/blob_fetch_private.h"
#include "common/client/tree_fetch_private.h"
#include "common/client/tree_names.h"

#define OPEN_TURN_MS 100            /* how soon an interrupt is seen */
#define WHOLE_AT_ONCE (1024 * 1024) /* images up to here come in one piece */
#define TREE_MAX (4ull * 1024 * 1024 * 1024)

/* Ends the opening, one way or the other, and gives up its reference. */
static void open_end(struct tree_fetch *tree, int code, const struct error *err)
{
    tree_fetch_done *done = tree->done;
    struct error own = { .code = code };

    tree->done = NULL;
    if (code == 0) {
        done(tree->context, tree, NULL);
        return;
    }
    if (err != NULL)
        own = *err;
    own.code = code;
    done(tree->context, NULL, &own);
    tree_fetch_unref(tree);
}

static void ignore_result(void *context, int result, const struct error *err)
{
}

static void opened_complete(void *context, int result, const struct error *err)
{
    struct tree_fetch *tree = context;
    struct error own = { 0 };

    if (result == 0 && tree->other_tree)
        result = known_versions_replace_tree(tree->known, tree->project, tree->app, tree->version,
                                             &tree->facts, &own);
    open_end(tree, result, result == 0 ? NULL : own.code != 0 ? &own : err);
}

/* The names part is in memory and verified against the tree digest: check what it says. */
static void names_here(struct tree_fetch *tree)
{
    struct error err = { 0 };
    struct tree names;
    int r;

    r = tree_open_names(buf_span(&tree->names), &names, &err);
    if (r == 0 && (names.header.image_size != tree->facts.tree_size ||
                   !digest_equal(&names.header.content, &tree->facts.content)))
        r = error_set(&err, -EBADMSG, "the tree image is of another version");
    if (r < 0) {
        open_end(tree, r, &err);
        return;
    }
    tree->header = names.header;
    tree->names_size = (size_t)names.header.names_part_size;
    if (atomic_load(&tree->complete)) {
        opened_complete(tree, 0, NULL);
    } else if (tree->other_tree || (tree->flags & TREE_COMPLETE) != 0) {
        r = tree_fetch_complete(tree, tree->deadline_ms, opened_complete, tree, &err);
        if (r < 0)
            open_end(tree, r, &err);
    } else {
        if ((tree->flags & TREE_NO_BEHIND) == 0)
            tree_fetch_complete(tree, UINT64_MAX, ignore_result, NULL, NULL);
        open_end(tree, 0, NULL);
    }
}

/* A small image came whole: checked here and now. */
static void whole_here(void *context, int result, const struct error *err)
{
    struct tree_fetch *tree = context;
    struct error own = { 0 };
    struct tree whole;

    if (result == 0) {
        buf_added(&tree->names, (size_t)tree->facts.tree_size);
        result = tree_open(buf_span(&tree->names), &whole, &own);
        err = &own;
    }
    if (result == 0 && !digest_equal(&whole.header.content, &tree->facts.content))
        result = error_set(&own, -EBADMSG, "the tree image is of another content");
    if (result < 0) {
        open_end(tree, result, err);
        return;
    }
    atomic_store(&tree->complete, true);
    names_here(tree);
}

static void names_arrived(void *context, int result, const struct error *err)
{
    struct tree_fetch *tree = context;
    struct error own = { 0 };

    if (err != NULL)
        own = *err; /* it goes with the fetch */
    tree->names_fetch = tree_names_free(tree->names_fetch);
    if (result < 0)
        open_end(tree, result, &own);
    else
        names_here(tree);
}

/* A names part that is already in the cache. False: not (all) there. */
static bool load_names(struct tree_fetch *tree)
{
    uint8_t head[TREE_HEADER_SIZE];
    struct tree_header header;
    uint8_t *room;

    if (blob_fetch_try_cached(tree->image, 0, head, sizeof(head)) < 0 ||
        tree_check_header(span_of(head, sizeof(head)), &header, NULL) < 0 ||
        header.names_part_size > tree->facts.tree_size)
        return false;
    room = buf_reserve(&tree->names, (size_t)header.names_part_size);
    if (room == NULL ||
        blob_fetch_try_cached(tree->image, 0, room, (size_t)header.names_part_size) < 0) {
        buf_release(&tree->names);
        return false;
    }
    buf_added(&tree->names, (size_t)header.names_part_size);
    return true;
}

/* A small image, whole and right. */
static bool is_cached(struct tree_fetch *tree)
{
    size_t size = (size_t)tree->facts.tree_size;
    cleanup_memory uint8_t *room = size <= WHOLE_AT_ONCE ? memory_resize(NULL, size, 1) : NULL;

    return room != NULL && blob_fetch_try_cached(tree->image, 0, room, size) == 0;
}

static int image_source(struct tree_fetch *tree, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(TREE_PATH_MAXIMUM);
    struct blob_source source = { 0 };
    int r;

    source.key.kind = BLOB_TREE;
    source.key.name = tree->facts.tree;
    source.key.verity = tree->facts.tree;
    source.key.size = tree->facts.tree_size;
    api_path_version(&path, tree->project, tree->app, tree->version);
    buf_add_text(&path, "/tree");
    r = buf_check(&path, err);
    source.path = buf_text(&path);
    return r < 0 ? r : blob_fetch_object(tree->engine, &source, &tree->image, err);
}

/* The facts are settled: now the names. */
static void fetch_names(struct tree_fetch *tree)
{
    size_t size = (size_t)tree->facts.tree_size;
    struct error err = { 0 };
    uint8_t *room;
    int r;

    if (tree->facts.tree_size < 2 * TREE_HEADER_SIZE || tree->facts.tree_size > TREE_MAX) {
        error_set(&err, -EBADMSG, "a tree image of a size that cannot be");
        open_end(tree, -EBADMSG, &err);
        return;
    }
    r = image_source(tree, &err);
    if (r < 0) {
        open_end(tree, r, &err);
        return;
    }
    tree->names = buf_init(size);
    if (size > WHOLE_AT_ONCE && load_names(tree)) {
        names_here(tree);
        return;
    }
    if ((tree->flags & TREE_OFFLINE) != 0 && !is_cached(tree)) {
        r = error_set(&err, -ENOENT, "%s/%s/%s: its names are not in the cache", tree->project,
                      tree->app, tree->version);
    } else if (size <= WHOLE_AT_ONCE) {
        room = buf_reserve(&tree->names, size);
        r = room == NULL ? error_set(&err, -ENOMEM, "out of memory")
                         : blob_fetch_read(tree->image, 0, room, size, tree->deadline_ms,
                                           whole_here, tree, NULL, &err);
    } else {
        r = tree_names_start(&tree->names_fetch, tree->engine, tree->image, &tree->names,
                             tree->deadline_ms, names_arrived, tree, &err);
    }
    if (r < 0)
        open_end(tree, r, &err);
}

static int take_version(struct tree_fetch *tree, const struct api_version *version,
                        struct error *err)
{
    const struct record *record = &version->record;
    int r;

    memcpy(tree->project, record->project, sizeof(tree->project));
    memcpy(tree->app, record->app, sizeof(tree->app));
    memcpy(tree->version, record->version, sizeof(tree->version));
    tree->facts = (struct known_version){ .content = record->content,
                                          .tree = record->tree,
                                          .tree_size = record->tree_size,
                                          .file_count = record->file_count,
                                          .bytes = record->bytes,
                                          .seen_at_s = clock_now_s() };
    if (tree->known == NULL)
        return 0;
    r = known_versions_check(tree->known, tree->project, tree->app, tree->version, &tree->facts,
                             err);
    if (r == KNOWN_OTHER_TREE) {
        tree->other_tree = true;
        return 0;
    }
    return r;
}

static void version_here(void *context, const struct api_version *version, const struct error *err)
{
    struct tree_fetch *tree = context;
    struct error own = { 0 };
    int r;

    if (version == NULL) {
        open_end(tree, err->code, err);
        return;
    }
    r = take_version(tree, version, &own);
    if (r < 0)
        open_end(tree, r, &own);
    else
        fetch_names(tree);
}

/* Offline: callbacks still come from a later turn. */
static void open_known(void *context)
{
    struct tree_fetch *tree = context;

    fetch_names(tree);
}

static int copy_name(char *out, size_t size, const char *text, struct error *err)
{
    if (strlen(text) >= size)
        return error_set(err, -EINVAL, "a name that is too long");
    memcpy(out, text, strlen(text) + 1);
    return 0;
}

static int open_start(const struct tree_fetch_options *options, tree_fetch_done *done,
                      void *context, struct tree_fetch **out_tree, struct error *err)
{
    struct tree_fetch *tree = memory_new(sizeof(*tree));
    int r;

    if (tree == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    tree->engine = options->engine;
    tree->client = options->client;
    tree->known = options->known;
    tree->flags = options->flags;
    tree->deadline_ms = options->deadline_ms;
    tree->done = done;
    tree->context = context;
    atomic_init(&tree->refs, 1);
    r = copy_name(tree->project, sizeof(tree->project), options->project, err);
    if (r == 0)
        r = copy_name(tree->app, sizeof(tree->app), options->app, err);
    if (r == 0)
        r = copy_name(tree->version, sizeof(tree->version), options->version, err);
    if (r == 0 && (options->flags & TREE_OFFLINE) != 0) {
        r = options->known == NULL
                ? error_set(err, -ENOENT, "nothing is remembered here")
                : known_versions_get(options->known, options->project, options->app,
                                     options->version, &tree->facts, err);
        if (r == 0 && http_loop_post(tree->engine->loop, open_known, tree) < 0)
            r = error_set(err, -ENOMEM, "out of memory");
    } else if (r == 0) {
        r = api_version_get_start(options->client, options->project, options->app, options->version,
                                  version_here, tree, err);
    }
    if (r < 0)
        tree_fetch_destroy(tree);
    else
        *out_tree = tree; /* until done was called */
    return r;
}

int tree_fetch_open(const struct tree_fetch_options *options, tree_fetch_done *done, void *context,
                    struct error *err)
{
    struct tree_fetch *tree;

    return open_start(options, done, context, &tree, err);
}

struct open_wait {
    struct tree_fetch *tree;
    struct error err;
    bool done;
};

static void open_done(void *context, struct tree_fetch *tree, const struct error *err)
{
    struct open_wait *wait = context;

    wait->done = true;
    wait->tree = tree;
    if (tree == NULL)
        wait->err = *err;
}

/* Everything that the opening waits for ends. */
static void open_cancel(struct tree_fetch *tree)
{
    struct blob_object *image = tree->image != NULL ? blob_object_ref(tree->image) : NULL;
    struct error err;

    error_set(&err, -ECANCELED, "interrupted");
    api_client_cancel(tree->client);
    if (image != NULL)
        object_fail(image, -ECANCELED, &err);
    blob_object_unref(image);
}

int tree_fetch_open_wait(const struct tree_fetch_options *options, struct tree_fetch **out_tree,
                         struct error *err)
{
    struct open_wait wait = { 0 };
    struct tree_fetch *tree;
    int r;

    r = open_start(options, open_done, &wait, &tree, err);
    if (r < 0)
        return r;
    while (!wait.done) {
        r = http_loop_run_once(options->engine->loop, OPEN_TURN_MS, NULL);
        if (!wait.done && (r < 0 || api_client_is_interrupted(options->client)))
            open_cancel(tree);
    }
    if (wait.tree == NULL) {
        if (err != NULL)
            *err = wait.err;
        return wait.err.code;
    }
    *out_tree = wait.tree;
    return 0;
}
