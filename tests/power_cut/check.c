/* SPDX-License-Identifier: MIT */
#include "tests/power_cut/check.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/workers.h"
#include "fs/ids/ids.h"
#include "fs/tree_mount/record_store.h"
#include "tests/power_cut/disk.h"
#include "tests/power_cut/journal.h"
#include "tests/power_cut/scenario.h"

/* In a function that gives bool and has `check`: says what is not so, and ends it. */
#define expect(condition, ...)                                           \
    do {                                                                 \
        if (!(condition)) {                                              \
            (void)snprintf(check->why, CHECK_TEXT_SIZE, "" __VA_ARGS__); \
            return false;                                                \
        }                                                                \
    } while (0)

#define OBJECTS (SCENARIO_SMALL + SCENARIO_LARGE + SCENARIO_TREES)

struct object {
    struct blob_key key;
    const uint8_t *bytes;
    const uint8_t *levels;
};

struct check {
    const struct scenario *scenario;
    const struct journal *journal;
    const struct cut *cut;
    const char *folder;
    char *why;
    struct object objects[OBJECTS];
    uint8_t *piece;
    struct pins *pins;
    struct blob_cache *cache;
};

static void take_objects(struct check *check)
{
    const struct scenario *scenario = check->scenario;
    unsigned count = 0;

    for (unsigned i = 0; i < SCENARIO_SMALL + SCENARIO_LARGE; i++) {
        const struct sample *sample =
            i < SCENARIO_SMALL ? scenario->small[i] : scenario->large[i - SCENARIO_SMALL];

        check->objects[count++] =
            (struct object){ sample_key(sample), sample->bytes, sample->merkle };
    }
    for (unsigned i = 0; i < SCENARIO_TREES; i++)
        check->objects[count++] =
            (struct object){ scenario_tree_key(scenario, i), scenario->trees[i].image.bytes, NULL };
}

/* What the disk holds ------------------------------------------------------------------ */

static struct {
    uint64_t bytes;    /* of objects and parts, as a scan counts them */
    unsigned leftover; /* files that belong to nothing */
    char name[160];
} seen;

/* The map of a part that is not there; a part of a complete object: "part/NAME[.m]". */
static bool is_leftover(const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    size_t size = strlen(name), head = (size_t)(name - path) - strlen("part/");
    char other[1024];

    if (strncmp(path + head, "part/", 5) != 0 || strncmp(name, "new.", 4) == 0)
        return false;
    if (size > 2 && strcmp(name + size - 2, ".m") == 0) {
        (void)snprintf(other, sizeof(other), "%.*s", (int)(strlen(path) - 2), path);
        return access(other, F_OK) != 0;
    }
    if (size == 64)
        (void)snprintf(other, sizeof(other), "%.*sobj/%.2s/%s", (int)head, path, name, name);
    else
        (void)snprintf(other, sizeof(other), "%.*sidx/%.64s", (int)head, path, name);
    return access(other, F_OK) == 0;
}

static int see_file(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    const char *name = path + walk->base;
    size_t size = strlen(name);
    bool is_part = strstr(path, "/part/") != NULL;

    if (kind != FTW_F)
        return 0;
    if (is_leftover(path)) {
        seen.leftover++;
        (void)snprintf(seen.name, sizeof(seen.name), "%s", name);
    }
    if (is_part && (size == 64 || size == 65))
        seen.bytes += info->st_size == 0 ? 1 : (uint64_t)info->st_size;
    else if (strstr(path, "/obj/") != NULL || strstr(path, "/idx/") != NULL)
        seen.bytes += (uint64_t)info->st_size;
    return 0;
}

static void look_at_disk(const struct check *check)
{
    memset(&seen, 0, sizeof(seen));
    nftw(check->folder, see_file, 16, FTW_PHYS);
}

