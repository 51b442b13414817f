/* SPDX-License-Identifier: MIT */
/* The requests of a transfer: the first, and the one to another server that is made when it does
 * not get on. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/client/blob_fetch_private.h"

#define STALL_S 10
#define STALL_BYTES 256         /* a second: less is as good as nothing */
#define CRAWL_BYTES 4096        /* ... when another server could be asked */
#define ALIVE_BYTES (64 * 1024) /* the other request is not needed after all */
#define CROWD 8 /* requests to a server that are not waiting for a connection of ours */

struct leg *leg_other(struct leg *leg)
{
    return leg == &leg->transfer->legs[0] ? &leg->transfer->legs[1] : &leg->transfer->legs[0];
}

void leg_drop(struct leg *leg)
{
    if (leg->request == NULL)
        return;
    leg->is_dropped = true;
    http_request_cancel(leg->request);
}

/* Whether it is the server that it waits for, and not a connection that others use. */
static bool is_at_server(const struct leg *leg)
{
    return http_request_is_sent(leg->request) || leg->transfer->engine->legs[leg->server] <= CROWD;
}

/* The first right answer wins ----------------------------------------------- */

/* The piece at hand begins anew. */
static void begin_anew(struct transfer *transfer)
{
    struct piece *piece;

    if (transfer_is_collected(transfer)) {
        transfer->at = transfer->begin;
        buf_clear(&transfer->collected);
        return;
    }
    transfer->at -= transfer->at % BLOB_PIECE_SIZE;
    piece = piece_find(transfer->object, transfer->at / BLOB_PIECE_SIZE);
    if (piece != NULL && piece->state == PIECE_FETCHING)
        piece->filled = 0;
}

static void take_the_lead(struct leg *leg)
{
    struct transfer *transfer = leg->transfer;
    struct api_client *client = transfer->engine->client;
    struct leg *former = transfer->lead;
    char why[SERVER_CAUSE_SIZE];

    transfer->lead = leg;
    transfer->is_paused = false;
    if (former->request == NULL)
        return;
    if (is_at_server(former)) {
        (void)snprintf(why, sizeof(why), "%.100s was faster",
                       api_client_server(client, leg->server));
        api_client_note(client, former->server, SERVER_OVERTAKEN, why);
    }
    begin_anew(transfer);
    leg_drop(former);
}

static int on_headers(void *context, int status, const struct http_headers *headers,
                      struct error *err)
{
    struct leg *leg = context;
    struct transfer *transfer = leg->transfer;
    struct blob_fetch *engine = transfer->engine;
    int r = leg_check_answer(leg, status, headers, err);

    if (r < 0)
        return r;
    if (is_at_server(leg))
        servers_note_latency(api_client_servers(engine->client), leg->server,
                             clock_monotonic_ms() - leg->started_ms);
    if (transfer->lead != leg)
        take_the_lead(leg);
    else
        leg_drop(leg_other(leg));
    transfer->watched_at = leg->at;
    transfer->watched_ms = clock_monotonic_ms();
    return 0;
}

/* Bytes --------------------------------------------------------------------- */

/* Up to the next border of a piece. HTTP_PAUSE: no memory for it now. */
static int take_some(struct leg *leg, struct span *bytes, struct error *err)
{
    struct transfer *transfer = leg->transfer;
    struct piece *piece;
    uint64_t in_piece = transfer->at % BLOB_PIECE_SIZE;
    size_t size;

    if (transfer->at == transfer->end)
        return leg_wrong(leg, err, "more bytes than it was asked for", NULL);
    piece = piece_find(transfer->object, transfer->at / BLOB_PIECE_SIZE);
    if (piece == NULL || piece->state != PIECE_FETCHING)
        return error_set(err, -ECANCELED, "nobody wants it any more");
    if (piece->buffer == NULL && !piece_get_buffer(piece))
        return HTTP_PAUSE;
    size = piece->size - (size_t)in_piece;
    if (size > bytes->size)
        size = bytes->size;
    piece->server = leg->server;
    memcpy(piece->buffer + in_piece, bytes->bytes, size);
    *bytes = span_slice(*bytes, size, SIZE_MAX);
    transfer->at += size;
    piece->filled += size;
    if (piece->filled == piece->size)
        piece_is_whole(piece);
    return 0;
}

