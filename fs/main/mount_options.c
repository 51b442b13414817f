/* SPDX-License-Identifier: MIT */
#include "fs/main/mount_options.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/model/version_ref.h"
#include "common/net/url.h"
#include "fs/control/scrape_address.h"

#define DEADLINE_MS 30000
#define DEADLINE_MAX_MS (24ull * 60 * 60 * 1000)
#define CACHE_SIZE (10ull * 1024 * 1024 * 1024)
#define CACHE_SIZE_MAX (1ull << 53)
#define CACHE_FREE_PERCENT 5
#define SCRUB_RATE (8ull * 1024 * 1024)
#define SCRUB_RATE_LEAST 4096
#define SCRUB_EVERY_MS (24ull * 60 * 60 * 1000)
#define SCRUB_EVERY_MAX_MS (365ull * 24 * 60 * 60 * 1000)
#define ROOT_CACHE "/var/cache/kkartifact"

struct mount_option {
    const char *name;
    const char *value_name; /* NULL: a switch */
    const char *help;
    bool repeated;
    int (*set)(struct mount_options *options, const char *value, struct error *err);
};

static int set_text(char **at, const char *value, struct error *err)
{
    char *copy = memory_text(value);

    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    memory_free(*at);
    *at = copy;
    return 0;
}

/* Absolute from now on: the daemon leaves the directory of whoever mounts. */
static int set_path(char **at, const char *value, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(2 * PATH_MAX);
    char directory[PATH_MAX];

    if (value[0] == '/')
        return set_text(at, value, err);
    if (getcwd(directory, sizeof(directory)) == NULL)
        return error_system(err, errno, "the current directory");
    buf_format(&path, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, value);
    if (buf_check(&path, err) < 0)
        return path.failure;
    return set_text(at, buf_text(&path), err);
}

static int set_token_file(struct mount_options *options, const char *value, struct error *err)
{
    return set_path(&options->token_file, value, err);
}

static int set_ca_file(struct mount_options *options, const char *value, struct error *err)
{
    return set_path(&options->ca_file, value, err);
}

static int set_metrics(struct mount_options *options, const char *value, struct error *err)
{
    int r = scrape_address_check(value, err);

    return r < 0 ? r : set_text(&options->metrics, value, err);
}

static int set_cache(struct mount_options *options, const char *value, struct error *err)
{
    return set_path(&options->cache, value, err);
}

static int set_cache_size(struct mount_options *options, const char *value, struct error *err)
{
    return number_parse_size(span_text(value), CACHE_SIZE_MAX, &options->cache_size, err);
}

static int set_cache_free(struct mount_options *options, const char *value, struct error *err)
{
    size_t size = strlen(value);
    uint64_t percent;
    int r;

    if (size == 0 || value[size - 1] != '%') {
        options->cache_free_percent = 0;
        return number_parse_size(span_text(value), CACHE_SIZE_MAX, &options->cache_free, err);
    }
    r = number_parse(span_of(value, size - 1), 99, &percent, err);
    if (r < 0)
        return error_set(err, -EINVAL, "not a percentage from 0%% to 99%%");
    options->cache_free_percent = (uint32_t)percent;
    return 0;
}

static int set_time(uint64_t *at, const char *value, uint64_t most_ms, struct error *err)
{
    uint64_t ms = 0;
    int r = number_parse_duration(span_text(value), most_ms, &ms, err);

    if (r < 0)
        return error_set(err, -EINVAL, "not a time such as 30s, 500ms or 5m");
    if (ms == 0)
        return error_set(err, -EINVAL, "no time at all");
    *at = ms;
    return 0;
}

static int set_deadline(struct mount_options *options, const char *value, struct error *err)
{
    return set_time(&options->deadline_ms, value, DEADLINE_MAX_MS, err);
}

static int set_scrub_every(struct mount_options *options, const char *value, struct error *err)
{
    return set_time(&options->scrub_every_ms, value, SCRUB_EVERY_MAX_MS, err);
}

