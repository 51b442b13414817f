/* SPDX-License-Identifier: MIT */
/* From the open of a complete file to its backing file: hashed, sent to the holder, waited for. */
#include <errno.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/blob_cache.h"
#include "fs/ops/opens_private.h"
#include "fs/reads/read_log.h"

#define NOTED_WHOLE (READ_LOG_UNITS * (uint64_t)BLOB_PIECE_SIZE)
#define CHECKED_AT_ONCE ((uint64_t)1 << 20) /* hashed by the thread that read the request */

struct check {
    struct opens *opens;
    struct blob_entry *entry; /* a reference */
    uint64_t number;
    int result;
};

static void check_failed(void *context)
{
    struct check *check = context;

    ops_backing_came(check->opens->ops, check->number, check->result, 0);
    memory_free(check);
}

/* Nobody waits any more: 0, and nothing is sent. */
static int send_file(struct opens *opens, uint64_t number, int file)
{
    struct asked *asked;
    int r = 0;

    pthread_mutex_lock(&opens->lock);
    asked = opens_asked_numbered(opens, number);
    if (asked != NULL) {
        asked->sent = true;
        r = opens->options.backing_open(opens->options.context, number, file);
    }
    pthread_mutex_unlock(&opens->lock);
    return r;
}

/* Those who wait go through the page cache; out of memory: when their patience ends. */
static void fail_later(struct opens *opens, uint64_t number, int result)
{
    struct check *failed = memory_new(sizeof(*failed));

    if (failed == NULL)
        return;
    *failed = (struct check){ .opens = opens, .number = number, .result = result };
    if (http_loop_post(opens->ops->options.loop, check_failed, failed) < 0)
        memory_free(failed);
}

/* Not on the loop's thread unless it is checked. */
static void open_and_send(struct opens *opens, struct blob_entry *entry, uint64_t number)
{
    cleanup_fd int file = -1;
    int r = blob_entry_open_complete(entry, &file, NULL);

    if (r == 0)
        r = send_file(opens, number, file);
    if (r < 0)
        fail_later(opens, number, r);
}

static bool check_pieces(struct opens *opens, struct blob_entry *entry)
{
    cleanup_memory uint8_t *room = memory_resize(NULL, BLOB_PIECE_SIZE, 1);
    uint64_t size = blob_entry_key(entry)->size;

    for (uint64_t piece = 0; room != NULL && piece < blob_piece_count(size); piece++)
        if (atomic_load(&opens->ended) || blob_entry_read(entry, piece * BLOB_PIECE_SIZE, room,
                                                          (size_t)blob_piece_size(size, piece)) < 0)
            return false;
    return room != NULL;
}

static void run_check(void *context)
{
    struct check *check = context;

    if (check_pieces(check->opens, check->entry))
        open_and_send(check->opens, check->entry, check->number);
    else
        fail_later(check->opens, check->number, -EAGAIN);
    blob_entry_unref(check->entry);
    memory_free(check);
}

/* `entry`: a reference, taken over. */
static void ask_for_backing(struct opens *opens, struct blob_entry *entry, uint64_t number,
                            bool on_loop)
{
    bool at_once = !on_loop && blob_entry_key(entry)->size <= CHECKED_AT_ONCE;
    struct check *check;

    if (at_once || blob_entry_is_checked(entry)) {
        open_and_send(opens, entry, number);
        blob_entry_unref(entry);
        return;
    }
    check = memory_new(sizeof(*check));
    if (check != NULL) {
        *check = (struct check){ .opens = opens, .entry = entry, .number = number };
        if (workers_try(opens->checkers, run_check, check) == 0)
            return;
    }
    memory_free(check);
    blob_entry_unref(entry);
    fail_later(opens, number, -EAGAIN);
}