static int collect(struct leg *leg, struct span bytes, struct error *err)
{
    struct transfer *transfer = leg->transfer;
    int r;

    buf_add_span(&transfer->collected, bytes);
    transfer->at += bytes.size;
    r = buf_check(&transfer->collected, err);
    return r == -EFBIG ? leg_wrong(leg, err, "more bytes than it was asked for", NULL) : r;
}

/* Bytes that came before a pause, or from the other leg, come again and are passed over. */
static int on_body(void *context, struct span bytes, struct error *err)
{
    struct leg *leg = context;
    struct transfer *transfer = leg->transfer;
    size_t whole = bytes.size;
    int r = 0;

    assert(leg == transfer->lead && leg->at <= transfer->at);
    if (leg->at < transfer->at)
        bytes =
            span_slice(bytes,
                       transfer->at - leg->at < whole ? (size_t)(transfer->at - leg->at) : whole,
                       SIZE_MAX);
    if (transfer_is_collected(transfer) && bytes.size > 0)
        r = collect(leg, bytes, err);
    while (!transfer_is_collected(transfer) && bytes.size > 0 && r == 0)
        r = take_some(leg, &bytes, err);
    if (r == HTTP_PAUSE) {
        transfer->is_paused = true;
        transfer->paused_ms = clock_monotonic_ms();
    }
    if (r != 0)
        return r;
    leg->at += whole;
    if (leg->at >= transfer->watched_at + ALIVE_BYTES)
        leg_drop(leg_other(leg)); /* this one lives */
    return 0;
}

/* Ends ---------------------------------------------------------------------- */

/* The other one may do what this one did not; a refusal ends both. */
static bool goes_on(struct leg *leg, int code)
{
    struct leg *other = leg_other(leg);

    if (code == 0 || code == -ECANCELED || other->request == NULL)
        return false;
    return leg->is_wrong || leg->is_strange || leg->status < 400 ||
           retry_judge(0, leg->status) == RETRY_NEXT;
}

static void on_done(void *context, const struct http_result *result)
{
    struct leg *leg = context;
    struct transfer *transfer = leg->transfer;
    struct blob_fetch *engine = transfer->engine;
    struct http_result told = *result;
    struct error err = result->err;
    int code = result->code;

    leg->request = NULL;
    engine->legs[leg->server]--;
    atomic_fetch_add(&engine->fetched_bytes, result->received);
    if (leg->is_dropped)
        return;
    if (leg->is_wrong)
        told.code = 0; /* what it is counted for is not that */
    if (!leg->is_strange)
        api_client_report(engine->client, leg->server, &told, leg->retry_after_ms);
    if (code == 0 && transfer->at < transfer->end)
        code = leg_wrong(leg, &err, "fewer bytes than it was asked for", NULL);
    if (goes_on(leg, code)) {
        if (leg->is_wrong)
            engine_note_wrong(engine, leg->server, -EIO, &err);
        object_note_failure(transfer->object, &err);
        if (transfer->lead == leg) {
            transfer->lead = leg_other(leg);
            transfer->is_paused = false;
            begin_anew(transfer);
        }
        return;
    }
    leg_drop(leg_other(leg));
    transfer_ended(leg, code, &err);
}

/* Starts -------------------------------------------------------------------- */

int leg_start(struct leg *leg, struct transfer *transfer, size_t server, uint64_t begin,
              struct error *err)
{
    struct blob_fetch *engine = transfer->engine;
    struct blob_object *object = transfer->object;
    cleanup(buf_release) struct buf url = buf_init(16 * 1024);
    struct http_header headers[4];
    struct http_request_spec spec = { .method = HTTP_GET };
    char range[64];
    int r;

