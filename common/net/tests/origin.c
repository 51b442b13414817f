/* SPDX-License-Identifier: MIT */
#include "common/net/tests/origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS_MAX 4096

struct origin {
    origin_handler *handler;
    void *context;
    int listener;
    int port;
    char url[64];
    pthread_t acceptor;
    pthread_mutex_t lock;
    pthread_t threads[CONNECTIONS_MAX];
    int fds[CONNECTIONS_MAX];
    size_t count;
    _Atomic bool stopping;
    _Atomic unsigned requests;
    _Atomic(const char *) lines;
};

struct connection {
    struct origin *origin;
    size_t index;
    int fd;
};

bool origin_send(struct origin_request *request, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    while (size > 0) {
        ssize_t n = send(request->fd, at, size, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

bool origin_print(struct origin_request *request, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return n >= 0 && (size_t)n < sizeof(text) && origin_send(request, text, (size_t)n);
}

bool origin_reply(struct origin_request *request, int status, const char *lines, const void *body,
                  size_t size)
{
    const char *all = atomic_load(&request->origin->lines);

    if (!origin_print(request, "HTTP/1.1 %d Text\r\nContent-Length: %zu\r\n%s%s\r\n", status, size,
                      all == NULL ? "" : all, lines == NULL ? "" : lines))
        return false;
    if (strcmp(request->method, "HEAD") == 0)
        return true;
    return origin_send(request, body, size);
}

bool origin_reply_file(struct origin_request *request, const char *etag, const uint8_t *bytes,
                       size_t size)
{
    uint64_t first = request->range_first, last = request->range_last;
    char lines[256];

    if (!request->has_range) {
        (void)snprintf(lines, sizeof(lines), "ETag: \"%.100s\"\r\n", etag);
        return origin_reply(request, 200, lines, bytes, size);
    }
    if (first >= size) {
        (void)snprintf(lines, sizeof(lines), "Content-Range: bytes */%zu\r\n", size);
        return origin_reply(request, 416, lines, "", 0);
    }
    if (last >= size)
        last = size - 1;
    (void)snprintf(lines, sizeof(lines),
                   "ETag: \"%.100s\"\r\nContent-Range: bytes %llu-%llu/%zu\r\n", etag,
                   (unsigned long long)first, (unsigned long long)last, size);
    return origin_reply(request, 206, lines, bytes + first, (size_t)(last - first + 1));
}

const char *origin_header(struct origin_request *request, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    const char *at = request->head;

    while (at != NULL && *at != '\0') {
        const char *end = strstr(at, "\r\n");

        if (strncasecmp(at, name, length) == 0 && at[length] == ':') {
            const char *value = at + length + 1;
            size_t n;

            while (*value == ' ')
                value++;
            n = (size_t)(end - value);
            if (n >= size)
                n = size - 1;
            memcpy(out, value, n);
            out[n] = '\0';
            return out;
        }
        at = end == NULL ? NULL : end + 2;
    }
    return NULL;
}

static bool read_head(struct origin_request *request)
{
    size_t size = 0;

    while (size + 1 < sizeof(request->head)) {
        ssize_t n = recv(request->fd, request->head + size, 1, 0);

        if (n <= 0)
            return false;
        size += (size_t)n;
        request->head[size] = '\0';
        if (size >= 4 && memcmp(request->head + size - 4, "\r\n\r\n", 4) == 0)
            return sscanf(request->head, "%15s %2047s", request->method, request->path) == 2;
    }
    return false;
}

static bool read_body(struct origin_request *request)
{
    char value[64];
    size_t got = 0;

    if (origin_header(request, "Content-Length", value, sizeof(value)) == NULL)
        return true;
    request->body_size = strtoull(value, NULL, 10);
    request->body = malloc(request->body_size + 1);
    while (got < request->body_size) {
        ssize_t n = recv(request->fd, request->body + got, request->body_size - got, 0);

        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static void read_range(struct origin_request *request)
{
    char value[64];
    unsigned long long first, last;
    int n;

    if (origin_header(request, "Range", value, sizeof(value)) == NULL)
        return;
    n = sscanf(value, "bytes=%llu-%llu", &first, &last);
    request->has_range = n >= 1;
    request->range_first = first;
    request->range_last = n == 2 ? last : UINT64_MAX;
}

static void *serve(void *argument)
{
    struct connection connection = *(struct connection *)argument;
    struct origin *origin = connection.origin;
    struct origin_request *request;
    bool stays = true;

    free(argument);
    while (stays) {
        request = calloc(1, sizeof(*request));
        request->origin = origin;
        request->fd = connection.fd;
        stays = read_head(request) && read_body(request);
        if (stays) {
            read_range(request);
            atomic_fetch_add(&origin->requests, 1);
            stays = origin->handler(origin->context, request);
        }
        free(request->body);
        free(request);
    }
    pthread_mutex_lock(&origin->lock);
    origin->fds[connection.index] = -1;
    close(connection.fd);
    pthread_mutex_unlock(&origin->lock);
    return NULL;
}

static void *accept_all(void *argument)
{
    struct origin *origin = argument;

    while (!atomic_load(&origin->stopping)) {
        struct pollfd wait = { .fd = origin->listener, .events = POLLIN };
        struct connection *connection;
        int fd, one = 1;

        if (poll(&wait, 1, 20) <= 0)
            continue;
        fd = accept(origin->listener, NULL, NULL);
        if (fd < 0)
            continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (origin->count == CONNECTIONS_MAX) {
            close(fd);
            continue;
        }
        connection = calloc(1, sizeof(*connection));
        *connection = (struct connection){ .origin = origin, .index = origin->count, .fd = fd };
        pthread_mutex_lock(&origin->lock);
        origin->fds[origin->count] = fd;
        pthread_create(&origin->threads[origin->count], NULL, serve, connection);
        origin->count++;
        pthread_mutex_unlock(&origin->lock);
    }
    return NULL;
}

struct origin *origin_start(origin_handler *handler, void *context)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    struct origin *origin = calloc(1, sizeof(*origin));

    origin->handler = handler;
    origin->context = context;
    pthread_mutex_init(&origin->lock, NULL);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    origin->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(origin->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(origin->listener, 128) != 0 ||
        getsockname(origin->listener, (struct sockaddr *)&address, &size) != 0)
        abort();
    origin->port = ntohs(address.sin_port);
    (void)snprintf(origin->url, sizeof(origin->url), "http://127.0.0.1:%d", origin->port);
    pthread_create(&origin->acceptor, NULL, accept_all, origin);
    return origin;
}

void origin_stop(struct origin *origin)
{
    if (origin == NULL)
        return;
    atomic_store(&origin->stopping, true);
    pthread_join(origin->acceptor, NULL);
    close(origin->listener);
    pthread_mutex_lock(&origin->lock);
    for (size_t i = 0; i < origin->count; i++) {
        if (origin->fds[i] >= 0)
            shutdown(origin->fds[i], SHUT_RDWR);
    }
    pthread_mutex_unlock(&origin->lock);
    for (size_t i = 0; i < origin->count; i++)
        pthread_join(origin->threads[i], NULL);
    pthread_mutex_destroy(&origin->lock);
    free(origin);
}

const char *origin_url(const struct origin *origin)
{
    return origin->url;
}

void origin_set_lines(struct origin *origin, const char *lines)
{
    atomic_store(&origin->lines, lines);
}

int origin_port(const struct origin *origin)
{
    return origin->port;
}

unsigned origin_requests(const struct origin *origin)
{
    return atomic_load(&((struct origin *)origin)->requests);
}

unsigned origin_connections(const struct origin *origin)
{
    struct origin *self = (struct origin *)origin;
    unsigned count;

    pthread_mutex_lock(&self->lock);
    count = (unsigned)self->count;
    pthread_mutex_unlock(&self->lock);
    return count;
}
