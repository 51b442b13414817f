/* SPDX-License-Identifier: MIT */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/file.h"
#include "common/base/map.h"
#include "common/client/blob_cache.h"
#include "common/client/piece_map.h"
#include "common/model/merkle.h"

struct directory;
struct workers;

/*
 * blob_cache_private - what blob_cache.c (the table of entries and files), blob_entry.c (bytes in
 * and out), blob_levels.c (what they are checked against), blob_seal.c (sync and completion,
 * behind) and blob_evict.c (room) share.
 *
 * Two locks, entry before cache: an entry's guards its bits and may be held while the disk works;
 * the cache's guards the tables and is held for moments.
 */
#define BLOB_IDLE_ENTRIES 4096
#define BLOB_IDLE_BYTES (4 * 1024 * 1024)
#define BLOB_SYNC_BYTES (256 * 1024 * 1024)
#define BLOB_SYNC_MS 2000
#define BLOB_DEGRADED_MS 5000
#define BLOB_PATH_SIZE 88
#define BLOB_DESCRIPTORS 64
#define BLOB_SEGMENTS 3

enum blob_place { PLACE_NONE, PLACE_PART, PLACE_COMPLETE };

/* An open file of an entry. Counted references under the cache's lock; the entry's own is one. */
struct cache_file {
    struct cache_file *newer, *older; /* among the open ones, by last use */
    struct blob_entry *entry;         /* NULL once the entry has let go of it */
    int fd;
    unsigned users;
    bool writable; /* and locked */
};

/* A thing on disk that takes room, for eviction. */
struct cache_slot {
    struct digest name;
    uint8_t kind; /* enum blob_kind */
    bool complete;
    bool referenced; /* since the hand passed last */
    uint8_t segment; /* in how many of the hand's last rounds it was read: 0 .. BLOB_SEGMENTS - 1 */
    uint64_t bytes;
    size_t before, behind;    /* places in the hand's line; 0: none */
    struct blob_entry *entry; /* that was loaded from it, or NULL */
};

/* What is evicted: its files are still to be removed. Lives as long as that takes. */
struct cache_leaving {
    struct cache_leaving *next;
    enum blob_kind kind;
    struct digest name;
};

struct blob_cache {
    struct directory *root; /* NULL: keeps nothing */
    char *path;
    struct blob_cache_options options;
    struct workers *behind;   /* one thread: syncs, seals */
    pthread_mutex_t settling; /* before all other locks: one sync or seal at a time */
    pthread_mutex_t lock;

    struct map entries; /* by key */
    struct blob_entry *idle_oldest, *idle_newest;
    size_t idle_count, idle_bytes;

    struct cache_file *file_newest, *file_oldest;
    size_t file_count;

    struct cache_slot *slots;
    size_t slot_count, slot_capacity;
    size_t line_first, line_last; /* places: where the hand is, and what it passed last */
    struct map slot_places;       /* kind, name -> index + 1 */
    uint64_t bytes, objects;
    uint64_t promised; /* room that was made for what is being put */
    uint64_t free_checked_ms;
    bool free_is_low;
    struct cache_leaving *leaving;
    pthread_cond_t left;       /* one fewer */
    uint64_t in_vain_until_ms; /* a long table was gone over, and nothing in it may go */

    uint64_t degraded_until_ms;
    char last_error[256];
    _Atomic uint64_t hit_bytes, damaged, set_aside, refused, evicted;
    _Atomic uint64_t aside_stamp; /* of DIR/bad when it was looked at last */
};

struct blob_entry {
    struct blob_cache *cache;
    struct blob_key key;
    size_t refs; /* cache lock */
    struct blob_entry *idle_newer, *idle_older;
    bool is_idle;

