/* SPDX-License-Identifier: MIT */
#include "common/client/known_versions.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/client/fact_log.h"

#define PATH_MAXIMUM 4096
#define FORM "1"
#define NUMBER_MAX 9007199254740991u

struct known_versions {
    pthread_mutex_t lock;
    char *path;
    struct map facts; /* "P/A/V" -> struct known_version */
    bool durable;
};

static int file_path(const char *directory, const char *store, const char *token_name,
                     struct buf *out, struct error *err)
{
    cleanup(buf_release) struct buf scope = buf_init(PATH_MAXIMUM);
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;
    int r;

    buf_add(&scope, store, strlen(store) + 1);
    buf_add_text(&scope, token_name);
    r = buf_check(&scope, err);
    if (r < 0)
        return r;
    digest = digest_of_span(buf_span(&scope));
    digest_hex(&digest, hex);
    buf_format(out, "%s/versions-%s", directory, hex);
    return buf_check(out, err);
}

static int key_of(const char *project, const char *app, const char *version, struct buf *out,
                  struct error *err)
{
    buf_format(out, "%s/%s/%s", project, app, version);
    return buf_check(out, err);
}

/* Facts in memory ------------------------------------------------------------ */

static int remember(struct known_versions *known, struct span key, const struct known_version *fact,
                    struct error *err)
{
    struct known_version *held = map_get(&known->facts, key);

    if (held == NULL) {
        held = memory_copy(fact, sizeof(*fact));
        if (held == NULL || map_set(&known->facts, key, held, NULL) < 0) {
            memory_free(held);
            return error_set(err, -ENOMEM, "out of memory");
        }
        return 0;
    }
    if (digest_equal(&held->content, &fact->content)) {
        int64_t seen_at_s = held->seen_at_s;

        *held = *fact;
        held->seen_at_s = seen_at_s;
    }
    return 0;
}

static int take_line(void *context, const struct span *fields, size_t count, struct error *err)
{
    struct known_versions *known = context;
    cleanup(buf_release) struct buf key = buf_init(PATH_MAXIMUM);
    struct known_version fact;
    int r;

    if (count != 10 || !span_equal_text(fields[0], FORM) ||
        digest_parse(fields[4], &fact.content, NULL) < 0 ||
        digest_parse(fields[5], &fact.tree, NULL) < 0 ||
        number_parse(fields[6], NUMBER_MAX, &fact.tree_size, NULL) < 0 ||
        number_parse(fields[7], NUMBER_MAX, &fact.file_count, NULL) < 0 ||
        number_parse(fields[8], NUMBER_MAX, &fact.bytes, NULL) < 0 ||
        number_parse_signed(fields[9], NUMBER_MAX, &fact.seen_at_s, NULL) < 0)
        return 0; /* of a later program */
    buf_add_span(&key, fields[1]);
    buf_add_byte(&key, '/');
    buf_add_span(&key, fields[2]);
    buf_add_byte(&key, '/');
    buf_add_span(&key, fields[3]);
    r = buf_check(&key, err);
    return r < 0 ? r : remember(known, buf_span(&key), &fact, err);
}

static int write_line(struct known_versions *known, const char *project, const char *app,
                      const char *version, const struct known_version *fact, struct error *err)
{
    char content[DIGEST_HEX_SIZE], tree[DIGEST_HEX_SIZE];
    char tree_size[24], file_count[24], bytes[24], seen_at_s[24];
    const char *fields[] = { FORM, project,   app,        version, content,
                             tree, tree_size, file_count, bytes,   seen_at_s };

    digest_hex(&fact->content, content);
    digest_hex(&fact->tree, tree);
    (void)snprintf(tree_size, sizeof(tree_size), "%llu", (unsigned long long)fact->tree_size);
    (void)snprintf(file_count, sizeof(file_count), "%llu", (unsigned long long)fact->file_count);
    (void)snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)fact->bytes);
    (void)snprintf(seen_at_s, sizeof(seen_at_s), "%lld", (long long)fact->seen_at_s);
    return fact_log_add(known->path, fields, 10, err);
}

/* Opening ------------------------------------------------------------------- */

