/* SPDX-License-Identifier: MIT */
#include "server/main/server_settings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/model/settings.h"

#define DEFAULT_FILE "/etc/kkartifact/server.yml"
#define PATH_MAX_TEXT 4096
#define DATABASE_FILE "sqlite:"

static int listen_split(const char *value, struct span *out_address, uint16_t *out_port,
                        struct error *err)
{
    struct span whole = span_text(value), address;
    const char *colon = strrchr(value, ':');
    unsigned char parsed[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];
    uint64_t port;

    if (colon == NULL || number_parse(span_text(colon + 1), UINT16_MAX, &port, NULL) < 0)
        return error_set(err, -EINVAL, "it has to be ADDRESS:PORT, such as 127.0.0.1:8080");
    address = span_slice(whole, 0, (size_t)(colon - value));
    if (address.size > 2 && address.bytes[0] == '[' && address.bytes[address.size - 1] == ']')
        address = span_slice(address, 1, address.size - 2);
    if (address.size == 0 || address.size >= sizeof(text))
        return error_set(err, -EINVAL, "the address has to be a numeric IPv4 or IPv6 address");
    memcpy(text, address.bytes, address.size);
    text[address.size] = '\0';
    if (inet_pton(AF_INET, text, parsed) != 1 && inet_pton(AF_INET6, text, parsed) != 1)
        return error_set(err, -EINVAL, "the address has to be a numeric IPv4 or IPv6 address");
    *out_address = address;
    *out_port = (uint16_t)port;
    return 0;
}

static int check_listen(const char *value, struct error *err)
{
    struct span address;
    uint16_t port;

    return listen_split(value, &address, &port, err);
}

static int check_database(const char *value, struct error *err)
{
    if (strncmp(value, "sqlite:", 7) != 0 || value[7] == '\0')
        return error_set(err, -EINVAL, "it has to be sqlite:PATH");
    return 0;
}

static int check_storage(const char *value, struct error *err)
{
    if (strncmp(value, "file:", 5) != 0 || value[5] == '\0')
        return error_set(err, -EINVAL, "it has to be file:DIR");
    return 0;
}

static int check_address(const char *value, struct error *err)
{
    unsigned char parsed[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, value, parsed) != 1 && inet_pton(AF_INET6, value, parsed) != 1)
        return error_set(err, -EINVAL, "it has to be a numeric IPv4 or IPv6 address");
    return 0;
}

/* clang-format off */
static const struct setting_spec specs[] = {
    {.key = "listen", .type = SETTING_TEXT, .fallback = "127.0.0.1:8080", .check = check_listen,
     .help = "Address and port to serve on; port 0 takes a free one"},
    {.key = "data", .type = SETTING_TEXT,
     .help = "Directory of the embedded database, the blobs and temporary files"},
    {.key = "database", .type = SETTING_TEXT, .check = check_database,
     .help = "sqlite:PATH; unset: kkartifact.db in the data directory"},
    {.key = "storage", .type = SETTING_TEXT, .check = check_storage,
     .help = "file:DIR; unset: blobs in the data directory"},
    {.key = "cache", .type = SETTING_CHOICE, .choices = "memory", .fallback = "memory",
     .help = "Where answers that may be forgotten are kept"},
    {.key = "cache_size", .type = SETTING_SIZE, .fallback = "16MiB", .min = 1 << 20,
     .max = (uint64_t)64 << 30, .help = "Bytes of the memory cache"},
    {.key = "public_url", .type = SETTING_TEXT,
     .help = "How clients reach this server, when a proxy stands before it"},
    {.key = "tls_cert", .type = SETTING_TEXT,
     .help = "PEM file of the certificate and its chain; needs tls_key"},
    {.key = "tls_key", .type = SETTING_TEXT, .help = "PEM file of the private key"},
    {.key = "trusted_proxies", .type = SETTING_LIST, .check = check_address,
     .help = "Addresses whose X-Forwarded-For is believed"},
    {.key = "log_level", .type = SETTING_CHOICE, .choices = "error|warning|info|debug",
     .fallback = "info", .help = "Least important lines that are written; debug tells every read"},
    {.key = "log_format", .type = SETTING_CHOICE, .choices = "text|json", .fallback = "text",
     .help = "Form of the lines on stderr"},
    {.key = "metrics_token", .type = SETTING_SECRET,
     .help = "Bearer token that /metrics asks for; unset: open"},
    {.key = "part_size", .type = SETTING_SIZE, .fallback = "16MiB", .min = 65536, .max = 64 << 20,
     .help = "Largest part of an upload"},
    {.key = "listing_max", .type = SETTING_SIZE, .fallback = "4GiB", .min = 65536,
     .max = (uint64_t)4 << 30, .help = "Largest listing of a version"},
    {.key = "delta_cache_size", .type = SETTING_SIZE, .fallback = "2GiB", .min = 0,
     .max = (uint64_t)64 << 40, .help = "Bytes of deltas kept in the data directory; 0: none"},
    {.key = "connections", .type = SETTING_NUMBER, .fallback = "2048", .min = 8, .max = 65536,
     .help = "Connections served at once"},
    {.key = "connections_per_address", .type = SETTING_NUMBER, .fallback = "0", .max = 65536,
     .help = "Connections of one address; 0: no limit"},
    {.key = "event_listeners", .type = SETTING_NUMBER, .fallback = "1400", .min = 1, .max = 65536,
     .help = "Streams of events open at once; never more than three quarters of connections"},
    {.key = "event_listeners_per_token", .type = SETTING_NUMBER, .fallback = "65536", .min = 1,
     .max = 65536, .help = "Streams of events of one token; the last quarter is for others anyhow"},
    {.key = "event_heartbeat", .type = SETTING_DURATION, .fallback = "15s", .min = 1000,
     .max = 40000, .help = "A stream that told nothing for so long gives a sign of life"},
    {.key = "idle_timeout", .type = SETTING_DURATION, .fallback = "60s", .min = 1000,
     .max = 3600000, .help = "A connection on which nothing moves for so long is closed"},
    {.key = "stop_timeout", .type = SETTING_DURATION, .fallback = "30s", .min = 0, .max = 600000,
     .help = "How long requests in flight may go on after SIGTERM"},
    {.key = "header_size", .type = SETTING_SIZE, .fallback = "32KiB", .min = 4096, .max = 131072,
     .help = "Largest request line and headers"},
    {.key = "loops", .type = SETTING_NUMBER, .fallback = "0", .min = 0, .max = 64,
     .help = "Event loops; 0: one a processor, at most 4"},
    {.key = "workers", .type = SETTING_NUMBER, .fallback = "16", .min = 2, .max = 256,
     .help = "Threads for work that waits or computes"},
    {.key = "waiting", .type = SETTING_NUMBER, .fallback = "512", .min = 1, .max = 65536,
     .help = "Requests that may wait for a worker; more are answered 503"},
    {.key = NULL},
};
/* clang-format on */

