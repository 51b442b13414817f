/* SPDX-License-Identifier: MIT */
#include "fs/ring/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"

#define MAGIC 0x31676e6972616b6bull /* "kkaring1" */
#define HEAD_SIZE 4096

enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_CARRIED };

struct slot {
    _Atomic uint32_t state;
    uint32_t reserved;
    uint64_t asked_ms;
    uint8_t bytes[RING_REQUEST_SIZE];
};
_Static_assert(sizeof(struct slot) == 512, "a slot lies in one page");

/* The first page. What a later version adds comes behind; the layout is what `magic` says. */
struct head {
    uint64_t magic;
    uint32_t slot_size, slot_count;
    _Atomic uint32_t answered;
    uint32_t reserved;
    _Atomic uint64_t beat_ms;
};

#define RING_SIZE (HEAD_SIZE + RING_SLOTS * sizeof(struct slot))

struct ring {
    struct head *head;
    struct slot *slots;
    _Atomic uint64_t numbers[RING_SLOTS]; /* of filled slots; 0: none */
    _Atomic size_t high;                  /* no filled slot at or behind it */
    pthread_mutex_t lock;                 /* of what follows */
    pthread_cond_t freed;
    uint32_t free[RING_SLOTS]; /* the lowest on top, so that few pages are used */
    size_t free_count;
    size_t carried_count;
};

struct ring_watch {
    struct head *head;
};

int ring_create(int *out_fd, struct error *err)
{
    struct head head = { .magic = MAGIC,
                         .slot_size = sizeof(struct slot),
                         .slot_count = RING_SLOTS };
    cleanup_fd int fd = memfd_create("kkartifact-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0 || ftruncate(fd, (off_t)RING_SIZE) < 0 ||
        pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return error_system(err, errno, "the memory of requests");
    *out_fd = take_fd(&fd);
    return 0;
}

static int map_head(int fd, size_t size, int flags, struct head **out_head, struct error *err)
{
    struct stat info;
    struct head *head;

    if (fstat(fd, &info) < 0)
        return error_system(err, errno, "the memory of requests");
    if ((uint64_t)info.st_size < RING_SIZE)
        return error_set(err, -EBADMSG, "the memory of requests is too small");
    head = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd, 0);
    if (head == MAP_FAILED)
        return error_system(err, errno, "the memory of requests");
    if (head->magic != MAGIC || head->slot_size != sizeof(struct slot) ||
        head->slot_count != RING_SLOTS) {
        munmap(head, size);
        return error_set(err, -EBADMSG, "the memory of requests is of another version");
    }
    *out_head = head;
    return 0;
}

struct ring_header ring_header(const struct ring *ring, size_t slot)
{
    struct ring_header header;

    memcpy(&header, ring->slots[slot].bytes, sizeof(header));
    return header;
}

/* What a dead worker left: a slot without a length had nothing read into it. */
static void sort_slots(struct ring *ring)
{
    for (size_t i = RING_SLOTS; i-- > 0;) {
        struct slot *slot = &ring->slots[i];
        uint32_t state = atomic_load(&slot->state);

        if (state == SLOT_CARRIED)
            ring->carried_count++;
        else if (state != SLOT_TAKEN || ring_header(ring, i).size < sizeof(struct ring_header)) {
            atomic_store(&slot->state, SLOT_FREE);
            ring->free[ring->free_count++] = (uint32_t)i;
        }
    }
}

