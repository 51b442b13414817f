/* SPDX-License-Identifier: MIT */
/*
 * mount_load TREE COPY SEED - looks at a mounted tree without a pause, holds it against a copy, and
 * takes SIGALRM, SIGURG and SIGPROF each millisecond, as programs with a profiler or a preemptive
 * scheduler do.
 *
 * Reads, also past the page cache, faults pages of mappings, lists, asks for names that are not
 * there, and runs TREE/program; what it reads it drops from the page cache, so that the file system
 * is asked again. Any error, EINTR among them, and any wrong byte ends it with exit code 1 and a
 * line that says what it was. It goes on until its standard input ends; then it prints a line
 * "KIND START_NS END_NS" for every look that took 2 ms and more (CLOCK_MONOTONIC), KIND being
 * "name" for a name that is not there, which needs no disk, else "file"; and "done COUNT".
 *
 * COPY/large: a file of at least 1 MiB. COPY/files/0 to COPY/files/N: smaller ones.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "tests/mount/look.h"

#define SLOW_NS (2 * 1000 * 1000)
#define SLOW_MAX 65536
#define TICK_US 1000
#define DIRECT_SIZE 65536

struct load {
    const char *tree, *copy;
    uint64_t random;
    uint64_t count;
    size_t file_count;
    struct {
        const char *kind;
        uint64_t start, end;
    } slow[SLOW_MAX];
    size_t slow_count;
};

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t any(struct load *load, uint64_t limit)
{
    return look_any(&load->random, limit);
}

static void on_signal(int number)
{
}

/* Without SA_RESTART: a call that is cut says so. */
static void take_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal };
    struct itimerval each = { { 0, TICK_US }, { 0, TICK_US } };
    struct sigevent urgent = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGURG };
    struct itimerspec often = { { 0, TICK_US * 1000 }, { 0, TICK_US * 1000 } };
    timer_t timer;

    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGURG, &action, NULL);
    sigaction(SIGPROF, &action, NULL);
    setitimer(ITIMER_REAL, &each, NULL);
    setitimer(ITIMER_PROF, &each, NULL);
    if (timer_create(CLOCK_MONOTONIC, &urgent, &timer) < 0 ||
        timer_settime(timer, 0, &often, NULL) < 0)
        look_failed("a timer", "");
}

static void read_whole(const char *path, uint8_t *out, size_t size, int advice)
{
    int fd = look_open(path, 0);

    look_read(fd, path, out, size, 0);
    posix_fadvise(fd, 0, 0, advice);
    close(fd);
}

static void compare_file(struct load *load)
{
    char name[32], here[LOOK_PATH_SIZE], there[LOOK_PATH_SIZE];
    uint8_t *wanted, *got;
    size_t size;

    snprintf(name, sizeof(name), "files/%" PRIu64, any(load, load->file_count));
    look_join(here, load->tree, name);
    look_join(there, load->copy, name);
    size = look_size(there);
    if (look_size(here) != size)
        look_failed("another size", here);
    wanted = malloc(size);
    got = malloc(size);
    if (wanted == NULL || got == NULL)
        abort();
    read_whole(there, wanted, size, POSIX_FADV_NORMAL);
    read_whole(here, got, size, POSIX_FADV_DONTNEED);
    look_compare("read of", here, wanted, got, size, 0);
    free(wanted);
    free(got);
}

/* Single pages by faults: a request each, in the middle of an instruction. */
static void compare_mapping(struct load *load)
{
    char here[LOOK_PATH_SIZE], there[LOOK_PATH_SIZE];
    const uint8_t *mapped, *wanted;
    size_t size;
    int fd, copy;

    look_join(here, load->tree, "large");
    look_join(there, load->copy, "large");
    size = look_size(there);
    fd = look_open(here, 0);
    copy = look_open(there, 0);
    mapped = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    wanted = mmap(NULL, size, PROT_READ, MAP_SHARED, copy, 0);
    if (mapped == MAP_FAILED || wanted == MAP_FAILED)
        look_failed("mmap", here);
    madvise((void *)(uintptr_t)mapped, size, MADV_RANDOM);
    for (int i = 0; i < 8; i++) {
        size_t page = any(load, size / 4096) * 4096;
        look_compare("mapping of", here, wanted + page, mapped + page, 4096, page);
    }
    munmap((void *)(uintptr_t)mapped, size);
    munmap((void *)(uintptr_t)wanted, size);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    close(copy);
}

