/* SPDX-License-Identifier: MIT */
#include "fs/usage/lease_book.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/utf8.h"
#include "common/codec/digest.h"
#include "fs/usage/lease_book_private.h"

#define PLACE_MAX_SIZE 1024
#define BASE_MAX_SIZE (PLACE_MAX_SIZE - VERSION_KEY_SIZE)
#define ITEM_BYTES 256                     /* of a lease in JSON beside its place, at most */
#define REQUEST_BYTES ((size_t)900 * 1024) /* of all of them */

/* Nothing in it has to be escaped, so that its length is what it takes. */
static bool is_plain(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < ' ' || *at == '"' || *at == '\\' || *at == 0x7f)
            return false;
    return utf8_is_valid(span_text(text));
}

static char *base_of(const char *mountpoint)
{
    cleanup(buf_release) struct buf base = buf_init(PLACE_MAX_SIZE);
    char hex[DIGEST_HEX_SIZE];
    struct digest digest;

    if (strlen(mountpoint) <= BASE_MAX_SIZE && is_plain(mountpoint))
        return memory_text(mountpoint);
    digest = digest_of_span(span_text(mountpoint));
    digest_hex(&digest, hex);
    buf_format(&base, "mount-%s", hex);
    return buf_take(&base);
}

int lease_book_new(struct lease_book **out_book, const struct lease_book_options *options,
                   struct error *err)
{
    struct lease_book *book = memory_new(sizeof(*book));

    if (book == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    book->by_names = map_init();
    book->is_silent = options->is_silent;
    book->is_former = options->is_former && !options->is_silent && !options->alone;
    book->alone = options->alone;
    book->pace = (struct lease_pace){ .again_ms = LEASE_BOOK_AGAIN_MS, .due_ms = UINT64_MAX };
    book->soon_ms = UINT64_MAX;
    book->host = memory_text(options->host);
    book->base = base_of(options->mountpoint);
    if (book->host == NULL || book->base == NULL) {
        lease_book_free(book);
        return error_set(err, -ENOMEM, "out of memory");
    }
    *out_book = book;
    return 0;
}

static void line_free(struct lease_line *line)
{
    memory_free(line->place);
    memory_free(line);
}

static void end_round(struct lease_book *book)
{
    for (size_t i = 0; i < book->count; i++)
        book->lines[i]->is_in_round = false;
    book->round = memory_free(book->round);
    book->items = memory_free(book->items);
    book->round_count = book->round_at = book->asked = 0;
    book->in_round = false;
}

struct lease_book *lease_book_free(struct lease_book *book)
{
    if (book == NULL)
        return NULL;
    end_round(book);
    for (size_t i = 0; i < book->count; i++)
        line_free(book->lines[i]);
    memory_free(book->lines);
    map_release(&book->by_names);
    memory_free(book->host);
    memory_free(book->base);
    return memory_free(book);
}

struct lease_line *lease_book_line(const struct lease_book *book, const struct version_names *names)
{
    char room[VERSION_KEY_SIZE];

    return map_get(&book->by_names, version_names_key(names, room));
}

static char *place_of(const struct lease_book *book, const struct version_names *names)
{
    cleanup(buf_release) struct buf place = buf_init(PLACE_MAX_SIZE + 1);

    buf_format(&place, "%s/%s/%s/%s", book->base, names->project, names->app, names->version);
    return buf_take(&place);
}

static struct lease_line *add_line(struct lease_book *book, const struct version_names *names)
{
    struct lease_line *line = memory_new(sizeof(*line)), **grown;
    char room[VERSION_KEY_SIZE];