/* The question waits from now on, and is its loop's. False: it was answered, memory is out. */
static bool wait_for(struct asked *asked, struct question *question)
{
    struct question *parked = question_park(question);

    if (parked == NULL)
        return false;
    parked->open.next = asked->waiting;
    asked->waiting = parked;
    return true;
}

/* NULL: it does not begin to have a backing file (locked). */
static struct asked *new_asked(struct opens *opens, uint64_t node, struct blob_entry *entry)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct asked *asked;

    if (entry == NULL || opens->why[0] != '\0' || now_ms < opens->slow_until_ms ||
        opens->asked_count >= ASKED_MAX || !open_table_may_pass(opens->options.table))
        return NULL;
    asked = memory_new(sizeof(*asked));
    if (asked == NULL)
        return NULL;
    *asked = (struct asked){ .node = node,
                             .number = ++opens->last_number,
                             .since_ms = now_ms,
                             .entry = blob_entry_ref(entry),
                             .next = opens->asked };
    opens->asked = asked;
    opens->asked_count++;
    return asked;
}

static void forget_asked(struct opens *opens, struct asked *asked)
{
    opens_unlink_asked(opens, asked);
    blob_entry_unref(asked->entry);
    memory_free(asked);
}

enum decision { DECIDED, WAITS, ASKS };

/* Locked. ASKS: the backing file of *out_number is to be asked for; the question waits. */
static enum decision decide(struct opens *opens, struct question *question,
                            struct blob_entry *entry, uint64_t *out_number)
{
    struct asked *asked;

    if (opens_grant_known(opens, question))
        return DECIDED;
    asked = opens_asked_of(opens, question->node);
    if (asked != NULL) {
        wait_for(asked, question);
        return WAITS;
    }
    asked = new_asked(opens, question->node, entry);
    if (asked == NULL) {
        opens_grant_cached(opens, question);
        return DECIDED;
    }
    *out_number = asked->number;
    if (wait_for(asked, question))
        return ASKS;
    forget_asked(opens, asked);
    return WAITS;
}

static bool can_begin(struct opens *opens)
{
    bool can;

    pthread_mutex_lock(&opens->lock);
    can = opens->options.passes && opens->why[0] == '\0';
    pthread_mutex_unlock(&opens->lock);
    return can;
}

/* Nobody sees its reads: opened is read, but for what lies behind the beginning of a large one, of
 * which programs often read a little. */
static void note_as_read(const struct question *question, uint64_t size)
{
    const struct ops_usage *usage = &question->ops->options.usage;

    usage->read(usage->context, &question->place);
    question_note_read(question, size, 0, size <= NOTED_WHOLE ? size : BLOB_PIECE_SIZE);
}

/* When it may begin to have a backing file. */
static struct blob_entry *complete_entry(struct question *question, const struct tree_node *node)
{
    struct reader_file file = { tree_mount_fetch(question->mount), node->digest_index, node->size };
    struct blob_entry *entry = NULL;

    if (node->is_manifest || node->size == 0 || !can_begin(question->ops->opens))
        return NULL;
    return reader_complete_entry(&file, &entry) == 0 ? entry : NULL;
}

void question_open(struct question *question)
{
    struct opens *opens = question->ops->opens;
    bool on_loop = question->is_parked;
    struct blob_entry *entry;
    enum decision decision;
    struct tree_node node;
    uint64_t number = 0;

    if (tree_view_node(tree_mount_view(question->mount), question->place.index, &node) < 0 ||
        node.kind != ENTRY_FILE) {
        question_fail_code(question, -EISDIR);
        return;
    }
    entry = complete_entry(question, &node);
    if (entry != NULL)
        note_as_read(question, node.size);
    pthread_mutex_lock(&opens->lock);
    decision = decide(opens, question, entry, &number);
    pthread_mutex_unlock(&opens->lock);
    if (decision == DECIDED)
        opens_reply(question);
    if (decision == ASKS)
        ask_for_backing(opens, entry, number, on_loop);
    else
        blob_entry_unref(entry);
}
