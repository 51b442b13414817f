/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"
#include "common/codec/digest.h"
#include "common/model/labels.h"
#include "common/model/names.h"
#include "common/model/stream.h"

struct buf;
struct error;
struct json_value;
struct json_writer;
struct yaml_reader;
struct yaml_event;

/*
 * record - what the store keeps of a version beside listing and times.
 *
 * Canonical YAML, fields in this order: format (1), project, app, version, content,
 * times, tree, tree_size, file_count, bytes, git_commit, git_ref, vcs_url,
 * build_time, builder, build_url, labels, created_at, pushed_by, signatures. What
 * has no value is not written, nor an empty list or map. Digests are 64 hex digits.
 *
 *   text fields   1..4096 bytes of plain text (yaml_text_is_plain()); vcs_url without user info
 *   times of day  YYYY-MM-DDThh:mm:ssZ, years 0001 to 9999; build_time without a zone is UTC
 *   tree_size     a multiple of 4096, 8192 .. 2^53 - 1;  file_count <= 16777216;  bytes <= 2^53 - 1
 *   signatures    at most 64 of {key: base64 of 32 bytes, time: integer, sig: base64 of 64 bytes}
 *
 * A stored record has all of project, app, version, content, times, tree, tree_size,
 * file_count, bytes, created_at; in a meta.yaml that somebody wrote only format,
 * project, app, version are needed. Reading: every scalar is text converted by its
 * key; keys in any order; unknown and duplicate ones are refused; at most 1 MiB.
 * A broken rule: -EBADMSG, "offset N: rule" (N: byte offset).
 */
#define RECORD_TEXT_MAX_SIZE 4096
#define RECORD_MAX_SIZE (1024 * 1024)
#define RECORD_MAX_SIGNATURES 64
#define RECORD_MEDIA_TYPE "application/yaml"

struct record_signature {
    uint8_t key[32]; /* Ed25519 public key */
    int64_t time;
    uint8_t sig[64];
};

/* What is absent: digests by has_..., numbers and times by has_..., texts by NULL. All texts are
 * owned by the record (memory.h). */
struct record {
    char project[NAME_TEXT_SIZE];
    char app[NAME_TEXT_SIZE];
    char version[VERSION_TEXT_SIZE];
    bool has_content, has_times, has_tree;
    bool has_tree_size, has_file_count, has_bytes;
    bool has_build_time, has_created_at;
    struct digest content, times, tree; /* tree: verity digest of the tree image */
    uint64_t tree_size, file_count, bytes;
    int64_t build_time_s, created_at_s;
    char *git_commit, *git_ref, *vcs_url, *builder, *build_url;
    char *pushed_by;
    struct labels labels;
    struct record_signature *signatures;
    size_t signature_count;
};

void record_init(struct record *record);    /* nothing is set */
void record_release(struct record *record); /* and init */
int record_copy(const struct record *record, struct record *out, struct error *err);

/* For records that are filled by hand: checks, and copies into the fields. -EINVAL, -ENOMEM. */
int record_set_names(struct record *record, struct span project, struct span app,
                     struct span version, struct error *err);
int record_set_version(struct record *record, struct span version, struct error *err);
/* One of the text fields by its name ("git_commit", "git_ref", "vcs_url", "builder", "build_url",
 * "pushed_by") or "build_time". Empty: forgotten. User info in vcs_url is cut out, not refused. */
int record_set_field(struct record *record, const char *name, struct span value, struct error *err);
int record_add_signature(struct record *record, const struct record_signature *signature,
                         struct error *err);

/* Every rule, and that what a stored record needs is there. -EINVAL naming the field. */
int record_check(const struct record *record, struct error *err);

/* The canonical YAML; whatever is set. Failure sticks in the buf. */
void record_write(const struct record *record, struct buf *out);
/* A stored record. */
int record_read(struct span yaml, struct record *out, struct error *err);

/* The members of a version object of the API, into an object that the caller has begun and ends (he
 * adds state and pinned). Empty labels and signatures are left out. */
void record_write_json(const struct record *record, struct json_writer *writer);
/* From a version object, or a part of one: what is absent stays unset, unknown members are passed
 * over. -EINVAL naming the member. */
int record_read_json(const struct json_value *object, struct record *out, struct error *err);
/* The `metadata` object of a push: git_commit git_ref vcs_url build_time builder build_url labels,
 * added to *record; anything else is refused (-EINVAL, "/metadata/x: ..."). */
int record_read_metadata(const struct json_value *metadata, struct record *record,
                         struct error *err);
/* The same members, for him who sends it. */
void record_write_metadata(const struct record *record, struct json_writer *writer);

/* For meta_yaml: takes the key just read and reads its value. 1: taken; 0: no key of a record. */
int record_read_key(struct record *record, struct yaml_reader *reader, const struct yaml_event *key,
                    bool *in_out_format_seen, struct error *err);
