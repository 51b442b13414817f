/* SPDX-License-Identifier: MIT */
#include "fs/usage/uses.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "fs/usage/version_names.h"

#define FORMAT 1
#define FILE_MAX ((size_t)4 * 1024 * 1024)

struct entry {
    struct version_names names;
    int64_t used_at_s;
    uint64_t seen_ms;
};

struct uses {
    char *path;             /* or NULL */
    pthread_mutex_t saving; /* the file is written; taken before the lock */
    pthread_mutex_t lock;
    struct map entries; /* key -> struct entry */
    bool has_changed;
};

CLEANUP_DEFINE(json, json_free);

static struct entry *entry_of(struct uses *uses, const struct version_names *names)
{
    char room[VERSION_KEY_SIZE];

    return map_get(&uses->entries, version_names_key(names, room));
}

static void forget(struct uses *uses, struct entry *entry)
{
    char room[VERSION_KEY_SIZE];

    map_remove(&uses->entries, version_names_key(&entry->names, room));
    memory_free(entry);
    uses->has_changed = true;
}

static void forget_oldest(struct uses *uses)
{
    struct entry *oldest = NULL;
    struct span key;
    size_t at = 0;
    void *value;

    while (map_next(&uses->entries, &at, &key, &value)) {
        struct entry *entry = value;

        if (oldest == NULL || entry->used_at_s < oldest->used_at_s)
            oldest = entry;
    }
    if (oldest != NULL)
        forget(uses, oldest);
}

static struct entry *add_entry(struct uses *uses, const struct version_names *names)
{
    struct entry *entry = memory_new(sizeof(*entry));
    char room[VERSION_KEY_SIZE];

    if (entry == NULL)
        return NULL;
    if (uses->entries.count >= USES_MAX)
        forget_oldest(uses);
    entry->names = *names;
    if (map_set(&uses->entries, version_names_key(names, room), entry, NULL) < 0)
        return memory_free(entry);
    return entry;
}

static int read_use(struct uses *uses, const struct json_value *object, int64_t now_s,
                    struct error *err)
{
    const char *project = NULL, *app = NULL, *version = NULL;
    int64_t used_at_s = -1;
    struct version_names names;
    struct entry *entry;
    int r = json_member_text(object, "project", &project, err);

