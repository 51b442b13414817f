/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "server/db/blobs.h"

/*
 * sweep - finding the blobs that nothing refers to, and letting go of them.
 *
 * Whatever takes a reference away writes the blob down as a candidate in the same transaction
 * (purging a version, the end of a push). Here each candidate is looked at again: an edge of a
 * version, a hold of a push, or a listing, times or tree of either keeps it. What nothing refers to
 * becomes `condemned`; a push that says "have" of it makes it live again. Condemned for the whole
 * grace, and looked at once more, its row goes, with a tombstone for its object (tombstones.h) in
 * the same transaction. The cost is that of the candidates, whatever the size of the store.
 *
 * Each call is one transaction over one batch. In SQLite a write has the database for itself, which
 * stands for the locks on the candidates' rows.
 */
struct sweep_batch {
    size_t looked_at; /* candidates, or condemned ones; less than the limit: it was the last */
    size_t kept;      /* something refers to them */
    size_t condemned; /* by this call */
    size_t deleted;   /* rows that went */
    uint64_t deleted_bytes;
    int64_t last; /* where the next batch begins */
};

/* Candidates from behind `after` (0: the first). A missing or corrupt one has nothing to revive and
 * goes from here, when it was a candidate for the whole grace. */
int sweep_mark(struct database *database, int64_t after, int64_t grace_s, size_t limit,
               struct sweep_batch *out, struct error *err);

/* Condemned ones whose grace is over. out->last has no meaning: what is left is first next time. */
int sweep_delete(struct database *database, int64_t grace_s, size_t limit, struct sweep_batch *out,
                 struct error *err);

/* What a run would find now, read and nothing else. */
struct sweep_preview {
    uint64_t candidates;   /* all of them */
    uint64_t unreferenced; /* of these: would be condemned */
    uint64_t unreferenced_bytes;
    uint64_t condemned, condemned_bytes; /* wait for the end of their grace */
    uint64_t due, due_bytes;             /* of these: would be deleted */
    uint64_t tombstones;                 /* objects that wait to be removed */
};
/* For metrics: what is counted by an index that has nothing else. */
struct sweep_counts {
    uint64_t condemned;  /* blobs that wait for the end of their grace */
    uint64_t broken;     /* missing or corrupt ones */
    uint64_t tombstones; /* objects that wait to be removed */
};
int sweep_count(struct database *database, struct sweep_counts *out, struct error *err);

/* 1: a run would find something to do, of the blobs; 0: nothing. */
int sweep_is_due(struct database *database, int64_t grace_s, struct error *err);

int sweep_look(struct database *database, int64_t grace_s, struct sweep_preview *out,
               struct error *err);
