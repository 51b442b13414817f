/* SPDX-License-Identifier: MIT */
#include "server/service/push_document.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd.h"
#include "common/model/listing.h"
#include "common/model/times.h"
#include "common/model/upload_windows.h"
#include "server/service/context.h"
#include "server/service/delta_body.h"
#include "server/service/deposit.h"
#include "server/service/listing_count.h"
#include "server/service/object.h"
#include "server/service/push_door.h"
#include "server/service/push_files.h"
#include "server/service/push_parts.h"
#include "server/service/refusal.h"
#include "server/service/spool.h"

struct push_document {
    struct services *services;
    struct identity identity;
    struct push push;
    enum push_document_kind kind;
    struct zstd_reader *zstd; /* PUSH_DOCUMENT_ZSTD */
    bool is_delta;            /* then in `delta` until the end */
    struct delta_body delta;
    struct digest promised;         /* by the delta, of the document */
    struct listing_reader *listing; /* of a listing */
    struct times_reader times;      /* of times */
    bool has_links;                 /* their listing */
    struct spool spool;
    uint64_t maximum; /* bytes unpacked */
    struct push_room room;
};

CLEANUP_DEFINE(push_document, push_document_free);

/* What the readers say of the bytes is the sender's fault. */
static int refuse(int result, struct refusal *why, struct error *err)
{
    if (result == -EBADMSG || result == -EINVAL) {
        if (err != NULL)
            err->code = -EINVAL;
        return refusal_at(why, "", -EINVAL);
    }
    if (result == -EFBIG)
        return refusal_set(why, REFUSAL_TOO_LARGE, result);
    return push_result_of(result, why, err);
}

/* Unpacked bytes: looked at and kept. */
static int take(void *context, struct span bytes, struct error *err)
{
    struct push_document *document = context;
    int r;

    if (bytes.size > document->maximum - document->spool.size)
        return error_set(err, -EFBIG, "more than %llu bytes",
                         (unsigned long long)document->maximum);
    r = push_room_take(&document->room, bytes.size, err);
    if (r < 0)
        return r;
    if (document->kind == PUSH_DOCUMENT_LISTING)
        r = listing_reader_feed(document->listing, bytes.bytes, bytes.size, err);
    else
        r = times_reader_feed(&document->times, bytes.bytes, bytes.size, err);
    if (r < 0)
        return r;
    return spool_add(&document->spool, bytes, err);
}

static int prepare_times(struct push_document *document, struct refusal *why, struct error *err)
{
    cleanup(object_unref_at) struct object *object = NULL;
    struct listing_count count;
    struct span listing;
    int r = push_listing_need(document->services, &document->identity, &document->push, &object,
                              &listing, why, err);

    if (r == 0)
        r = listing_count(listing, &count, err);
    if (r < 0)
        return r;
    times_reader_init(&document->times, count.entries);
    document->has_links = count.links > 0;
    document->maximum = times_size(count.entries);
    return 0;
}

int push_document_begin(struct services *services, const struct caller *caller, const char *project,
                        const char *app, const char *push_id, enum push_document_kind kind,
                        enum push_document_coding coding, uint64_t body_size,
                        struct push_document **out_document, struct refusal *why, struct error *err)
{
    cleanup(cleanup_push_document) struct push_document *document = memory_new(sizeof(*document));
    int r;

    if (document == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    document->services = services;
    document->identity = caller->identity;
    document->kind = kind;
    document->push = push_empty();
    document->is_delta = coding == PUSH_DOCUMENT_DELTA;
    push_room_init(&document->room, services);
    spool_init(&document->spool, services->scratch_path);
    delta_body_init(&document->delta, services, services->listing_max);
    r = push_enter(services, caller, project, app, push_id, &document->push, why, err);
    if (r == 0)
        r = push_check_room(services, body_size, why, err);
    if (r < 0)
        return r;
    document->maximum = services->listing_max;
    if (kind == PUSH_DOCUMENT_LISTING)
        r = listing_reader_new(&document->listing, NULL, NULL, err);
    else
        r = prepare_times(document, why, err);
    if (r == 0 && coding == PUSH_DOCUMENT_ZSTD)
        r = zstd_reader_new(&document->zstd, document->maximum, take, document, err);
    if (r < 0)
        return r;
    if (document->zstd != NULL)
        zstd_reader_limit_window(document->zstd, UPLOAD_DOCUMENT_WINDOW_LOG);
    *out_document = take_pointer(&document);
    return 0;
}

int push_document_add(struct push_document *document, struct span bytes, struct refusal *why,
                      struct error *err)
{
    int r;