static int set_scrub_rate(struct mount_options *options, const char *value, struct error *err)
{
    uint64_t rate = 0;
    int r = number_parse_size(span_text(value), CACHE_SIZE_MAX, &rate, err);

    if (r < 0)
        return r;
    if (rate < SCRUB_RATE_LEAST)
        return error_set(err, -EINVAL, "less than 4K a second");
    options->scrub_rate = rate;
    return 0;
}

/* Its place among three words. */
static int set_choice(uint32_t *at, const char *value, const char *const words[3],
                      struct error *err)
{
    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(value, words[i]) == 0) {
            *at = i;
            return 0;
        }
    }
    return error_set(err, -EINVAL, "neither %s nor %s nor %s", words[0], words[1], words[2]);
}

static int set_prefetch(struct mount_options *options, const char *value, struct error *err)
{
    static const char *const words[] = {
        [PREFETCH_AUTO] = "auto", [PREFETCH_NONE] = "none", [PREFETCH_ALL] = "all"
    };
    uint32_t choice = options->prefetch;
    int r = set_choice(&choice, value, words, err);

    options->prefetch = (enum mount_prefetch)choice;
    return r;
}

static int set_passthrough(struct mount_options *options, const char *value, struct error *err)
{
    static const char *const words[] = {
        [PASSTHROUGH_AUTO] = "auto", [PASSTHROUGH_ON] = "on", [PASSTHROUGH_OFF] = "off"
    };
    uint32_t choice = options->passthrough;
    int r = set_choice(&choice, value, words, err);

    options->passthrough = (enum mount_passthrough)choice;
    return r;
}

static int set_strict_auth(struct mount_options *options, const char *value, struct error *err)
{
    options->strict_auth = true;
    return 0;
}

static int set_offline(struct mount_options *options, const char *value, struct error *err)
{
    options->offline = true;
    return 0;
}

static int set_insecure(struct mount_options *options, const char *value, struct error *err)
{
    options->insecure = true;
    return 0;
}

static int set_on_or_off(bool *at, const char *value, struct error *err)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
        return error_set(err, -EINVAL, "neither on nor off");
    *at = strcmp(value, "on") == 0;
    return 0;
}

static int set_xattr(struct mount_options *options, const char *value, struct error *err)
{
    return set_on_or_off(&options->xattr, value, err);
}

static int set_learn(struct mount_options *options, const char *value, struct error *err)
{
    return set_on_or_off(&options->learn, value, err);
}

static int set_number(uint32_t *at, const char *value, struct error *err)
{
    uint64_t number;
    int r = number_parse(span_text(value), UINT32_MAX - 1, &number, err);

    if (r < 0)
        return error_set(err, -EINVAL, "neither a name nor a number");
    *at = (uint32_t)number;
    return 0;
}

static int set_uid(struct mount_options *options, const char *value, struct error *err)
{
    struct passwd *user = getpwnam(value);

    if (user == NULL)
        return set_number(&options->uid, value, err);
    options->uid = user->pw_uid;
    return 0;
}

static int set_gid(struct mount_options *options, const char *value, struct error *err)
{
    struct group *group = getgrnam(value);

    if (group == NULL)
        return set_number(&options->gid, value, err);
    options->gid = group->gr_gid;
    return 0;
}

static int set_umask(struct mount_options *options, const char *value, struct error *err)
{
    uint32_t umask = 0;
    size_t size = strlen(value);

    for (size_t i = 0; i < size && size <= 4; i++) {
        if (value[i] < '0' || value[i] > '7')
            size = 0;
        else
            umask = umask << 3 | (uint32_t)(value[i] - '0');
    }
    if (size == 0 || size > 4 || umask > 0777)
        return error_set(err, -EINVAL, "not octal, 0 to 777");
    options->umask = umask;
    return 0;
}