    if (line == NULL)
        return NULL;
    line->names = *names;
    line->state = "remote";
    line->place = place_of(book, names);
    if (book->count == book->capacity) {
        grown = memory_resize(book->lines, book->capacity * 2 + 16, sizeof(*grown));
        if (grown != NULL) {
            book->lines = grown;
            book->capacity = book->capacity * 2 + 16;
        }
    }
    if (line->place == NULL || book->count == book->capacity ||
        map_set(&book->by_names, version_names_key(names, room), line, NULL) < 0) {
        line_free(line);
        return NULL;
    }
    book->lines[book->count++] = line;
    return line;
}

/* Takes away lines that are neither in use nor held. */
static void drop_unused(struct lease_book *book)
{
    char room[VERSION_KEY_SIZE];
    size_t kept = 0;

    for (size_t i = 0; i < book->count; i++) {
        struct lease_line *line = book->lines[i];

        if (line->reasons != 0 || line->kind == LEASE_HELD) {
            book->lines[kept++] = line;
            continue;
        }
        map_remove(&book->by_names, version_names_key(&line->names, room));
        line_free(line);
    }
    book->count = kept;
}

const char *lease_mode_of(const struct lease_line *line)
{
    return (line->reasons & IN_USE_ATTACHED) != 0 ? "attach" : "mount";
}

/* True when the server should hear of it. */
static bool take_reasons(struct lease_line *line)
{
    const unsigned before = line->reasons;
    const bool is_used = line->next_reasons != 0;

    line->reasons = line->next_reasons;
    line->next_reasons = 0;
    if (line->kind != LEASE_HELD)
        return is_used && line->kind == LEASE_NONE;
    if (!is_used)
        return true;
    /* What was being brought is there now, as a rule. */
    line->is_doubtful = line->is_doubtful || (before & ~line->reasons & IN_USE_PREFETCHING) != 0 ||
                        strcmp(line->said_mode, lease_mode_of(line)) != 0;
    return line->is_doubtful;
}

/* There is nothing to be said until a version is used again. */
static void forget_pace(struct lease_book *book)
{
    book->soon_ms = book->pace.due_ms = UINT64_MAX;
    book->pace.failures = 0;
    book->knows_no_leases = false;
}

int lease_book_update(struct lease_book *book, const struct in_use *set, uint64_t now_ms,
                      uint32_t random, struct error *err)
{
    bool is_wanted = book->is_former && book->pace.due_ms == UINT64_MAX;
    int r = set->has_failed ? -ENOMEM : 0;

    for (size_t i = 0; r == 0 && i < set->count; i++) {
        const struct in_use_item *item = &set->items[i];
        struct lease_line *line = lease_book_line(book, &item->names);

        if (line == NULL)
            line = add_line(book, &item->names);
        if (line == NULL) {
            r = -ENOMEM;
            break;
        }
        line->next_reasons = item->reasons;
        if (item->state != NULL)
            line->state = item->state;
    }
    if (r < 0) /* what is not known to be unused is not released */
        for (size_t i = 0; i < book->count; i++)
            book->lines[i]->next_reasons |= book->lines[i]->reasons;
    for (size_t i = 0; i < book->count; i++)
        is_wanted = take_reasons(book->lines[i]) || is_wanted;
    if (is_wanted && book->soon_ms == UINT64_MAX)
        book->soon_ms = now_ms + LEASE_BOOK_SOON_MS + random % (3 * LEASE_BOOK_SOON_MS);
    if (!book->in_round) {
        drop_unused(book);
        if (book->count == 0 && !book->is_former)
            forget_pace(book);
    }
    return r < 0 ? error_set(err, r, "out of memory") : 0;
}

uint64_t lease_book_due_ms(const struct lease_book *book)
{
    if (book->is_silent)
        return UINT64_MAX;
    if (book->in_round)
        return book->step_ms;
    if (book->pace.failures > 0 || book->knows_no_leases || book->soon_ms > book->pace.due_ms)
        return book->pace.due_ms;
    return book->soon_ms;
}

bool lease_book_is_saying(const struct lease_book *book)
{
    return book->in_round;
}

static int begin_round(struct lease_book *book, uint64_t now_ms, struct error *err)
{
    const bool is_renewal = book->pace.due_ms <= now_ms;

    book->round = memory_array(book->count + 1, sizeof(*book->round));
    book->items = memory_array(API_LEASES_MAX, sizeof(*book->items));
    if (book->round == NULL || book->items == NULL) {
        end_round(book);
        return error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < book->count; i++) {
        struct lease_line *line = book->lines[i];

        if (is_renewal && line->kind == LEASE_REFUSED)
            line->kind = LEASE_NONE;
        if (line->reasons == 0 || line->kind == LEASE_REFUSED)
            continue;
        line->is_in_round = true;
        book->round[book->round_count++] = line;
    }
    book->in_round = true;
    book->soon_ms = UINT64_MAX;
    return 0;
}

/* Where what is not said is released; NULL: nowhere. */
static const char *within_of(const struct lease_book *book)
{
    if (!book->alone)
        return book->base;
    return book->count == 1 ? book->lines[0]->place : NULL;
}

int lease_book_next(struct lease_book *book, uint64_t now_ms, struct api_leases *out,
                    struct error *err)
{
    size_t bytes = 0, count = 0;
    int r = book->in_round ? 0 : begin_round(book, now_ms, err);

