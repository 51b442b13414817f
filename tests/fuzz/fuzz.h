/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * fuzz - what a fuzz target provides: libFuzzer's two entry points. Built without
 * fuzzers (corpus_main.c), the same target runs over its corpus as a test.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A broken promise: ends the run, like a crash. */
#define FUZZ_CHECK(condition) \
    do {                      \
        if (!(condition))     \
            abort();          \
    } while (0)
