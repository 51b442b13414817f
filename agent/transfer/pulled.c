/* SPDX-License-Identifier: MIT */
#include "agent/transfer/pulled.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/json.h"
#include "common/model/merkle.h"
#include "common/model/meta_yaml.h"

#define HOME ".kkartifact"
#define PENDING "pending-"
#define HOLDER_MAX 16
#define STATE_MAX (1024 * 1024)

CLEANUP_DEFINE(json, json_free);

void pulled_close_tree(struct pulled_tree *tree)
{
    file_unmap(tree->bytes);
    memory_free(tree->name);
    *tree = (struct pulled_tree){ 0 };
}

static bool has_verity(struct span image, const struct digest *verity)
{
    struct digest found;

    return verity != NULL && merkle_verity_of(image, &found, NULL) == 0 &&
           digest_equal(&found, verity);
}

int pulled_open_tree(struct directory *home, const char *name, const struct digest *verity,
                     struct pulled_tree *out, struct error *err)
{
    cleanup(pulled_close_tree) struct pulled_tree opened = { 0 };
    cleanup_fd int fd = -1;
    struct file_info info;
    int r = directory_open_read(home, name, &fd, err);

    if (r == 0)
        r = file_info(fd, &info, err);
    if (r == 0 && info.size > SIZE_MAX)
        r = error_set(err, -EFBIG, "%s: is too large to be mapped", name);
    if (r == 0)
        r = file_map(fd, (size_t)info.size, &opened.bytes, err);
    if (r == 0)
        r = has_verity(opened.bytes, verity) ? tree_open_unhashed(opened.bytes, &opened.tree, err)
                                             : tree_open(opened.bytes, &opened.tree, err);
    if (r < 0)
        return r;
    opened.name = memory_text(name);
    if (opened.name == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out = opened;
    opened = (struct pulled_tree){ 0 };
    return 0;
}

void pulled_release(struct pulled *pulled)
{
    pulled_close_tree(&pulled->current);
    for (size_t i = 0; i < pulled->pending_count; i++)
        pulled_close_tree(&pulled->pending[i]);
    memory_free(pulled->pending);
    if (pulled->has_state)
        record_release(&pulled->record);
    directory_close(pulled->home);
    if (pulled->home != NULL)
        cleanup_fd_at(&pulled->lock_fd);
    *pulled = (struct pulled){ .lock_fd = -1 };
}

/* Who holds the lock stands behind its first byte, which Windows lets nobody else read. A full disk
 * has no room for it. */
static void note_holder(struct pulled *pulled)
{
    cleanup(buf_release) struct buf text = buf_init(64);

    buf_format(&text, " %ld\n", (long)getpid());
    if (file_write_at(pulled->lock_fd, 0, text.bytes, text.size, NULL) == 0)
        file_truncate(pulled->lock_fd, text.size, NULL);
}

static int tell_holder(struct pulled *pulled, int r, struct error *err)
{
    char text[HOLDER_MAX + 1] = "";
    uint64_t pid;
    size_t size = 0;

    if (file_read_at(pulled->lock_fd, 1, text, HOLDER_MAX, &size, NULL) == 0 &&
        number_parse(span_trim(span_of(text, size)), INT32_MAX, &pid, NULL) == 0)
        return error_set(err, r, "another pull (process %llu) works in this directory",
                         (unsigned long long)pid);
    return error_set(err, r, "another pull works in this directory (it holds " HOME "/lock)");
}

static int take_lock(struct pulled *pulled, struct error *err)
{
    int r = directory_create(pulled->home, "lock", 0600, &pulled->lock_fd, err);

    if (r == -EEXIST)
        r = directory_open_write(pulled->home, "lock", &pulled->lock_fd, err);
    if (r == 0)
        r = file_lock(pulled->lock_fd, err);
    if (r == -EBUSY)
        return tell_holder(pulled, r, err);
    if (r == 0)
        note_holder(pulled);
    return r < 0 ? error_prefix(err, r, HOME) : 0;
}

static int open_home(struct pulled *pulled, enum pulled_access access, struct error *err)
{
    bool made = false;
    int r = directory_open_below(pulled->dest, HOME, &pulled->home, err);

    if (r == -ENOENT && access == PULLED_WRITE) {
        r = directory_make(pulled->dest, HOME, 0700, err);
        made = r == 0;
        if (r == 0 || r == -EEXIST)
            r = directory_open_below(pulled->dest, HOME, &pulled->home, err);
    }
    if (r == -ENOENT && access == PULLED_READ)
        return 0;
    if (r < 0 || access == PULLED_READ)
        return r;
    r = take_lock(pulled, err);
    pulled->made = r == 0 && made;
    return r;
}

/* 1: something that is not made anew by every pull. */
static int find_use(void *context, const char *name, enum file_kind kind, struct error *err)
{
    return strcmp(name, "lock") != 0 && strcmp(name, "stat") != 0;
}

void pulled_unmake(struct pulled *pulled)
{
    struct directory *dest = pulled->dest;

    if (!pulled->made)
        return;
    directory_remove_empty(pulled->home, "stage", NULL);
    if (directory_list(pulled->home, "", find_use, NULL, NULL) != 0)
        return;
    directory_remove_file(pulled->home, "stat", NULL);
    directory_remove_file(pulled->home, "lock", NULL);
    pulled_release(pulled);
    directory_remove_empty(dest, HOME, NULL);
}

static int add_pending(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct pulled *pulled = context;
    struct pulled_tree *all;
    int r;

    if (strncmp(name, PENDING, strlen(PENDING)) != 0)
        return 0;
    all = memory_resize(pulled->pending, pulled->pending_count + 1, sizeof(*all));
    if (all == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pulled->pending = all;
    r = pulled_open_tree(pulled->home, name, NULL, &all[pulled->pending_count], err);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        pulled->damaged = PENDING "*";
    else
        pulled->pending_count++;
    return 0;
}

static int read_state(struct span text, struct pulled *pulled, struct error *err)
{
    cleanup(cleanup_json) struct json *json = NULL;
    const char *store = "";
    int r = json_parse(text, &json, err);

    if (r == 0)
        r = json_member_text(json_root(json), "store", &store, err);
    if (r == 0 && strlen(store) >= sizeof(pulled->store))
        r = error_set(err, -EBADMSG, "the store's id is too long");
    if (r < 0)
        return r;
    record_init(&pulled->record);
    r = record_read_json(json_member(json_root(json), "version"), &pulled->record, err);
    if (r < 0) {
        record_release(&pulled->record);
        return r;
    }
    memcpy(pulled->store, store, strlen(store) + 1);
    pulled->has_state = true;
    return 0;
}

static int load_state(struct pulled *pulled, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(STATE_MAX);
    cleanup_fd int fd = -1;
    struct error ignored;
    uint8_t *at;
    size_t size = 0;
    int r = directory_open_read(pulled->home, "state.json", &fd, &ignored);

    if (r < 0)
        return 0;
    at = buf_reserve(&text, STATE_MAX);
    if (at == NULL)
        return buf_check(&text, err);
    r = file_read(fd, at, STATE_MAX, &size, err);
    if (r < 0)
        return r;
    buf_added(&text, size);
    r = read_state(buf_span(&text), pulled, &ignored);
    if (r == -ENOMEM)
        return error_set(err, r, "out of memory");
    if (r < 0)
        pulled->damaged = "state.json";
    return 0;
}

static int load(struct pulled *pulled, struct error *err)
{
    struct error ignored;
    int r = load_state(pulled, err);

    if (r < 0)
        return r;
    r = pulled_open_tree(pulled->home, "tree",
                         pulled->has_state && pulled->record.has_tree ? &pulled->record.tree : NULL,
                         &pulled->current, &ignored);
    if (r == -ENOMEM)
        return error_set(err, r, "%s", ignored.text);
    pulled->has_current = r == 0;
    if (r < 0 && r != -ENOENT)
        pulled->damaged = "tree";
    return directory_list(pulled->home, "", add_pending, pulled, err);
}

int pulled_open(struct directory *dest, enum pulled_access access, struct pulled *out,
                struct error *err)
{
    cleanup(pulled_release) struct pulled pulled = { .dest = dest, .lock_fd = -1 };
    int r = open_home(&pulled, access, err);

    if (r == 0 && pulled.home != NULL)
        r = load(&pulled, err);
    if (r < 0)
        return r;
    *out = pulled;
    pulled = (struct pulled){ .lock_fd = -1 };
    return 0;
}

static unsigned kinds_in(const struct tree *tree, struct span path)
{
    uint32_t index;

    if (tree_find_path(tree, path, &index) < 0)
        return 0;
    return 1u << tree_record(tree, index).kind;
}

unsigned pulled_kinds(const struct pulled *pulled, struct span path)
{
    unsigned kinds = pulled->has_current ? kinds_in(&pulled->current.tree, path) : 0;

    for (size_t i = 0; i < pulled->pending_count; i++)
        kinds |= kinds_in(&pulled->pending[i].tree, path);
    return kinds;
}

bool pulled_is_ours(const struct pulled *pulled, struct span path, enum file_kind kind)
{
    static const enum entry_kind kinds[] = {
        [FILE_REGULAR] = ENTRY_FILE, [FILE_DIRECTORY] = ENTRY_DIRECTORY, [FILE_LINK] = ENTRY_LINK
    };

    return kind != FILE_OTHER && (pulled_kinds(pulled, path) & (1u << kinds[kind])) != 0;
}

bool pulled_is_record(const char *name)
{
    static const char *const names[] = { "tree",      "tree-new", "state.json",   "meta.yaml",
                                         "stat",      "stat.new", "stage",        "lock",
                                         "new",       "incoming", "incoming.new", "exchange-1",
                                         "exchange-2" };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return strncmp(name, PENDING, strlen(PENDING)) == 0;
}

static void pending_name(const struct digest *verity, struct buf *out)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(verity, hex);
    buf_format(out, PENDING "%s", hex);
}

const struct tree *pulled_find_tree(const struct pulled *pulled, const struct digest *verity)
{
    cleanup(buf_release) struct buf name = buf_init(128);

    if (pulled->has_current && pulled->has_state && pulled->record.has_tree &&
        pulled->record.has_content &&
        digest_equal(&pulled->record.content, &pulled->current.tree.header.content) &&
        digest_equal(&pulled->record.tree, verity))
        return &pulled->current.tree;
    pending_name(verity, &name);
    for (size_t i = 0; i < pulled->pending_count; i++) {
        if (strcmp(pulled->pending[i].name, buf_text(&name)) == 0)
            return &pulled->pending[i].tree;
    }
    return NULL;
}

int pulled_begin(struct pulled *pulled, const char *name, const struct digest *verity,
                 struct error *err)
{
    cleanup(buf_release) struct buf pending = buf_init(128);
    int r;

