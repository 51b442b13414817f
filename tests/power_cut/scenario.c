/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/scenario.h"

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/workers.h"
#include "common/client/blob_check.h"
#include "fs/ids/ids.h"
#include "fs/tree_mount/record_store.h"
#include "tests/power_cut/recorder.h"

#define KIB 1024
#define CREATED_AT_S 1700000000

/* The program that is recorded has no test around it. */
#define must(condition)                                                   \
    do {                                                                  \
        if (!(condition))                                                 \
            errx(1, "%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
    } while (0)

/* The truth --------------------------------------------------------------------------- */

void scenario_init(struct scenario *scenario)
{
    static const size_t large[SCENARIO_LARGE] = { 3 * KIB * KIB + 99, 600 * KIB, 2 * KIB * KIB,
                                                  1100 * KIB + 1 };

    for (unsigned i = 0; i < SCENARIO_SMALL; i++)
        scenario->small[i] = sample_new(1 + i * i * 4000, 100 + i);
    for (unsigned i = 0; i < SCENARIO_LARGE; i++)
        scenario->large[i] = sample_new(large[i], 200 + i);
    for (unsigned i = 0; i < SCENARIO_TREES; i++)
        sample_tree_make(&scenario->trees[i], 7 + i, 60);
}

void scenario_release(struct scenario *scenario)
{
    for (unsigned i = 0; i < SCENARIO_SMALL; i++)
        sample_free(scenario->small[i]);
    for (unsigned i = 0; i < SCENARIO_LARGE; i++)
        sample_free(scenario->large[i]);
    for (unsigned i = 0; i < SCENARIO_TREES; i++)
        sample_tree_release(&scenario->trees[i]);
}

struct blob_key scenario_tree_key(const struct scenario *scenario, unsigned tree)
{
    const struct sample_tree *sample = &scenario->trees[tree];

    return (struct blob_key){ BLOB_TREE, sample->verity, sample->verity, sample->image.size };
}

struct pin scenario_pin(const struct scenario *scenario, unsigned tree)
{
    struct pin pin = { .store = SCENARIO_STORE,
                       .project = "web",
                       .app = "shop",
                       .tree = scenario->trees[tree].verity,
                       .tree_size = scenario->trees[tree].image.size };

    (void)snprintf(pin.version, sizeof(pin.version), "%u.0", tree);
    return pin;
}

struct known_version scenario_version(unsigned n, char out_name[16])
{
    (void)snprintf(out_name, 16, "%u.0", n);
    return (struct known_version){ .content = digest_of("content", 7 - n % 7),
                                   .tree = digest_of("tree", 4 - n % 4),
                                   .tree_size = 8192 + n * 4096,
                                   .file_count = n,
                                   .bytes = n * 1000,
                                   .seen_at_s = CREATED_AT_S + n };
}

void scenario_record(unsigned n, struct record *out)
{
    struct known_version version;

    record_init(out);
    version = scenario_version(n, out->version);
    (void)snprintf(out->project, sizeof(out->project), "web");
    (void)snprintf(out->app, sizeof(out->app), "shop");
    out->has_content = out->has_times = out->has_tree = true;
    out->has_tree_size = out->has_file_count = out->has_bytes = out->has_created_at = true;
    out->content = out->times = version.content;
    out->tree = version.tree;
    out->tree_size = version.tree_size;
    out->file_count = version.file_count;
    out->bytes = version.bytes;
    out->created_at_s = version.seen_at_s;
}

void scenario_path(const char *folder, const char *name, char out[512])
{
    (void)snprintf(out, 512, "%s/%s", folder, name);
}

/* A mount ------------------------------------------------------------------------------ */

struct rooms {
    const struct scenario *scenario;
    const char *folder;
    char records[512];
    struct pins *pins;
    struct blob_cache *cache;
    struct known_versions *known;
    struct ids *ids;
    struct workers *workers;
};

static void rooms_open(struct rooms *rooms)
{
    struct blob_cache_options options = { .quota_bytes = SCENARIO_QUOTA, .descriptors = 3 };
    char path[512];

    must(pins_open(rooms->folder, &rooms->pins, NULL) == 0);
    options.keeper = pins_keeper(rooms->pins);
    must(blob_cache_open(rooms->folder, &options, &rooms->cache, NULL) == 0);
    pins_use(rooms->pins, rooms->cache);
    must(known_store_set(rooms->folder, "http://one", SCENARIO_TOKEN, SCENARIO_STORE, NULL) == 0);
    must(known_versions_open(rooms->folder, SCENARIO_STORE, SCENARIO_TOKEN, &rooms->known, NULL) ==
         0);
    scenario_path(rooms->folder, "records", rooms->records);
    must(file_make_directories(rooms->records, 0700, NULL) == 0);
    scenario_path(rooms->folder, "ids", path);
    must(file_make_directories(path, 0700, NULL) == 0);
    scenario_path(rooms->folder, "ids/1", path);
    must(ids_open(path, SCENARIO_STORE, &rooms->ids, NULL) == 0);
    must(workers_new(&rooms->workers, 1, 16, NULL) == 0);
}

static void rooms_close(struct rooms *rooms)
{
    workers_free(rooms->workers);
    ids_close(rooms->ids);
    known_versions_close(rooms->known);
    blob_cache_close(rooms->cache);
    pins_close(rooms->pins);
}

/* A version is seen: its record, its ids, what is known of it. */
static void see_version(struct rooms *rooms, unsigned n)
{
    struct record record;
    struct known_version version;
    char name[16];
    uint64_t node;
    uint32_t slot;

    version = scenario_version(n, name);
    must(known_versions_check(rooms->known, "web", "shop", name, &version, NULL) == 0);
    must(ids_above(rooms->ids, "web", n % 2 == 0 ? NULL : "shop", &node, NULL) == 0);
    must(ids_slot(rooms->ids, "web", "shop", name, &version.tree, &slot, NULL) == 0);
    scenario_record(n, &record);
    record_store_save(rooms->records, rooms->workers, &record);
    workers_drain(rooms->workers);
    record_release(&record);
}

static void put_small(struct rooms *rooms, unsigned first, unsigned end)
{
    for (unsigned i = first; i < end; i++) {
        struct blob_entry *entry = sample_entry(rooms->cache, rooms->scenario->small[i]);

        must(sample_put(entry, rooms->scenario->small[i], 0) == 0);
        blob_entry_unref(entry);
    }
}

/* Pieces first, first + step, ...; synced after each, or all at once in the end. */
static void put_large(struct rooms *rooms, unsigned which, uint64_t first, uint64_t step,
                      bool synced)
{
    const struct sample *sample = rooms->scenario->large[which];
    struct blob_entry *entry = sample_entry(rooms->cache, sample);

    sample_levels(entry, sample);
    for (uint64_t piece = first; piece < blob_piece_count(sample->size); piece += step) {
        must(sample_put(entry, sample, piece) == 0);
        if (synced)
            blob_cache_flush(rooms->cache);
    }
    blob_entry_unref(entry);
    blob_cache_flush(rooms->cache);
}

static void pin_tree(struct rooms *rooms, unsigned tree)
{
    struct blob_key key = scenario_tree_key(rooms->scenario, tree);
    struct pin pin = scenario_pin(rooms->scenario, tree);
    struct blob_entry *entry;
    char mark[32];

    must(blob_cache_entry(rooms->cache, &key, &entry, NULL) == 0);
    must(key.size <= BLOB_PIECE_SIZE);
    must(blob_entry_put(entry, 0, rooms->scenario->trees[tree].image.bytes, (size_t)key.size) == 0);
    blob_entry_unref(entry);
    must(pins_add(rooms->pins, &pin, NULL) == 0);
    (void)snprintf(mark, sizeof(mark), "pinned %u", tree);
    recorder_mark(mark);
}

static void unpin_tree(struct rooms *rooms, unsigned tree)
{
    struct pin pin = scenario_pin(rooms->scenario, tree);
    char mark[32];

    (void)snprintf(mark, sizeof(mark), "unpinning %u", tree);
    recorder_mark(mark);
    must(pins_remove(rooms->pins, &pin, NULL) == 0);
    (void)snprintf(mark, sizeof(mark), "unpinned %u", tree);
    recorder_mark(mark);
}

/* A bit of a complete file is no more what it was. */
static void flip(struct rooms *rooms, const struct sample *sample, off_t at)
{
    char hex[DIGEST_HEX_SIZE], path[512];
    uint8_t byte;
    int fd;

    digest_hex(&sample->sha256, hex);
    (void)snprintf(path, sizeof(path), "%s/obj/%.2s/%s", rooms->folder, hex, hex);
    must(chmod(path, 0600) == 0);
    fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    (void)snprintf(path, sizeof(path), "damaging %s", hex);
    recorder_mark(path);
    must(pwrite(fd, &byte, 1, at) == 1);
    must(fchmod(fd, 0444) == 0);
    close(fd);
}

/* One is set aside whole, another loses a piece and is mended. */
static void find_damage(struct rooms *rooms)
{
    const struct sample *aside = rooms->scenario->large[1], *mended = rooms->scenario->large[3];
    struct blob_entry *entry;
    uint8_t byte;

    flip(rooms, aside, 5);
    must(blob_cache_check(rooms->cache, BLOB_CONTENT, &aside->sha256, NULL, NULL, NULL) < 0);
    flip(rooms, mended, BLOB_PIECE_SIZE + 5);
    entry = sample_entry(rooms->cache, mended);
    must(blob_entry_read(entry, BLOB_PIECE_SIZE, &byte, 1) < 0);
    blob_cache_flush(rooms->cache);
    must(sample_put(entry, mended, 1) == 0);
    blob_entry_unref(entry);
    blob_cache_flush(rooms->cache);
}

static void drop(struct rooms *rooms, unsigned which)
{
    struct blob_entry *entry = sample_entry(rooms->cache, rooms->scenario->large[which]);

    blob_entry_drop(entry);
    blob_entry_unref(entry);
}

void scenario_run(const struct scenario *scenario, const char *folder)
{
    struct rooms rooms = { .scenario = scenario, .folder = folder };

    rooms_open(&rooms);
    see_version(&rooms, 0);
    put_small(&rooms, 0, 4);
    pin_tree(&rooms, 0);
    put_large(&rooms, 1, 0, 1, false);
    put_large(&rooms, 3, 1, 2, true);
    put_large(&rooms, 3, 0, 1, false);
    put_small(&rooms, 4, SCENARIO_SMALL);
    see_version(&rooms, 1);
    pin_tree(&rooms, 1);
    find_damage(&rooms);
    put_large(&rooms, 2, 0, 2, true);
    unpin_tree(&rooms, 0);
    put_large(&rooms, 0, 0, 3, true); /* from here on something has to go */
    put_large(&rooms, 0, 1, 3, false);
    see_version(&rooms, 2);
    drop(&rooms, 2);
    put_large(&rooms, 2, 0, 1, false);
    put_large(&rooms, 1, 0, 1, true);
    put_small(&rooms, 0, SCENARIO_SMALL);
    rooms_close(&rooms);
    rooms_open(&rooms);
    put_large(&rooms, 0, 0, 1, false);
    see_version(&rooms, 3);
    rooms_close(&rooms);
}
