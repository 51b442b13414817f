/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/client/api_client.h"
#include "common/client/api_versions.h"
#include "common/codec/digest.h"

/*
 * api_pushes - the steps of a push (DESIGN 5), typed.
 *
 * All but the _start ones run the loop until they are done. Errors as in api_client.h; in addition
 * -EEXIST with existing content in `problem` when the name is taken by other content.
 */
struct api_push_spec {
    const char *project, *app;
    const char *version;          /* or NULL: named by its content */
    const struct digest *content; /* or NULL: told at commit */
    const struct digest *times;   /* or NULL */
    const char *base;             /* a version, or NULL */
    struct span metadata;         /* a JSON object, or empty */
};

struct api_push {
    bool exists; /* nothing to do: `version` is filled */
    struct api_version version;
    char *id;   /* of an open push */
    char *name; /* the version's, when already known; or NULL */
    uint64_t part_size;
    int64_t expires_at_s;
    bool wants_listing, wants_times;
    struct api_problem problem; /* filled when the call failed with an answer */
};
void api_push_release(struct api_push *push);

/* An open push of this token, by its id. -ENOENT: it is not open any more. */
int api_push_get(struct api_client *client, const struct api_push_spec *spec, const char *id,
                 struct api_push *out, struct error *err);

int api_push_create(struct api_client *client, const struct api_push_spec *spec,
                    struct api_push *out, struct error *err);

/* What the bytes of a document are: itself, a zstd frame of it, or a delta from one that the server
 * has (FORMATS 7; -ENOENT when it has not). */
enum api_push_coding { API_PUSH_RAW, API_PUSH_ZSTD, API_PUSH_DELTA };

int api_push_put_listing(struct api_client *client, const struct api_push_spec *spec,
                         const char *id, struct http_body body, enum api_push_coding coding,
                         struct api_problem *out_problem, struct error *err);
int api_push_put_times(struct api_client *client, const struct api_push_spec *spec, const char *id,
                       struct http_body body, enum api_push_coding coding,
                       struct api_problem *out_problem, struct error *err);

/* The bitmap (FORMATS 9) of `file_count` bits appended to *out; another size is -EBADMSG. */
int api_push_missing(struct api_client *client, const struct api_push_spec *spec, const char *id,
                     uint64_t file_count, struct buf *out, struct error *err);

struct api_push_part {
    /* Of the blob; of new-`number` NULL is fine but for its last part. */
    const struct digest *sha256;
    bool is_new; /* sent before its digest was known: new-`number` */
    uint32_t number;
    uint64_t offset, total; /* where the part begins, and how long the blob is */
    /* The body is one zstd frame of so many bytes (upload_windows.h); 0: the body is the part. A
     * server that takes none answers 415. */
    uint64_t unpacked;
    /* Its bytes are on their way: the next part may begin, the server makes it wait for this one
     * (or refuses it with push-busy). NULL: it does not matter. */
    http_on_sent *on_sent;
};

/* Sends one part. done: answer->problem has expected_offset after an offset-mismatch. A part is
 * never repeated here: whoever sends asks for the offset and goes on there. */
int api_push_part_start(struct api_client *client, const struct api_push_spec *spec, const char *id,
                        const struct api_push_part *part, struct http_body body,
                        api_call_done *done, void *context, struct api_call **out_call,
                        struct error *err);
/* The offset that a 204 answer told, -EBADMSG when it has none. */
int api_push_part_offset(const struct api_answer *answer, uint64_t *out_offset, struct error *err);

/* Asks how much the server has of the part's blob; never repeated here. An answer of 200 is to be
 * read; 409 (without words, which HEAD has none of): a request that broke off is still being ended;
 * 404 of a new one: nothing. */
int api_push_offset_start(struct api_client *client, const struct api_push_spec *spec,
                          const char *id, const struct api_push_part *part, api_call_done *done,
                          void *context, struct api_call **out_call, struct error *err);
/* Of a blob of `size` bytes. *out_offset <= size; -EBADMSG. */
int api_push_offset_read(const struct api_answer *answer, uint64_t size, uint64_t *out_offset,
                         struct error *err);

/*
 * Sends a pack (FORMATS 8) of blobs of at most API_PUSH_PACK_MEMBER_MAX bytes. It may be sent again
 * as it is. done: read the answer by api_push_pack_read.
 */
#define API_PUSH_PACK_MEMBER_MAX ((uint64_t)512 << 10)
int api_push_pack_start(struct api_client *client, const struct api_push_spec *spec, const char *id,
                        struct span pack, api_call_done *done, void *context,
                        struct api_call **out_call, struct error *err);
/* Which of the pack's blobs were not taken: appended to *out_failed, a struct digest each. When
 * more failed than the server names, *out_all_named is false. -EBADMSG: this is no such answer. */
int api_push_pack_read(const struct api_answer *answer, struct buf *out_failed, bool *out_all_named,
                       struct error *err);

/* Sends a blob as a delta (FORMATS 7). done: code 0 means that the server made it and has it; after
 * -ENOENT (it may not be made from that base), -EBADMSG and other refusals it may be sent whole. */
int api_push_delta_start(struct api_client *client, const struct api_push_spec *spec,
                         const char *id, const struct digest *sha256, struct span delta,
                         api_call_done *done, void *context, struct api_call **out_call,
                         struct error *err);

/* out->exists tells `exists` from `created`. After -EEXIST out->problem tells more:
 * missing-blobs too. */
int api_push_commit(struct api_client *client, const struct api_push_spec *spec, const char *id,
                    struct api_push *out, struct error *err);

int api_push_delete(struct api_client *client, const struct api_push_spec *spec, const char *id,
                    struct error *err);
