/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/cli/configuration.h"
#include "agent/cli/progress.h"
#include "agent/cli/session.h"
#include "agent/transfer/pattern.h"
#include "agent/transfer/transfer.h"

struct buf;
struct command;
struct directory;
struct error;

/*
 * job - what a verb that works needs: configuration, server, transfer, progress.
 *
 * Every call gives 0 or a failure whose exit code job_exit() then tells.
 */
struct job {
    struct command *command;
    struct configuration configuration;
    struct session session;
    struct meter meter;
    struct transfer transfer;
    struct progress *progress;
    uint64_t began_ms;
    uint64_t received_before; /* bytes of an earlier turn (job_again()) */
    size_t lasting;           /* connections that stay open (session.h); before job_connect() */
    int exit_code;            /* of a failure outside of the transfer; 0: by its errno */
};

void job_init(struct job *job, struct command *command);
void job_release(struct job *job);

/* A verb that is one job, from its beginning to its exit code. */
typedef int job_function(struct job *job, struct error *err);
int job_run(struct command *command, job_function *function, struct error *err);

/* Configuration, found in `directory`. */
int job_configure(struct job *job, const char *directory, enum configuration_need need,
                  struct error *err);
/* The client. After job_configure(). */
int job_connect(struct job *job, struct error *err);
/* Both, for what needs no configuration of a directory. */
int job_open(struct job *job, struct error *err);
/* The same work once more, counted and judged anew. */
void job_again(struct job *job);
/* Bytes of bodies that came in this turn. */
uint64_t job_received_bytes(const struct job *job);
/* The bar. Before the work. */
int job_show_progress(struct job *job, struct error *err);
void job_hide_progress(struct job *job);

/* project and app of the settings; both must be there. */
int job_names(struct job *job, const char **out_project, const char **out_app, struct error *err);

/* The `ignore` (and --ignore) or `executable` patterns of the settings, added to *list. */
int job_patterns(struct job *job, const char *key, struct pattern_list *list, struct error *err);

/* A failure of the local file system while nothing is transferred. */
int job_local(struct job *job, int r);
/* Says in which directory a local failure of the transfer was: its paths begin there. Returns r. */
int job_local_below(struct job *job, int r, const char *directory, struct error *err);
/* What a refusal (-EBUSY: protected, too much at once) leaves to do, said behind it. Returns r. */
int job_advise(int r, const char *advice, struct error *err);
/* A failure with this exit code. */
int job_failed(struct job *job, int r, int exit_code);

/* The result to stdout (output_write()); a failure of that is local. */
int job_write(struct job *job, struct buf *result, struct error *err);

uint64_t job_elapsed_ms(const struct job *job);
int job_exit(const struct job *job, int r);
/* The same for a verb that goes on where it was interrupted, and says so. */
int job_exit_resumable(const struct job *job, int r, struct error *err);