    pending_name(verity, &pending);
    r = buf_check(&pending, err);
    if (r == 0)
        r = directory_rename(pulled->home, name, pulled->home, buf_text(&pending), err);
    return r < 0 ? r : directory_sync(pulled->home, err);
}

/* A file of home, whole, by way of a new one. */
static int save(struct pulled *pulled, const char *name,
                int (*write)(void *context, const int *fd, struct error *err), void *context,
                struct error *err)
{
    cleanup_fd int fd = -1;
    int r;

    directory_remove_file(pulled->home, "new", NULL);
    r = directory_create(pulled->home, "new", 0600, &fd, err);
    if (r == 0)
        r = write(context, &fd, err);
    if (r == 0)
        r = file_sync_data(fd, err);
    return r < 0 ? r : directory_rename(pulled->home, "new", pulled->home, name, err);
}

struct manifest {
    const struct record *record;
    const struct tree *tree;
};

static int write_manifest(void *context, const int *fd, struct error *err)
{
    const struct manifest *manifest = context;

    return meta_yaml_write(manifest->record, manifest->tree, sink_to_file(fd), err);
}

static int write_text(void *context, const int *fd, struct error *err)
{
    struct span text = buf_span(context);

    return file_write(*fd, text.bytes, text.size, err);
}

/* Images of pulls that are over; the current one was renamed away. */
static int drop_pending(void *context, const char *name, enum file_kind kind, struct error *err)
{
    const struct pulled *pulled = context;

    return strncmp(name, PENDING, strlen(PENDING)) == 0
               ? directory_remove_file(pulled->home, name, err)
               : 0;
}

/* The pending image becomes the current one; nothing to do when it is that already. */
static int promote_tree(struct pulled *pulled, const struct digest *verity, struct error *err)
{
    cleanup(buf_release) struct buf pending = buf_init(128);
    struct file_info info;
    int r;

    pending_name(verity, &pending);
    r = buf_check(&pending, err);
    if (r < 0)
        return r;
    if (directory_info(pulled->home, buf_text(&pending), &info, NULL) < 0)
        return 0;
    return directory_rename(pulled->home, buf_text(&pending), pulled->home, "tree", err);
}

int pulled_mend_manifest(struct pulled *pulled, bool anyway, struct error *err)
{
    struct manifest manifest = { &pulled->record, &pulled->current.tree };
    struct file_info info;

    if (!pulled->has_current || !pulled->has_state ||
        (!anyway && directory_info(pulled->home, "meta.yaml", &info, NULL) == 0 &&
         info.kind == FILE_REGULAR && info.size > 0))
        return 0;
    return save(pulled, "meta.yaml", write_manifest, &manifest, err);
}

int pulled_finish(struct pulled *pulled, const struct tree *tree, const struct digest *verity,
                  const char *store, struct span version_json, struct error *err)
{
    cleanup(buf_release) struct buf state = buf_init(STATE_MAX);
    cleanup(buf_release) struct buf quoted = buf_init(1024);
    struct json_writer writer = json_writer_init(&quoted);
    struct manifest manifest = { &pulled->record, tree };
    int r;

    json_begin_object(&writer, NULL);
    json_text(&writer, "store", store);
    json_end(&writer);
    buf_add(&state, quoted.bytes, quoted.size > 0 ? quoted.size - 1 : 0);
    buf_add_text(&state, ",\"version\":");
    buf_add_span(&state, version_json);
    buf_add_text(&state, "}\n");
    r = buf_check(&state, err);
    if (r < 0)
        return r;
    if (pulled->has_state)
        record_release(&pulled->record);
    pulled->has_state = false;
    r = read_state(buf_span(&state), pulled, err);
    if (r == 0)
        r = save(pulled, "meta.yaml", write_manifest, &manifest, err);
    if (r == 0)
        r = promote_tree(pulled, verity, err);
    if (r == 0)
        r = save(pulled, "state.json", write_text, &state, err);
    if (r == 0)
        r = directory_list(pulled->home, "", drop_pending, pulled, err);
    return r < 0 ? r : directory_sync(pulled->home, err);
}