/* root: the system's place; else $XDG_DATA_HOME, or what stands for it. */
static int default_data(struct settings *settings, struct error *err)
{
    cleanup(buf_release) struct buf path = buf_init(PATH_MAX_TEXT);
    const char *data_home = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int r;

    if (geteuid() == 0)
        buf_add_text(&path, "/var/lib/kkartifact");
    else if (data_home != NULL && data_home[0] == '/')
        buf_format(&path, "%s/kkartifact", data_home);
    else if (home != NULL && home[0] == '/')
        buf_format(&path, "%s/.local/share/kkartifact", home);
    else
        return 0;
    r = buf_check(&path, err);
    return r < 0 ? r : settings_set_default(settings, "data", buf_text(&path), err);
}

static int load_file(struct settings *settings, const struct options *options, struct error *err)
{
    const char *path = options_get(options, "config");

    if (path == NULL && access(DEFAULT_FILE, F_OK) < 0)
        return 0;
    return settings_load_file(settings, path != NULL ? path : DEFAULT_FILE, err);
}

static int load_flags(struct settings *settings, const struct options *options, struct error *err)
{
    static const char *const flags[] = { "data", "listen" };
    int r = 0;

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]) && r == 0; i++) {
        const char *value = options_get(options, flags[i]);

        if (value != NULL)
            r = settings_set_flag(settings, flags[i], value, err);
    }
    return r;
}

static int check_together(const struct settings *settings, struct error *err)
{
    if (settings_has(settings, "tls_cert") != settings_has(settings, "tls_key"))
        return error_set(err, -EINVAL, "tls_cert and tls_key need each other");
    if (!settings_has(settings, "data"))
        return error_set(err, -EINVAL, "data: no directory is known: say --data DIR");
    return 0;
}

static void cleanup_settings(struct settings **at)
{
    settings_free(*at);
}

int server_settings_load(const struct options *options, struct settings **out_settings,
                         struct error *err)
{
    cleanup(cleanup_settings) struct settings *settings = NULL;
    int r = settings_new(specs, &settings, err);

    if (r == 0)
        r = default_data(settings, err);
    if (r == 0)
        r = load_file(settings, options, err);
    if (r == 0)
        r = settings_load_environment(settings, getenv, err);
    if (r == 0)
        r = load_flags(settings, options, err);
    if (r == 0)
        r = check_together(settings, err);
    if (r < 0)
        return r;
    *out_settings = take_pointer(&settings);
    return 0;
}

void server_settings_apply_log(const struct settings *settings)
{
    enum log_level level = LOG_INFO;
    enum log_form form = LOG_TEXT;

    log_level_parse(settings_text(settings, "log_level"), &level);
    log_form_parse(settings_text(settings, "log_format"), &form);
    log_setup(level, form);
}

int server_settings_listen(const struct settings *settings, char **out_address, uint16_t *out_port,
                           struct error *err)
{
    struct span address;
    char *copy;
    int r = listen_split(settings_text(settings, "listen"), &address, out_port, err);

    if (r < 0)
        return error_prefix(err, r, "listen");
    copy = memory_copy(address.bytes, address.size);
    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_address = copy;
    return 0;
}

static int in_data(const struct settings *settings, const char *prefix, const char *name,
                   char **out, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(PATH_MAX_TEXT);
    int r;

    buf_format(&text, "%s%s/%s", prefix, settings_text(settings, "data"), name);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    *out = buf_take(&text);
    return *out != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int server_settings_database(const struct settings *settings, char **out_location,
                             struct error *err)
{
    if (!settings_has(settings, "database"))
        return in_data(settings, DATABASE_FILE, "kkartifact.db", out_location, err);
    *out_location = memory_text(settings_text(settings, "database"));
    return *out_location != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}

int server_settings_database_file(const struct settings *settings, char **out_location,
                                  const char **out_path, struct error *err)
{
    cleanup_memory char *location = NULL;
    int r = server_settings_database(settings, &location, err);

    if (r < 0)
        return r;
    if (strncmp(location, DATABASE_FILE, strlen(DATABASE_FILE)) != 0)
        return error_set(err, -ENOTSUP, "this is for a database of " DATABASE_FILE " alone");
    *out_path = location + strlen(DATABASE_FILE);
    *out_location = take_pointer(&location);
    return 0;
}

int server_settings_storage(const struct settings *settings, char **out_path, struct error *err)
{
    if (!settings_has(settings, "storage"))
        return in_data(settings, "", "blobs", out_path, err);
    *out_path = memory_text(settings_text(settings, "storage") + strlen("file:"));
    return *out_path != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}
