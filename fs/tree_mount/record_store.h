/* SPDX-License-Identifier: MIT */
#pragma once

struct digest;
struct record;
struct workers;

/*
 * record_store - the records of versions that were shown, a file each.
 *
 * A help, not a truth: a file that is lost, damaged or cannot be written is as if there had been
 * none. directory NULL: nothing is kept. Any thread.
 */

/* -ENOENT: none that can be read. */
int record_store_load(const char *directory, const char *project, const char *app,
                      const char *version, const struct digest *tree, struct record *out);

/* Written by a worker, later. */
void record_store_save(const char *directory, struct workers *workers, const struct record *record);
