/* SPDX-License-Identifier: MIT */
/*
 * mount_model TREE COPY SECONDS SEED THREADS - looks at a mounted tree from many threads, each at
 * whatever comes next in a sequence of its own, and holds every answer against a copy.
 *
 * Reads of any range, also past the page cache; pages of mappings; lists, begun anew in the middle;
 * attributes; targets of links; names that are not there; the program COPY/program. What a thread
 * has read it often drops from the page cache. The first answer that is not the copy's ends it with
 * exit code 1 and a line that names the path and, of bytes, the offset. Then it prints "KIND COUNT"
 * for every kind of look.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/mount/look.h"

#define PAGE 4096
#define READ_MOST ((size_t)1 << 20)
#define WINDOW ((size_t)64 * PAGE)
#define SHOWN_MOST 65536 /* names of one directory */
#define WALK_DESCRIPTORS 64

struct place {
    char *name; /* below the top */
    struct stat info;
};

struct model {
    const char *tree, *copy;
    struct place *places;
    size_t place_count, place_capacity;
    unsigned fits; /* kinds of places that there are */
    time_t end_s;
};

/* One thread's. */
struct looker {
    pthread_t thread;
    uint64_t chance;
    uint8_t *wanted, *got; /* READ_MOST each, at pages */
    const struct place *place;
    char here[LOOK_PATH_SIZE], there[LOOK_PATH_SIZE];
};

static struct model model; /* nftw(3) has no context */

static uint64_t any(struct looker *looker, uint64_t limit)
{
    return look_any(&looker->chance, limit);
}

static bool is_top(const struct looker *looker)
{
    return looker->place->name[0] == '\0';
}

/* A range of the file: any, or one whose ends lie where things change. */
static size_t choose_range(struct looker *looker, uint64_t size, uint64_t *out_at)
{
    static const size_t sizes[] = { 1, 100, PAGE - 1, PAGE, 3 * PAGE + 7, 65536, READ_MOST };
    size_t most = sizes[any(looker, sizeof(sizes) / sizeof(*sizes))];
    uint64_t at = any(looker, size);

    if (any(looker, 2) == 0)
        at = at / PAGE * PAGE;
    *out_at = at;
    return size - at < most ? (size_t)(size - at) : most;
}