int known_versions_open(const char *directory, const char *store, const char *token_name,
                        struct known_versions **out_known, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct known_versions *known;
    int r;

    r = file_path(directory, store, token_name, &path, err);
    if (r < 0)
        return r;
    known = memory_new(sizeof(*known));
    if (known == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&known->lock, NULL);
    known->facts = map_init();
    known->path = memory_text(buf_text(&path));
    if (known->path == NULL) {
        known_versions_close(known);
        return error_set(err, -ENOMEM, "out of memory");
    }
    known->durable = file_make_directories(directory, 0700, NULL) == 0;
    r = fact_log_read(known->path, take_line, known, err);
    if (r < 0) {
        known_versions_close(known);
        return r;
    }
    *out_known = known;
    return 0;
}

struct known_versions *known_versions_close(struct known_versions *known)
{
    struct span key;
    void *value;
    size_t at = 0;

    if (known == NULL)
        return NULL;
    while (map_next(&known->facts, &at, &key, &value))
        memory_free(value);
    map_release(&known->facts);
    memory_free(known->path);
    pthread_mutex_destroy(&known->lock);
    return memory_free(known);
}

int known_versions_reload(struct known_versions *known, struct error *err)
{
    int r;

    pthread_mutex_lock(&known->lock);
    r = fact_log_read(known->path, take_line, known, err);
    pthread_mutex_unlock(&known->lock);
    return r;
}

bool known_versions_is_durable(struct known_versions *known)
{
    bool durable;

    pthread_mutex_lock(&known->lock);
    durable = known->durable;
    pthread_mutex_unlock(&known->lock);
    return durable;
}

/* Asking --------------------------------------------------------------------- */

int known_versions_get(struct known_versions *known, const char *project, const char *app,
                       const char *version, struct known_version *out, struct error *err)
{
    cleanup(buf_release) struct buf key = buf_init(PATH_MAXIMUM);
    const struct known_version *fact;
    int r;

    r = key_of(project, app, version, &key, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&known->lock);
    fact = map_get(&known->facts, buf_span(&key));
    if (fact != NULL)
        *out = *fact;
    pthread_mutex_unlock(&known->lock);
    if (fact == NULL)
        return error_set(err, -ENOENT, "%s/%s/%s was never seen here", project, app, version);
    return 0;
}

/* Locked. Facts that cannot be written last as long as the process. */
static int learn(struct known_versions *known, struct span key, const char *project,
                 const char *app, const char *version, const struct known_version *fact,
                 struct error *err)
{
    int r = remember(known, key, fact, err);

    if (r == 0)
        known->durable = write_line(known, project, app, version, fact, NULL) == 0;
    return r;
}

static int compare(struct known_versions *known, struct span key, const char *project,
                   const char *app, const char *version, const struct known_version *said,
                   struct error *err)
{
    const struct known_version *held = map_get(&known->facts, key);
    struct known_version fact = *said;

    if (held == NULL) {
        if (fact.seen_at_s == 0)
            fact.seen_at_s = clock_now_s();
        return learn(known, key, project, app, version, &fact, err);
    }
    if (!digest_equal(&held->content, &said->content)) {
        char hex[DIGEST_HEX_SIZE];

        digest_hex(&held->content, hex);
        return error_set(err, -EBADMSG,
                         "%s/%s/%s is known with content %.12s..., the server says another",
                         project, app, version, hex);
    }
    if (!digest_equal(&held->tree, &said->tree) || held->tree_size != said->tree_size)
        return KNOWN_OTHER_TREE;
    return 0;
}

int known_versions_check(struct known_versions *known, const char *project, const char *app,
                         const char *version, const struct known_version *said, struct error *err)
{
    cleanup(buf_release) struct buf key = buf_init(PATH_MAXIMUM);
    int r;

    r = key_of(project, app, version, &key, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&known->lock);
    r = compare(known, buf_span(&key), project, app, version, said, err);
    pthread_mutex_unlock(&known->lock);
    return r;
}

int known_versions_replace_tree(struct known_versions *known, const char *project, const char *app,
                                const char *version, const struct known_version *checked,
                                struct error *err)
{
    cleanup(buf_release) struct buf key = buf_init(PATH_MAXIMUM);
    int r;

    r = key_of(project, app, version, &key, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&known->lock);
    r = compare(known, buf_span(&key), project, app, version, checked, err);
    if (r == KNOWN_OTHER_TREE)
        r = learn(known, buf_span(&key), project, app, version, checked, err);
    pthread_mutex_unlock(&known->lock);
    return r;
}