static bool counts_are_right(struct check *check, const char *when)
{
    struct blob_cache_stats stats;

    look_at_disk(check);
    blob_cache_stats(check->cache, &stats);
    expect(stats.bytes == seen.bytes, "%llu bytes are counted %s, the disk holds %llu",
           (unsigned long long)stats.bytes, when, (unsigned long long)seen.bytes);
    expect(seen.leftover == 0, "%s %s is left over", when, seen.name);
    return true;
}

/* Booting ------------------------------------------------------------------------------ */

/* Nobody waits for the count, or the first of all does. */
static bool boot(struct check *check, uint64_t quota, bool behind)
{
    struct blob_cache_options options = { .quota_bytes = quota,
                                          .descriptors = 4,
                                          .scan_behind = behind };

    expect(pins_open(check->folder, &check->pins, NULL) == 0, "the pins do not open");
    options.keeper = pins_keeper(check->pins);
    expect(blob_cache_open(check->folder, &options, &check->cache, NULL) == 0,
           "the cache does not open");
    if (!behind && !counts_are_right(check, "at first"))
        return false;
    pins_use(check->pins, check->cache);
    return true;
}

static void halt(struct check *check)
{
    check->cache = blob_cache_close(check->cache);
    check->pins = pins_close(check->pins);
}

/* What was marked last before the cut. */
static bool pins_are_right(struct check *check)
{
    int pinned[SCENARIO_TREES] = { 0 }; /* 1: yes; -1: no; 0: either */

    for (size_t i = 0; i < check->cut->at; i++) {
        const struct change *change = &check->journal->changes[i];
        unsigned tree;

        if (change->kind != CHANGE_MARK || strstr(change->name, "pinn") == NULL)
            continue;
        tree = (unsigned)(change->name[strlen(change->name) - 1] - '0');
        pinned[tree] = strncmp(change->name, "pinned ", 7) == 0     ? 1
                       : strncmp(change->name, "unpinned ", 9) == 0 ? -1
                                                                    : 0;
    }
    for (unsigned i = 0; i < SCENARIO_TREES; i++) {
        struct pin pin = scenario_pin(check->scenario, i);
        bool has = pins_has(check->pins, pin.store, pin.project, pin.app, pin.version);

        expect(pinned[i] <= 0 || has, "the pin of %s is lost", pin.version);
        expect(pinned[i] >= 0 || !has, "the pin of %s is back", pin.version);
    }
    return true;
}

/* Objects ------------------------------------------------------------------------------- */

static size_t piece_size(const struct object *object, uint64_t piece)
{
    return (size_t)blob_piece_size(object->key.size, piece);
}

/* Reads a piece: 1 when it was there, and right. */
static int read_piece(struct check *check, struct blob_entry *entry, const struct object *object,
                      uint64_t piece)
{
    size_t size = piece_size(object, piece);
    int r = blob_entry_read(entry, piece * BLOB_PIECE_SIZE, check->piece, size);

    if (r == 0 && memcmp(check->piece, object->bytes + piece * BLOB_PIECE_SIZE, size) != 0)
        return -EBADMSG;
    return r == 0;
}

static void set_levels(struct blob_entry *entry, const struct object *object)
{
    if (!blob_entry_has_levels(entry))
        blob_entry_set_levels(entry, object->levels, (size_t)blob_levels_size(object->key.size),
                              NULL);
}

/* Larger than a piece, and neither removed nor damaged by anyone: then what is said to be there was
 * synced before. */
static bool is_sound(const struct check *check, const struct object *object)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&object->key.name, hex);
    for (size_t i = 0; i < check->cut->at; i++) {
        const struct change *change = &check->journal->changes[i];

        if ((change->kind == CHANGE_REMOVE && strcmp(change->name, hex) == 0) ||
            (change->kind == CHANGE_MARK && strstr(change->name, hex) != NULL))
            return false;
    }
    return blob_piece_count(object->key.size) > 1;
}

static uint64_t damaged(const struct check *check)
{
    struct blob_cache_stats stats;

    blob_cache_stats(check->cache, &stats);
    return stats.damaged;
}