static void drop_pages(struct looker *looker, int fd)
{
    if (any(looker, 3) != 0)
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void look_at_bytes(struct looker *looker)
{
    uint64_t size = (uint64_t)looker->place->info.st_size, at = 0;
    size_t count = size > 0 ? choose_range(looker, size, &at) : 0;
    int here = look_open(looker->here, 0), there = look_open(looker->there, 0);

    look_read(there, looker->there, looker->wanted, count, at);
    look_read(here, looker->here, looker->got, count, at);
    look_compare("read of", looker->here, looker->wanted, looker->got, count, at);
    if (pread(here, looker->got, 1, (off_t)(size + any(looker, PAGE))) != 0)
        look_differs("read behind the end of", looker->here, size);
    drop_pages(looker, here);
    close(here);
    close(there);
}

/* Past the page cache: one request, which is answered whole up to the end. */
static void look_past_the_cache(struct looker *looker)
{
    uint64_t size = (uint64_t)looker->place->info.st_size, at;
    size_t most = (1 + any(looker, 32)) * PAGE, count;
    int here, there;

    if (size == 0)
        return;
    at = any(looker, size) / PAGE * PAGE;
    count = size - at < most ? (size_t)(size - at) : most;
    here = look_open(looker->here, O_DIRECT);
    there = look_open(looker->there, 0);
    look_read(there, looker->there, looker->wanted, count, at);
    if (pread(here, looker->got, most, (off_t)at) != (ssize_t)count)
        look_failed("direct read of", looker->here);
    look_compare("direct read of", looker->here, looker->wanted, looker->got, count, at);
    close(here);
    close(there);
}

static void look_at_pages(struct looker *looker)
{
    uint64_t size = (uint64_t)looker->place->info.st_size, at;
    size_t count;
    uint8_t *mapped;
    int here, there;

    if (size == 0)
        return;
    at = any(looker, size) / PAGE * PAGE;
    count = size - at < WINDOW ? (size_t)(size - at) : WINDOW;
    here = look_open(looker->here, 0);
    there = look_open(looker->there, 0);
    mapped = mmap(NULL, count, PROT_READ, MAP_SHARED, here, (off_t)at);
    if (mapped == MAP_FAILED)
        look_failed("mmap", looker->here);
    madvise(mapped, count, any(looker, 2) == 0 ? MADV_RANDOM : MADV_NORMAL);
    look_read(there, looker->there, looker->wanted, count, at);
    for (int i = 0; i < 6; i++) {
        size_t page = any(looker, (count + PAGE - 1) / PAGE) * PAGE;
        look_compare("mapping of", looker->here, looker->wanted + page, mapped + page,
                     count - page < PAGE ? count - page : PAGE, at + page);
    }
    munmap(mapped, count);
    drop_pages(looker, here);
    close(here);
    close(there);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names with their types, sorted; begun anew in the middle when `again`. What a mount adds at
 * its top is left out. */
static size_t list(const char *path, bool at_top, bool again, char **names)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    size_t count = 0;

    if (directory == NULL)
        look_failed("opendir", path);
    for (int i = 0; again && i < 10; i++)
        if (readdir(directory) == NULL)
            break;
    rewinddir(directory);
    for (errno = 0; (entry = readdir(directory)) != NULL; errno = 0) {
        if (at_top &&
            (strcmp(entry->d_name, ".kkartifact") == 0 || strcmp(entry->d_name, "meta.yaml") == 0))
            continue;
        if (count == SHOWN_MOST ||
            asprintf(&names[count], "%s type %d", entry->d_name, (int)entry->d_type) < 0)
            abort();
        count++;
    }
    if (errno != 0)
        look_failed("readdir", path);
    closedir(directory);
    qsort(names, count, sizeof(*names), compare_names);
    return count;
}

static void look_at_list(struct looker *looker)
{
    char **here = malloc(SHOWN_MOST * sizeof(*here)), **there = malloc(SHOWN_MOST * sizeof(*there));
    size_t count, wanted;

    if (here == NULL || there == NULL)
        abort();
    count = list(looker->here, is_top(looker), any(looker, 4) == 0, here);
    wanted = list(looker->there, is_top(looker), false, there);
    for (size_t i = 0; i < count && i < wanted; i++)
        if (strcmp(here[i], there[i]) != 0)
            look_failed(here[i], looker->here);
    if (count != wanted)
        look_differs("count of names in", looker->here, count);
    for (size_t i = 0; i < count; i++) {
        free(here[i]);
        free(there[i]);
    }
    free(here);
    free(there);
}

static void look_at_attributes(struct looker *looker)
{
    const struct stat *wanted = &looker->place->info;
    struct stat got;
    mode_t mode = S_ISLNK(wanted->st_mode) ? S_IFMT : S_IFMT | 0777;

    if (lstat(looker->here, &got) < 0)
        look_failed("lstat", looker->here);
    errno = 0;
    if (is_top(looker)) /* mode and time are the version's, not the tree's */
        mode = S_IFMT;
    if ((got.st_mode & mode) != (wanted->st_mode & mode))
        look_failed("another mode", looker->here);
    if (!S_ISDIR(wanted->st_mode) && got.st_size != wanted->st_size)
        look_failed("another size", looker->here);
    if (!S_ISLNK(wanted->st_mode) && !is_top(looker) && got.st_mtime != wanted->st_mtime)
        look_failed("another time", looker->here);
}

static void look_at_link(struct looker *looker)
{
    char here[PATH_MAX], there[PATH_MAX];
    ssize_t got = readlink(looker->here, here, sizeof(here));
    ssize_t wanted = readlink(looker->there, there, sizeof(there));

    if (got < 0)
        look_failed("readlink", looker->here);
    if (got != wanted || memcmp(here, there, (size_t)got) != 0)
        look_differs("target of", looker->here, 0);
}

static void look_for_nothing(struct looker *looker)
{
    char name[64];
    struct stat info;

    snprintf(name, sizeof(name), "absent-%" PRIu64, any(looker, 1000));
    look_join(looker->here, model.tree, name);
    if (stat(looker->here, &info) == 0 || errno != ENOENT)
        look_failed("stat of nothing", looker->here);
}

static void run_program(struct looker *looker)
{
    look_join(looker->here, model.tree, "program");
    look_run(looker->here);
}

enum fits { FITS_FILE = 1, FITS_DIRECTORY = 2, FITS_LINK = 4, FITS_ANY = 7 };

static struct kind {
    const char *name;
    unsigned weight;
    enum fits fits; /* what it can look at */
    void (*look)(struct looker *looker);
    atomic_ulong count;
} kinds[] = {
    { "read", 30, FITS_FILE, look_at_bytes, 0 },
    { "direct", 10, FITS_FILE, look_past_the_cache, 0 },
    { "map", 20, FITS_FILE, look_at_pages, 0 },
    { "list", 10, FITS_DIRECTORY, look_at_list, 0 },
    { "attributes", 15, FITS_ANY, look_at_attributes, 0 },
    { "link", 6, FITS_LINK, look_at_link, 0 },
    { "nothing", 8, FITS_ANY, look_for_nothing, 0 },
    { "run", 1, FITS_ANY, run_program, 0 },
};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static enum fits fits_of(const struct place *place)
{
    if (S_ISDIR(place->info.st_mode))
        return FITS_DIRECTORY;
    return S_ISLNK(place->info.st_mode) ? FITS_LINK : FITS_FILE;
}

static struct kind *choose_kind(struct looker *looker)
{
    uint64_t total = 0, at;

    for (size_t i = 0; i < KINDS; i++)
        total += kinds[i].weight;
    at = any(looker, total);
    for (size_t i = 0; i < KINDS; i++) {
        if (at < kinds[i].weight)
            return &kinds[i];
        at -= kinds[i].weight;
    }
    abort();
}

static void *look_on(void *context)
{
    struct looker *looker = context;

    while (time(NULL) < model.end_s) {
        struct kind *kind = choose_kind(looker);

        if ((kind->fits & model.fits) == 0)
            continue;
        do
            looker->place = &model.places[any(looker, model.place_count)];
        while ((fits_of(looker->place) & kind->fits) == 0);
        look_join(looker->here, model.tree, looker->place->name);
        look_join(looker->there, model.copy, looker->place->name);
        kind->look(looker);
        atomic_fetch_add(&kind->count, 1);
    }
    return NULL;
}

static int add_place(const char *path, const struct stat *info, int type, struct FTW *where)
{
    struct place *place;
    size_t top = strlen(model.copy);

    if (model.place_count == model.place_capacity) {
        model.place_capacity = model.place_capacity * 2 + 256;
        model.places = realloc(model.places, model.place_capacity * sizeof(*model.places));
    }
    if (model.places == NULL || type == FTW_NS || type == FTW_DNR)
        abort();
    place = &model.places[model.place_count++];
    place->name = strdup(path[top] == '/' ? path + top + 1 : path + top);
    place->info = *info;
    model.fits |= fits_of(place);
    return place->name != NULL ? 0 : -1;
}

static void start(struct looker *looker, uint64_t seed)
{
    looker->chance = seed;
    looker->wanted = aligned_alloc(PAGE, READ_MOST);
    looker->got = aligned_alloc(PAGE, READ_MOST);
    if (looker->wanted == NULL || looker->got == NULL)
        abort();
    errno = pthread_create(&looker->thread, NULL, look_on, looker);
    if (errno != 0)
        look_failed("a thread", "");
}

int main(int argc, char *argv[])
{
    struct looker *lookers;
    unsigned long seed, threads;

    if (argc != 6) {
        fputs("usage: mount_model TREE COPY SECONDS SEED THREADS\n", stderr);
        return 2;
    }
    model.tree = argv[1];
    model.copy = argv[2];
    model.end_s = time(NULL) + strtol(argv[3], NULL, 10);
    seed = strtoul(argv[4], NULL, 10);
    threads = strtoul(argv[5], NULL, 10);
    if (nftw(model.copy, add_place, WALK_DESCRIPTORS, FTW_PHYS) != 0)
        look_failed("walk of", model.copy);
    lookers = calloc(threads, sizeof(*lookers));
    if (lookers == NULL)
        abort();
    for (unsigned long i = 0; i < threads; i++)
        start(&lookers[i], seed * 1000 + i);
    for (unsigned long i = 0; i < threads; i++)
        pthread_join(lookers[i].thread, NULL);
    for (size_t i = 0; i < KINDS; i++)
        printf("%s %lu\n", kinds[i].name, (unsigned long)atomic_load(&kinds[i].count));
    return 0;
}
