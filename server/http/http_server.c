/* SPDX-License-Identifier: MIT */
#include "server/http/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "common/base/platform.h"
#include "common/base/random.h"
#include "server/http/http_state.h"

#define LOST_EXCHANGE_MS 5000
#define LOOPS_MAX 4
/* Half of it is one read from the socket. The library clears all of it after each request, so more
 * of it costs every small request: 256 KiB were a quarter of the time of a 64 KiB range. */
#define CONNECTION_MEMORY_MIN ((size_t)64 << 10)
#define BACKLOG 1024

bool http_server_suspend(struct http_server *server, struct MHD_Connection *connection)
{
    bool open;

    pthread_mutex_lock(&server->lock);
    open = !server->cutting;
    if (open)
        server->suspended_count++;
    pthread_mutex_unlock(&server->lock);
    if (open)
        MHD_suspend_connection(connection);
    return open;
}

static void count_down(struct http_server *server, size_t *count)
{
    pthread_mutex_lock(&server->lock);
    assert(*count > 0);
    if (--*count == 0)
        pthread_cond_broadcast(&server->quiet);
    pthread_mutex_unlock(&server->lock);
}

void http_server_resume(struct http_server *server, struct MHD_Connection *connection)
{
    MHD_resume_connection(connection);
    count_down(server, &server->suspended_count);
}

void http_server_stream_begin(struct http_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->stream_count++;
    pthread_mutex_unlock(&server->lock);
}

void http_server_stream_end(struct http_server *server)
{
    count_down(server, &server->stream_count);
}

/* The library's callbacks. */

/* The library would take the query apart too, into memory of the connection: a thousand keys use
 * that up, and then it neither answers nor ends the request (0.9.75). So it is shown an empty
 * query; url.c has its own copy of the target by then. The bytes are the library's own and
 * writable. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http_exchange *exchange = http_exchange_new(context, target);
    char *query = strchr((char *)(uintptr_t)target, '?');

    if (query != NULL)
        query[1] = '\0';
    return exchange;
}

static enum MHD_Result on_call(void *context, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *bytes,
                               size_t *size, void **exchange)
{
    if (*exchange == NULL)
        return MHD_NO;
    return http_flow_call(*exchange, connection, method, bytes, size);
}

static void on_end(void *context, struct MHD_Connection *connection, void **exchange,
                   enum MHD_RequestTerminationCode reason)
{
    struct http_exchange *ended = *exchange;

    *exchange = NULL;
    if (ended != NULL)
        http_flow_end(ended);
}

/* Decoding is url.c's business: nothing is changed here. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static void on_log(void *context, const char *format, va_list arguments)
{
    char line[512];
    size_t size;

    vsnprintf(line, sizeof(line), format, arguments);
    size = strlen(line);
    while (size > 0 && line[size - 1] == '\n')
        line[--size] = '\0';
    log_debug("http: %s", line);
}

static int address_parse(const struct http_options *options, struct sockaddr_storage *out,
                         socklen_t *out_size, struct error *err)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, options->address, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(options->port);
        *out_size = sizeof(*four);
        return 0;
    }
    if (inet_pton(AF_INET6, options->address, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(options->port);
        *out_size = sizeof(*six);
        return 0;
    }
    return error_set(err, -EINVAL, "listen: \"%s\" is not an IPv4 or IPv6 address",
                     options->address);
}

static int listen_at(const struct http_options *options, int *out_fd, uint16_t *out_port,
                     bool *out_six, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    const int one = 1;
    cleanup_fd int fd = -1;
    int r = address_parse(options, &address, &size, err);

    if (r < 0)
        return r;
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        return error_system(err, errno, "listen: a socket");
    if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0)
        return error_system(err, errno, "listen: %s port %u", options->address, options->port);
    size = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return error_system(err, errno, "listen: the port");
    *out_six = address.ss_family == AF_INET6;
    *out_port = ntohs(*out_six ? ((struct sockaddr_in6 *)(void *)&address)->sin6_port
                               : ((struct sockaddr_in *)(void *)&address)->sin_port);
    *out_fd = take_fd(&fd);
    return 0;
}

static unsigned loop_count(const struct http_options *options)
{
    size_t count = options->loop_count != 0 ? options->loop_count : platform_cpu_count();

    if (options->loop_count == 0 && count > LOOPS_MAX)
        count = LOOPS_MAX;
    return (unsigned)count;
}

static size_t connection_memory(const struct http_options *options)
{
    size_t headers = 2 * options->header_max;

    return headers > CONNECTION_MEMORY_MIN ? headers : CONNECTION_MEMORY_MIN;
}

static struct MHD_Daemon *daemon_start(struct http_server *server, int fd, bool six)
{
    const struct http_options *options = &server->options;
    struct MHD_OptionItem tls[] = {
        { MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->tls_certificate },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->tls_key },
        { MHD_OPTION_HTTPS_PRIORITIES, 0,
          (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2" },
        { MHD_OPTION_END, 0, NULL },
    };
    const bool secure = options->tls_certificate != NULL;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;

    if (six)
        flags |= MHD_USE_IPv6;
    if (secure)
        flags |= MHD_USE_TLS;
    return MHD_start_daemon(flags, server->port, NULL, NULL, on_call, server,
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
                            MHD_OPTION_THREAD_POOL_SIZE, loop_count(options),
                            MHD_OPTION_CONNECTION_LIMIT, options->connection_max,
                            MHD_OPTION_PER_IP_CONNECTION_LIMIT, options->connection_per_address_max,
                            MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, connection_memory(options),
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_target,
                            server, MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL, MHD_OPTION_ARRAY,
                            secure ? tls : &tls[3], MHD_OPTION_END);
}

static struct http_server *server_free(struct http_server *server)
{
    for (size_t i = 0; i < server->trusted_proxy_count; i++)
        memory_free(server->trusted_proxies[i]);
    memory_free(server->trusted_proxies);
    http_watch_stop(server);
    http_feeds_release(&server->feeds);
    cleanup_fd_at(&server->never_fd);
    pthread_cond_destroy(&server->quiet);
    pthread_mutex_destroy(&server->lock);
    return memory_free(server);
}

static void cleanup_server(struct http_server **at)
{
    if (*at != NULL)
        server_free(*at);
}

static int copy_proxies(struct http_server *server, struct error *err)
{
    const char *const *proxies = server->options.trusted_proxies;
    size_t count = 0;

    while (proxies != NULL && proxies[count] != NULL)
        count++;
    server->trusted_proxies = memory_array(count + 1, sizeof(*server->trusted_proxies));
    if (server->trusted_proxies == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        server->trusted_proxies[i] = memory_text(proxies[i]);
        if (server->trusted_proxies[i] == NULL)
            return error_set(err, -ENOMEM, "out of memory");
        server->trusted_proxy_count++;
    }
    server->options.trusted_proxies = NULL;
    return 0;
}

int http_server_start(const struct http_options *options,
                      const struct http_application *application, struct http_server **out_server,
                      struct error *err)
{
    cleanup(cleanup_server) struct http_server *server = memory_new(sizeof(*server));
    cleanup_fd int fd = -1;
    bool six = false;
    int r;

    if (server == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->quiet, NULL);
    http_feeds_init(&server->feeds);
    server->never_fd = -1;
    server->application = *application;
    server->options = *options;
    r = copy_proxies(server, err);
    if (r == 0)
        r = random_bytes(server->id_key, sizeof(server->id_key), err);
    if (r == 0)
        r = listen_at(options, &fd, &server->port, &six, err);
    if (r < 0)
        return r;
    r = http_watch_start(server);
    if (r < 0)
        return error_set(err, r, "the HTTP server cannot start a thread");
    server->listen_fd = fd;
    server->never_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->never_fd < 0)
        return error_system(err, errno, "the HTTP server: a descriptor");
    server->daemon = daemon_start(server, fd, six);
    if (server->daemon == NULL)
        return error_set(err, options->tls_certificate != NULL ? -EINVAL : -EIO,
                         "the HTTP server does not start%s",
                         options->tls_certificate != NULL
                             ? ": is the TLS certificate that of the key?"
                             : "");
    take_fd(&fd);
    /* the caller's texts are not kept */
    server->secure = options->tls_certificate != NULL;
    server->options.tls_certificate = NULL;
    server->options.tls_key = NULL;
    server->options.address = NULL;
    *out_server = take_pointer(&server);
    return 0;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