    if (r < 0)
        return r;
    for (size_t i = book->round_at; i < book->round_count && count < API_LEASES_MAX; i++) {
        const struct lease_line *line = book->round[i];

        bytes += strlen(line->place) + ITEM_BYTES + VERSION_KEY_SIZE;
        if (bytes > REQUEST_BYTES)
            break;
        book->items[count++] = (struct api_lease_item){ .project = line->names.project,
                                                        .app = line->names.app,
                                                        .version = line->names.version,
                                                        .place = line->place,
                                                        .mode = lease_mode_of(line),
                                                        .state = line->state };
    }
    book->asked = count;
    *out = (struct api_leases){ .host = book->host,
                                .items = book->items,
                                .count = count,
                                .within = count == book->round_count ? within_of(book) : NULL };
    return 0;
}

static void take_held(struct lease_book *book, int64_t now_s)
{
    for (size_t i = 0; i < book->asked; i++) {
        struct lease_line *line = book->round[book->round_at + i];

        line->kind = LEASE_HELD;
        line->said_mode = book->items[i].mode;
        line->is_doubtful = false;
        line->renewed_at_s = now_s;
        line->refusal = (struct error){ 0 };
    }
}

static void take_success(struct lease_book *book, const struct api_leases_answer *answer,
                         uint64_t now_ms, int64_t now_s, uint32_t random)
{
    const bool was_all = book->asked == book->round_count;

    take_held(book, now_s);
    book->round_at += book->asked;
    book->knows_no_leases = false;
    book->failure = (struct error){ 0 };
    book->step_ms = now_ms;
    if (book->round_at < book->round_count)
        return;
    for (size_t i = 0; was_all && i < book->count; i++)
        if (!book->lines[i]->is_in_round && book->lines[i]->kind == LEASE_HELD)
            book->lines[i]->kind = LEASE_NONE;
    end_round(book);
    drop_unused(book);
    book->is_former = book->is_former && !was_all;
    book->renewed_at_s = now_s;
    lease_pace_said(&book->pace, answer->renew_in_s, now_ms, random);
}

/* The others are said without it. */
static void take_refusal(struct lease_book *book, const struct api_leases_answer *answer,
                         uint64_t now_ms)
{
    const size_t at = book->round_at + answer->refused;
    struct lease_line *line = book->round[at];

    line->kind = LEASE_REFUSED;
    line->is_in_round = false;
    line->refusal = answer->err;
    memmove(&book->round[at], &book->round[at + 1],
            (book->round_count - at - 1) * sizeof(struct lease_line *));
    book->round_count--;
    book->step_ms = now_ms + LEASE_BOOK_NEXT_MS;
}

void lease_book_answer(struct lease_book *book, const struct api_leases_answer *answer,
                       uint64_t now_ms, int64_t now_s, uint32_t random)
{
    if (answer->code == 0) {
        take_success(book, answer, now_ms, now_s, random);
    } else if (answer->refused < book->asked) {
        take_refusal(book, answer, now_ms);
    } else {
        end_round(book);
        book->failure = answer->err;
        book->knows_no_leases = answer->code == -ENOENT;
        if (book->knows_no_leases)
            lease_pace_said(&book->pace, 0, now_ms, random);
        else
            lease_pace_failed(&book->pace, answer->retry_after_ms, now_ms, random);
    }
}

bool lease_book_release(const struct lease_book *book, struct api_leases *out)
{
    bool holds = book->is_former || book->in_round;
    const char *within = within_of(book);

    for (size_t i = 0; !holds && i < book->count; i++)
        holds = book->lines[i]->kind == LEASE_HELD;
    holds = holds && !book->is_silent && within != NULL;
    if (holds)
        *out = (struct api_leases){ .host = book->host, .within = within };
    return holds;
}
