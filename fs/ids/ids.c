/* SPDX-License-Identifier: MIT */
#include "fs/ids/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/span.h"

/*
 * The file, a fact a line, in the order of numbers:
 *     kkartifact-ids-1 STORE SUM
 *     a PROJECT APP SUM             next number in slot 0 ("-" for APP: a project)
 *     v PROJECT APP VERSION TREE SUM   next slot
 * SUM is the first 16 hex digits of the SHA-256 of the line before it. Names have no space
 * (FORMATS 1).
 */
#define HEADER "kkartifact-ids-1"
#define SUM_SIZE 16
#define FILE_MAX ((size_t)1 << 32)
#define ABOVE_MAX ((uint64_t)1 << 24)
#define INDEX_MASK (((uint64_t)1 << IDS_INDEX_BITS) - 1)

struct fact {
    char *key; /* the words of its line, which the names point into, NUL-separated */
    const char *project, *app, *version;
    struct digest tree;
};

struct ids {
    pthread_rwlock_t lock;
    int fd; /* -1: in memory only */
    char *store;
    struct fact **above; /* index: node - 2 */
    size_t above_count, above_capacity;
    struct fact **slots; /* index: slot - 1 */
    size_t slot_count, slot_capacity;
    struct fact *alone;  /* slot 0, of a connection that shows one version alone; else NULL */
    bool alone_has_tree; /* its tree is known */
    struct map numbers;  /* line without sum -> number as a pointer: above index + 1, or slot */
};

static void fact_free(struct fact *fact)
{
    if (fact != NULL)
        memory_free(fact->key);
    memory_free(fact);
}

static void add_sum(struct buf *line)
{
    struct digest digest = digest_of_span(buf_span(line));
    char hex[DIGEST_HEX_SIZE];

    digest_hex(&digest, hex);
    buf_add_byte(line, ' ');
    buf_add(line, hex, SUM_SIZE);
    buf_add_byte(line, '\n');
}

/* Cuts the sum off; false when it is not the line's. */
static bool check_sum(struct span *line)
{
    struct digest digest;
    char hex[DIGEST_HEX_SIZE];
    struct span text;

    if (line->size < SUM_SIZE + 2)
        return false;
    text = span_slice(*line, 0, line->size - SUM_SIZE - 1);
    digest = digest_of_span(text);
    digest_hex(&digest, hex);
    if (line->bytes[text.size] != ' ' ||
        !span_equal(span_slice(*line, text.size + 1, SUM_SIZE), span_of(hex, SUM_SIZE)))
        return false;
    *line = text;
    return true;
}

static int grow(struct fact ***list, size_t count, size_t *capacity)
{
    size_t wanted = *capacity == 0 ? 64 : *capacity * 2;
    struct fact **grown;

    if (count < *capacity)
        return 0;
    grown = memory_resize(*list, wanted, sizeof(**list));
    if (grown == NULL)
        return -ENOMEM;
    *list = grown;
    *capacity = wanted;
    return 0;
}

/* The words behind the first, as texts into one copy. */
static int fact_of_line(struct span line, struct fact **out_fact)
{
    struct fact *fact = memory_new(sizeof(*fact));
    const char *words[5] = { NULL };
    size_t count = 0;

    if (fact != NULL)
        fact->key = memory_copy(line.bytes, line.size);
    if (fact == NULL || fact->key == NULL) {
        fact_free(fact);
        return -ENOMEM;
    }
    for (char *at = fact->key; count < 5; count++) {
        char *end = strchr(at, ' ');
        words[count] = at;
        if (end == NULL) {
            count++;
            break;
        }
        *end = '\0';
        at = end + 1;
    }
    fact->project = words[1];
    fact->app = words[2];
    fact->version = words[3];
    if ((words[0][0] == 'a' && count != 3) ||
        (words[0][0] == 'v' &&
         (count != 5 || digest_parse(span_text(words[4]), &fact->tree, NULL) < 0)) ||
        words[0][1] != '\0' || (words[0][0] != 'a' && words[0][0] != 'v')) {
        fact_free(fact);
        return -EBADMSG;
    }
    if (fact->app[0] == '-')
        fact->app = NULL; /* no name begins so */
    *out_fact = fact;
    return 0;
}

/* Numbers a fact that is on disk. Room was made before. */
static int take_fact(struct ids *ids, struct span line, struct error *err)
{
    bool is_version = line.size > 0 && line.bytes[0] == 'v';
    struct fact *fact = NULL;
    uintptr_t number;
    int r = is_version ? grow(&ids->slots, ids->slot_count, &ids->slot_capacity)
                       : grow(&ids->above, ids->above_count, &ids->above_capacity);

    if (r == 0)
        r = fact_of_line(line, &fact);
    if (r == -EBADMSG)
        return error_set(err, r, "the file of node ids is damaged");
    number = is_version ? ids->slot_count + 1 : ids->above_count + 1;
    if (r == 0)
        r = map_set(&ids->numbers, line, (void *)number, NULL);
    if (r < 0) {
        fact_free(fact);
        return error_set(err, -ENOMEM, "out of memory");
    }
    if (is_version)
        ids->slots[ids->slot_count++] = fact;
    else
        ids->above[ids->above_count++] = fact;
    return 0;
}