int known_versions_list(struct known_versions *known, known_versions_each *each, void *context,
                        struct error *err)
{
    cleanup(buf_release) struct buf names = buf_init(PATH_MAXIMUM);
    struct span key;
    void *value;
    size_t at = 0;
    int r = 0;

    pthread_mutex_lock(&known->lock);
    while (r == 0 && map_next(&known->facts, &at, &key, &value)) {
        char *project, *app, *version;

        buf_clear(&names);
        buf_add_span(&names, key);
        buf_text(&names);
        r = buf_check(&names, err);
        if (r < 0)
            break;
        project = (char *)names.bytes;
        app = strchr(project, '/');
        version = app == NULL ? NULL : strchr(app + 1, '/');
        if (version == NULL)
            continue;
        *app++ = '\0';
        *version++ = '\0';
        r = each(context, project, app, version, value, err);
    }
    pthread_mutex_unlock(&known->lock);
    return r;
}

/* Of every store ------------------------------------------------------------- */

struct search {
    const char *directory, *project, *app, *version;
    known_versions_each *each;
    void *context;
    bool found;
};

static int search_file(void *context, const char *name, enum file_kind kind, struct error *err)
{
    struct search *search = context;
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    struct known_versions known = { .facts = map_init() };
    struct known_version fact;
    struct span key;
    void *value;
    size_t at = 0;
    int r = 0;

    if (strncmp(name, "versions-", 9) != 0)
        return 0;
    pthread_mutex_init(&known.lock, NULL);
    buf_format(&path, "%s/%s", search->directory, name);
    r = buf_check(&path, err);
    if (r == 0)
        r = fact_log_read(buf_text(&path), take_line, &known, err);
    if (r == 0 && known_versions_get(&known, search->project, search->app, search->version, &fact,
                                     NULL) == 0) {
        search->found = true;
        r = search->each(search->context, search->project, search->app, search->version, &fact,
                         err);
    }
    while (map_next(&known.facts, &at, &key, &value))
        memory_free(value);
    map_release(&known.facts);
    pthread_mutex_destroy(&known.lock);
    return r;
}

int known_versions_find(const char *directory, const char *project, const char *app,
                        const char *version, known_versions_each *each, void *context,
                        struct error *err)
{
    struct search search = { directory, project, app, version, each, context, false };
    struct directory *place = NULL;
    int r = directory_open(directory, &place, err);

    if (r == 0)
        r = directory_list(place, "", search_file, &search, err);
    directory_close(place);
    if (r == 0 && !search.found)
        return error_set(err, -ENOENT, "%s/%s/%s was never seen here", project, app, version);
    return r;
}

/* Stores ------------------------------------------------------------------ */

struct store_search {
    const char *server, *token_name;
    char *out;
    bool found;
};

static int see_store(void *context, const struct span *fields, size_t count, struct error *err)
{
    struct store_search *search = context;

    if (count == 4 && span_equal_text(fields[0], FORM) &&
        span_equal_text(fields[1], search->server) &&
        span_equal_text(fields[2], search->token_name) && fields[3].size < 64) {
        memcpy(search->out, fields[3].bytes, fields[3].size);
        search->out[fields[3].size] = '\0';
        search->found = true;
    }
    return 0;
}

int known_store_get(const char *directory, const char *server, const char *token_name,
                    char out_store[64], struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    char store[64] = "";
    struct store_search search = { server, token_name, store, false };
    int r;

    buf_format(&path, "%s/stores", directory);
    r = fact_log_read(buf_text(&path), see_store, &search, err);
    if (r < 0)
        return r;
    if (!search.found)
        return error_set(err, -ENOENT, "%s was never reached from here", server);
    memcpy(out_store, store, sizeof(store));
    return 0;
}

int known_store_set(const char *directory, const char *server, const char *token_name,
                    const char *store, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAXIMUM);
    const char *fields[] = { FORM, server, token_name, store };
    char held[64];
    int r;

    if (strlen(store) >= sizeof(held))
        return error_set(err, -EINVAL, "a store id that is too long");
    if (known_store_get(directory, server, token_name, held, NULL) == 0 && strcmp(held, store) == 0)
        return 0;
    r = file_make_directories(directory, 0700, err);
    buf_format(&path, "%s/stores", directory);
    return r < 0 ? r : fact_log_add(buf_text(&path), fields, 4, err);
}
