/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/net/retry.h"

struct api_client;
struct error;

/*
 * transfer - what push, pull and verify have in common: whom to ask, how hard, when
 * to stop, how far it is, and whose fault a failure was.
 */

/* How far it is, for a progress bar on another thread. */
enum meter_phase { METER_SCANNING, METER_ASKING, METER_SENDING, METER_FETCHING, METER_WRITING };

struct meter {
    _Atomic int phase; /* enum meter_phase */
    _Atomic uint64_t files_total, files_done;
    _Atomic uint64_t bytes_total, bytes_done;
};

/* A line for the user; a warning may be silenced, a complaint not. */
typedef void transfer_warn(void *context, const char *text);

struct transfer {
    struct api_client *client; /* NULL where no server is asked */
    size_t concurrency;        /* requests in flight */
    size_t threads;            /* that hash */
    uint64_t part_size;        /* wished for uploads; the server's bounds it */
    struct retry_policy retry;
    const atomic_bool *stop; /* set: end soon with -ECANCELED */
    struct meter *meter;
    transfer_warn *warn;     /* NULL: nobody listens */
    transfer_warn *complain; /* NULL: the same */
    void *warn_context;      /* of both */
    transfer_warn *detail;   /* for those who want to know all; NULL: nobody does */
    void *detail_context;
    int exit_code; /* enum exit_code of a failure whose errno does not tell enough; else 0 */
};

void transfer_meter(struct transfer *transfer, enum meter_phase phase, uint64_t files,
                    uint64_t bytes);
void transfer_done(struct transfer *transfer, uint64_t files, uint64_t bytes);

/* Marks a failure of the local file system (exit 9); returns r. Interruption and lack of
 * memory stay. */
int transfer_local(struct transfer *transfer, int r);

/* Marks a failure by its exit code; returns r. */
int transfer_failed(struct transfer *transfer, int r, int exit_code);

/* -ECANCELED once the user asked to stop, else 0. */
int transfer_stopped(const struct transfer *transfer, struct error *err);

void transfer_warning(const struct transfer *transfer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* One of several reasons why nothing is done, before the error that says so. */
void transfer_complaint(const struct transfer *transfer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* How something went, for --verbose. Loop thread. */
void transfer_detail(const struct transfer *transfer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
