/* SPDX-License-Identifier: MIT */
#include "fs/pins/pins.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/client/fact_log.h"
#include "common/model/merkle.h"
#include "fs/pins/content_set.h"

#define FORM "1"
#define FIELDS 8
#define PATH_SIZE_MAX 8192
#define LOOK_MS 1000

struct kept {
    struct pin pin;
    struct content_set *set; /* NULL: its tree is not in the cache */
    bool said;               /* by the file that was just read */
};

struct pin_hold {
    const struct content_set *set;
    struct pin_hold *next;
};

struct pins {
    char *path; /* NULL: nothing is remembered */
    char *directory;
    struct blob_cache_keeper keeper;
    pthread_mutex_t looking; /* before the next: one look at a time */
    pthread_mutex_t lock;
    struct blob_cache *cache;
    struct kept *kept;
    size_t count, capacity;
    struct pin_hold *holds;
    uint64_t looked_ms;
    struct stat seen; /* the file, when it was read */
    bool has_seen;
};

/* The list (locked) ------------------------------------------------------------ */

static bool is_same(const struct pin *a, const struct pin *b)
{
    return strcmp(a->store, b->store) == 0 && strcmp(a->project, b->project) == 0 &&
           strcmp(a->app, b->app) == 0 && strcmp(a->version, b->version) == 0;
}

static struct kept *find(struct pins *pins, const struct pin *pin)
{
    for (size_t i = 0; i < pins->count; i++)
        if (is_same(&pins->kept[i].pin, pin))
            return &pins->kept[i];
    return NULL;
}

static void drop(struct pins *pins, struct kept *kept)
{
    content_set_free(kept->set);
    *kept = pins->kept[--pins->count];
}

static int put(struct pins *pins, const struct pin *pin, struct kept **out_kept)
{
    struct kept *kept = find(pins, pin);

    if (kept == NULL) {
        if (pins->count == pins->capacity) {
            size_t capacity = pins->capacity * 2 + 8;
            struct kept *grown = memory_resize(pins->kept, capacity, sizeof(*grown));

            if (grown == NULL)
                return -ENOMEM;
            pins->kept = grown;
            pins->capacity = capacity;
        }
        kept = &pins->kept[pins->count++];
        *kept = (struct kept){ .pin = *pin };
    } else if (!digest_equal(&kept->pin.tree, &pin->tree)) {
        kept->set = content_set_free(kept->set);
        kept->pin = *pin;
    }
    *out_kept = kept;
    return 0;
}

/* The file ---------------------------------------------------------------------- */

static bool copy_text(struct span text, char *out, size_t size)
{
    if (text.size == 0 || text.size >= size)
        return false;
    memcpy(out, text.bytes, text.size);
    out[text.size] = '\0';
    return true;
}

/* "1 pin|unpin STORE P A V TREE SIZE" */
static bool parse_line(const struct span *fields, size_t count, struct pin *out, bool *out_pinned)
{
    *out_pinned = count == FIELDS && span_equal_text(fields[1], "pin");
    return count == FIELDS && span_equal_text(fields[0], FORM) &&
           (*out_pinned || span_equal_text(fields[1], "unpin")) &&
           copy_text(fields[2], out->store, sizeof(out->store)) &&
           copy_text(fields[3], out->project, sizeof(out->project)) &&
           copy_text(fields[4], out->app, sizeof(out->app)) &&
           copy_text(fields[5], out->version, sizeof(out->version)) &&
           name_check(NAME_PROJECT, fields[3], NULL) == 0 &&
           name_check(NAME_APP, fields[4], NULL) == 0 &&
           name_check(NAME_VERSION, fields[5], NULL) == 0 &&
           digest_parse(fields[6], &out->tree, NULL) == 0 &&
           number_parse(fields[7], MERKLE_MAX_DATA, &out->tree_size, NULL) == 0;
}

static int take_line(void *context, const struct span *fields, size_t count, struct error *err)
{
    struct pins *pins = context;
    struct kept *kept;
    struct pin pin = { .tree_size = 0 };
    bool pinned;

    if (!parse_line(fields, count, &pin, &pinned))
        return 0; /* of a later program */
    kept = find(pins, &pin);
    if (!pinned) {
        if (kept != NULL)
            kept->said = false;
        return 0;
    }
    if (put(pins, &pin, &kept) < 0)
        return error_set(err, -ENOMEM, "out of memory");
    kept->said = true;
    return 0;
}

static bool has_changed(struct pins *pins, struct stat *out_now)
{
    if (stat(pins->path, out_now) < 0)
        return false; /* removed, or the disk is away: what was pinned stays so here */
    return !pins->has_seen || out_now->st_ino != pins->seen.st_ino ||
           out_now->st_size != pins->seen.st_size ||
           out_now->st_mtim.tv_sec != pins->seen.st_mtim.tv_sec ||
           out_now->st_mtim.tv_nsec != pins->seen.st_mtim.tv_nsec;
}