/* As an engine: what is not there is put, and then it is there. */
static bool object_works(struct check *check, const struct object *object)
{
    struct blob_entry *entry = NULL;
    uint64_t count = blob_piece_count(object->key.size);
    const char *kind = object->key.kind == BLOB_TREE ? "a tree" : "an object";
    uint64_t before;

    expect(blob_cache_entry(check->cache, &object->key, &entry, NULL) == 0, "no entry");
    set_levels(entry, object);
    before = damaged(check);
    for (uint64_t piece = 0; piece < count; piece++) {
        int r = read_piece(check, entry, object, piece);

        if (r == 0 && blob_entry_put(entry, piece, object->bytes + piece * BLOB_PIECE_SIZE,
                                     piece_size(object, piece)) < 0)
            r = -ENOSPC;
        if (r == 0)
            r = read_piece(check, entry, object, piece) == 1 ? 1 : -EAGAIN;
        if (r < 0)
            blob_entry_unref(entry);
        expect(r != -EBADMSG, "wrong bytes in piece %llu of %s of %llu", (unsigned long long)piece,
               kind, (unsigned long long)object->key.size);
        expect(r != -ENOSPC, "piece %llu of %s of %llu cannot be put", (unsigned long long)piece,
               kind, (unsigned long long)object->key.size);
        expect(r == 1, "piece %llu of %s of %llu was put, and is not there",
               (unsigned long long)piece, kind, (unsigned long long)object->key.size);
    }
    blob_entry_unref(entry);
    expect(damaged(check) == before || !is_sound(check, object),
           "%s of %llu was told to have what it has not", kind,
           (unsigned long long)object->key.size);
    return true;
}

static bool all_is_there(struct check *check)
{
    for (unsigned i = 0; i < OBJECTS; i++) {
        const struct object *object = &check->objects[i];
        struct blob_entry *entry = NULL;
        uint64_t count = blob_piece_count(object->key.size), found = 0;
        bool complete;

        expect(blob_cache_entry(check->cache, &object->key, &entry, NULL) == 0, "no entry");
        complete = blob_entry_is_complete(entry);
        for (uint64_t piece = 0; piece < count; piece++)
            found += read_piece(check, entry, object, piece) == 1;
        blob_entry_unref(entry);
        expect(complete && found == count,
               "an object of %llu, put whole, has %llu of %llu pieces after the next boot",
               (unsigned long long)object->key.size, (unsigned long long)found,
               (unsigned long long)count);
    }
    return true;
}

static bool cache_works(struct check *check)
{
    struct blob_cache_stats stats;

    /* What is not synced yet is in use, and nothing goes for it. */
    for (unsigned i = 0; i < OBJECTS; i++) {
        if (!object_works(check, &check->objects[i]))
            return false;
        blob_cache_flush(check->cache);
    }
    blob_cache_stats(check->cache, &stats);
    expect(stats.refused == 0, "%llu pieces were refused", (unsigned long long)stats.refused);
    return counts_are_right(check, "in the end");
}

/* Lists --------------------------------------------------------------------------------- */

static bool ids_work(struct check *check)
{
    char path[512], name[16];
    uint32_t slots[SCENARIO_VERSIONS];
    struct ids *ids = NULL;
    int r;

    scenario_path(check->folder, "ids", path);
    expect(file_make_directories(path, 0700, NULL) == 0, "no directory of ids");
    scenario_path(check->folder, "ids/1", path);
    r = ids_open(path, SCENARIO_STORE, &ids, NULL);
    if (r == -EBADMSG && unlink(path) == 0)
        r = ids_open(path, SCENARIO_STORE, &ids, NULL);
    expect(r == 0, "the ids do not open: %s", strerror(-r));
    for (unsigned n = 0; n < SCENARIO_VERSIONS; n++) {
        struct known_version version = scenario_version(n, name);
        struct ids_place place;

        r = ids_slot(ids, "web", "shop", name, &version.tree, &slots[n], NULL);
        if (r == 0)
            r = ids_find(ids, ids_node(slots[n], 3), &place, NULL);
        if (r == 0 && (place.index != 3 || strcmp(place.version, name) != 0 ||
                       !digest_equal(&place.tree, &version.tree)))
            r = -EBADMSG;
        for (unsigned i = 0; r == 0 && i < n; i++)
            if (slots[i] == slots[n])
                r = -EEXIST;
        if (r < 0)
            break;
    }
    ids_close(ids);
    expect(r == 0, "the ids are wrong: %s", strerror(-r));
    return true;
}