/* A line that cannot be written ends the file, not the mount: later numbers are kept in
 * memory. No sync: what was written outlives this process, and after a power cut no kernel
 * remembers a number. */
static int append(struct ids *ids, struct span line, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    off_t end;
    int r;

    if (ids->fd < 0)
        return 0;
    buf_add_span(&text, line);
    add_sum(&text);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    end = lseek(ids->fd, 0, SEEK_END);
    if (end < 0 || file_write(ids->fd, text.bytes, text.size, NULL) < 0) {
        if (end >= 0 && ftruncate(ids->fd, end) < 0)
            end = -1; /* a torn last line, which the next one to open it cuts off */
        close(ids->fd);
        ids->fd = -1;
    }
    return 0;
}

static int load_lines(struct ids *ids, struct span text, size_t *out_good, struct error *err)
{
    struct span rest = text, line;
    bool first = true;

    *out_good = 0;
    while (rest.size > 0) {
        const uint8_t *start = rest.bytes;
        bool whole = memchr(rest.bytes, '\n', rest.size) != NULL;
        int r = 0;
        span_cut(&rest, '\n', &line);
        if (!whole || !check_sum(&line)) {
            if (rest.size > 0)
                return error_set(err, -EBADMSG, "the file of node ids is damaged at byte %zu",
                                 (size_t)(start - text.bytes));
            return 0; /* torn by a crash: nobody was told of it */
        }
        if (first && (!span_starts_with(line, span_text(HEADER " ")) ||
                      !span_equal_text(span_slice(line, sizeof(HEADER), line.size), ids->store)))
            return error_set(err, -EBADMSG, "the file of node ids belongs to another store");
        if (!first)
            r = take_fact(ids, line, err);
        if (r < 0)
            return r;
        first = false;
        *out_good = (size_t)(rest.bytes - text.bytes);
    }
    return 0;
}

static int load(struct ids *ids, const char *path, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(FILE_MAX);
    cleanup(buf_release) struct buf header = buf_init(4096);
    size_t good = 0;
    int r;

    ids->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ids->fd < 0)
        return error_system(err, errno, "%s", path);
    r = file_lock(ids->fd, err);
    if (r == 0)
        r = file_load(path, &text, err);
    if (r == 0)
        r = load_lines(ids, buf_span(&text), &good, err);
    if (r < 0)
        return error_prefix(err, r, "%s", path);
    if (good < text.size)
        r = file_truncate(ids->fd, good, err);
    if (r == 0 && good == 0) {
        buf_format(&header, HEADER " %s", ids->store);
        r = append(ids, buf_span(&header), err);
    }
    return r;
}

int ids_open(const char *path, const char *store, struct ids **out_ids, struct error *err)
{
    struct ids *ids = memory_new(sizeof(*ids));
    int r = 0;

    if (ids == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    ids->fd = -1;
    ids->numbers = map_init();
    pthread_rwlock_init(&ids->lock, NULL);
    ids->store = memory_text(store);
    if (ids->store == NULL)
        r = error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && path != NULL)
        r = load(ids, path, err);
    if (r < 0) {
        ids_close(ids);
        return r;
    }
    *out_ids = ids;
    return 0;
}

struct ids *ids_close(struct ids *ids)
{
    if (ids == NULL)
        return NULL;
    for (size_t i = 0; i < ids->above_count; i++)
        fact_free(ids->above[i]);
    for (size_t i = 0; i < ids->slot_count; i++)
        fact_free(ids->slots[i]);
    fact_free(ids->alone);
    memory_free(ids->above);
    memory_free(ids->slots);
    map_release(&ids->numbers);
    memory_free(ids->store);
    if (ids->fd >= 0)
        close(ids->fd);
    pthread_rwlock_destroy(&ids->lock);
    return memory_free(ids);
}

static uintptr_t known_number(struct ids *ids, struct span line)
{
    uintptr_t number;

    pthread_rwlock_rdlock(&ids->lock);
    number = (uintptr_t)map_get(&ids->numbers, line);
    pthread_rwlock_unlock(&ids->lock);
    return number;
}

static int new_number(struct ids *ids, struct span line, uintptr_t *out, struct error *err)
{
    bool is_version = line.bytes[0] == 'v';
    int r = 0;

    pthread_rwlock_wrlock(&ids->lock);
    *out = (uintptr_t)map_get(&ids->numbers, line);
    if (*out == 0) {
        if (is_version ? ids->slot_count >= IDS_SLOT_MAX : ids->above_count >= ABOVE_MAX)
            r = error_set(err, -ENOSPC, "all node ids are used up: remount");
        if (r == 0)
            r = append(ids, line, err);
        if (r == 0)
            r = take_fact(ids, line, err);
        if (r == 0)
            *out = is_version ? ids->slot_count : ids->above_count;
    }
    pthread_rwlock_unlock(&ids->lock);
    return r;
}