int ring_open(int fd, struct ring **out_ring, struct error *err)
{
    struct ring *ring = memory_new(sizeof(*ring));
    pthread_condattr_t monotonic;
    int r;

    if (ring == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = map_head(fd, RING_SIZE, MAP_POPULATE, &ring->head, err);
    if (r < 0) {
        memory_free(ring);
        return r;
    }
    if (mlock(ring->head, RING_SIZE) < 0)
        errno = 0; /* over the limit of this user: resident, and swapped out only in need */
    ring->slots = (struct slot *)(void *)((uint8_t *)ring->head + HEAD_SIZE);
    pthread_mutex_init(&ring->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&ring->freed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sort_slots(ring);
    *out_ring = ring;
    return 0;
}

struct ring *ring_close(struct ring *ring)
{
    if (ring == NULL)
        return NULL;
    munmap(ring->head, RING_SIZE);
    pthread_mutex_destroy(&ring->lock);
    pthread_cond_destroy(&ring->freed);
    return memory_free(ring);
}

static void set_number(struct ring *ring, size_t slot, uint64_t number)
{
    size_t high = atomic_load(&ring->high);

    atomic_store(&ring->numbers[slot], number);
    while (slot >= high && !atomic_compare_exchange_weak(&ring->high, &high, slot + 1))
        ;
}

static bool is_owed(const struct ring *ring, size_t slot)
{
    return atomic_load(&ring->slots[slot].state) == SLOT_TAKEN &&
           ring_header(ring, slot).size >= sizeof(struct ring_header);
}

size_t ring_replay(struct ring *ring, ring_function *function, void *context)
{
    size_t count = 0;

    for (size_t i = 0; i < RING_SLOTS; i++)
        if (is_owed(ring, i))
            set_number(ring, i, ring_header(ring, i).number);
    for (size_t i = 0; i < RING_SLOTS; i++) {
        /* One that was answered meanwhile is free. */
        if (atomic_load(&ring->numbers[i]) == 0 || !is_owed(ring, i))
            continue;
        count++;
        function(context, i);
    }
    return count;
}

size_t ring_carry(struct ring *ring)
{
    size_t count = 0;

    pthread_mutex_lock(&ring->lock);
    for (size_t i = 0; i < RING_SLOTS; i++) {
        if (!is_owed(ring, i))
            continue;
        atomic_store(&ring->slots[i].state, SLOT_CARRIED);
        count++;
    }
    ring->carried_count += count;
    pthread_mutex_unlock(&ring->lock);
    return count;
}

static void free_locked(struct ring *ring, size_t slot)
{
    if (atomic_exchange(&ring->slots[slot].state, SLOT_FREE) == SLOT_CARRIED)
        ring->carried_count--;
    ring->free[ring->free_count++] = (uint32_t)slot;
    pthread_cond_signal(&ring->freed);
}

void ring_release(struct ring *ring, size_t slot)
{
    atomic_store(&ring->numbers[slot], 0);
    pthread_mutex_lock(&ring->lock);
    free_locked(ring, slot);
    pthread_mutex_unlock(&ring->lock);
}

/* Of requests that never came again: interrupts, or ones whose task was killed meanwhile. */
static void recycle_locked(struct ring *ring)
{
    for (size_t i = 0; i < RING_SLOTS && ring->carried_count > 0; i++)
        if (atomic_load(&ring->slots[i].state) == SLOT_CARRIED)
            free_locked(ring, i);
}

static void wait_locked(struct ring *ring, uint64_t timeout_ms)
{
    uint64_t until_ms = clock_monotonic_ms() + timeout_ms;
    struct timespec until = { .tv_sec = (time_t)(until_ms / 1000),
                              .tv_nsec = (long)(until_ms % 1000) * 1000000 };

    while (ring->free_count == 0)
        if (pthread_cond_timedwait(&ring->freed, &ring->lock, &until) != 0)
            return;
}

int ring_claim(struct ring *ring, uint64_t timeout_ms, size_t *out_slot)
{
    struct slot *slot;
    bool found;

    pthread_mutex_lock(&ring->lock);
    if (ring->free_count == 0)
        recycle_locked(ring);
    if (ring->free_count == 0)
        wait_locked(ring, timeout_ms);
    found = ring->free_count > 0;
    if (found)
        *out_slot = ring->free[--ring->free_count];
    pthread_mutex_unlock(&ring->lock);
    if (!found)
        return -EAGAIN;
    slot = &ring->slots[*out_slot];
    slot->asked_ms = 0;
    memset(slot->bytes, 0, sizeof(struct ring_header)); /* before it counts as taken */
    atomic_store(&slot->state, SLOT_TAKEN);
    return 0;
}

uint8_t *ring_bytes(struct ring *ring, size_t slot)
{
    return ring->slots[slot].bytes;
}

/* All slots of this request, from every time that it was sent; the oldest time. */
static uint64_t take_over(struct ring *ring, uint64_t number, uint64_t now_ms)
{
    uint64_t oldest_ms = now_ms;

    pthread_mutex_lock(&ring->lock);
    for (size_t i = 0; i < RING_SLOTS && ring->carried_count > 0; i++) {
        struct slot *slot = &ring->slots[i];
        if (atomic_load(&slot->state) != SLOT_CARRIED ||
            ((ring_header(ring, i).number ^ number) & ~RING_RESENT) != 0)
            continue;
        if (slot->asked_ms != 0 && slot->asked_ms < oldest_ms)
            oldest_ms = slot->asked_ms;
        free_locked(ring, i);
    }
    pthread_mutex_unlock(&ring->lock);
    return oldest_ms;
}

void ring_filled(struct ring *ring, size_t slot)
{
    uint64_t number = ring_header(ring, slot).number, now_ms = clock_monotonic_ms();

    ring->slots[slot].asked_ms =
        (number & RING_RESENT) != 0 ? take_over(ring, number, now_ms) : now_ms;
    set_number(ring, slot, number);
}

bool ring_answered(struct ring *ring, uint64_t number)
{
    size_t high = atomic_load(&ring->high);

    for (size_t i = 0; number != 0 && i < high; i++) {
        uint64_t expected = number;
        if (atomic_load(&ring->numbers[i]) != number ||
            !atomic_compare_exchange_strong(&ring->numbers[i], &expected, 0))
            continue;
        ring_release(ring, i);
        atomic_store(&ring->head->answered, 1);
        return true;
    }
    return false;
}

uint64_t ring_asked_ms(const struct ring *ring, size_t slot)
{
    uint64_t asked_ms = ring->slots[slot].asked_ms;

    return asked_ms != 0 ? asked_ms : clock_monotonic_ms();
}

size_t ring_owed(struct ring *ring)
{
    size_t count;

    pthread_mutex_lock(&ring->lock);
    count = RING_SLOTS - ring->free_count - ring->carried_count;
    pthread_mutex_unlock(&ring->lock);
    return count;
}

int ring_watch_open(int fd, struct ring_watch **out_watch, struct error *err)
{
    struct ring_watch *watch = memory_new(sizeof(*watch));
    int r;

    if (watch == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = map_head(fd, HEAD_SIZE, 0, &watch->head, err);
    if (r < 0) {
        memory_free(watch);
        return r;
    }
    *out_watch = watch;
    return 0;
}

struct ring_watch *ring_watch_close(struct ring_watch *watch)
{
    if (watch == NULL)
        return NULL;
    munmap(watch->head, HEAD_SIZE);
    return memory_free(watch);
}

void ring_watch_reset(struct ring_watch *watch, uint64_t now_ms)
{
    atomic_store(&watch->head->answered, 0);
    atomic_store(&watch->head->beat_ms, now_ms);
}

bool ring_watch_answered(const struct ring_watch *watch)
{
    return atomic_load(&watch->head->answered) != 0;
}

uint64_t ring_watch_beat_ms(const struct ring_watch *watch)
{
    return atomic_load(&watch->head->beat_ms);
}

void ring_beat(struct ring *ring, uint64_t now_ms)
{
    atomic_store(&ring->head->beat_ms, now_ms);
}
