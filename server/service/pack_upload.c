/* SPDX-License-Identifier: MIT */
#include "server/service/pack_upload.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/merkle.h"
#include "common/model/pack.h"
#include "server/service/context.h"
#include "server/service/deposit.h"
#include "server/service/push_door.h"
#include "server/storage/blob_store.h"

_Static_assert(PACK_UPLOAD_MEMBER_MAX <= MERKLE_PIECE_SIZE, "members have no stored merkle object");

#define NAME_SIZE_BUSY (sizeof(int64_t) + DIGEST_SIZE)

/* Members that are written and not durable yet. */
struct batch {
    struct blob_writer *writers[PACK_UPLOAD_BATCH];
    struct blob blobs[PACK_UPLOAD_BATCH];
    struct blob_done done[PACK_UPLOAD_BATCH];
    size_t count;
};

struct pack_upload {
    struct services *services;
    int64_t push_number;
    struct pack_reader *reader;
    int failure;  /* of ours, in the middle of a pack: not the pack's fault */
    bool entered; /* the member at hand holds its name */
    struct digest at_hand;
    struct push_blob row; /* of the member at hand */
    uint64_t unwanted;    /* failures that are the sender's */
    uint64_t unpacked;    /* bytes of members that were wanted */
    struct push_room room;
    struct batch batch;
    struct pack_upload_result result;
};

CLEANUP_DEFINE(pack_upload, pack_upload_free);

static struct span busy_name(const struct pack_upload *upload, const struct digest *sha256,
                             uint8_t out[NAME_SIZE_BUSY])
{
    memcpy(out, &upload->push_number, sizeof(upload->push_number));
    memcpy(out + sizeof(upload->push_number), sha256->bytes, DIGEST_SIZE);
    return span_of(out, NAME_SIZE_BUSY);
}

static void leave(struct pack_upload *upload, const struct digest *sha256)
{
    uint8_t name[NAME_SIZE_BUSY];

    busy_leave(upload->services, busy_name(upload, sha256, name));
}

/* The name of the member at hand, unless it has gone to the batch. */
static void leave_at_hand(struct pack_upload *upload)
{
    if (upload->entered)
        leave(upload, &upload->at_hand);
    upload->entered = false;
}

static void note_failure(struct pack_upload *upload, const struct digest *sha256,
                         enum refusal_code code)
{
    struct pack_upload_result *result = &upload->result;

    if (result->failed < PACK_UPLOAD_FAILURES_MAX)
        result->failures[result->failed] = (struct pack_upload_failure){ *sha256, code };
    result->failed++;
    upload->unwanted += code != REFUSAL_PUSH_BUSY;
}

/* Makes the batch durable and live. Its writers are gone afterwards, whatever happens. */
static int flush(struct pack_upload *upload, struct error *err)
{
    struct batch *batch = &upload->batch;
    int r = 0;

    if (batch->count == 0)
        return 0;
    r = blob_writers_commit(batch->writers, batch->count, err);
    if (r == 0)
        r = deposit_done(upload->services, upload->push_number, batch->blobs, batch->done,
                         batch->count, err);
    if (r == 0)
        upload->result.stored += batch->count;
    for (size_t i = 0; i < batch->count; i++)
        leave(upload, &batch->done[i].sha256);
    batch->count = 0;
    return r;
}

/* Written, and part of the batch, which leaves its name. */
static int write_member(struct pack_upload *upload, const struct blob *blob, struct span bytes,
                        struct error *err)
{
    cleanup(blob_writer_abort_at) struct blob_writer *writer = NULL;
    struct batch *batch = &upload->batch;
    struct digest verity;
    int r = merkle_verity_of(bytes, &verity, err);

    if (r == 0)
        r = deposit_writer(upload->services, blob, 0, &writer, err);
    if (r == 0)
        r = push_room_take(&upload->room, bytes.size, err);
    if (r == 0)
        r = blob_writer_write(writer, bytes.bytes, bytes.size, err);
    if (r < 0)
        return r;
    batch->writers[batch->count] = take_pointer(&writer);
    batch->blobs[batch->count] = *blob;
    batch->done[batch->count] = (struct blob_done){ .sha256 = blob->sha256, .verity = verity };
    batch->count++;
    upload->entered = false;
    return 0;
}

static int store_member(struct pack_upload *upload, const struct pack_member *member,
                        struct error *err)
{
    const struct blob *blob = &upload->row.blob;
    int r = write_member(upload, blob, member->bytes, err);

    if (r == -EBUSY) { /* another process has its object open */
        note_failure(upload, &member->sha256, REFUSAL_PUSH_BUSY);
        return 0;
    }
    if (r != -EEXIST)
        return r;
    /* Whole already, from a server that was killed before it could say so. */
    r = deposit_finish(upload->services, upload->push_number, blob, NULL, err);
    if (r == 0)
        upload->result.stored++;
    return r;
}

