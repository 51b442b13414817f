/* SPDX-License-Identifier: MIT */
#include "fs/opens/open_table.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"

#define MAGIC 0x31736e65706f6b6bull /* "kkopens1" */
#define HEAD_SIZE 4096

enum entry_state { ENTRY_FREE, ENTRY_OPEN, ENTRY_KEPT };

/* A death leaves the word as it was or as it is: what it tells of was written before it. */
struct entry {
    _Atomic uint64_t word; /* generation << 8 | state */
    uint64_t node;
    uint64_t number; /* of the request that opened it */
    uint32_t backing;
    uint32_t reserved;
};
_Static_assert(sizeof(struct entry) == 32, "an entry lies in one page");

/* The first page; a later version adds behind. */
struct head {
    uint64_t magic;
    uint32_t entry_size, entry_count;
    _Atomic uint32_t high;      /* no entry at or behind it was ever used */
    _Atomic uint32_t untracked; /* there are cached opens that have no entry */
};

#define TABLE_SIZE (HEAD_SIZE + (size_t)OPEN_TABLE_OPENS * sizeof(struct entry))

struct open_file {
    uint64_t node;
    uint32_t backing;
    bool kept;
    size_t count;
};

struct open_table {
    struct head *head;
    struct entry *entries;
    struct map files; /* node -> struct open_file, of those that are open */
    struct open_table_counts counts;
    uint32_t *free; /* below `high`; the last one is taken first */
    size_t free_count, free_capacity;
};

int open_table_create(int *out_fd, struct error *err)
{
    struct head head = { .magic = MAGIC,
                         .entry_size = sizeof(struct entry),
                         .entry_count = OPEN_TABLE_OPENS };
    cleanup_fd int fd = memfd_create("kkartifact-opens", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, (off_t)TABLE_SIZE) < 0 ||
        pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return error_system(err, errno, "the memory of open files");
    *out_fd = take_fd(&fd);
    return 0;
}

static int map_table(int fd, int protection, struct head **out_head, struct error *err)
{
    struct stat info;
    struct head *head;

    if (fstat(fd, &info) < 0)
        return error_system(err, errno, "the memory of open files");
    if ((uint64_t)info.st_size < TABLE_SIZE)
        return error_set(err, -EBADMSG, "the memory of open files is too small");
    head = mmap(NULL, TABLE_SIZE, protection, MAP_SHARED, fd, 0);
    if (head == MAP_FAILED)
        return error_system(err, errno, "the memory of open files");
    if (head->magic != MAGIC || head->entry_size != sizeof(struct entry) ||
        head->entry_count != OPEN_TABLE_OPENS) {
        munmap(head, TABLE_SIZE);
        return error_set(err, -EBADMSG, "the memory of open files is of another version");
    }
    *out_head = head;
    return 0;
}

static struct entry *entries_of(struct head *head)
{
    return (struct entry *)(void *)((uint8_t *)head + HEAD_SIZE);
}

static uint32_t high_of(const struct head *head)
{
    uint32_t high = atomic_load(&head->high);

    return high < OPEN_TABLE_OPENS ? high : OPEN_TABLE_OPENS;
}

static enum entry_state state_of(const struct entry *entry)
{
    return (enum entry_state)(atomic_load(&entry->word) & 0xff);
}

static uint32_t generation_of(const struct entry *entry)
{
    return (uint32_t)(atomic_load(&entry->word) >> 8);
}

static void set_entry(struct entry *entry, uint32_t generation, enum entry_state state)
{
    atomic_store(&entry->word, (uint64_t)generation << 8 | state);
}

static struct span key_of(const uint64_t *node)
{
    return span_of(node, sizeof(*node));
}

static struct open_file *file_of(const struct open_table *table, uint64_t node)
{
    return map_get(&table->files, key_of(&node));
}

/* The file with one open more; NULL: out of memory. */
static struct open_file *count_open(struct open_table *table, uint64_t node, uint32_t backing)
{
    struct open_file *file = file_of(table, node);

    if (file == NULL) {
        file = memory_new(sizeof(*file));
        if (file == NULL || map_set(&table->files, key_of(&node), file, NULL) < 0)
            return memory_free(file);
        *file = (struct open_file){ .node = node, .backing = backing };
        table->counts.backings += backing != 0;
    }
    file->count++;
    *(backing != 0 ? &table->counts.passed : &table->counts.cached) += 1;
    return file;
}