/* Reads the file again (locked). A line that says nothing of a pin any more ends it. */
static int read_file(struct pins *pins, struct error *err)
{
    struct stat now;
    int r;

    if (pins->path == NULL || !has_changed(pins, &now))
        return 0;
    for (size_t i = 0; i < pins->count; i++)
        pins->kept[i].said = false;
    r = fact_log_read(pins->path, take_line, pins, err);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    for (size_t i = pins->count; i > 0; i--)
        if (!pins->kept[i - 1].said)
            drop(pins, &pins->kept[i - 1]);
    pins->seen = now;
    pins->has_seen = true;
    return 0;
}

/* The file may be new. */
static int sync_names(struct pins *pins, struct error *err)
{
    struct directory *directory = NULL;
    int r = directory_open(pins->directory, &directory, err);

    if (r == 0)
        r = directory_sync(directory, err);
    directory_close(directory);
    return r;
}

static int add_line(struct pins *pins, const char *verb, const struct pin *pin, struct error *err)
{
    char tree[DIGEST_HEX_SIZE], size[24];
    const char *fields[FIELDS] = { FORM,     verb,         pin->store, pin->project,
                                   pin->app, pin->version, tree,       size };
    cleanup_fd int fd = -1;
    int r;

    if (pins->path == NULL)
        return error_set(err, -EROFS, "there is no cache");
    digest_hex(&pin->tree, tree);
    (void)snprintf(size, sizeof(size), "%llu", (unsigned long long)pin->tree_size);
    r = fact_log_add(pins->path, fields, FIELDS, err);
    if (r == 0)
        r = file_open_read(pins->path, &fd, err);
    if (r == 0)
        r = file_sync(fd, err);
    return r == 0 ? sync_names(pins, err) : r;
}

/* Looking ------------------------------------------------------------------------ */

/* One that is pinned, and whose contents are not known here; false: none behind *at. */
static bool next_unknown(struct pins *pins, size_t *at, struct pin *out)
{
    bool found = false;

    pthread_mutex_lock(&pins->lock);
    while (!found && *at < pins->count) {
        struct kept *kept = &pins->kept[(*at)++];

        if (kept->set == NULL) {
            *out = kept->pin;
            found = true;
        }
    }
    pthread_mutex_unlock(&pins->lock);
    return found;
}

static void give_set(struct pins *pins, const struct pin *pin, struct content_set *set)
{
    struct kept *kept;

    pthread_mutex_lock(&pins->lock);
    kept = find(pins, pin);
    if (kept != NULL && kept->set == NULL && digest_equal(&kept->pin.tree, &pin->tree)) {
        kept->set = set;
        set = NULL;
    }
    pthread_mutex_unlock(&pins->lock);
    content_set_free(set);
}

/* The disk works without the lock that evicting waits for. */
static void load_unknown(struct pins *pins)
{
    struct pin pin;
    size_t at = 0;

    if (pins->cache == NULL)
        return;
    while (next_unknown(pins, &at, &pin)) {
        struct content_set *set = NULL;

        if (content_set_load(pins->cache, &pin.tree, pin.tree_size, &set, NULL) == 0)
            give_set(pins, &pin, set);
    }
}

static void look_now(struct pins *pins)
{
    pthread_mutex_lock(&pins->looking);
    pthread_mutex_lock(&pins->lock);
    pins->looked_ms = clock_monotonic_ms();
    read_file(pins, NULL);
    pthread_mutex_unlock(&pins->lock);
    load_unknown(pins);
    pthread_mutex_unlock(&pins->looking);
}

static void look(void *context)
{
    struct pins *pins = context;
    bool due;

    pthread_mutex_lock(&pins->lock);
    due = clock_monotonic_ms() - pins->looked_ms >= LOOK_MS;
    pthread_mutex_unlock(&pins->lock);
    if (due)
        look_now(pins);
}

static bool keeps(void *context, const struct digest *name)
{
    struct pins *pins = context;
    bool kept = false;

    pthread_mutex_lock(&pins->lock);
    for (size_t i = 0; !kept && i < pins->count; i++) {
        const struct kept *one = &pins->kept[i];

        kept = digest_equal(&one->pin.tree, name) ||
               (one->set != NULL && content_set_has(one->set, name));
    }
    for (const struct pin_hold *hold = pins->holds; !kept && hold != NULL; hold = hold->next)
        kept = content_set_has(hold->set, name);
    pthread_mutex_unlock(&pins->lock);
    return kept;
}

/* Public ------------------------------------------------------------------------- */

int pins_open(const char *directory, struct pins **out_pins, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE_MAX);
    struct pins *pins = memory_new(sizeof(*pins));
    int r = 0;

    if (pins == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&pins->looking, NULL);
    pthread_mutex_init(&pins->lock, NULL);
    pins->keeper = (struct blob_cache_keeper){ pins, look, keeps };
    if (directory != NULL) {
        buf_format(&path, "%s/pins", directory);
        pins->path = buf_take(&path);
        pins->directory = memory_text(directory);
        r = pins->path == NULL || pins->directory == NULL ? error_set(err, -ENOMEM, "out of memory")
                                                          : read_file(pins, err);
    }
    if (r < 0) {
        pins_close(pins);
        return r;
    }
    *out_pins = pins;
    return 0;
}

