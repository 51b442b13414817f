/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

/*
 * faults - why reads fail, for the operator: the last reason, and each cause logged once.
 *
 * A server that is away fails every read in the same words; the log has them once a minute. Any
 * thread.
 */
struct faults;

#define FAULTS_SILENCE_MS 60000

struct faults *faults_new(void); /* NULL: out of memory */
struct faults *faults_free(struct faults *faults);

/* Notes a failure, of what `where` names ("": of all); true when it is to be logged. A cause that
 * is met in many places is logged with one of them. Nothing to note: -ENOENT and its like are
 * answers. */
bool faults_note(struct faults *faults, const struct error *err, const char *where,
                 uint64_t now_ms);

/* The last one, with where it was; "" when there was none. */
void faults_last(struct faults *faults, char out[ERROR_TEXT_SIZE]);
uint64_t faults_integrity(struct faults *faults); /* how many were -EBADMSG */

/* The errno that a program sees for a failure of ours (positive). */
int faults_errno(int code);
