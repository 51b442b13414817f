/* SPDX-License-Identifier: MIT */
#include "common/base/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* From here on a block has its own mapping. */
#define LARGE_SIZE (1024 * 1024)

/* Test hook. -1 = off; else how many more calls succeed. */
static _Atomic int64_t calls_left = -1;
static _Atomic bool any_failed;

static bool fails_now(void)
{
    int64_t left = atomic_load_explicit(&calls_left, memory_order_relaxed);

    if (left < 0)
        return false;
    while (left > 0) {
        if (atomic_compare_exchange_weak(&calls_left, &left, left - 1))
            return false;
        if (left < 0)
            return false;
    }
    atomic_store(&any_failed, true);
    errno = ENOMEM;
    return true;
}

void *memory_new(size_t size)
{
    return memory_array(1, size);
}

void *memory_array(size_t count, size_t size)
{
    if (fails_now())
        return NULL;
    if (count == 0 || size == 0)
        return calloc(1, 1);
    return calloc(count, size);
}

void *memory_resize(void *old, size_t count, size_t size)
{
    size_t bytes;

    if (fails_now())
        return NULL;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(old, bytes == 0 ? 1 : bytes);
}

void *memory_copy(const void *bytes, size_t size)
{
    uint8_t *copy;

    if (fails_now() || size == SIZE_MAX)
        return NULL;
    copy = malloc(size + 1);
    if (copy == NULL)
        return NULL;
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = 0;
    return copy;
}

char *memory_text(const char *text)
{
    return memory_copy(text, strlen(text));
}

void *memory_free(void *pointer)
{
    int saved = errno;

    free(pointer);
    errno = saved;
    return NULL;
}

/* Told the limit, glibc no longer raises it to the largest block that was ever freed. */
void memory_give_back(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, LARGE_SIZE);
#endif
}

void memory_wipe(void *bytes, size_t size)
{
    volatile uint8_t *at = bytes;

    while (size-- > 0)
        *at++ = 0;
}

bool memory_equal_secret(const void *a, const void *b, size_t size)
{
    const volatile uint8_t *left = a;
    const volatile uint8_t *right = b;
    uint8_t difference = 0;

    for (size_t i = 0; i < size; i++)
        difference |= left[i] ^ right[i];
    return difference == 0;
}

void memory_fail_after(int64_t count)
{
    atomic_store(&any_failed, false);
    atomic_store(&calls_left, count);
}

bool memory_failed(void)
{
    return atomic_load(&any_failed);
}