    pthread_mutex_t lock;
    pthread_mutex_t writing; /* of pieces; no other lock is taken under it */
    struct merkle_shape shape;
    uint8_t *levels;    /* NULL until known; none needed up to one piece */
    bool levels_sought; /* on disk, in vain */
    bool is_loaded;
    uint64_t looked_ms; /* when it was */
    enum blob_place place;
    struct piece_map present;  /* said to be on disk */
    struct piece_map verified; /* seen right in this process, and still open since */
    struct cache_file *file;   /* cache lock */
    struct file_info info;     /* of the complete file when it was opened first */
    bool has_info;
    uint64_t generation; /* of the .m file's next slot */
    uint64_t dirty_bytes, synced_ms;
    bool job_queued, not_to_be_kept;
};

/* Paths below the cache's root. */
enum blob_path { BLOB_PATH_COMPLETE, BLOB_PATH_PART, BLOB_PATH_MAP, BLOB_PATH_LEVELS };
void blob_path_of(enum blob_kind kind, const struct digest *name, enum blob_path what,
                  char out[BLOB_PATH_SIZE]);
void blob_path(const struct blob_entry *entry, enum blob_path what, char out[BLOB_PATH_SIZE]);

/* blob_cache.c: a reference more (cache locked). */
void cache_entry_take_locked(struct blob_cache *cache, struct blob_entry *entry);

/* blob_cache.c: files. The entry's file with one more user, opened when need be (entry locked),
 * or NULL. */
struct cache_file *cache_file_take(struct blob_entry *entry, bool for_writing);
void cache_file_give(struct blob_cache *cache, struct cache_file *file);
/* Whether that is the entry's file now (entry locked). */
bool cache_file_is(struct blob_entry *entry, const struct cache_file *file);
/* The entry lets go of its file; who uses it goes on (entry locked). The second: cache locked. */
void cache_file_forget(struct blob_entry *entry);
void cache_file_forget_locked(struct blob_entry *entry);

uint64_t cache_now_ms(const struct blob_cache *cache);
/* A call of the disk failed: nothing is kept for a while. */
void cache_failed(struct blob_cache *cache, int code, const char *what);
bool cache_is_degraded(struct blob_cache *cache);

/* blob_entry.c: looks at the disk once (entry locked). */
void entry_load(struct blob_entry *entry);
/* A piece on disk is wrong, or cannot be read (entry locked). */
void entry_drop_piece(struct blob_entry *entry, uint64_t piece);
/* What was there is not looked at any more; the disk is not touched (entry locked). */
void entry_forget(struct blob_entry *entry);
/* Forgets all that is on disk (entry locked). */
void entry_drop_all(struct blob_entry *entry);

/* Bytes as a new file of any name, then renamed to `path`: nobody sees half of it. */
int cache_save_whole(struct blob_cache *cache, const char *path, const void *bytes, size_t size);

/* blob_seal.c: has the entry synced or sealed behind (entry locked; takes a reference). */
void entry_queue_job(struct blob_entry *entry);
/* The same, now. */
void entry_settle(struct blob_entry *entry);

/* blob_evict.c */
void cache_scan(struct blob_cache *cache);
/* Until files of that object which are being evicted are gone: whoever looked at them, or made new
 * ones, before would lose them behind his back (cache not locked). */
void cache_await_leaving(struct blob_cache *cache, const struct blob_key *key);
/* Room for so many more bytes, or -ENOSPC. It is theirs until cache_room_used(), so that two who
 * put at once do not take the same. */
int cache_make_room(struct blob_cache *cache, uint64_t bytes);
void cache_room_used(struct blob_cache *cache, uint64_t bytes);
/* Sets what is there of an object; bytes 0: nothing. entry may be NULL. */
void cache_slot_set(struct blob_cache *cache, enum blob_kind kind, const struct digest *name,
                    bool complete, uint64_t bytes, struct blob_entry *entry);
/* The entry goes (cache locked). */
void cache_slot_leave(struct blob_cache *cache, struct blob_entry *entry);
/* It was read. */
void cache_slot_touch(struct blob_cache *cache, const struct blob_entry *entry);
