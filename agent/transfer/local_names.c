/* SPDX-License-Identifier: MIT */
#include "agent/transfer/local_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/name_fold.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/utf8.h"
#include "common/model/tree.h"

#define UNITS_MAX 255 /* of a component on Windows */

enum local_system local_system_here(void)
{
#if defined(_WIN32)
    return LOCAL_WINDOWS;
#elif defined(__APPLE__)
    return LOCAL_MACOS;
#else
    return LOCAL_LINUX;
#endif
}

static bool equal_folded(struct span a, const char *b)
{
    if (a.size != strlen(b))
        return false;
    for (size_t i = 0; i < a.size; i++) {
        uint8_t c = a.bytes[i];
        if ((c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c) != (uint8_t)b[i])
            return false;
    }
    return true;
}

/* One digit, which may be a superscript one: ¹ ² ³. */
static bool is_port(struct span digit)
{
    if (digit.size == 1)
        return digit.bytes[0] >= '0' && digit.bytes[0] <= '9';
    return digit.size == 2 && digit.bytes[0] == 0xc2 &&
           (digit.bytes[1] == 0xb9 || digit.bytes[1] == 0xb2 || digit.bytes[1] == 0xb3);
}

static bool is_device(struct span name)
{
    static const char *const devices[] = { "con", "prn", "aux", "nul", "conin$", "conout$" };
    size_t size = 0;
    struct span stem;

    while (size < name.size && name.bytes[size] != '.')
        size++;
    while (size > 0 && name.bytes[size - 1] == ' ')
        size--;
    stem = span_slice(name, 0, size);
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        if (equal_folded(stem, devices[i]))
            return true;
    }
    return size > 3 && is_port(span_slice(stem, 3, size)) &&
           (equal_folded(span_slice(stem, 0, 3), "com") ||
            equal_folded(span_slice(stem, 0, 3), "lpt"));
}

static const char *windows_fault(struct span name)
{
    struct span rest = name;
    size_t units = 0;

    while (rest.size > 0) {
        uint32_t code = 0;
        size_t size = utf8_next(rest, &code);
        if (code < 0x20)
            return "has a control character, which Windows does not take";
        if (code < 0x80 && strchr("\\:*?\"<>|", (int)code) != NULL)
            return "has one of \\ : * ? \" < > |, which Windows does not take";
        units += code > 0xffff ? 2 : 1;
        rest = span_slice(rest, size, rest.size);
    }
    if (units > UNITS_MAX)
        return "is too long for Windows";
    if (name.bytes[name.size - 1] == '.' || name.bytes[name.size - 1] == ' ')
        return "ends in a dot or a space, which Windows drops";
    return is_device(name) ? "is the name of a device on Windows" : NULL;
}

const char *local_name_fault(enum local_system system, struct span name)
{
    if (system == LOCAL_LINUX)
        return NULL;
    if (!utf8_is_valid(name))
        return "is not UTF-8, which this system demands";
    return system == LOCAL_WINDOWS ? windows_fault(name) : NULL;
}

static unsigned folds_of(enum local_system system, bool folds_case)
{
    return (folds_case ? NAME_FOLD_CASE : 0) | (system != LOCAL_LINUX ? NAME_FOLD_NORMAL : 0);
}

static bool are_one(struct span a, struct span b, unsigned fold)
{
    cleanup(buf_release) struct buf left = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf right = buf_init(BUF_UNLIMITED);

    if (span_equal(a, b))
        return true;
    name_fold(a, fold, &left);
    name_fold(b, fold, &right);
    /* Without memory: rather one too many that stays than one too few. */
    return left.failure != 0 || right.failure != 0 || span_equal(buf_span(&left), buf_span(&right));
}

/* The child that the name leads to on the disk. */
static bool find_child(const struct tree *tree, uint32_t parent, struct span name, unsigned fold,
                       uint32_t *out_index)
{
    struct tree_record record = tree_record(tree, parent);

    for (uint32_t i = 0; i < record.child_count; i++) {
        if (are_one(tree_record(tree, record.first_child + i).name, name, fold)) {
            *out_index = record.first_child + i;
            return true;
        }
    }
    return false;
}

bool local_names_has(const struct tree *tree, enum local_system system, bool folds_case,
                     struct span path)
{
    unsigned fold = folds_of(system, folds_case);
    uint32_t index = TREE_ROOT;
    struct span name;