    if (r == 0)
        r = json_member_text(object, "app", &app, err);
    if (r == 0)
        r = json_member_text(object, "version", &version, err);
    if (r == 0)
        r = json_member_integer(object, "used_at_s", &used_at_s, err);
    if (r < 0)
        return r;
    if (used_at_s < 0 || !version_names_set(&names, project, app, version))
        return error_set(err, -EBADMSG, "no version, or no time");
    entry = entry_of(uses, &names);
    if (entry == NULL && uses->entries.count == USES_MAX)
        return error_set(err, -EBADMSG, "more than was ever written");
    if (entry == NULL)
        entry = add_entry(uses, &names);
    if (entry == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    entry->used_at_s = used_at_s < now_s ? used_at_s : now_s;
    return 0;
}

static void forget_all(struct uses *uses)
{
    struct span key;
    size_t at = 0;
    void *value;

    while (map_next(&uses->entries, &at, &key, &value))
        memory_free(value);
    map_release(&uses->entries);
    uses->entries = map_init();
}

static int load(struct uses *uses, int64_t now_s, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(FILE_MAX);
    cleanup(cleanup_json) struct json *json = NULL;
    const struct json_value *items, *at = NULL;
    int64_t format = 0;
    int r = file_load(uses->path, &text, err);

    if (r == 0)
        r = json_parse(buf_span(&text), &json, err);
    if (r == 0)
        r = json_member_integer(json_root(json), "format", &format, err);
    if (r == 0 && format != FORMAT)
        r = error_set(err, -EBADMSG, "another format");
    items = r == 0 ? json_member(json_root(json), "uses") : NULL;
    while (r == 0 && (at = json_next(items, at)) != NULL)
        r = read_use(uses, at, now_s, err);
    return r;
}

int uses_open(const char *path, int64_t now_s, struct uses **out_uses, struct error *err)
{
    struct uses *uses = memory_new(sizeof(*uses));

    if (uses == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&uses->saving, NULL);
    pthread_mutex_init(&uses->lock, NULL);
    uses->entries = map_init();
    if (path != NULL) {
        uses->path = memory_text(path);
        if (uses->path == NULL) {
            uses_close(uses);
            return error_set(err, -ENOMEM, "out of memory");
        }
        if (load(uses, now_s, NULL) < 0)
            forget_all(uses);
        uses->has_changed = false;
    }
    *out_uses = uses;
    return 0;
}

struct uses *uses_close(struct uses *uses)
{
    if (uses == NULL)
        return NULL;
    forget_all(uses);
    map_release(&uses->entries);
    pthread_mutex_destroy(&uses->lock);
    pthread_mutex_destroy(&uses->saving);
    memory_free(uses->path);
    return memory_free(uses);
}

int uses_note(struct uses *uses, const char *project, const char *app, const char *version,
              int64_t now_s, uint64_t seen_ms, bool *out_new)
{
    struct version_names names;
    struct entry *entry;
    bool is_new;

    if (!version_names_set(&names, project, app, version))
        return -EINVAL;
    pthread_mutex_lock(&uses->lock);
    entry = entry_of(uses, &names);
    is_new = entry == NULL;
    if (is_new)
        entry = add_entry(uses, &names);
    if (entry != NULL) {
        uses->has_changed = uses->has_changed || entry->used_at_s != now_s;
        entry->used_at_s = now_s;
        if (seen_ms != 0)
            entry->seen_ms = seen_ms;
    }
    pthread_mutex_unlock(&uses->lock);
    if (entry == NULL)
        return -ENOMEM;
    *out_new = is_new;
    return 0;
}

size_t uses_count(struct uses *uses)
{
    size_t count;

    pthread_mutex_lock(&uses->lock);
    count = uses->entries.count;
    pthread_mutex_unlock(&uses->lock);
    return count;
}

void uses_forget(struct uses *uses, int64_t before_s)
{
    struct span key;
    size_t at = 0;
    void *value;

    pthread_mutex_lock(&uses->lock);
    while (map_next(&uses->entries, &at, &key, &value)) {
        struct entry *entry = value;

        if (entry->used_at_s < before_s)
            forget(uses, entry);
    }
    pthread_mutex_unlock(&uses->lock);
}

int uses_each(struct uses *uses, uses_each_function *each, void *context)
{
    struct span key;
    size_t at = 0;
    void *value;
    int r = 0;

    pthread_mutex_lock(&uses->lock);
    while (r == 0 && map_next(&uses->entries, &at, &key, &value)) {
        const struct entry *entry = value;
        const struct use use = { .project = entry->names.project,
                                 .app = entry->names.app,
                                 .version = entry->names.version,
                                 .used_at_s = entry->used_at_s,
                                 .seen_ms = entry->seen_ms };

        r = each(context, &use);
    }
    pthread_mutex_unlock(&uses->lock);
    return r;
}

static int write_use(void *context, const struct use *use)
{
    struct json_writer *writer = context;

    json_begin_object(writer, NULL);
    json_text(writer, "project", use->project);
    json_text(writer, "app", use->app);
    json_text(writer, "version", use->version);
    json_integer(writer, "used_at_s", use->used_at_s);
    json_end(writer);
    return 0;
}

/* True when it had changed; from now on it has not. */
static bool take_changed(struct uses *uses)
{
    bool has_changed;

    pthread_mutex_lock(&uses->lock);
    has_changed = uses->has_changed;
    uses->has_changed = false;
    pthread_mutex_unlock(&uses->lock);
    return has_changed;
}

/* Not synced: an unmount would wait for the disk, and after a power cut nothing is in use. One
 * process writes it, so the name beside it can be the same each time: a kill leaves no litter. */
static int replace(const char *path, struct span bytes, struct error *err)
{
    cleanup(buf_release) struct buf beside = buf_init(PATH_MAX);
    cleanup_fd int fd = -1;
    int r;

    buf_format(&beside, "%s.new", path);
    r = buf_check(&beside, err);
    if (r < 0)
        return r;
    fd = open(buf_text(&beside), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_system(err, errno, "%s", buf_text(&beside));
    r = file_write(fd, bytes.bytes, bytes.size, err);
    if (r == 0 && rename(buf_text(&beside), path) < 0)
        r = error_system(err, errno, "%s", path);
    return r;
}

static int save(struct uses *uses, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(FILE_MAX);
    struct json_writer writer = json_writer_init(&text);
    int r;

    json_begin_object(&writer, NULL);
    json_integer(&writer, "format", FORMAT);
    json_begin_array(&writer, "uses");
    uses_each(uses, write_use, &writer);
    json_end(&writer);
    json_end(&writer);
    r = buf_check(&text, err);
    return r == 0 ? replace(uses->path, buf_span(&text), err) : r;
}

int uses_save(struct uses *uses, struct error *err)
{
    int r = 0;

    if (uses->path == NULL)
        return 0;
    pthread_mutex_lock(&uses->saving);
    if (take_changed(uses))
        r = save(uses, err);
    if (r < 0) {
        pthread_mutex_lock(&uses->lock);
        uses->has_changed = true;
        pthread_mutex_unlock(&uses->lock);
    }
    pthread_mutex_unlock(&uses->saving);
    return r;
}