    *leg = (struct leg){ .transfer = transfer,
                         .server = server,
                         .begin = begin,
                         .at = begin,
                         .started_ms = clock_monotonic_ms(),
                         .is_begun = true };
    pthread_mutex_lock(&engine->lock);
    r = api_client_prepare(engine->client, server, object->tried,
                           transfer_is_of_merkle(transfer) ? object->merkle_path : object->path,
                           &url, &spec, err);
    transfer->path_number = object->path_number;
    pthread_mutex_unlock(&engine->lock);
    if (r < 0)
        return r;
    if (!leg_is_whole(leg)) {
        (void)snprintf(range, sizeof(range), "bytes=%llu-%llu", (unsigned long long)begin,
                       (unsigned long long)transfer->end - 1);
        headers[spec.header_count++] = (struct http_header){ "Range", range };
    }
    if (transfer->is_around) {
        headers[spec.header_count++] = (struct http_header){ "Cache-Control", "no-cache" };
        headers[spec.header_count++] = (struct http_header){ "Pragma", "no-cache" };
    }
    spec.headers = headers;
    spec.stall_s = STALL_S;
    spec.stall_bytes = STALL_BYTES;
    spec.new_connection = transfer->is_around;
    spec.on_headers = on_headers;
    spec.on_body = on_body;
    spec.on_done = on_done;
    spec.context = leg;
    r = http_request_start(engine->loop, &spec, &leg->request, err);
    if (r < 0)
        return r;
    atomic_fetch_add(&engine->requests, 1);
    engine->legs[server]++;
    return 0;
}

/* The watch over the lead ---------------------------------------------------- */

/* Whether somebody waits for anything of it. */
static bool is_awaited(const struct transfer *transfer)
{
    if (transfer->is_blocks)
        return transfer->reader != NULL;
    for (const struct blob_read *read = transfer->object->reads; read != NULL; read = read->next) {
        if (read->out != NULL &&
            (transfer->is_levels || (transfer->is_bottoms && read->is_sparse) ||
             (read->offset + read->at < transfer->end && read->offset + read->size > transfer->at)))
            return true;
    }
    return false;
}

static bool is_stuck(struct transfer *transfer, uint64_t now_ms)
{
    struct servers *servers = api_client_servers(transfer->engine->client);
    struct leg *lead = transfer->lead;
    uint64_t stall_ms = servers_policy_of(servers)->stall, came;

    if (lead->status == 0)
        return now_ms - lead->started_ms >= servers_hedge_ms(servers, lead->server);
    if (now_ms - transfer->watched_ms < stall_ms)
        return false;
    came = lead->at - transfer->watched_at;
    transfer->watched_at = lead->at;
    transfer->watched_ms = now_ms;
    return came < stall_ms * CRAWL_BYTES / 1000;
}

static void ask_another(struct transfer *transfer, uint64_t now_ms)
{
    struct leg *lead = transfer->lead;
    size_t other;

    if (!servers_hedge(api_client_servers(transfer->engine->client), lead->server,
                       transfer->object->tried, now_ms, &other))
        return;
    leg_start(leg_other(lead), transfer, other,
              transfer_is_collected(transfer) ? transfer->begin
                                              : transfer->at - transfer->at % BLOB_PIECE_SIZE,
              NULL); /* the lead goes on alone when it cannot be */
}

static void look(void *context)
{
    struct transfer *transfer = context;
    uint64_t now_ms = clock_monotonic_ms();

    if (!transfer->is_paused && is_awaited(transfer) && is_stuck(transfer, now_ms))
        ask_another(transfer, now_ms);
    transfer_watch(transfer);
}

void transfer_watch(struct transfer *transfer)
{
    struct servers *servers = api_client_servers(transfer->engine->client);
    const struct servers_policy *policy = servers_policy_of(servers);
    struct leg *lead = transfer->lead;
    uint64_t wait_ms = policy->stall, now_ms = clock_monotonic_ms();

    if (api_client_server_count(transfer->engine->client) == 1 || leg_other(lead)->is_begun)
        return;
    if (lead->status == 0) {
        uint64_t due_ms = lead->started_ms + servers_hedge_ms(servers, lead->server);

        wait_ms = due_ms > now_ms ? due_ms - now_ms : policy->hedge_least;
    }
    transfer->watch.function = look;
    transfer->watch.context = transfer;
    http_timer_set(transfer->engine->loop, &transfer->watch, now_ms + wait_ms);
}
