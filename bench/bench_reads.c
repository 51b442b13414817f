/* SPDX-License-Identifier: MIT */
/*
 * bench_reads - reads whose time the caller's own language would hide; prints nanoseconds.
 *
 *     bench_reads sequential FILE               all of it, by 1 MiB
 *     bench_reads random FILE COUNT SIZE SEED   COUNT times SIZE bytes, at multiples of SIZE
 *     bench_reads files                         each path of standard input: open, read, close
 *     bench_reads first                         open and the first byte; a line for each path
 *     bench_reads ranges PORT PATH COUNT SIZE SEED LENGTH
 *         what `random` would ask for of a file of LENGTH bytes, by requests on one connection to
 *         127.0.0.1, with the header line in BENCH_AUTHORIZATION
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (1024 * 1024)

static uint8_t block[BLOCK];

static _Noreturn void failed(const char *what)
{
    fprintf(stderr, "bench_reads: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t any(uint64_t *random, uint64_t limit)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (*random >> 33) % limit;
}

static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        failed(path);
    return fd;
}

static void read_all(int fd, const char *path)
{
    ssize_t got;

    do
        got = read(fd, block, sizeof(block));
    while (got > 0);
    if (got < 0)
        failed(path);
}

static void sequential(const char *path)
{
    int fd = open_file(path);
    uint64_t start = now_ns();

    read_all(fd, path);
    printf("%" PRIu64 "\n", now_ns() - start);
    close(fd);
}

static void at_random(const char *path, uint64_t count, size_t size, uint64_t random)
{
    int fd = open_file(path);
    struct stat info;
    uint64_t start;

    if (fstat(fd, &info) < 0 || size > sizeof(block))
        failed(path);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    start = now_ns();
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = any(&random, (uint64_t)info.st_size / size) * size;
        if (pread(fd, block, size, (off_t)offset) != (ssize_t)size)
            failed(path);
    }
    printf("%" PRIu64 "\n", now_ns() - start);
    close(fd);
}

struct paths {
    char **at;
    size_t count;
};

static struct paths read_paths(void)
{
    struct paths paths = { NULL, 0 };
    char *line = NULL;
    size_t room = 0;
    ssize_t size;

    while ((size = getline(&line, &room, stdin)) > 0) {
        line[strcspn(line, "\n")] = '\0';
        paths.at = realloc(paths.at, (paths.count + 1) * sizeof(*paths.at));
        if (paths.at == NULL || (paths.at[paths.count++] = strdup(line)) == NULL)
            failed("memory");
    }
    free(line);
    return paths;
}

static void files(void)
{
    struct paths paths = read_paths();
    uint64_t start = now_ns();

    for (size_t i = 0; i < paths.count; i++) {
        int fd = open_file(paths.at[i]);
        read_all(fd, paths.at[i]);
        close(fd);
    }
    printf("%" PRIu64 "\n", now_ns() - start);
}

static void first(void)
{
    struct paths paths = read_paths();

    for (size_t i = 0; i < paths.count; i++) {
        uint64_t start = now_ns();
        int fd = open_file(paths.at[i]);
        if (pread(fd, block, 1, 0) != 1)
            failed(paths.at[i]);
        printf("%" PRIu64 "\n", now_ns() - start);
        close(fd);
    }
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        failed("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    return fd;
}

/* Exactly one answer of `size` bytes is taken from the connection. */
static void take_answer(int fd, size_t size)
{
    char *at = (char *)block;
    const char *body = NULL;
    size_t have = 0;

    while (body == NULL || have < (size_t)(body - at) + size) {
        ssize_t got = recv(fd, at + have, sizeof(block) - 1 - have, 0);
        if (got <= 0)
            failed("answer");
        have += (size_t)got;
        at[have] = '\0';
        if (body == NULL && (body = strstr(at, "\r\n\r\n")) != NULL)
            body += 4;
    }
    if (strncmp(at, "HTTP/1.1 206", 12) != 0) {
        fprintf(stderr, "bench_reads: %.40s\n", at);
        exit(1);
    }
}

static void ranges(uint16_t port, const char *path, uint64_t count, size_t size, uint64_t random,
                   uint64_t length)
{
    static char request[8192];
    const char *authorization = getenv("BENCH_AUTHORIZATION");
    int fd = connect_to(port);
    uint64_t start = now_ns();

    if (size > sizeof(block) / 2)
        failed("size");
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = any(&random, length / size) * size;
        int written = snprintf(request, sizeof(request),
                               "GET %s HTTP/1.1\r\nHost: bench\r\n%s\r\n"
                               "Range: bytes=%" PRIu64 "-%" PRIu64 "\r\n\r\n",
                               path, authorization == NULL ? "X-None: 1" : authorization, offset,
                               offset + size - 1);
        if (send(fd, request, (size_t)written, 0) != written)
            failed("request");
        take_answer(fd, size);
    }
    printf("%" PRIu64 "\n", now_ns() - start);
    close(fd);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0')
        failed(text);
    return value;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 3 && strcmp(what, "sequential") == 0)
        sequential(argv[2]);
    else if (argc == 6 && strcmp(what, "random") == 0)
        at_random(argv[2], number(argv[3]), number(argv[4]), number(argv[5]));
    else if (argc == 2 && strcmp(what, "files") == 0)
        files();
    else if (argc == 2 && strcmp(what, "first") == 0)
        first();
    else if (argc == 8 && strcmp(what, "ranges") == 0)
        ranges((uint16_t)number(argv[2]), argv[3], number(argv[4]), number(argv[5]),
               number(argv[6]), number(argv[7]));
    else
        return 2;
    return 0;
}