static struct timespec deadline_after(uint64_t wait_ms)
{
    struct timespec at;

    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += (time_t)(wait_ms / 1000);
    at.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

/* Nobody gets in from here on, and the port is free for whoever comes next. Something that is never
 * ready takes the listening socket's number, which ends the socket, and the library's loops do not
 * hear of it again. MHD_quiesce_daemon() would be its way to do this; but it takes the socket out
 * of each loop's epoll set while the loop does the same, and ends the program when it comes second
 * (0.9.75). */
static void close_door(struct http_server *server)
{
    /* Both are open and none is made: it fails only when it comes between somebody's open. */
    while (dup3(server->never_fd, server->listen_fd, O_CLOEXEC) < 0 &&
           (errno == EINTR || errno == EBUSY))
        ;
}

struct http_server *http_server_stop(struct http_server *server, uint64_t grace_ms)
{
    const struct timespec deadline = deadline_after(grace_ms);
    struct timespec last;
    bool lost;
    int r = 0;

    if (server == NULL)
        return NULL;
    pthread_mutex_lock(&server->lock);
    server->stopping = true;
    pthread_mutex_unlock(&server->lock);
    close_door(server);
    http_feeds_stop(server);

    pthread_mutex_lock(&server->lock);
    while (server->exchange_count > 0 && r == 0)
        r = pthread_cond_timedwait(&server->quiet, &server->lock, &deadline);
    server->cutting = true;
    while (server->suspended_count > 0)
        pthread_cond_wait(&server->quiet, &server->lock);
    pthread_mutex_unlock(&server->lock);

    MHD_stop_daemon(server->daemon);

    /* The library has ended every connection by now, unless it lost one: then the program ends all
     * the same, and its memory with it. Threads that still stream are waited for. */
    last = deadline_after(LOST_EXCHANGE_MS);
    pthread_mutex_lock(&server->lock);
    while (server->stream_count > 0)
        pthread_cond_wait(&server->quiet, &server->lock);
    r = 0;
    while (server->exchange_count > 0 && r == 0)
        r = pthread_cond_timedwait(&server->quiet, &server->lock, &last);
    lost = server->exchange_count > 0;
    pthread_mutex_unlock(&server->lock);
    http_watch_stop(server);
    return lost ? NULL : server_free(server);
}