    if (fold == 0)
        return tree_find_path(tree, path, &index) == 0;
    while (path.size > 0) {
        span_cut(&path, '/', &name);
        if (tree_record(tree, index).kind != ENTRY_DIRECTORY ||
            !find_child(tree, index, name, fold, &index))
            return false;
    }
    return true;
}

struct key {
    size_t offset, size; /* in keys */
    const struct buf *keys;
    uint32_t index;
};

struct checking {
    const struct tree *tree;
    const struct local_names_options *options;
    unsigned fold;
    uint64_t count;
    struct buf keys;  /* of the directory at hand, one after the other */
    struct buf items; /* struct key */
};

static void report(struct checking *checking, uint32_t index, const char *why,
                   const uint32_t *other)
{
    uint8_t room[PATH_MAX_SIZE], other_room[PATH_MAX_SIZE];
    struct span path = tree_path(checking->tree, index, room);

    checking->count++;
    checking->options->report(checking->options->context, path, why,
                              other != NULL ? tree_path(checking->tree, *other, other_room)
                                            : span_of(NULL, 0));
}

static struct span key_span(const struct key *key)
{
    return span_of(key->keys->bytes + key->offset, key->size);
}

static int compare_keys(const void *a, const void *b)
{
    const struct key *left = a, *right = b;
    int order = span_compare(key_span(left), key_span(right));

    if (order != 0)
        return order;
    return left->index < right->index ? -1 : left->index > right->index;
}

/* At the top, under a name that the disk takes for ours. Windows also has short names. */
static bool is_agents(const struct checking *checking, struct span key)
{
    struct span name = key;

    if (span_equal_text(name, ".kkartifact") || span_equal_text(name, ".kkartifact.yml"))
        return true;
    return checking->options->system == LOCAL_WINDOWS && name.size > 7 &&
           memcmp(name.bytes, "kkarti~", 7) == 0;
}

static int add_key(struct checking *checking, uint32_t index, struct span name, struct error *err)
{
    struct key key = { .offset = checking->keys.size, .keys = &checking->keys, .index = index };
    int r;

    name_fold(name, checking->fold, &checking->keys);
    r = buf_check(&checking->keys, err);
    if (r < 0)
        return r;
    key.size = checking->keys.size - key.offset;
    buf_add(&checking->items, &key, sizeof(key));
    return buf_check(&checking->items, err);
}

/* After their keys: which are equal. */
static void compare_children(struct checking *checking, bool at_top)
{
    struct key *keys = (struct key *)(void *)checking->items.bytes;
    size_t count = checking->items.size / sizeof(*keys);

    if (count > 0)
        qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 0; i < count; i++) {
        if (at_top && is_agents(checking, key_span(&keys[i])))
            report(checking, keys[i].index, "is the agent's own name on this disk", NULL);
        else if (i > 0 && span_equal(key_span(&keys[i]), key_span(&keys[i - 1])))
            report(checking, keys[i].index, "is the same name on this disk as", &keys[i - 1].index);
    }
}

static int check_directory(struct checking *checking, uint32_t index, struct error *err)
{
    struct tree_record record = tree_record(checking->tree, index);
    int r = 0;

    buf_clear(&checking->keys);
    buf_clear(&checking->items);
    for (uint32_t i = 0; r == 0 && i < record.child_count; i++) {
        uint32_t child = record.first_child + i;
        struct span name = tree_record(checking->tree, child).name;
        const char *why = local_name_fault(checking->options->system, name);
        if (why != NULL)
            report(checking, child, why, NULL);
        else if (checking->fold != 0)
            r = add_key(checking, child, name, err);
    }
    if (r == 0)
        compare_children(checking, index == TREE_ROOT);
    return r;
}

int local_names_check(const struct tree *tree, const struct local_names_options *options,
                      uint64_t *out_count, struct error *err)
{
    struct checking checking = { .tree = tree,
                                 .options = options,
                                 .keys = buf_init(BUF_UNLIMITED),
                                 .items = buf_init(BUF_UNLIMITED) };
    int r = 0;

    checking.fold = folds_of(options->system, options->folds_case);
    if (checking.fold != 0 || options->system != LOCAL_LINUX) {
        for (uint32_t i = 0; r == 0 && i < tree->header.record_count; i++) {
            if (tree_record(tree, i).kind == ENTRY_DIRECTORY)
                r = check_directory(&checking, i, err);
        }
    }
    buf_release(&checking.keys);
    buf_release(&checking.items);
    if (r == 0)
        *out_count = checking.count;
    return r;
}
