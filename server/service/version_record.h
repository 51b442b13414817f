/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/model/record.h"
#include "server/db/versions.h"

struct error;

/* version_record - a version's row as a record, and a push's metadata on its way into the row. */

/* *out is init'ed by the caller; record_release() it. */
int version_record_of(const struct version *version, struct record *out, struct error *err);

/* The metadata fields of a record (the rest is not looked at) for a row;
 * version_metadata_release(). */
int version_record_metadata(const struct record *record, struct version_metadata *out,
                            struct error *err);

/* Labels as the row has them; NULL when there are none. memory_free() it. */
int version_record_labels(const struct labels *labels, char **out, struct error *err);

/* The signatures of a record for a row: a JSON array, or NULL; memory_free() it. */
int version_record_signatures(const struct record *record, char **out, struct error *err);