static int number_of(struct ids *ids, struct buf *line, uintptr_t *out, struct error *err)
{
    int r = buf_check(line, err);

    if (r < 0)
        return r;
    *out = known_number(ids, buf_span(line));
    return *out != 0 ? 0 : new_number(ids, buf_span(line), out, err);
}

int ids_above(struct ids *ids, const char *project, const char *app, uint64_t *out_node,
              struct error *err)
{
    cleanup(buf_release) struct buf line = buf_init(4096);
    uintptr_t number;
    int r;

    buf_format(&line, "a %s %s", project, app == NULL ? "-" : app);
    r = number_of(ids, &line, &number, err);
    if (r == 0)
        *out_node = ids_node(0, number);
    return r;
}

int ids_attach(struct ids *ids, const char *project, const char *app, const char *version,
               const struct digest *tree, struct error *err)
{
    static const struct digest none = { { 0 } };
    cleanup(buf_release) struct buf line = buf_init(4096);
    char hex[DIGEST_HEX_SIZE];
    struct fact *fact = NULL;
    int r;

    digest_hex(tree != NULL ? tree : &none, hex);
    buf_format(&line, "v %s %s %s %s", project, app, version, hex);
    r = buf_check(&line, err);
    if (r == 0)
        r = fact_of_line(buf_span(&line), &fact);
    if (r < 0)
        return error_set(err, r == -EBADMSG ? -EINVAL : r, "no version can be called so");
    pthread_rwlock_wrlock(&ids->lock);
    fact_free(ids->alone);
    ids->alone = fact;
    ids->alone_has_tree = tree != NULL;
    pthread_rwlock_unlock(&ids->lock);
    return 0;
}

/* It is the version that is shown alone, with the tree that it has. */
static bool is_alone(struct ids *ids, const char *project, const char *app, const char *version,
                     const struct digest *tree)
{
    struct fact *alone;
    bool is;

    pthread_rwlock_wrlock(&ids->lock);
    alone = ids->alone;
    is = alone != NULL && strcmp(alone->project, project) == 0 && strcmp(alone->app, app) == 0 &&
         strcmp(alone->version, version) == 0;
    if (is && !ids->alone_has_tree) {
        alone->tree = *tree;
        ids->alone_has_tree = true;
    }
    is = is && digest_equal(&alone->tree, tree);
    pthread_rwlock_unlock(&ids->lock);
    return is;
}

int ids_slot(struct ids *ids, const char *project, const char *app, const char *version,
             const struct digest *tree, uint32_t *out_slot, struct error *err)
{
    cleanup(buf_release) struct buf line = buf_init(4096);
    char hex[DIGEST_HEX_SIZE];
    uintptr_t number;
    int r;

    if (is_alone(ids, project, app, version, tree)) {
        *out_slot = 0;
        return 0;
    }
    digest_hex(tree, hex);
    buf_format(&line, "v %s %s %s %s", project, app, version, hex);
    r = number_of(ids, &line, &number, err);
    if (r == 0)
        *out_slot = (uint32_t)number;
    return r;
}

uint32_t ids_last_slot(struct ids *ids)
{
    uint32_t last;

    pthread_rwlock_rdlock(&ids->lock);
    last = (uint32_t)ids->slot_count;
    pthread_rwlock_unlock(&ids->lock);
    return last;
}

uint64_t ids_node(uint32_t slot, uint64_t index)
{
    return (uint64_t)slot << IDS_INDEX_BITS | (index + 1);
}

static bool find_locked(const struct ids *ids, uint64_t node, struct ids_place *out)
{
    uint64_t slot = node >> IDS_INDEX_BITS, number = node & INDEX_MASK;
    const struct fact *fact;

    if (number == 0)
        return false;
    if (slot == 0 && ids->alone != NULL) {
        *out = (struct ids_place){
            .kind = IDS_IS_VERSION,
            .index = number - 1,
            .project = ids->alone->project,
            .app = ids->alone->app,
            .version = ids->alone->version,
            .tree = ids->alone->tree,
        };
        return true;
    }
    if (slot == 0 && number == IDS_ROOT) {
        *out = (struct ids_place){ .kind = IDS_IS_ROOT };
        return true;
    }
    if (slot > ids->slot_count || (slot == 0 && number - 2 >= ids->above_count))
        return false;
    fact = slot == 0 ? ids->above[number - 2] : ids->slots[slot - 1];
    *out = (struct ids_place){
        .kind = slot != 0           ? IDS_IS_VERSION
                : fact->app != NULL ? IDS_IS_APP
                                    : IDS_IS_PROJECT,
        .slot = (uint32_t)slot,
        .index = slot != 0 ? number - 1 : 0,
        .project = fact->project,
        .app = fact->app,
        .version = fact->version,
        .tree = fact->tree,
    };
    return true;
}

int ids_find(struct ids *ids, uint64_t node, struct ids_place *out, struct error *err)
{
    bool found;

    pthread_rwlock_rdlock(&ids->lock);
    found = find_locked(ids, node, out);
    pthread_rwlock_unlock(&ids->lock);
    return found ? 0
                 : error_set(err, -ESTALE, "node %llu was never given", (unsigned long long)node);
}
