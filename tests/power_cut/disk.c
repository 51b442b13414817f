/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/disk.h"

#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/power_cut/journal.h"

#define LAST_FEW 3

/* What becomes of bytes of a node that were not synced. */
enum bytes_fate {
    BYTES_KEPT,
    BYTES_LOST,
    BYTES_ZEROS,   /* the size is there; what stood below them before stays */
    BYTES_GARBAGE, /* ... and where nothing stood, old bytes of others */
    BYTES_TORN_4096,
    BYTES_TORN_512,
    BYTES_BEGIN,  /* of each write so many blocks from its start, and a size to fit */
    BYTES_CHOSEN, /* some writes wholly */
    BYTES_FATES
};

struct node {
    bool is_directory;
    uint32_t mode;
    uint8_t *bytes;
    size_t size, capacity;
    uint64_t bytes_synced, all_synced; /* changes below that number are kept */
};

struct entry {
    uint32_t parent, node;
    const char *name; /* NULL: no entry any more */
};

struct disk {
    const struct journal *journal;
    const struct cut *cut;
    struct node *nodes;
    struct entry *entries;
    size_t entry_count;
    size_t names_end;    /* CUT_ORDERED: names below that number are there */
    uint32_t loses_node; /* CUT_ONE */
};

/* splitmix64 */
static uint64_t chance(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t x = seed + a * 0x9e3779b97f4a7c15u + b * 0xd1342543de82ef95u + 0x632be59bd9b4e019u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static bool heads(const struct disk *disk, uint64_t a, uint64_t b)
{
    return (chance(disk->cut->seed, a, b) & 1) != 0;
}

/* What is kept ---------------------------------------------------------------------- */

static bool is_of_names(const struct change *change)
{
    return change->kind == CHANGE_MAKE_FILE || change->kind == CHANGE_MAKE_DIRECTORY ||
           change->kind == CHANGE_RENAME || change->kind == CHANGE_REMOVE;
}

static void find_syncs(struct disk *disk)
{
    const struct journal *journal = disk->journal;

    for (uint32_t i = 0; i < journal->node_count; i++)
        disk->nodes[i].bytes_synced = disk->nodes[i].all_synced = journal->base;
    for (size_t i = journal->base; i < disk->cut->at; i++) {
        const struct change *change = &journal->changes[i];
        struct node *node = &disk->nodes[change->node];

        if (change->kind != CHANGE_SYNC && change->kind != CHANGE_SYNC_DATA)
            continue;
        if (change->covers > node->bytes_synced)
            node->bytes_synced = change->covers;
        if (change->kind == CHANGE_SYNC && change->covers > node->all_synced)
            node->all_synced = change->covers;
    }
}

static bool name_is_synced(const struct disk *disk, size_t i)
{
    return i < disk->nodes[disk->journal->changes[i].parent].all_synced;
}

/* A journal that is written in order has all that came before what was synced. */
static void choose_names_end(struct disk *disk)
{
    size_t least = disk->journal->base, end = disk->cut->at;

    for (size_t i = least; i < end; i++)
        if (is_of_names(&disk->journal->changes[i]) && name_is_synced(disk, i))
            least = i + 1;
    disk->names_end = least + chance(disk->cut->seed, 1, 0) % (end - least + 1);
}

/* One of the last few whose bytes are not synced; 0, which is no file: there is none. */
static void choose_loser(struct disk *disk)
{
    uint32_t last[LAST_FEW];
    unsigned count = 0;

    for (size_t i = disk->cut->at; i > disk->journal->base && count < LAST_FEW; i--) {
        const struct change *change = &disk->journal->changes[i - 1];
        bool is_new =
            change->kind == CHANGE_WRITE && i - 1 >= disk->nodes[change->node].bytes_synced;

        for (unsigned k = 0; is_new && k < count; k++)
            is_new = last[k] != change->node;
        if (is_new)
            last[count++] = change->node;
    }
    if (count > 0)
        disk->loses_node = last[chance(disk->cut->seed, 8, 0) % count];
}

static bool name_is_there(const struct disk *disk, size_t i)
{
    if (name_is_synced(disk, i))
        return true;
    switch (disk->cut->kind) {
    case CUT_KEEPS_ALL:
    case CUT_LOSES_BYTES:
    case CUT_ONE:
        return true;
    case CUT_ORDERED:
        return i < disk->names_end;
    case CUT_ANY:
        return heads(disk, 2, i);
    case CUT_LOSES_ALL:
    case CUT_LOSES_NAMES:
    case CUT_KINDS:
    default:
        return false;
    }
}

static bool mode_is_there(const struct disk *disk, size_t i)
{
    if (i < disk->nodes[disk->journal->changes[i].node].all_synced)
        return true;
    if (disk->cut->kind == CUT_ORDERED || disk->cut->kind == CUT_ANY)
        return heads(disk, 3, i);
    return disk->cut->kind == CUT_KEEPS_ALL || disk->cut->kind == CUT_LOSES_BYTES ||
           disk->cut->kind == CUT_ONE;
}

static enum bytes_fate fate_of(const struct disk *disk, size_t i)
{
    uint32_t node = disk->journal->changes[i].node;

    if (i < disk->nodes[node].bytes_synced)
        return BYTES_KEPT;
    switch (disk->cut->kind) {
    case CUT_KEEPS_ALL:
    case CUT_LOSES_NAMES:
        return BYTES_KEPT;
    case CUT_LOSES_BYTES:
        return (disk->cut->seed & 1) != 0 ? BYTES_GARBAGE : BYTES_ZEROS;
    case CUT_ONE:
        if (node != disk->loses_node)
            return BYTES_KEPT;
        return (enum bytes_fate)(1 + chance(disk->cut->seed, 4, node) % (BYTES_FATES - 1));
    case CUT_ORDERED:
    case CUT_ANY:
        return (enum bytes_fate)(chance(disk->cut->seed, 4, node) % BYTES_FATES);
    case CUT_LOSES_ALL:
    case CUT_KINDS:
    default:
        return BYTES_LOST;
    }
}

/* Names ----------------------------------------------------------------------------- */

static struct entry *entry_find(struct disk *disk, uint32_t parent, const char *name)
{
    for (size_t i = 0; i < disk->entry_count; i++) {
        struct entry *entry = &disk->entries[i];

        if (entry->name != NULL && entry->parent == parent && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

static void entry_set(struct disk *disk, uint32_t parent, const char *name, uint32_t node)
{
    struct entry *entry = entry_find(disk, parent, name);

    if (entry == NULL)
        entry = &disk->entries[disk->entry_count++];
    *entry = (struct entry){ parent, node, name };
}

/* Only while it is still that node's. */
static void entry_remove(struct disk *disk, uint32_t parent, const char *name, uint32_t node)
{
    struct entry *entry = entry_find(disk, parent, name);

    if (entry != NULL && entry->node == node)
        entry->name = NULL;
}

/* Bytes ----------------------------------------------------------------------------- */

static void node_grow(struct node *node, size_t size)
{
    if (size <= node->size)
        return;
    if (size > node->capacity) {
        node->capacity = size * 2;
        node->bytes = realloc(node->bytes, node->capacity);
        if (node->bytes == NULL)
            err(1, "disk");
    }
    memset(node->bytes + node->size, 0, size - node->size);
    node->size = size;
}

static void put_bytes(struct node *node, const struct change *change, size_t from, size_t size)
{
    node_grow(node, (size_t)change->offset + from + size);
    memcpy(node->bytes + change->offset + from, change->bytes + from, size);
}

static void put_garbage(struct disk *disk, struct node *node, size_t end)
{
    size_t from = node->size;

    node_grow(node, end);
    for (size_t i = from; i < end; i++)
        node->bytes[i] = (uint8_t)chance(disk->cut->seed, 5, i);
}

/* The blocks that its disk knows as one, each there or not; `in_order`: up to the first that is
 * not. */
static void put_blocks(struct disk *disk, struct node *node, size_t i, size_t block, bool in_order)
{
    const struct change *change = &disk->journal->changes[i];
    size_t size = (size_t)change->size, at = 0;

    if (!in_order)
        node_grow(node, (size_t)change->offset + size);
    while (at < size) {
        size_t place = (size_t)change->offset + at;
        size_t step = block - place % block < size - at ? block - place % block : size - at;

        if (chance(disk->cut->seed, i, place / block) % 4 != 0)
            put_bytes(node, change, at, step);
        else if (in_order)
            return;
        at += step;
    }
}

static void apply_write(struct disk *disk, size_t i)
{
    const struct change *change = &disk->journal->changes[i];
    struct node *node = &disk->nodes[change->node];
    size_t end = (size_t)(change->offset + change->size);

    switch (fate_of(disk, i)) {
    case BYTES_KEPT:
        put_bytes(node, change, 0, (size_t)change->size);
        break;
    case BYTES_ZEROS:
        node_grow(node, end);
        break;
    case BYTES_GARBAGE:
        put_garbage(disk, node, end);
        break;
    case BYTES_TORN_4096:
        put_blocks(disk, node, i, 4096, false);
        break;
    case BYTES_TORN_512:
        put_blocks(disk, node, i, 512, false);
        break;
    case BYTES_BEGIN:
        put_blocks(disk, node, i, 4096, true);
        break;
    case BYTES_CHOSEN:
        if (heads(disk, 6, i))
            put_bytes(node, change, 0, (size_t)change->size);
        break;
    case BYTES_LOST:
    case BYTES_FATES:
    default:
        break;
    }
}

static void apply_truncate(struct disk *disk, size_t i)
{
    const struct change *change = &disk->journal->changes[i];
    struct node *node = &disk->nodes[change->node];
    enum bytes_fate fate = fate_of(disk, i);

    if (fate == BYTES_LOST || (fate == BYTES_CHOSEN && heads(disk, 7, i)))
        return;
    node_grow(node, (size_t)change->size);
    node->size = (size_t)change->size;
}

static void apply(struct disk *disk, size_t i)
{
    const struct change *change = &disk->journal->changes[i];
    struct node *node = &disk->nodes[change->node];

    switch ((enum change_kind)change->kind) {
    case CHANGE_MAKE_FILE:
    case CHANGE_MAKE_NAMELESS:
    case CHANGE_MAKE_DIRECTORY:
        node->is_directory = change->kind == CHANGE_MAKE_DIRECTORY;
        node->mode = change->mode;
        if (change->kind != CHANGE_MAKE_NAMELESS && name_is_there(disk, i))
            entry_set(disk, change->parent, change->name, change->node);
        break;
    case CHANGE_WRITE:
        apply_write(disk, i);
        break;
    case CHANGE_TRUNCATE:
        apply_truncate(disk, i);
        break;
    case CHANGE_MODE:
        if (mode_is_there(disk, i))
            node->mode = change->mode;
        break;
    case CHANGE_RENAME:
        if (name_is_there(disk, i)) {
            entry_remove(disk, change->from_parent, change->from, change->node);
            entry_set(disk, change->parent, change->name, change->node);
        }
        break;
    case CHANGE_REMOVE:
        if (name_is_there(disk, i))
            entry_remove(disk, change->parent, change->name, change->node);
        break;
    case CHANGE_SYNC:
    case CHANGE_SYNC_DATA:
    case CHANGE_MARK:
        break;
    case CHANGE_UNKNOWN:
    default:
        errx(1, "disk: %s cannot be replayed", change->name);
    }
}

/* Making it --------------------------------------------------------------------------- */

static void make_file(const struct node *node, int at, const char *name)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    size_t done = 0;

    while (fd >= 0 && done < node->size) {
        ssize_t n = write(fd, node->bytes + done, node->size - done);

        if (n <= 0)
            err(1, "%s", name);
        done += (size_t)n;
    }
    if (fd < 0 || fchmod(fd, (mode_t)node->mode) != 0 || close(fd) != 0)
        err(1, "%s", name);
}

static void make_entries(const struct disk *disk, uint32_t parent, int at)
{
    for (size_t i = 0; i < disk->entry_count; i++) {
        const struct entry *entry = &disk->entries[i];
        const struct node *node = &disk->nodes[entry->node];
        int below;

        if (entry->name == NULL || entry->parent != parent)
            continue;
        if (!node->is_directory) {
            make_file(node, at, entry->name);
            continue;
        }
        if (mkdirat(at, entry->name, (mode_t)node->mode) != 0 ||
            (below = openat(at, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
            err(1, "%s", entry->name);
        make_entries(disk, entry->node, below);
        close(below);
    }
}

void disk_make(const struct journal *journal, const struct cut *cut, const char *folder)
{
    struct disk disk = {
        .journal = journal,
        .cut = cut,
        .nodes = calloc(journal->node_count + 1, sizeof(struct node)),
        .entries = calloc(journal->count + 1, sizeof(struct entry)),
    };
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (disk.nodes == NULL || disk.entries == NULL || at < 0)
        err(1, "%s", folder);
    find_syncs(&disk);
    choose_names_end(&disk);
    choose_loser(&disk);
    for (size_t i = 0; i < cut->at; i++)
        apply(&disk, i);
    make_entries(&disk, 0, at);
    close(at);
    for (uint32_t i = 0; i < journal->node_count; i++)
        free(disk.nodes[i].bytes);
    free(disk.nodes);
    free(disk.entries);
}