static bool known_work(struct check *check)
{
    struct known_versions *known = NULL;
    struct known_version version, held;
    char name[16], store[64] = "";
    int r = 0;

    if (known_store_get(check->folder, "http://one", SCENARIO_TOKEN, store, NULL) == 0)
        expect(strcmp(store, SCENARIO_STORE) == 0, "another store: %s", store);
    expect(known_store_set(check->folder, "http://one", SCENARIO_TOKEN, SCENARIO_STORE, NULL) == 0,
           "the store is not remembered");
    for (unsigned round = 0; round < 2; round++) {
        expect(known_versions_open(check->folder, SCENARIO_STORE, SCENARIO_TOKEN, &known, NULL) ==
                   0,
               "the known versions do not open");
        for (unsigned n = 0; r == 0 && n < SCENARIO_VERSIONS; n++) {
            version = scenario_version(n, name);
            r = known_versions_get(known, "web", "shop", name, &held, NULL);
            if (r == 0 && memcmp(&held, &version, sizeof(held)) != 0)
                r = -EBADMSG;
            if (r == -ENOENT && round == 0)
                r = known_versions_check(known, "web", "shop", name, &version, NULL);
        }
        if (!known_versions_is_durable(known))
            r = -EROFS;
        known_versions_close(known);
        expect(r == 0, "the known versions, %u: %s", round, strerror(-r));
    }
    return true;
}

static bool records_work(struct check *check)
{
    struct workers *workers = NULL;
    char folder[512];
    int r = 0;

    scenario_path(check->folder, "records", folder);
    expect(file_make_directories(folder, 0700, NULL) == 0, "no directory of records");
    expect(workers_new(&workers, 1, 4, NULL) == 0, "no workers");
    for (unsigned n = 0; r == 0 && n < SCENARIO_VERSIONS; n++) {
        struct record truth, held;

        scenario_record(n, &truth);
        record_init(&held);
        for (unsigned round = 0; r == 0 && round < 2; round++) {
            r = record_store_load(folder, "web", "shop", truth.version, &truth.tree, &held);
            if (r == 0 && (held.created_at_s != truth.created_at_s || held.bytes != truth.bytes ||
                           strcmp(held.version, truth.version) != 0))
                r = -EBADMSG;
            record_release(&held);
            if (r == -ENOENT && round == 0) {
                record_store_save(folder, workers, &truth);
                workers_drain(workers);
                r = 0;
            }
        }
        record_release(&truth);
    }
    workers_free(workers);
    expect(r == 0, "the records: %s", strerror(-r));
    return true;
}

/* All ------------------------------------------------------------------------------------ */

static bool boots(struct check *check)
{
    bool limited = check->cut->seed % 4 == 3;

    if (!boot(check, limited ? SCENARIO_QUOTA : 0, check->cut->seed / 4 % 2 == 1) ||
        !pins_are_right(check) || !cache_works(check) || !ids_work(check) || !known_work(check) ||
        !records_work(check))
        return false;
    halt(check);
    if (!boot(check, 0, false))
        return false;
    return limited || all_is_there(check);
}

bool check_boot(const struct scenario *scenario, const struct journal *journal,
                const struct cut *cut, const char *folder, char out_why[CHECK_TEXT_SIZE])
{
    struct check check = { .scenario = scenario,
                           .journal = journal,
                           .cut = cut,
                           .folder = folder,
                           .why = out_why,
                           .piece = malloc(BLOB_PIECE_SIZE) };
    bool right;

    take_objects(&check);
    right = boots(&check);
    halt(&check);
    free(check.piece);
    return right;
}