/* Under the member's name: its row says whether it is wanted. */
static int judge_member(struct pack_upload *upload, const struct digest *sha256, uint64_t size,
                        bool *out_wanted, struct error *err)
{
    struct push_blob *row = &upload->row;
    int r = push_blob_get(upload->services->database, upload->push_number, sha256, row, err);

    if (r == -ENOENT) {
        note_failure(upload, sha256, REFUSAL_NOT_FOUND);
        return 0;
    }
    if (r < 0)
        return r;
    if (row->blob.size != size)
        note_failure(upload, sha256, REFUSAL_VALIDATION);
    else if (row->blob.state == BLOB_LIVE)
        upload->result.present++;
    else
        *out_wanted = true;
    return 0;
}

/* The pack's own fault: it makes work that stores nothing. */
static int check_effort(struct pack_upload *upload, struct error *err)
{
    if (upload->unwanted > PACK_UPLOAD_FAILURES_MAX)
        return error_set(err, -EBADMSG, "too many members that are not wanted");
    if (upload->unpacked > PACK_UPLOAD_BYTES_MAX)
        return error_set(err, -EFBIG, "more than %llu bytes of members to store in a pack",
                         (unsigned long long)PACK_UPLOAD_BYTES_MAX);
    return 0;
}

/* One that is wanted keeps its name until take_member(). */
static int ask_member(void *context, const struct digest *sha256, uint64_t size, bool *out_wanted,
                      struct error *err)
{
    struct pack_upload *upload = context;
    uint8_t name[NAME_SIZE_BUSY];
    int r = busy_enter(upload->services, busy_name(upload, sha256, name), NULL, err);

    *out_wanted = false;
    if (r == -EBUSY) {
        note_failure(upload, sha256, REFUSAL_PUSH_BUSY);
        return 0;
    }
    if (r == 0) {
        upload->entered = true;
        upload->at_hand = *sha256;
        r = judge_member(upload, sha256, size, out_wanted, err);
    }
    upload->failure = r;
    if (*out_wanted)
        upload->unpacked += size;
    else
        leave_at_hand(upload);
    return r < 0 ? r : check_effort(upload, err);
}

static int take_member(void *context, const struct pack_member *member, struct error *err)
{
    struct pack_upload *upload = context;
    int r = 0;

    if (member->damage != NULL)
        note_failure(upload, &member->sha256, REFUSAL_DIGEST_MISMATCH);
    else
        r = store_member(upload, member, err);
    leave_at_hand(upload);
    if (r == 0 && upload->batch.count == PACK_UPLOAD_BATCH)
        r = flush(upload, err);
    upload->failure = r;
    return r < 0 ? r : check_effort(upload, err);
}

int pack_upload_begin(struct services *services, const struct caller *caller, const char *project,
                      const char *app, const char *push_id, uint64_t body_size,
                      struct pack_upload **out_upload, struct refusal *why, struct error *err)
{
    static const struct pack_limits limits = { .member_size = PACK_UPLOAD_MEMBER_MAX,
                                               .count = PACK_UPLOAD_COUNT_MAX };
    cleanup(cleanup_pack_upload) struct pack_upload *upload = memory_new(sizeof(*upload));
    cleanup(push_release) struct push push = push_empty();
    int r;

    if (upload == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    upload->services = services;
    push_room_init(&upload->room, services);
    r = push_enter(services, caller, project, app, push_id, &push, why, err);
    if (r == 0)
        r = push_check_room(services, body_size, why, err);
    if (r == 0)
        r = pack_reader_new(&upload->reader, &limits, take_member, upload, err);
    if (r < 0)
        return r;
    pack_reader_ask(upload->reader, ask_member);
    upload->push_number = push.number;
    *out_upload = take_pointer(&upload);
    return 0;
}

/* What the reader says of the pack is the sender's fault; what storing says is not. */
static int refuse(struct pack_upload *upload, int r, struct refusal *why, struct error *err)
{
    if (upload->failure < 0)
        return push_result_of(r, why, err);
    if (r == -EBADMSG) {
        if (err != NULL)
            err->code = -EINVAL;
        return refusal_at(why, "", -EINVAL);
    }
    if (r == -EFBIG)
        return refusal_set(why, REFUSAL_TOO_LARGE, r);
    return push_result_of(r, why, err);
}

int pack_upload_add(struct pack_upload *upload, struct span bytes, struct refusal *why,
                    struct error *err)
{
    return refuse(upload, pack_reader_feed(upload->reader, bytes.bytes, bytes.size, err), why, err);
}

int pack_upload_end(struct pack_upload *upload, const struct pack_upload_result **out_result,
                    struct refusal *why, struct error *err)
{
    int r = pack_reader_end(upload->reader, err);

    if (r < 0)
        return refuse(upload, r, why, err);
    r = flush(upload, err);
    if (r < 0)
        return push_result_of(r, why, err);
    *out_result = &upload->result;
    return 0;
}

void pack_upload_break_off(struct pack_upload *upload)
{
    if (upload->failure == 0)
        flush(upload, NULL);
}

struct pack_upload *pack_upload_free(struct pack_upload *upload)
{
    if (upload == NULL)
        return NULL;
    for (size_t i = 0; i < upload->batch.count; i++) {
        blob_writer_abort(upload->batch.writers[i]);
        leave(upload, &upload->batch.done[i].sha256);
    }
    leave_at_hand(upload);
    pack_reader_free(upload->reader);
    return memory_free(upload);
}
