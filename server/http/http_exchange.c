/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/clock.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "server/http/http_state.h"

static const char *const method_names[] = { "GET", "HEAD", "PUT", "POST", "PATCH", "DELETE" };

const char *http_method_name(enum http_method method)
{
    return method < HTTP_OTHER ? method_names[method] : "OTHER";
}

static enum http_method method_of(const char *name)
{
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
        if (strcmp(method_names[i], name) == 0)
            return (enum http_method)i;
    }
    return HTTP_OTHER;
}

static bool is_request_id(const char *text)
{
    size_t size = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return size > 0 && size <= HTTP_REQUEST_ID_MAX && text[size] == '\0';
}

/* 13 characters of a keyed hash of a counter: never the same in one process, not to be guessed. */
static void make_request_id(struct http_server *server, char *out)
{
    static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint64_t number = atomic_fetch_add(&server->id_next, 1);
    uint64_t hash = map_hash(server->id_key, span_of(&number, sizeof(number)));

    for (size_t i = 0; i < 13; i++, hash >>= 5)
        out[i] = digits[hash & 31];
    out[13] = '\0';
}

struct http_exchange *http_exchange_new(struct http_server *server, const char *target)
{
    struct http_exchange *exchange = memory_new(sizeof(*exchange));

    if (exchange == NULL)
        return NULL;
    exchange->server = server;
    exchange->started_ns = clock_monotonic_ns();
    exchange->method = HTTP_OTHER;
    exchange->body = buf_init(0);
    exchange->target = memory_text(target);
    if (exchange->target == NULL || http_upload_init(&exchange->upload) < 0) {
        memory_free(exchange->target);
        memory_free(exchange);
        return NULL;
    }
    exchange->url_failure = url_parse(&exchange->url, span_text(target), &exchange->failure);
    make_request_id(server, exchange->request_id);
    pthread_mutex_lock(&server->lock);
    server->exchange_count++;
    pthread_mutex_unlock(&server->lock);
    return exchange;
}

void http_exchange_free(struct http_exchange *exchange)
{
    struct http_server *server;

    if (exchange == NULL)
        return;
    server = exchange->server;
    if (exchange->state_release != NULL)
        exchange->state_release(exchange->state);
    http_answer_forget(exchange);
    http_upload_release(&exchange->upload);
    buf_release(&exchange->body);
    url_release(&exchange->url);
    memory_free(exchange->target);
    memory_free(exchange);

    pthread_mutex_lock(&server->lock);
    server->exchange_count--;
    if (server->exchange_count == 0)
        pthread_cond_broadcast(&server->quiet);
    pthread_mutex_unlock(&server->lock);
}

static const char *address_text(const struct sockaddr *address, char *out, size_t size)
{
    const char *text = NULL;

    if (address->sa_family == AF_INET)
        text = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)address)->sin_addr,
                         out, (socklen_t)size);
    else if (address->sa_family == AF_INET6)
        text = inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr,
                         out, (socklen_t)size);
    return text;
}

static bool is_trusted_proxy(const struct http_server *server, const char *peer)
{
    for (size_t i = 0; i < server->trusted_proxy_count; i++) {
        if (strcmp(server->trusted_proxies[i], peer) == 0)
            return true;
    }
    return false;
}

/* The last address that no proxy of ours has written. Anything else in the header is hearsay. */
static void read_forwarded(struct http_exchange *exchange, const char *header)
{
    struct span rest = span_text(header);

    while (rest.size > 0 && is_trusted_proxy(exchange->server, exchange->peer)) {
        size_t start = rest.size;
        struct span last;
        unsigned char address[sizeof(struct in6_addr)];
        char text[INET6_ADDRSTRLEN];

        while (start > 0 && rest.bytes[start - 1] != ',')
            start--;
        last = span_trim(span_slice(rest, start, rest.size - start));
        rest = span_slice(rest, 0, start > 0 ? start - 1 : 0);
        if (last.size == 0 || last.size >= sizeof(text))
            return;
        memcpy(text, last.bytes, last.size);
        text[last.size] = '\0';
        if (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1)
            return;
        memcpy(exchange->peer, text, last.size + 1);
    }
}

static void read_peer(struct http_exchange *exchange)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const char *forwarded;

    if (info == NULL ||
        address_text(info->client_addr, exchange->peer, sizeof(exchange->peer)) == NULL)
        memcpy(exchange->peer, "unknown", sizeof("unknown"));
    if (exchange->server->trusted_proxy_count == 0)
        return;
    forwarded = http_exchange_header(exchange, "X-Forwarded-For");
    if (forwarded != NULL)
        read_forwarded(exchange, forwarded);
}

void http_exchange_read_headers(struct http_exchange *exchange, struct MHD_Connection *connection,
                                const char *method)
{
    const char *length, *id, *expect;

    exchange->connection = connection;
    exchange->method = method_of(method);
    read_peer(exchange);
    id = http_exchange_header(exchange, "X-Request-Id");
    if (id != NULL && is_request_id(id))
        memcpy(exchange->request_id, id, strlen(id) + 1);
    length = http_exchange_header(exchange, "Content-Length");
    if (http_exchange_header(exchange, "Transfer-Encoding") != NULL) {
        exchange->has_body = true;
    } else if (length != NULL &&
               number_parse(span_text(length), UINT64_MAX, &exchange->body_size, NULL) == 0) {
        exchange->has_length = true;
        exchange->has_body = exchange->body_size > 0;
    }
    expect = http_exchange_header(exchange, "Expect");
    exchange->expects_continue = expect != NULL && strcasecmp(expect, "100-continue") == 0;
}

enum http_method http_exchange_method(const struct http_exchange *exchange)
{
    return exchange->method;
}

const struct url *http_exchange_url(const struct http_exchange *exchange)
{
    return &exchange->url;
}

const char *http_exchange_header(const struct http_exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

const char *http_exchange_query(const struct http_exchange *exchange, const char *name)
{
    struct span value;

    if (!url_query(&exchange->url, name, &value) || memchr(value.bytes, '\0', value.size) != NULL)
        return NULL;
    return (const char *)value.bytes;
}

const char *http_exchange_request_id(const struct http_exchange *exchange)
{
    return exchange->request_id;
}

const char *http_exchange_peer(const struct http_exchange *exchange)
{
    return exchange->peer;
}

bool http_exchange_body_size(const struct http_exchange *exchange, uint64_t *out_size)
{
    if (!exchange->has_length)
        return false;
    *out_size = exchange->body_size;
    return true;
}

struct span http_exchange_body(const struct http_exchange *exchange)
{
    return buf_span(&exchange->body);
}

bool http_exchange_may_block(const struct http_exchange *exchange)
{
    return exchange->may_block;
}

void http_exchange_set_state(struct http_exchange *exchange, void *state,
                             void (*release)(void *state))
{
    assert(exchange->state == NULL);
    exchange->state = state;
    exchange->state_release = release;
}

void *http_exchange_state(const struct http_exchange *exchange)
{
    return exchange->state;
}

void http_exchange_set_actor(struct http_exchange *exchange, const char *actor)
{
    size_t size = strnlen(actor, HTTP_ACTOR_MAX);

    memcpy(exchange->actor, actor, size);
    exchange->actor[size] = '\0';
}
