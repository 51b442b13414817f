/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdlib.h>

/*
 * cleanup - release at the end of a scope, whatever way it is left.
 *
 *     cleanup_memory char *text = memory_text("x");
 *     cleanup_fd int fd = open(...);
 *     cleanup(buf_release) struct buf out = buf_init(4096);
 *     *out_text = take_pointer(&text);     hands over, nothing is released
 *
 * cleanup() takes a function of a pointer to the variable. All of them keep errno.
 */
#define cleanup(function) __attribute__((cleanup(function), unused))
#define cleanup_memory cleanup(cleanup_memory_at)
#define cleanup_fd cleanup(cleanup_fd_at)

/* Defines cleanup_<type>(struct type **) over <type>_free(), for use as
 * cleanup(cleanup_tree) struct tree *tree = NULL;                              */
#define CLEANUP_DEFINE(type, free_function)                                     \
    __attribute__((unused)) static inline void cleanup_##type(struct type **at) \
    {                                                                           \
        if (*at != NULL)                                                        \
            free_function(*at);                                                 \
        *at = NULL;                                                             \
    }                                                                           \
    struct type

void cleanup_memory_at(void *at); /* `at` is the address of a pointer from memory.h */
void cleanup_fd_at(int *at);      /* closes when >= 0 */

/* Returns the pointer and leaves NULL behind. */
#define take_pointer(at)                          \
    ({                                            \
        __typeof__(at) take_at_ = (at);           \
        __typeof__(*take_at_) taken_ = *take_at_; \
        *take_at_ = NULL;                         \
        taken_;                                   \
    })

/* Returns the descriptor and leaves -1 behind. */
int take_fd(int *at);