/* Past the page cache: the request is the program's own, and so are the signals that come. */
static void compare_direct(struct load *load)
{
    static _Alignas(4096) uint8_t got[DIRECT_SIZE];
    static uint8_t wanted[DIRECT_SIZE];
    char here[LOOK_PATH_SIZE], there[LOOK_PATH_SIZE];
    uint64_t size, at;
    int fd, copy;

    look_join(here, load->tree, "large");
    look_join(there, load->copy, "large");
    size = look_size(there);
    at = any(load, (size - DIRECT_SIZE) / 4096) * 4096;
    fd = look_open(here, O_DIRECT);
    copy = look_open(there, 0);
    look_read(fd, here, got, DIRECT_SIZE, at);
    look_read(copy, there, wanted, DIRECT_SIZE, at);
    look_compare("direct read of", here, wanted, got, DIRECT_SIZE, at);
    close(fd);
    close(copy);
}

static void list_files(struct load *load)
{
    char here[LOOK_PATH_SIZE];
    size_t count = 0;
    DIR *list;

    look_join(here, load->tree, "files");
    list = opendir(here);
    if (list == NULL)
        look_failed("opendir", here);
    for (errno = 0; readdir(list) != NULL; errno = 0)
        count++;
    if (errno != 0)
        look_failed("readdir", here);
    closedir(list);
    if (count != load->file_count + 2)
        look_failed("another count of entries in", here);
}

/* Each name is a new one: it is always asked. */
static void look_for_nothing(struct load *load)
{
    char name[64], here[LOOK_PATH_SIZE];
    struct stat info;

    snprintf(name, sizeof(name), "absent-%d-%" PRIu64, (int)getpid(), load->count);
    look_join(here, load->tree, name);
    if (stat(here, &info) == 0 || errno != ENOENT)
        look_failed("stat of nothing", here);
}

static void run_program(struct load *load)
{
    char here[LOOK_PATH_SIZE];

    look_join(here, load->tree, "program");
    look_run(here);
}

static void look_once(struct load *load)
{
    uint64_t kind = any(load, 100), start = now_ns(), end;

    if (kind < 60)
        look_for_nothing(load);
    else if (kind < 76)
        compare_file(load);
    else if (kind < 80)
        compare_direct(load);
    else if (kind < 92)
        compare_mapping(load);
    else if (kind < 98)
        list_files(load);
    else
        run_program(load);
    end = now_ns();
    if (end - start >= SLOW_NS && load->slow_count < SLOW_MAX) {
        load->slow[load->slow_count].kind = kind < 60 ? "name" : "file";
        load->slow[load->slow_count].start = start;
        load->slow[load->slow_count++].end = end;
    }
    load->count++;
}

static size_t count_files(const char *copy)
{
    char path[LOOK_PATH_SIZE];
    size_t count = 0;
    DIR *list;

    look_join(path, copy, "files");
    list = opendir(path);
    if (list == NULL)
        look_failed("opendir", path);
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count - 2;
}

int main(int argc, char *argv[])
{
    static struct load load;
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    char byte;

    if (argc != 4) {
        fputs("usage: mount_load TREE COPY SEED\n", stderr);
        return 2;
    }
    load.tree = argv[1];
    load.copy = argv[2];
    load.random = strtoull(argv[3], NULL, 10);
    load.file_count = count_files(load.copy);
    take_signals();
    while (poll(&input, 1, 0) <= 0 || read(STDIN_FILENO, &byte, 1) != 0)
        look_once(&load);
    for (size_t i = 0; i < load.slow_count; i++)
        printf("%s %" PRIu64 " %" PRIu64 "\n", load.slow[i].kind, load.slow[i].start,
               load.slow[i].end);
    printf("done %" PRIu64 "\n", load.count);
    return 0;
}