static void forget_file(struct open_table *table, struct open_file *file)
{
    map_remove(&table->files, key_of(&file->node));
    table->counts.backings -= file->backing != 0;
    memory_free(file);
}

static bool push_free(struct open_table *table, uint32_t index)
{
    if (table->free_count == table->free_capacity) {
        size_t capacity = table->free_capacity == 0 ? 256 : table->free_capacity * 2;
        uint32_t *grown = memory_resize(table->free, capacity, sizeof(*grown));
        if (grown == NULL)
            return false; /* the entry is found again by the next process */
        table->free = grown;
        table->free_capacity = capacity;
    }
    table->free[table->free_count++] = index;
    return true;
}

/* An entry of a file that has entries with another backing is of no process of ours; the first one
 * counts. */
static int load(struct open_table *table, struct error *err)
{
    for (uint32_t i = high_of(table->head); i-- > 0;) {
        struct entry *entry = &table->entries[i];
        struct open_file *file;

        if (state_of(entry) == ENTRY_FREE) {
            if (!push_free(table, i))
                return error_set(err, -ENOMEM, "out of memory");
            continue;
        }
        file = count_open(table, entry->node, entry->backing);
        if (file == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        if (state_of(entry) == ENTRY_KEPT)
            file->kept = true;
    }
    return 0;
}

int open_table_attach(int fd, struct open_table **out_table, struct error *err)
{
    struct open_table *table = memory_new(sizeof(*table));
    int r;

    if (table == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    table->files = map_init();
    r = map_table(fd, PROT_READ | PROT_WRITE, &table->head, err);
    if (r == 0) {
        table->entries = entries_of(table->head);
        r = load(table, err);
    }
    if (r < 0) {
        open_table_detach(table);
        return r;
    }
    *out_table = table;
    return 0;
}

struct open_table *open_table_detach(struct open_table *table)
{
    struct span key;
    void *file;
    size_t at = 0;

    if (table == NULL)
        return NULL;
    while (map_next(&table->files, &at, &key, &file))
        memory_free(file);
    map_release(&table->files);
    if (table->head != NULL)
        munmap(table->head, TABLE_SIZE);
    memory_free(table->free);
    return memory_free(table);
}

static uint64_t handle_of(const struct open_table *table, const struct entry *entry)
{
    return (uint64_t)generation_of(entry) << 32 | ((uint64_t)(entry - table->entries) + 1);
}

/* NULL: none is left. */
static struct entry *take_entry(struct open_table *table)
{
    uint32_t high;

    if (table->free_count > 0)
        return &table->entries[table->free[--table->free_count]];
    high = high_of(table->head);
    if (high == OPEN_TABLE_OPENS)
        return NULL;
    atomic_store(&table->head->high, high + 1);
    return &table->entries[high];
}

static struct open_grant fill_entry(struct open_table *table, struct entry *entry, uint64_t node,
                                    uint64_t number, uint32_t backing)
{
    entry->node = node;
    entry->number = number;
    entry->backing = backing;
    set_entry(entry, generation_of(entry), ENTRY_OPEN);
    return (struct open_grant){ handle_of(table, entry), backing };
}

bool open_table_find(const struct open_table *table, uint64_t node, uint64_t number,
                     struct open_grant *out_grant)
{
    uint32_t high = high_of(table->head);

    if (file_of(table, node) == NULL)
        return false;
    for (uint32_t i = 0; i < high; i++) {
        const struct entry *entry = &table->entries[i];
        if (state_of(entry) == ENTRY_FREE || entry->node != node || entry->number != number)
            continue;
        *out_grant = (struct open_grant){ handle_of(table, entry), entry->backing };
        return true;
    }
    return false;
}

/* The opens that have no entry keep the file open: so does one that has. */
static void keep(struct open_table *table, struct open_file *file)
{
    uint32_t high = high_of(table->head);

    for (uint32_t i = 0; i < high && !file->kept; i++) {
        struct entry *entry = &table->entries[i];
        if (state_of(entry) != ENTRY_OPEN || entry->node != file->node)
            continue;
        set_entry(entry, generation_of(entry), ENTRY_KEPT);
        file->kept = true;
    }
}

bool open_table_join(struct open_table *table, uint64_t node, uint64_t number,
                     struct open_grant *out_grant)
{
    struct open_file *file = file_of(table, node);
    struct entry *entry;

    if (file == NULL)
        return false;
    entry = take_entry(table);
    if (entry == NULL) {
        keep(table, file);
        *out_grant = (struct open_grant){ 0, file->backing };
        return true;
    }
    count_open(table, node, file->backing);
    *out_grant = fill_entry(table, entry, node, number, file->backing);
    return true;
}

struct open_grant open_table_cached(struct open_table *table, uint64_t node, uint64_t number)
{
    struct entry *entry = take_entry(table);

    assert(file_of(table, node) == NULL);
    if (entry != NULL && count_open(table, node, 0) != NULL)
        return fill_entry(table, entry, node, number, 0);
    if (entry != NULL)
        push_free(table, (uint32_t)(entry - table->entries));
    atomic_store(&table->head->untracked, 1);
    return (struct open_grant){ 0, 0 };
}

int open_table_passed(struct open_table *table, uint64_t node, uint64_t number, uint32_t backing,
                      struct open_grant *out_grant)
{
    struct entry *entry;

    assert(file_of(table, node) == NULL && backing != 0);
    entry = take_entry(table);
    if (entry == NULL)
        return -ENOSPC;
    if (count_open(table, node, backing) == NULL) {
        push_free(table, (uint32_t)(entry - table->entries));
        return -ENOMEM;
    }
    *out_grant = fill_entry(table, entry, node, number, backing);
    return 0;
}

bool open_table_may_pass(const struct open_table *table)
{
    return atomic_load(&table->head->untracked) == 0 &&
           table->counts.backings < OPEN_TABLE_BACKINGS;
}

/* NULL: it was released before, or is none of ours. */
static struct entry *entry_of(struct open_table *table, uint64_t node, uint64_t handle)
{
    uint64_t index = (handle & UINT32_MAX) - 1;
    struct entry *entry;

    if (handle == 0 || index >= high_of(table->head))
        return NULL;
    entry = &table->entries[index];
    return state_of(entry) == ENTRY_OPEN && generation_of(entry) == handle >> 32 &&
                   entry->node == node
               ? entry
               : NULL;
}

void open_table_release(struct open_table *table, uint64_t node, uint64_t handle,
                        uint32_t *out_backing)
{
    struct entry *entry = entry_of(table, node, handle);
    struct open_file *file = entry != NULL ? file_of(table, node) : NULL;

    *out_backing = 0;
    if (file == NULL)
        return;
    set_entry(entry, generation_of(entry) + 1, ENTRY_FREE);
    push_free(table, (uint32_t)(entry - table->entries));
    *(file->backing != 0 ? &table->counts.passed : &table->counts.cached) -= 1;
    if (--file->count > 0)
        return;
    *out_backing = file->backing;
    forget_file(table, file);
}

struct open_table_counts open_table_count(const struct open_table *table)
{
    return table->counts;
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

    return (a > b) - (a < b);
}

static size_t thin(uint32_t *ids, size_t count)
{
    size_t kept = 0;

    qsort(ids, count, sizeof(*ids), compare);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    return kept;
}

int open_table_backings(int fd, uint32_t *out_ids, size_t capacity, size_t *out_count)
{
    cleanup_memory uint32_t *ids = memory_array(OPEN_TABLE_OPENS, sizeof(*ids));
    struct head *head;
    size_t count = 0;
    int r = ids == NULL ? -ENOMEM : map_table(fd, PROT_READ, &head, NULL);

    if (r < 0)
        return r;
    for (uint32_t i = 0, high = high_of(head); i < high; i++) {
        const struct entry *entry = &entries_of(head)[i];
        uint32_t backing = entry->backing;
        if (state_of(entry) != ENTRY_FREE && backing != 0)
            ids[count++] = backing;
    }
    munmap(head, TABLE_SIZE);
    count = thin(ids, count);
    if (count > capacity)
        count = capacity;
    memcpy(out_ids, ids, count * sizeof(*ids));
    *out_count = count;
    return 0;
}

bool open_table_has_backing(const uint32_t *ids, size_t count, uint32_t id)
{
    return count > 0 && bsearch(&id, ids, count, sizeof(*ids), compare) != NULL;
}
