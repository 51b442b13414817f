/* SPDX-License-Identifier: MIT */
#pragma once

struct database;
struct error;

/*
 * database_copy - a snapshot (database.h), made the database of a store of its own.
 *
 * What was under way belongs to the one that was copied: pushes are ended as if their lease were
 * over (their blobs become candidates), jobs that waited or ran are cancelled. All in one
 * transaction; again it does nothing.
 */
int database_copy_settle(struct database *copy, struct error *err);

/* The entry of the audit log that says what this database was made by; data: JSON or NULL. */
int database_copy_tell(struct database *copy, const char *operation, const char *data,
                       struct error *err);
