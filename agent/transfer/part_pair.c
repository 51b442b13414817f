/* SPDX-License-Identifier: MIT */
#include "agent/transfer/part_pair.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"

static struct part_call *current_of(struct part_pair *pair)
{
    return &pair->parts[pair->current];
}

static struct part_call *ahead_of(struct part_pair *pair)
{
    return &pair->parts[1 - pair->current];
}

static void forget(struct part_call *part)
{
    struct api_call *call = part->call;

    part->call = NULL; /* on_part() sees that nobody waits for it */
    part->is_done = false;
    if (call != NULL)
        api_call_cancel(call);
}

void part_pair_begin(struct part_pair *pair, int fd)
{
    pair->parts[0] = pair->parts[1] = (struct part_call){ .pair = pair };
    pair->current = 0;
    pair->is_welcome = false;
    pair->fd = fd;
}

void part_pair_end(struct part_pair *pair)
{
    forget(&pair->parts[0]);
    forget(&pair->parts[1]);
}

uint64_t part_pair_reached(const struct part_pair *pair)
{
    const struct part_call *part = &pair->parts[pair->current];
    uint64_t sent = part->call != NULL ? api_call_sent(part->call) : 0;

    /* Of a packed part as much of the file as of the frame, more or less. */
    if (part->body_size > 0 && part->body_size != part->size)
        sent = (uint64_t)((double)sent / (double)part->body_size * (double)part->size);
    return part->call == NULL ? 0 : part->offset + (sent < part->size ? sent : part->size);
}

size_t part_pair_calls(const struct part_pair *pair)
{
    return (size_t)(pair->parts[0].call != NULL) + (pair->parts[1].call != NULL);
}

struct http_body part_pair_body(int fd, uint64_t offset, uint64_t size)
{
    if (size == 0)
        return (struct http_body){ .kind = HTTP_BODY_SPAN, .span = span_of("", 0) };
    return (struct http_body){ .kind = HTTP_BODY_FILE, .size = size, .fd = fd, .offset = offset };
}

bool part_pair_is_busy(const struct api_answer *answer)
{
    return strcmp(answer->problem.code, "push-busy") == 0;
}

static bool is_too_early(const struct api_answer *answer)
{
    return part_pair_is_busy(answer) || strcmp(answer->problem.code, "offset-mismatch") == 0;
}

static void send_ahead(struct part_pair *pair);

/* The one ahead was answered first: it is done (the other answer is late), or it was refused, or it
 * broke off; then it goes again when its turn comes. */
static void on_ahead(struct part_call *part, const struct api_answer *answer)
{
    part->is_done =
        answer->code == 0 && api_push_part_offset(answer, &part->done_offset, NULL) == 0;
    *part->pair->in_order |= part_pair_is_busy(answer);
}

/* The part ahead is the next one, when it begins where the server stands. */
static void on_current(struct part_pair *pair, uint64_t offset)
{
    struct part_call *ahead = ahead_of(pair);
    bool fits = ahead->offset == offset;

    pair->is_welcome = true;
    if (fits && ahead->call != NULL) {
        pair->current = 1 - pair->current;
        pair->on_taken(pair->context, offset, true);
        if (ahead->call != NULL && ahead->has_left) /* not ended from there */
            send_ahead(pair);
        return;
    }
    if (fits && ahead->is_done && ahead->done_offset > offset &&
        ahead->done_offset <= pair->sent.total)
        offset = ahead->done_offset;
    forget(ahead);
    pair->on_taken(pair->context, offset, false);
}

static void refuse(struct part_pair *pair, const struct api_answer *answer)
{
    bool too_early = current_of(pair)->was_ahead && is_too_early(answer);

    if (!too_early)
        pair->is_welcome = false; /* a line that breaks would break what is ahead, too */
    forget(ahead_of(pair));
    *pair->in_order |= too_early && part_pair_is_busy(answer);
    pair->on_refused(pair->context, answer, too_early);
}

static void refuse_offset(struct part_pair *pair, const struct api_answer *answer)
{
    struct api_answer impossible = *answer;

    impossible.code = error_set(&impossible.err, -EBADMSG, "the server tells an impossible offset");
    forget(ahead_of(pair));
    pair->on_refused(pair->context, &impossible, false);
}

static void on_part(void *context, const struct api_answer *answer)
{
    struct part_call *part = context;
    struct part_pair *pair = part->pair;
    uint64_t offset = 0;

    if (part->call == NULL) /* it was given up */
        return;
    part->call = NULL;
    if (part != current_of(pair))
        on_ahead(part, answer);
    else if (answer->code != 0)
        refuse(pair, answer);
    else if (api_push_part_offset(answer, &offset, NULL) < 0 || offset > pair->sent.total ||
             (offset <= part->offset && pair->sent.total > 0))
        refuse_offset(pair, answer);
    else
        on_current(pair, offset);
}

static void on_sent(void *context)
{
    struct part_call *part = context;

    part->has_left = true;
    if (part == current_of(part->pair))
        send_ahead(part->pair);
}

static int start(struct part_call *part, uint64_t offset, uint64_t size, struct http_body body,
                 struct error *err)
{
    struct part_pair *pair = part->pair;
    struct api_push_part sent = pair->sent;

    sent.offset = offset;
    sent.on_sent = on_sent;
    *part = (struct part_call){ .pair = pair,
                                .offset = offset,
                                .size = size,
                                .body_size = body.size,
                                .was_ahead = part != current_of(pair) };
    return api_push_part_start(pair->client, pair->spec, pair->id, &sent, body, on_part, part,
                               &part->call, err);
}

int part_pair_start(struct part_pair *pair, const struct api_push_part *sent, uint64_t size,
                    struct http_body body, struct error *err)
{
    pair->sent = *sent;
    return start(current_of(pair), sent->offset, size, body, err);
}

/* The part behind the current one. What goes in zstd is made one at a time, and what has no digest
 * yet needs one for its last part. */
static void send_ahead(struct part_pair *pair)
{
    const struct part_call *current = current_of(pair);
    uint64_t offset = current->offset + current->size, left = pair->sent.total - offset;
    uint64_t size = left < pair->part_size ? left : pair->part_size;

    if (size == 0 || !pair->is_welcome || current->size < PART_PAIR_MIN || pair->fd < 0 ||
        pair->sent.unpacked > 0 || *pair->in_order || ahead_of(pair)->call != NULL ||
        (size == left && pair->sent.sha256 == NULL) || !pair->may_send_ahead(pair->context))
        return;
    /* Without it the part goes when its turn has come. */
    start(ahead_of(pair), offset, size, part_pair_body(pair->fd, offset, size), NULL);
}
