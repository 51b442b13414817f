/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/base/error.h"

/*
 * faults - why reads fail, for the operator: the last reason of all and of each version, and each
 * cause logged once.
 *
 * A server that is away fails every read of a version in the same words: the log has them once a
 * minute for each version, however many paths are read, and FAULTS_LINES lines a minute in all; how
 * many were left out is said by the next. Any thread.
 */
struct faults;

#define FAULTS_SILENCE_MS 60000
#define FAULTS_LINES 20
#define FAULTS_TEXT_SIZE 1024
#define FAULTS_NAME_SIZE 512

struct faults *faults_new(void); /* NULL: out of memory */
struct faults *faults_free(struct faults *faults);

struct fault {
    const char *name;        /* "P/A/V", or what of it is known; "": of none */
    const char *path;        /* inside the version; "": the version itself */
    const char *server;      /* that is asked now; "": none is */
    bool is_away;            /* no server could be reached */
    const struct error *err; /* the cause; may be NULL */
};

/* "P/A/V", or as much of it as is not NULL. */
void fault_name(char out[FAULTS_NAME_SIZE], const char *project, const char *app,
                const char *version);

/* Notes a failure; true when *out is to be logged: "P/A/V: PATH: CAUSE (SERVER)". Nothing to note:
 * -ENOENT and its like are answers. */
bool faults_note(struct faults *faults, const struct fault *fault, uint64_t now_ms,
                 char out[FAULTS_TEXT_SIZE]);

/* A server has answered. True when that is news: one was away, and it was logged. Cheap. */
bool faults_answered(struct faults *faults);

/* The last one, with its name; "" when there was none. */
void faults_last(struct faults *faults, char out[FAULTS_TEXT_SIZE]);
/* The last one of a version, from its path on; "": none since bytes of it came last. */
void faults_of(struct faults *faults, const char *name, char out[FAULTS_TEXT_SIZE]);
/* Bytes of the version came. */
void faults_forget(struct faults *faults, const char *name);

/* The errno that a program sees for a failure of ours (positive). */
int faults_errno(int code);
