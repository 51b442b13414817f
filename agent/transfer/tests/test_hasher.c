/* SPDX-License-Identifier: MIT */
#include "agent/transfer/hasher.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/place.h"
#include "agent/transfer/transfer.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/file.h"

CLEANUP_DEFINE(hasher, hasher_free);

static struct scan_entry file_entry(const char *path)
{
    return (
        struct scan_entry){ .kind = ENTRY_FILE, .path = path, .path_size = (uint16_t)strlen(path) };
}

static void files_are_hashed(void **state)
{
    struct place *place = *state;
    struct transfer transfer = { .threads = 3 };
    cleanup(cleanup_hasher) struct hasher *hasher = NULL;
    struct scan_entry entries[300];
    struct digest hello = digest_of("hello", 5);
    const char *path = NULL;

    place_put(place, "f", "hello");
    assert_int_equal(hasher_new(&transfer, place->at, NULL, NULL, &hasher, NULL), 0);
    for (size_t i = 0; i < 300; i++) {
        entries[i] = file_entry("f");
        hasher_add(hasher, &entries[i]);
    }
    assert_int_equal(hasher_finish(hasher, &path, NULL), 0);
    for (size_t i = 0; i < 300; i++) {
        assert_memory_equal(entries[i].sha256.bytes, hello.bytes, DIGEST_SIZE);
        assert_int_equal(entries[i].size, 5);
        assert_true(entries[i].stamp != 0);
    }
}

struct told {
    pthread_mutex_t lock;
    size_t good, unsteady;
};

static void count(void *context, const struct scan_entry *entry, int r)
{
    struct told *told = context;

    assert_true(r != 0 || entry->size == 5);
    pthread_mutex_lock(&told->lock);
    if (r == 0)
        told->good++;
    if (r == HASHER_UNSTEADY)
        told->unsteady++;
    pthread_mutex_unlock(&told->lock);
}

static void each_file_is_told(void **state)
{
    struct place *place = *state;
    struct meter meter = { 0 };
    struct transfer transfer = { .threads = 2, .meter = &meter };
    cleanup(cleanup_hasher) struct hasher *hasher = NULL;
    struct told told = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct scan_entry entries[20];
    const char *path = NULL;

    place_put(place, "f", "hello");
    assert_int_equal(hasher_new(&transfer, place->at, count, &told, &hasher, NULL), 0);
    hasher_uncounted(hasher);
    for (size_t i = 0; i < 20; i++) {
        entries[i] = file_entry(i % 5 == 0 ? "gone" : "f");
        hasher_add(hasher, &entries[i]);
    }
    assert_int_equal(hasher_finish(hasher, &path, NULL), HASHER_UNSTEADY);
    assert_int_equal(told.good, 16);
    assert_int_equal(told.unsteady, 4);
    assert_int_equal(meter.bytes_done, 0);
}

/* How many of our descriptors are of that file. */
static unsigned opened(const struct place *place, const char *name)
{
    char link[64], target[256], wanted[256];
    unsigned count = 0;

    snprintf(wanted, sizeof(wanted), "%s/%s", place->path, name);
    for (int fd = 0; fd < 64; fd++) {
        ssize_t size;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        size = readlink(link, target, sizeof(target) - 1);
        target[size < 0 ? 0 : size] = '\0';
        count += strcmp(target, wanted) == 0;
    }
    return count;
}

/* A terabyte of nothing, which is being read: to its end that would take many minutes. */
static void a_file_that_is_dropped_is_not_read_to_its_end(void **state)
{
    struct place *place = *state;
    struct transfer transfer = { .threads = 1 };
    struct hasher *hasher = NULL;
    struct scan_entry entry = file_entry("huge");
    int fd;

    assert_int_equal(directory_create(place->at, "huge", 0600, &fd, NULL), 0);
    assert_int_equal(file_truncate(fd, (uint64_t)1 << 40, NULL), 0);
    close(fd);
    assert_int_equal(hasher_new(&transfer, place->at, NULL, NULL, &hasher, NULL), 0);
    hasher_add(hasher, &entry);
    while (opened(place, "huge") == 0)
        sched_yield();
    hasher_free(hasher);
}

static void what_is_gone_is_unsteady(void **state)
{
    struct place *place = *state;
    struct transfer transfer = { .threads = 1 };
    cleanup(cleanup_hasher) struct hasher *hasher = NULL;
    struct scan_entry entry = file_entry("gone");
    const char *path = NULL;

    assert_int_equal(hasher_new(&transfer, place->at, NULL, NULL, &hasher, NULL), 0);
    hasher_add(hasher, &entry);
    assert_int_equal(hasher_finish(hasher, &path, NULL), HASHER_UNSTEADY);
    assert_string_equal(path, "gone");
}

static void reading_stops_and_sees_short_files(void **state)
{
    struct place *place = *state;
    cleanup_fd int fd = -1;
    atomic_bool stop = true;
    struct digest sha256, hello = digest_of("hello", 5);
    uint8_t buffer[2];

    place_put(place, "f", "hello");
    assert_int_equal(directory_open_read(place->at, "f", &fd, NULL), 0);
    assert_int_equal(hasher_read(fd, 5, buffer, sizeof(buffer), NULL, &sha256, NULL), 0);
    assert_memory_equal(sha256.bytes, hello.bytes, DIGEST_SIZE);
    assert_int_equal(hasher_read(fd, 6, buffer, sizeof(buffer), NULL, &sha256, NULL), -EIO);
    assert_int_equal(hasher_read(fd, 5, buffer, sizeof(buffer), &stop, &sha256, NULL), -ECANCELED);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(files_are_hashed),
        IN_A_PLACE(each_file_is_told),
        IN_A_PLACE(a_file_that_is_dropped_is_not_read_to_its_end),
        IN_A_PLACE(what_is_gone_is_unsteady),
        IN_A_PLACE(reading_stops_and_sees_short_files),
    };

    return cmocka_run_group_tests_name("hasher", tests, NULL, NULL);
}