static int set_only(struct mount_options *options, const char *value, struct error *err)
{
    struct version_ref ref;
    int r = version_ref_parse(span_text(value), &ref, err);

    if (r < 0)
        return r;
    if (ref.kind != VERSION_REF_PROJECT && ref.kind != VERSION_REF_APP)
        return error_set(err, -EINVAL, "neither PROJECT nor PROJECT/APP");
    r = set_text(&options->only_project, ref.project, err);
    if (r == 0 && ref.kind == VERSION_REF_APP)
        r = set_text(&options->only_app, ref.app, err);
    return r;
}

/* One line per option. */
static const struct mount_option table[] = {
    { "token_file", "FILE", "file whose first line is the token", false, set_token_file },
    { "server", "URL", "a further server, tried when those before are away", true,
      mount_options_add_server },
    { "cache", "DIR", "where verified bytes are kept", false, set_cache },
    { "cache_size", "SIZE", "most bytes kept, such as 10G (the default); 0: no limit", false,
      set_cache_size },
    { "cache_free", "SIZE|N%", "left free on the cache's file system (default 5%)", false,
      set_cache_free },
    { "prefetch", "auto|none|all", "what is fetched ahead of reads (default auto)", false,
      set_prefetch },
    { "learn", "on|off", "tell the server what starts of versions read (default on)", false,
      set_learn },
    { "passthrough", "auto|on|off", "complete files read by the kernel alone (default auto)", false,
      set_passthrough },
    { "scrub_rate", "SIZE", "of the cache hashed again in a second (default 8M)", false,
      set_scrub_rate },
    { "scrub_every", "TIME", "from one pass over the cache to the next (default 24h)", false,
      set_scrub_every },
    { "deadline", "TIME", "longest wait for the server before EIO (default 30s)", false,
      set_deadline },
    { "offline", NULL, "ask nothing of any server: what is known, from the cache", false,
      set_offline },
    { "strict_auth", NULL, "show nothing while the server refuses the token", false,
      set_strict_auth },
    { "xattr", "on|off", "digests and states as extended attributes (default off)", false,
      set_xattr },
    { "insecure", NULL, "send the token over plain HTTP to any host", false, set_insecure },
    { "ca_file", "FILE", "trusted certificates instead of the system's", false, set_ca_file },
    { "metrics", "ADDR", "answer GET /metrics there: [HOST:]PORT, or the path of a socket", false,
      set_metrics },
    { "uid", "USER", "owner of everything", false, set_uid },
    { "gid", "GROUP", "group of everything", false, set_gid },
    { "umask", "OCTAL", "permission bits taken away", false, set_umask },
    { "only", "P[/A]", "show only this project, or this app", false, set_only },
};
#define TABLE_SIZE (sizeof(table) / sizeof(*table))

/* What mount(8) and fstab have for every type, and no effect on ours. */
static const char *const passed_over[] = {
    "defaults", "auto",     "noauto",     "nouser",   "nousers",    "noowner",       "nogroup",
    "_netdev",  "nofail",   "suid",       "nosuid",   "dev",        "nodev",         "async",
    "sync",     "dirsync",  "atime",      "noatime",  "relatime",   "norelatime",    "strictatime",
    "diratime", "lazytime", "nodiratime", "silent",   "nolazytime", "nostrictatime", "symfollow",
    "loud",     "mand",     "nomand",     "iversion", "noiversion",
};

/* Whoever may mount it without being root: then, as mount(8) has it, without running programs,
 * unless a later word says otherwise. */
static const char *const of_users[] = { "user", "users", "owner", "group" };

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(word, words) is_one_of(word, words, sizeof(words) / sizeof(*(words)))