struct pins *pins_close(struct pins *pins)
{
    if (pins == NULL)
        return NULL;
    for (size_t i = 0; i < pins->count; i++)
        content_set_free(pins->kept[i].set);
    while (pins->holds != NULL)
        pins_let_go(pins, pins->holds);
    memory_free(pins->kept);
    memory_free(pins->path);
    memory_free(pins->directory);
    pthread_mutex_destroy(&pins->looking);
    pthread_mutex_destroy(&pins->lock);
    return memory_free(pins);
}

const struct blob_cache_keeper *pins_keeper(struct pins *pins)
{
    return &pins->keeper;
}

void pins_use(struct pins *pins, struct blob_cache *cache)
{
    pins->cache = cache;
    look_now(pins);
}

int pins_add(struct pins *pins, const struct pin *pin, struct error *err)
{
    struct content_set *set = NULL;
    struct kept *kept;
    int r = pins->cache == NULL
                ? error_set(err, -EROFS, "there is no cache")
                : content_set_load(pins->cache, &pin->tree, pin->tree_size, &set, err);

    if (r == 0)
        r = add_line(pins, "pin", pin, err);
    if (r == 0) {
        pthread_mutex_lock(&pins->lock);
        r = put(pins, pin, &kept);
        if (r == 0 && kept->set == NULL)
            kept->set = take_pointer(&set);
        pthread_mutex_unlock(&pins->lock);
        if (r < 0)
            error_set(err, r, "out of memory");
    }
    content_set_free(set);
    return r;
}

int pins_remove(struct pins *pins, const struct pin *pin, struct error *err)
{
    struct kept *kept;
    int r;

    look_now(pins);
    if (!pins_has(pins, pin->store, pin->project, pin->app, pin->version))
        return error_set(err, -ENOENT, "%s/%s/%s is not pinned", pin->project, pin->app,
                         pin->version);
    r = add_line(pins, "unpin", pin, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&pins->lock);
    kept = find(pins, pin);
    if (kept != NULL)
        drop(pins, kept);
    pthread_mutex_unlock(&pins->lock);
    return 0;
}

bool pins_has(struct pins *pins, const char *store, const char *project, const char *app,
              const char *version)
{
    bool has = false;

    pthread_mutex_lock(&pins->lock);
    for (size_t i = 0; !has && i < pins->count; i++) {
        const struct pin *pin = &pins->kept[i].pin;

        has = strcmp(pin->store, store) == 0 && strcmp(pin->project, project) == 0 &&
              strcmp(pin->app, app) == 0 && strcmp(pin->version, version) == 0;
    }
    pthread_mutex_unlock(&pins->lock);
    return has;
}

int pins_each(struct pins *pins, const char *store, pins_each_function *each, void *context)
{
    int r = 0;

    for (size_t i = 0; r == 0; i++) {
        struct pin pin;
        bool found = false;

        pthread_mutex_lock(&pins->lock);
        if (i < pins->count) {
            pin = pins->kept[i].pin;
            found = true;
        }
        pthread_mutex_unlock(&pins->lock);
        if (!found)
            break;
        if (strcmp(pin.store, store) == 0)
            r = each(context, &pin);
    }
    return r;
}

int pins_bytes(struct pins *pins, const struct content_set *more, uint64_t *out_bytes,
               struct error *err)
{
    const struct content_set **sets;
    size_t count = 0;
    int r;

    pthread_mutex_lock(&pins->lock);
    sets = memory_array(pins->count + 1, sizeof(*sets));
    for (size_t i = 0; sets != NULL && i < pins->count; i++)
        if (pins->kept[i].set != NULL &&
            (more == NULL || !digest_equal(&pins->kept[i].pin.tree, &more->tree)))
            sets[count++] = pins->kept[i].set;
    if (sets != NULL && more != NULL)
        sets[count++] = more;
    r = sets == NULL ? error_set(err, -ENOMEM, "out of memory")
                     : content_sets_bytes(sets, count, out_bytes, err);
    pthread_mutex_unlock(&pins->lock);
    memory_free(sets);
    return r;
}

struct pin_hold *pins_hold(struct pins *pins, const struct content_set *set)
{
    struct pin_hold *hold = memory_new(sizeof(*hold));

    if (hold == NULL)
        return NULL;
    hold->set = set;
    pthread_mutex_lock(&pins->lock);
    hold->next = pins->holds;
    pins->holds = hold;
    pthread_mutex_unlock(&pins->lock);
    return hold;
}

struct pin_hold *pins_let_go(struct pins *pins, struct pin_hold *hold)
{
    struct pin_hold **at = &pins->holds;

    if (hold == NULL)
        return NULL;
    pthread_mutex_lock(&pins->lock);
    while (*at != NULL && *at != hold)
        at = &(*at)->next;
    if (*at != NULL)
        *at = hold->next;
    pthread_mutex_unlock(&pins->lock);
    return memory_free(hold);
}
