/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * record_fields - the one table of a record's fields, for the files that write and
 * read records as YAML and as JSON. Only for them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model/record.h"

enum record_field_type {
    RECORD_FORMAT, /* the integer 1, kept nowhere */
    RECORD_NAME,   /* enum name_kind in `limit` */
    RECORD_DIGEST,
    RECORD_COUNT, /* at most `limit` */
    RECORD_TEXT,
    RECORD_TIME, /* of day */
    RECORD_LABELS,
    RECORD_SIGNATURES,
};

struct record_field {
    const char *name;
    enum record_field_type type;
    bool is_needed;    /* in a stored record */
    bool is_metadata;  /* told by the pusher */
    size_t offset;     /* of the value */
    size_t has_offset; /* of its has_..., where it has one */
    uint64_t limit;
};

/* In the order of the canonical YAML; ends with name NULL. */
extern const struct record_field record_fields[];

const struct record_field *record_field_find(struct span name);
bool record_field_is_set(const struct record *record, const struct record_field *field);

/* A value from its text, with the rules of records (a time of day in its canonical form, build_time
 * also without zone). Not for format, labels, signatures. -EINVAL, -ENOMEM. */
int record_field_parse(struct record *record, const struct record_field *field, struct span text,
                       struct error *err);
int record_field_set_count(struct record *record, const struct record_field *field, uint64_t value,
                           struct error *err);

/* Accessors over the offsets. */
const struct digest *record_field_digest(const struct record *record,
                                         const struct record_field *field);
uint64_t record_field_count(const struct record *record, const struct record_field *field);
int64_t record_field_time(const struct record *record, const struct record_field *field);
const char *record_field_text(const struct record *record, const struct record_field *field);

/* The rules of one signature's members. */
int record_signature_parse(const char *member, struct span text, struct record_signature *out,
                           struct error *err);