/* The words of mount(8); the later one counts. False: it is none. */
static bool take_common(struct mount_options *options, const char *word)
{
    if (strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0)
        options->wants_write = word[1] == 'w';
    else if (strcmp(word, "exec") == 0)
        options->noexec = false;
    else if (strcmp(word, "noexec") == 0 || strncmp(word, "user=", 5) == 0 ||
             IS_ONE_OF(word, of_users))
        options->noexec = true;
    else if (strncmp(word, "x-", 2) != 0 && strncmp(word, "X-", 2) != 0 &&
             strncmp(word, "comment=", 8) != 0 && !IS_ONE_OF(word, passed_over))
        return false;
    return true;
}

static int default_cache(struct mount_options *options, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(4096);
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

    if (geteuid() == 0)
        return set_text(&options->cache, ROOT_CACHE, err);
    if (base != NULL && base[0] == '/')
        buf_format(&path, "%s/kkartifact", base);
    else
        buf_format(&path, "%s/.cache/kkartifact", home != NULL && home[0] == '/' ? home : "");
    if (buf_check(&path, err) < 0)
        return path.failure;
    return set_text(&options->cache, buf_text(&path), err);
}

int mount_options_init(struct mount_options *options, struct error *err)
{
    *options = (struct mount_options){
        .cache_size = CACHE_SIZE,
        .cache_free_percent = CACHE_FREE_PERCENT,
        .deadline_ms = DEADLINE_MS,
        .learn = true,
        .scrub_rate = SCRUB_RATE,
        .scrub_every_ms = SCRUB_EVERY_MS,
        .uid = getuid(),
        .gid = getgid(),
    };
    return default_cache(options, err);
}

void mount_options_release(struct mount_options *options)
{
    for (size_t i = 0; i < options->server_count; i++)
        memory_free(options->servers[i]);
    memory_free(options->servers);
    memory_free(options->mountpoint);
    memory_free(options->token_file);
    memory_free(options->cache);
    memory_free(options->ca_file);
    memory_free(options->metrics);
    memory_free(options->only_project);
    memory_free(options->only_app);
    memory_free(options->attach_channel);
    memory_free(options->attach_version);
    *options = (struct mount_options){ 0 };
}

