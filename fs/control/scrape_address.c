/* SPDX-License-Identifier: MIT */
#include "fs/control/scrape_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/number.h"

#define BACKLOG 16
#define HOST_SIZE 64

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un path;
    } at;
    socklen_t size;
    bool is_everywhere; /* v6 for both */
};

static int parse_path(const char *text, struct address *out, struct error *err)
{
    size_t size = strlen(text);

    if (size >= sizeof(out->at.path.sun_path))
        return error_set(err, -EINVAL, "the path of a socket has %zu bytes at most",
                         sizeof(out->at.path.sun_path) - 1);
    out->at.path.sun_family = AF_UNIX;
    memcpy(out->at.path.sun_path, text, size + 1);
    out->size = sizeof(out->at.path);
    return 0;
}

static int set_v4(struct address *out, struct in_addr host, uint16_t port, struct error *err)
{
    if (host.s_addr == htonl(INADDR_ANY))
        return error_set(err, -EINVAL, "for every address of this machine say *:%u", port);
    out->at.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = host };
    out->at.v4.sin_port = htons(port);
    out->size = sizeof(out->at.v4);
    return 0;
}

static int set_v6(struct address *out, const struct in6_addr *host, uint16_t port,
                  struct error *err)
{
    if (!out->is_everywhere && IN6_IS_ADDR_UNSPECIFIED(host))
        return error_set(err, -EINVAL, "for every address of this machine say *:%u", port);
    out->at.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = *host };
    out->at.v6.sin6_port = htons(port);
    out->size = sizeof(out->at.v6);
    return 0;
}

static int parse_host(const char *host, uint16_t port, struct address *out, struct error *err)
{
    struct in_addr v4 = { .s_addr = htonl(INADDR_LOOPBACK) };
    struct in6_addr v6 = IN6ADDR_ANY_INIT;
    size_t size = strlen(host);
    char inner[HOST_SIZE];

    if (size == 0 || strcmp(host, "localhost") == 0)
        return set_v4(out, v4, port, err);
    if (strcmp(host, "*") == 0) {
        out->is_everywhere = true;
        return set_v6(out, &v6, port, err);
    }
    if (inet_pton(AF_INET, host, &v4) == 1)
        return set_v4(out, v4, port, err);
    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        memcpy(inner, host + 1, size - 2);
        inner[size - 2] = '\0';
        if (inet_pton(AF_INET6, inner, &v6) == 1)
            return set_v6(out, &v6, port, err);
    }
    return error_set(err, -EINVAL, "\"%s\" is no address (names are not looked up)", host);
}

static int parse(const char *text, struct address *out, struct error *err)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon != NULL ? (size_t)(colon - text) : 0;
    char host[HOST_SIZE] = "";
    uint64_t port = 0;

    *out = (struct address){ .size = 0 };
    if (text[0] == '/')
        return parse_path(text, out, err);
    if (number_parse(span_text(colon != NULL ? colon + 1 : text), UINT16_MAX, &port, NULL) < 0 ||
        port == 0 || size >= sizeof(host))
        return error_set(err, -EINVAL, "neither HOST:PORT nor the absolute path of a socket");
    memcpy(host, text, size);
    return parse_host(host, (uint16_t)port, out, err);
}

int scrape_address_check(const char *text, struct error *err)
{
    struct address address;

    return parse(text, &address, err);
}

/* What a dead process has left is removed; nothing else is. */
static int clear_path(const struct address *address, struct error *err)
{
    const char *path = address->at.path.sun_path;
    cleanup_fd int probe = -1;
    struct stat found;

    if (lstat(path, &found) < 0)
        return errno == ENOENT ? 0 : error_system(err, errno, "%s", path);
    if (!S_ISSOCK(found.st_mode))
        return error_set(err, -EEXIST, "%s is there, and no socket", path);
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe >= 0 && (connect(probe, &address->at.any, address->size) == 0 || errno == EAGAIN))
        return error_set(err, -EADDRINUSE, "somebody listens at %s", path);
    return unlink(path) == 0 || errno == ENOENT ? 0 : error_system(err, errno, "%s", path);
}

static int bind_to(int fd, const struct address *address)
{
    const int yes = 1, no = 0;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (address->at.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, address->is_everywhere ? &no : &yes, sizeof(no));
    if (bind(fd, &address->at.any, address->size) < 0)
        return -errno;
    if (address->at.any.sa_family == AF_UNIX && chmod(address->at.path.sun_path, 0660) < 0)
        return -errno;
    return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

/* A kernel without IPv6: every address is one of IPv4. */
static void use_v4(struct address *address)
{
    uint16_t port = address->at.v6.sin6_port;

    address->at.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port };
    address->size = sizeof(address->at.v4);
}

int scrape_address_listen(const char *text, int *out_fd, struct error *err)
{
    struct address address;
    cleanup_fd int fd = -1;
    int r = parse(text, &address, err);

    if (r == 0 && address.at.any.sa_family == AF_UNIX)
        r = clear_path(&address, err);
    if (r < 0)
        return r;
    fd = socket(address.at.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 && errno == EAFNOSUPPORT && address.is_everywhere) {
        use_v4(&address);
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0)
        return error_system(err, errno, "%s", text);
    r = bind_to(fd, &address);
    if (r < 0)
        return error_system(err, -r, "%s", text);
    *out_fd = take_fd(&fd);
    return 0;
}

void scrape_address_remove(const char *text)
{
    if (text[0] == '/')
        unlink(text);
}
