/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "common/model/names.h"
#include "common/model/reads.h"
#include "server/service/access.h"

struct error;
struct refusal;
struct services;

/*
 * version_reads - what starts of a version read: told by hosts, given to the next that starts.
 *
 * A hint: what is told is bounded (reads.h, server/db/read_reports.h), files that the version does
 * not have are passed over, and nothing is ever shown or kept because of it. Of several hosts the
 * answer is the union. A version that nobody has told of is given what was told of the newest one
 * before it in its app, file by file: by content, then by path (read_report.h). Both are PULL; a
 * purged version is forgotten with what was told of it, a copy has it too.
 */
enum reads_source {
    READS_NONE,      /* nothing is known */
    READS_OWN,       /* told of this version */
    READS_INHERITED, /* told of `from` */
};

struct version_reads {
    char version[VERSION_TEXT_SIZE]; /* that the reference stands for */
    enum reads_source source;
    char from[VERSION_TEXT_SIZE]; /* "" when nothing is inherited */
    struct reads reads;
};
void version_reads_release(struct version_reads *reads); /* of a zeroed one too */

int version_reads_get(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference,
                      struct version_reads *out, struct refusal *why, struct error *err);

struct reads_told {
    char version[VERSION_TEXT_SIZE];
    size_t count; /* files of it that the version has */
    bool kept;    /* false: it was known, or there is no place for it now */
};

/* -EINVAL: host. Told again it changes nothing. */
int version_reads_put(struct services *services, const struct caller *caller, const char *project,
                      const char *app, const char *reference, const char *host,
                      const struct reads *reads, struct reads_told *out, struct refusal *why,
                      struct error *err);