int mount_options_add_server(struct mount_options *options, const char *url, struct error *err)
{
    struct url_base base;
    char **grown;
    int r = url_base_parse(url, &base, err);

    if (r < 0)
        return error_prefix(err, r, "%s", url);
    grown = memory_resize(options->servers, options->server_count + 1, sizeof(*grown));
    if (grown == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    options->servers = grown;
    grown[options->server_count] = memory_text(base.text);
    if (grown[options->server_count] == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    options->server_count++;
    return 0;
}

/* A mount whose daemon is gone answers nothing, also not what it is: the way to it is resolved. */
static char *resolve_way(const char *path)
{
    cleanup(buf_release) struct buf text = buf_init(2 * PATH_MAX);
    cleanup_memory char *copy = memory_text(path);
    size_t size = copy != NULL ? strlen(copy) : 0;
    char *name, *above;

    while (size > 1 && copy[size - 1] == '/')
        copy[--size] = '\0';
    name = size > 1 ? strrchr(copy, '/') : NULL;
    if (copy == NULL || size <= 1)
        return NULL;
    if (name != NULL)
        *name++ = '\0';
    above = realpath(name == NULL ? "." : copy[0] == '\0' ? "/" : copy, NULL);
    if (above == NULL)
        return NULL;
    buf_format(&text, "%s/%s", strcmp(above, "/") == 0 ? "" : above, name != NULL ? name : copy);
    free(above);
    return buf_check(&text, NULL) == 0 ? strdup(buf_text(&text)) : NULL;
}

/* Resolved now: the daemon leaves its directory, and asks no mount for a path later. */
int mount_options_set_mountpoint(struct mount_options *options, const char *path, struct error *err)
{
    char *resolved = realpath(path, NULL);
    int r;

    if (resolved == NULL && errno == ENOTCONN)
        resolved = resolve_way(path);
    if (resolved == NULL)
        return error_system(err, errno, "%s", path);
    r = set_text(&options->mountpoint, resolved, err);
    free(resolved);
    return r;
}

int mount_options_set_mountpoint_unasked(struct mount_options *options, const char *path,
                                         struct error *err)
{
    char *resolved;
    int r;

    errno = EINVAL; /* the root of all is no mount of ours */
    resolved = resolve_way(path);
    if (resolved == NULL)
        return error_system(err, errno, "%s", path);
    r = set_text(&options->mountpoint, resolved, err);
    free(resolved);
    return r;
}

bool mount_options_want_passthrough(const struct mount_options *options)
{
    return options->passthrough == PASSTHROUGH_ON ||
           (options->passthrough == PASSTHROUGH_AUTO && options->attached);
}

static int set_word(struct mount_options *options, char *word, struct error *err)
{
    char *value = strchr(word, '=');
    size_t i = 0;
    int r;

    if (take_common(options, word))
        return 0;
    if (value != NULL)
        *value++ = '\0';
    while (i < TABLE_SIZE && strcmp(table[i].name, word) != 0)
        i++;
    if (i == TABLE_SIZE)
        return error_set(err, -EINVAL, "unknown option \"%s\"", word);
    if ((value != NULL) != (table[i].value_name != NULL))
        return error_set(err, -EINVAL,
                         value != NULL ? "option %s takes no value" : "option %s needs a value",
                         word);
    if (value != NULL && value[0] == '\0')
        return error_set(err, -EINVAL, "option %s: the value is empty", word);
    if (!table[i].repeated && (options->seen & (uint64_t)1 << i) != 0)
        return error_set(err, -EINVAL, "option %s is given twice", word);
    options->seen |= (uint64_t)1 << i;
    r = table[i].set(options, value, err);
    if (r == -EFBIG)
        r = -EINVAL;
    return r < 0 ? error_prefix(err, r, "option %s", word) : 0;
}

int mount_options_parse(struct mount_options *options, const char *text, struct error *err)
{
    cleanup_memory char *words = memory_text(text);
    char *word = words, *next;
    int r = 0;

    if (words == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (; r == 0 && word != NULL; word = next) {
        next = strchr(word, ',');
        if (next != NULL)
            *next++ = '\0';
        if (word[0] != '\0')
            r = set_word(options, word, err);
    }
    return r;
}

int mount_options_attach(struct mount_options *options, const char *name, bool prefetch,
                         struct error *err)
{
    struct version_ref ref;
    int r = version_ref_parse(span_text(name), &ref, err);

    if (r < 0)
        return r;
    if (options->only_project != NULL)
        return error_set(err, -EINVAL, "option only: of a mount, not of an attach");
    if (ref.kind == VERSION_REF_PROJECT || ref.kind == VERSION_REF_LATEST || ref.path.size > 0)
        return error_set(err, -EINVAL,
                         "%s: PROJECT/APP, PROJECT/APP@CHANNEL or "
                         "PROJECT/APP/VERSION can be attached",
                         name);
    r = set_text(&options->only_project, ref.project, err);
    if (r == 0)
        r = set_text(&options->only_app, ref.app, err);
    if (r == 0 && ref.kind == VERSION_REF_VERSION)
        r = set_text(&options->attach_version, ref.version, err);
    else if (r == 0)
        r = set_text(&options->attach_channel,
                     ref.kind == VERSION_REF_CHANNEL ? ref.channel : CHANNEL_DEFAULT, err);
    options->attached = true;
    options->attach_prefetch = prefetch;
    return r;
}

void mount_options_help(struct buf *out)
{
    buf_add_text(out, "Options of -o:\n");
    for (size_t i = 0; i < TABLE_SIZE; i++) {
        const char *value = table[i].value_name;
        int width = 22 - (int)strlen(table[i].name) - (value != NULL ? (int)strlen(value) + 1 : 0);
        buf_format(out, "  %s%s%s%*s%s\n", table[i].name, value != NULL ? "=" : "",
                   value != NULL ? value : "", width > 1 ? width : 1, "", table[i].help);
    }
}