    if (document->is_delta)
        return delta_body_add(&document->delta, bytes, why, err);
    if (document->zstd != NULL)
        r = zstd_reader_add(document->zstd, bytes, err);
    else
        r = take(document, bytes, err);
    return r < 0 ? refuse(r, why, err) : 0;
}

static int refuse_digest(const struct digest *expected, const struct digest *actual,
                         struct refusal *why, struct error *err)
{
    if (why != NULL) {
        why->expected = *expected;
        why->actual = *actual;
    }
    return refusal_set(why, REFUSAL_DIGEST_MISMATCH,
                       error_set(err, -EBADMSG, "the body has another SHA-256 than was said"));
}

static int end_listing(struct push_document *document, struct refusal *why, struct error *err)
{
    struct services *services = document->services;
    const struct blob_scope scope = push_scope(&document->identity);
    struct push *push = &document->push;
    struct listing_totals totals;
    struct span bytes;
    int r = listing_reader_end(document->listing, &totals, err);

    if (r < 0)
        return refuse(r, why, err);
    if (document->is_delta && !digest_equal(&document->promised, &totals.content))
        return refuse_digest(&document->promised, &totals.content, why, err);
    if (push->has_content && !digest_equal(&push->content, &totals.content))
        return refuse_digest(&push->content, &totals.content, why, err);
    r = spool_bytes(&document->spool, &bytes, err);
    if (r == 0)
        r = deposit_bytes(services, push->number, &scope, &totals.content, bytes, err);
    if (r < 0)
        return push_result_of(r, why, err);
    return push_files_want(services, &document->identity, push, &totals.content, bytes,
                           totals.file_count, why, err);
}

/* What only the listing tells of times: a link has none. */
static int check_links(struct push_document *document, struct span bytes, struct refusal *why,
                       struct error *err)
{
    cleanup(object_unref_at) struct object *object = NULL;
    cleanup_memory struct listing_cursor *cursor = memory_new(sizeof(*cursor));
    struct span listing;
    struct entry entry;
    struct times times;
    uint64_t index = 0;
    int r;

    if (cursor == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = push_listing_need(document->services, &document->identity, &document->push, &object,
                          &listing, why, err);
    if (r == 0)
        r = times_open(bytes, document->times.count, &times, err);
    if (r == 0)
        r = listing_cursor_init(cursor, listing, err);
    while (r == 0 && (r = listing_cursor_next(cursor, &entry, err)) > 0) {
        r = 0;
        if (entry.kind == ENTRY_LINK && times_get(&times, index) != 0)
            return refuse(error_set(err, -EBADMSG, "offset %llu: a link's time is 0",
                                    (unsigned long long)times_size(index)),
                          why, err);
        index++;
    }
    return r;
}

static int end_times(struct push_document *document, struct refusal *why, struct error *err)
{
    struct services *services = document->services;
    const struct blob_scope scope = push_scope(&document->identity);
    struct push *push = &document->push;
    struct digest sha256;
    struct span bytes;
    int r = times_reader_end(&document->times, &sha256, err);

    if (r < 0)
        return refuse(r, why, err);
    if (document->is_delta && !digest_equal(&document->promised, &sha256))
        return refuse_digest(&document->promised, &sha256, why, err);
    if (push->has_times && !digest_equal(&push->times, &sha256))
        return refuse_digest(&push->times, &sha256, why, err);
    r = spool_bytes(&document->spool, &bytes, err);
    if (r == 0 && document->has_links)
        r = check_links(document, bytes, why, err);
    if (r < 0)
        return r;
    r = deposit_bytes(services, push->number, &scope, &sha256, bytes, err);
    if (r == 0)
        r = push_part_set(services->database, push->number, PUSH_PART_TIMES, &sha256, err);
    return push_result_of(r, why, err);
}

/* What the delta makes, for the readers to judge. */
struct making {
    struct push_document *document;
    struct refusal *why;
};

static int take_made(void *context, const void *bytes, size_t size, struct error *err)
{
    struct making *making = context;
    int r = take(making->document, span_of(bytes, size), err);

    return r < 0 ? refuse(r, making->why, err) : 0;
}

static int end_delta(struct push_document *document, struct refusal *why, struct error *err)
{
    struct making making = { document, why };
    struct delta_header header;
    int r = delta_body_header(&document->delta, &header, why, err);

    if (r < 0)
        return r;
    document->promised = header.target;
    return delta_body_make(&document->delta, document->push.number, &document->identity, &header,
                           (struct sink){ take_made, &making }, why, err);
}

static int end_alone(struct push_document *document, struct refusal *why, struct error *err)
{
    int r = push_look_again(document->services, &document->push, why, err);

    if (r < 0)
        return r;
    return document->kind == PUSH_DOCUMENT_LISTING ? end_listing(document, why, err)
                                                   : end_times(document, why, err);
}

int push_document_end(struct push_document *document, struct refusal *why, struct error *err)
{
    struct services *services = document->services;
    const int64_t number = document->push.number;
    struct span name = span_of(&number, sizeof(number));
    int r = 0;

    if (document->is_delta)
        r = end_delta(document, why, err);
    if (r < 0)
        return r;
    if (document->zstd != NULL)
        r = zstd_reader_end(document->zstd, err);
    if (r < 0)
        return refuse(r, why, err);
    r = push_check_room(services, document->spool.size, why, err); /* the store's copy */
    if (r == 0)
        r = busy_enter(services, name, why, err);
    if (r < 0)
        return r;
    r = end_alone(document, why, err);
    busy_leave(services, name);
    return r;
}

struct push_document *push_document_free(struct push_document *document)
{
    if (document == NULL)
        return NULL;
    zstd_reader_free(document->zstd);
    delta_body_release(&document->delta);
    listing_reader_free(document->listing);
    spool_release(&document->spool);
    push_release(&document->push);
    return memory_free(document);
}
