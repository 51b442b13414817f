/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct cut;
struct journal;
struct scenario;

/*
 * check - the first boot after a power cut: a cache that is opened again, as a mount does it.
 *
 *   * it opens, and counts what the disk holds;
 *   * what it gives are the right bytes;
 *   * what was pinned for good is pinned;
 *   * ids, records and known versions are right, or begun anew;
 *   * all can be put into it, is there after the next boot, and nothing else is.
 */
#define CHECK_TEXT_SIZE 512

/* The directory is changed. False: `out_why` says what is not so. */
bool check_boot(const struct scenario *scenario, const struct journal *journal,
                const struct cut *cut, const char *folder, char out_why[CHECK_TEXT_SIZE]);
