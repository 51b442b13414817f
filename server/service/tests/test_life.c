/* SPDX-License-Identifier: MIT */
/* A random life: pushes with bytes in common, some broken off and gone on with, deletions of
 * versions and of the whole app, restores, collections and promotions, with a store that fails, a
 * process that dies and a clock that jumps. After every step each version that is there has all its
 * bytes, the app is there or not, and what was answered stays; at the end, after quiet, the store
 * has what is referred to and nothing else.
 *
 *     test_life [SEED [STEPS]]
 *
 * The seed is told, and gives the same life again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "server/db/apps.h"
#include "server/db/channels.h"
#include "server/db/leases.h"
#include "server/db/tombstones.h"
#include "server/db/versions.h"
#include "server/service/collection.h"
#include "server/service/deletion.h"
#include "server/service/jobs.h"
#include "server/service/policy.h"
#include "server/service/record_store.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/service/tombstone_clearing.h"
#include "server/service/versions.h"
#include "server/storage/blob_store.h"

#define POOL 14
#define NAMES 12
#define OPEN_MAX_COUNT 3
#define HOUR_S 3600
#define DAY_S 86400
#define STEPS_MANY 500 /* from here on a life has to have had everything */

enum life { ABSENT, READY, TRASHED, PURGED };

/* A name is for ever that of its first content. */
struct named {
    char name[16];
    enum life life;
    int64_t leased_until_s; /* by its host */
    bool has_sample;
    struct sample sample;
};

/* A push that was begun and left. */
struct left_push {
    bool is_open;
    size_t name;
    struct sample sample;
    struct push_info info;
};

/* What stands on a channel, and stood there before; NULL: nothing. */
struct stand {
    const char *channel;
    const struct named *current, *previous;
};

static struct world world;
static bool app_there;
static struct stand stands[] = { { "live", NULL, NULL }, { "beta", NULL, NULL } };
static struct sample_blob pool[POOL];
static struct named names[NAMES];
static struct left_push left[OPEN_MAX_COUNT];
static uint64_t seed, state;
static unsigned long steps = 1500;
static unsigned kills, faults, collections, pushes, deletions, refusals;

static uint64_t next(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static unsigned below(unsigned limit)
{
    return (unsigned)(next() % limit);
}

/* ------------------------------------------------------------ what there is to push */

static void make_pool(void)
{
    struct sample random;

    sample_make(&random, (uint32_t)seed, POOL, 300);
    for (size_t i = 0; i < POOL; i++) {
        /* Two have a merkle object. */
        const size_t size = i < 2 ? 600000 + i : 300 + i * 777;
        uint8_t *bytes = memory_new(size);

        assert_non_null(bytes);
        for (size_t at = 0; at < size; at++)
            bytes[at] = (uint8_t)(random.blobs[i].bytes[at % 300] + at / 300 * (i + 1));
        pool[i] = (struct sample_blob){ .bytes = bytes, .size = size };
    }
    sample_release(&random);
}

static void make_content(struct sample *out)
{
    struct span files[POOL];
    size_t count = 0;

    for (size_t i = 0; i < POOL; i++) {
        if (below(3) == 0 || (i == POOL - 1 && count == 0))
            files[count++] = span_of(pool[i].bytes, pool[i].size);
    }
    sample_make_of(out, below(50), files, count);
}

static void copy_content(const struct sample *from, struct sample *out)
{
    struct span files[POOL];

    for (size_t i = 0; i < from->count; i++)
        files[i] = span_of(from->blobs[i].bytes, from->blobs[i].size);
    sample_make_of(out, below(50), files, from->count);
}

/* ------------------------------------------------------------ what is so */

static enum life life_of(const char *name, struct version *out)
{
    int r = version_get(world.database, "p", "a", name, out, NULL);

    if (r == -ESTALE)
        return PURGED;
    if (r == -ENOENT)
        return ABSENT;
    assert_int_equal(r, 0);
    return out->state == VERSION_READY ? READY : TRASHED;
}

static void check_bytes(const struct blob *blob, const struct sample_blob *wanted)
{
    struct blob_reader reader = { 0 };
    cleanup_memory uint8_t *bytes = memory_new(wanted->size);

    assert_int_equal(blob->state, BLOB_LIVE);
    assert_int_equal(blob_store_open(world.inner, blob->key, 0, wanted->size, &reader, NULL), 0);
    assert_int_equal(blob_reader_read(&reader, 0, bytes, wanted->size, NULL), 0);
    assert_memory_equal(bytes, wanted->bytes, wanted->size);
    blob_reader_release(&reader);
}

static void check_whole(const struct named *named, const struct version *version)
{
    struct blob blob;

    assert_true(digest_equal(&version->content, &named->sample.content));
    for (size_t i = 0; i < named->sample.count; i++) {
        assert_int_equal(blob_of_version(world.database, version->id,
                                         &named->sample.blobs[i].sha256, &blob, NULL),
                         0);
        check_bytes(&blob, &named->sample.blobs[i]);
    }
    assert_int_equal(blob_get(world.database, version->tree_blob_id, &blob, NULL), 0);
    assert_int_equal(blob.state, BLOB_LIVE);
}

static bool is_app_there(void)
{
    struct app app;
    int r = app_get(world.database, "p", "a", &app, NULL);

    assert_true(r == 0 || r == -ENOENT);
    return r == 0;
}

static void check_all(void)
{
    assert_int_equal(is_app_there(), app_there);
    for (size_t i = 0; i < NAMES; i++) {
        struct version version = version_empty();
        enum life life = life_of(names[i].name, &version);

        if (life != names[i].life)
            print_error("%s is %d, not %d\n", names[i].name, life, names[i].life);
        assert_int_equal(life, names[i].life);
        if (life == READY || life == TRASHED)
            check_whole(&names[i], &version);
        if (life == READY)
            sample_check(&world, "p", "a", names[i].name, &names[i].sample);
        version_release(&version);
    }
}

/* What is gone for ever stands nowhere any more; what stood before it goes with the channel. */
static void fall(const struct named *named)
{
    for (size_t i = 0; i < sizeof(stands) / sizeof(stands[0]); i++) {
        if (stands[i].current == named)
            stands[i].current = stands[i].previous = NULL;
        if (stands[i].previous == named)
            stands[i].previous = NULL;
    }
}

/* After what failed nobody knows whether it happened: it did, or it did not, and that stays. */
static void learn(struct named *named, const struct sample *tried)
{
    struct version version = version_empty();

    named->life = life_of(named->name, &version);
    app_there = is_app_there();
    if (named->life == PURGED)
        fall(named);
    if (!named->has_sample && tried != NULL && named->life != ABSENT) {
        copy_content(tried, &named->sample);
        named->has_sample = true;
    }
    version_release(&version);
}

/* ------------------------------------------------------------ what happens */

static bool trouble(void)
{
    static const int errors[] = { -EIO, -ENOSPC, -EAGAIN };

    if (below(4) != 0)
        return false;
    faults++;
    fault_store_fail(world.store, below(12), errors[below(3)], (int)below(2));
    return true;
}

static void note_content(struct named *named, struct sample *sample)
{
    if (named->has_sample) {
        sample_release(sample);
        return;
    }
    named->sample = *sample;
    named->has_sample = true;
}

static void push_one(void)
{
    struct named *named = &names[below(NAMES)];
    const bool same = named->has_sample && below(3) != 0;
    const bool troubled = trouble();
    enum pushes_outcome outcome;
    struct sample sample;
    int r;

    if (same)
        copy_content(&named->sample, &sample);
    else
        make_content(&sample);
    pushes++;
    r = sample_push(&world, &world.caller, "p", "a", named->name, &sample, &outcome, NULL, NULL,
                    NULL);
    fault_store_heal(world.store);
    if (named->has_sample && !digest_equal(&sample.content, &named->sample.content)) {
        assert_true(r < 0); /* for ever */
        sample_release(&sample);
        return;
    }
    if (r == 0) {
        assert_int_equal(outcome, named->life == READY || named->life == TRASHED ? PUSHES_EXISTS
                                                                                 : PUSHES_CREATED);
        named->life = READY;
        app_there = true;
        note_content(named, &sample);
        return;
    }
    assert_true(troubled);
    learn(named, &sample);
    sample_release(&sample);
}

/* A name that no version has now; NAMES: there is none. */
static size_t free_name(void)
{
    const size_t first = below(NAMES);

    for (size_t i = 0; i < NAMES; i++) {
        const enum life life = names[(first + i) % NAMES].life;

        if (life == ABSENT || life == PURGED)
            return (first + i) % NAMES;
    }
    return NAMES;
}

/* A push that sends some of it and is then left alone. */
static void begin_push(void)
{
    struct left_push *push = &left[below(OPEN_MAX_COUNT)];
    const size_t name = free_name();
    struct named *named;
    unsigned count;

    if (push->is_open || name == NAMES)
        return;
    named = &names[name];
    if (named->has_sample)
        copy_content(&named->sample, &push->sample);
    else
        make_content(&push->sample);
    sample_open(&world, &world.caller, "p", "a", named->name, &push->sample, &push->info);
    push->name = name;
    push->is_open = true;
    app_there = true; /* made with the push */
    if (below(4) == 0)
        return;
    sample_describe(&world, &world.caller, "p", "a", push->info.id, &push->sample);
    count = below((unsigned)push->sample.count + 1);
    for (unsigned i = 0; i < count; i++)
        sample_put_blob(&world, &world.caller, "p", "a", push->info.id, &push->sample.blobs[i],
                        100000, NULL, NULL);
}

/* Goes on with it: what the server says it lacks, and the commit. Or gives it up, which may have
 * happened by itself. */
static void end_push(void)
{
    struct left_push *push = &left[below(OPEN_MAX_COUNT)];
    struct named *named = &names[push->name];
    const bool spent =
        named->has_sample && !digest_equal(&named->sample.content, &push->sample.content);
    enum pushes_outcome outcome;
    bool troubled, given_up;
    int r;

    if (!push->is_open)
        return;
    push->is_open = false;
    troubled = trouble();
    given_up = below(3) == 0;
    /* An agent begins with the same question again, and finds the push by its listing's blobs. */
    r = given_up
            ? pushes_abandon(world.services, &world.caller, "p", "a", push->info.id, NULL, NULL)
            : sample_push(&world, &world.caller, "p", "a", named->name, &push->sample, &outcome,
                          NULL, NULL, NULL);
    fault_store_heal(world.store);
    assert_true(troubled || given_up || r == (spent ? -EEXIST : 0));
    assert_true(given_up || !spent || r < 0);
    learn(named, !given_up && (r == 0 || !named->has_sample) ? &push->sample : NULL);
    sample_release(&push->sample);
}

static bool is_leased(const struct named *named)
{
    return named->leased_until_s > world_now();
}

/* By force it goes whatever protects it; else what a host holds does not. */
static void trash_one(void)
{
    struct named *named = &names[below(NAMES)];
    struct version version = version_empty();
    const bool force = below(2) == 0;
    int r;

    if (named->life == READY && life_of(named->name, &version) == READY) {
        r = version_trash(world.database, version.id, &actor_host, NULL, force, NULL, NULL);
        assert_true(r == 0 || (r == -EBUSY && !force));
        assert_false(r == 0 && !force && is_leased(named));
        if (r == 0)
            named->life = TRASHED;
    }
    version_release(&version);
}

/* A host of its own for each name says that it has it, which it may of one in the trash, too. */
static void lease_one(void)
{
    struct named *named = &names[below(NAMES)];
    struct lease_item item = { .project = "p",
                               .app = "a",
                               .version = named->name,
                               .place = "/srv",
                               .mode = LEASE_MOUNT,
                               .state = "complete" };
    struct lease_put put = { .token_id = world.caller.identity.id,
                             .host = named->name,
                             .items = &item,
                             .count = 1,
                             .life_s = 1 + below(4 * DAY_S),
                             .token_max = 2 * NAMES,
                             .changes_max = 2 * NAMES,
                             .by = actor_host };
    struct version version = version_empty();
    struct lease_put_result result;
    size_t count;
    const enum life life = life_of(named->name, &version);

    item.version_id = version.id;
    if (is_leased(named) && below(3) == 0) {
        assert_int_equal(lease_remove(world.database, named->name, "/srv", &actor_host, &count,
                                      NULL),
                         0);
        assert_int_equal(count, 1);
        named->leased_until_s = 0;
    } else if (life == READY || life == TRASHED) {
        assert_int_equal(lease_put(world.database, &put, &result, NULL), 0);
        named->leased_until_s = result.expires_at_s;
    }
    version_release(&version);
}

static void restore_one(void)
{
    struct named *named = &names[below(NAMES)];
    struct version version = version_empty();

    if (named->life == TRASHED && life_of(named->name, &version) == TRASHED) {
        assert_int_equal(version_restore(world.database, version.id, &actor_host, NULL), 0);
        named->life = READY;
        app_there = true;
    }
    version_release(&version);
}

/* Under a name of another content it is refused, for ever. */
static void copy_one(void)
{
    struct named *from = &names[below(NAMES)], *to = &names[below(NAMES)];
    const struct version_copy_request request = { .project = "p", .app = "a", .version = to->name };
    const bool fits = !to->has_sample || (from->has_sample &&
                                          digest_equal(&to->sample.content, &from->sample.content));
    struct version_info info = { 0 };
    bool created;
    int r;

    if (from->life != READY)
        return;
    r = versions_copy(world.services, &world.caller, "p", "a", from->name, &request, &created,
                      &info, NULL, NULL);
    assert_int_equal(r, fits ? 0 : -EEXIST);
    if (r < 0)
        return;
    assert_int_equal(created, to->life == ABSENT || to->life == PURGED);
    version_info_release(&info);
    to->life = READY;
    app_there = true;
    if (!to->has_sample) {
        copy_content(&from->sample, &to->sample);
        to->has_sample = true;
    }
}

static void promote_one(void)
{
    struct named *named = &names[below(NAMES)];
    struct stand *stand = &stands[below(2)];
    const struct promotion promotion = { .project = "p",
                                         .app = "a",
                                         .channel = stand->channel,
                                         .version = named->name,
                                         .by = actor_host };
    struct promotion_result result;
    int r = channel_promote(world.database, &promotion, &result, NULL);

    assert_int_equal(r == 0, named->life == READY);
    if (r < 0 || stand->current == named)
        return;
    stand->previous = stand->current;
    stand->current = named;
}

static bool is_protected(void)
{
    for (size_t i = 0; i < sizeof(stands) / sizeof(stands[0]); i++) {
        if ((stands[i].current != NULL && stands[i].current->life == READY) ||
            (stands[i].previous != NULL && stands[i].previous->life == READY))
            return true;
    }
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].life == READY && is_leased(&names[i]))
            return true;
    }
    return false;
}

/* Nothing comes into what is being deleted, whatever it is; the process may die over it. */
static void meanwhile(void)
{
    struct named *named = &names[below(NAMES)];
    enum pushes_outcome outcome;
    struct sample sample;

    if (below(3) == 0) {
        kills++;
        world_restart(&world);
    }
    if (below(2) == 0)
        return;
    make_content(&sample);
    assert_int_equal(sample_push(&world, &world.caller, "p", "a", named->name, &sample, &outcome,
                                 NULL, NULL, NULL),
                     -EINPROGRESS);
    sample_release(&sample);
}

/* Refused, cancelled before it began, or done: all of it or nothing. */
static void delete_app(void)
{
    cleanup(job_release) struct job job = { 0 }, ended = { 0 };
    const bool force = below(2) == 0, cancelled = below(4) == 0;
    const int expected = !app_there ? -ENOENT : !force && is_protected() ? -EBUSY : 0;
    size_t count;

    if (below(3) != 0)
        return;
    assert_int_equal(deletion_ask(world.services, &world.caller, "p", "a", force, &job, NULL, NULL),
                     expected);
    refusals += expected == -EBUSY;
    if (expected < 0)
        return;
    meanwhile();
    if (cancelled) {
        assert_int_equal(jobs_cancel(world.services, &world.caller, job.id, &ended, NULL, NULL), 0);
        assert_int_equal(ended.state, JOB_CANCELLED);
        return;
    }
    assert_int_equal(jobs_work(world.services, &count, NULL), 0);
    assert_int_equal(jobs_get(world.services, &world.caller.identity, job.id, &ended, NULL, NULL),
                     0);
    assert_int_equal(ended.state, JOB_DONE);
    deletions++;
    app_there = false;
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].life == READY)
            names[i].life = TRASHED;
    }
}

/* The clock jumps; now and then back, as one that is set right does. Mostly by less than an open
 * push lives, and by more than the grace: then its holds are all that keeps its blobs. */
static void sleep_some(void)
{
    static const unsigned most[] = { 2 * HOUR_S, 3 * HOUR_S, 5 * HOUR_S, 5 * HOUR_S, DAY_S };

    if (below(6) == 0)
        world_sleep(-(int64_t)below(2 * HOUR_S));
    else
        world_sleep(below(most[below(5)]));
}

static void collect(void)
{
    cleanup(job_release) struct job job = { 0 }, ended = { 0 };
    const bool troubled = trouble();
    size_t count;

    collections++;
    pushes_expire(world.services, &count, NULL);
    assert_true(jobs_submit(world.services, NULL, "gc", NULL, NULL, NULL, &job, NULL) >= 0);
    jobs_work(world.services, &count, NULL);
    fault_store_heal(world.store);
    assert_int_equal(jobs_get(world.services, &world.caller.identity, job.id, &ended, NULL, NULL),
                     0);
    if (ended.state != JOB_DONE && !troubled)
        print_error("%s\n", ended.problem);
    assert_true(ended.state == JOB_DONE || troubled);
    /* It may have purged what was in the trash and on no host, and nothing else. */
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].life == TRASHED && !is_leased(&names[i]))
            learn(&names[i], NULL);
    }
}

static void die(void)
{
    kills++;
    world_restart(&world);
}

static void step(void)
{
    static void (*const things[])(void) = {
        push_one,  push_one,  push_one,  begin_push,  begin_push, end_push,   end_push,
        trash_one, trash_one, trash_one, restore_one, copy_one,   sleep_some, sleep_some,
        collect,   collect,   die,       promote_one, lease_one,  delete_app,
    };

    things[below(sizeof(things) / sizeof(things[0]))]();
}

/* ------------------------------------------------------------ the end of it */

static int name_object(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                       struct error *err)
{
    print_error("left: %s, %llu bytes\n", key, (unsigned long long)size);
    return 0;
}

/* Blobs, a merkle object for each large one, and a record of each version that is or was. */
static size_t wanted_objects(void)
{
    struct blob_totals totals[BLOB_STATE_COUNT];
    size_t count = 0;

    assert_int_equal(blob_totals_get(world.database, totals, NULL), 0);
    for (size_t i = 0; i < BLOB_STATE_COUNT; i++) {
        assert_true(i == BLOB_LIVE || totals[i].count == 0);
        count += totals[i].count;
    }
    return count;
}

static void quiet(void)
{
    size_t count;

    for (unsigned i = 0; i < 4; i++) {
        cleanup(job_release) struct job job = { 0 };

        world_sleep(9 * DAY_S);
        assert_int_equal(pushes_expire(world.services, &count, NULL), 0);
        assert_true(jobs_submit(world.services, NULL, "gc", NULL, NULL, NULL, &job, NULL) >= 0);
        assert_int_equal(jobs_work(world.services, &count, NULL), 0);
        assert_int_equal(tombstone_clearing_step(world.services, &count, NULL), 0);
    }
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].life == TRASHED)
            learn(&names[i], NULL);
        assert_int_not_equal(names[i].life, TRASHED);
    }
}

/* Every blob of a version that is there, once, and nothing else. */
static size_t count_live(size_t *out_large)
{
    struct digest seen[POOL + 3 * NAMES];
    size_t count = 0;

    *out_large = 0;
    for (size_t i = 0; i < NAMES; i++) {
        struct version version = version_empty();

        if (names[i].life != READY)
            continue;
        assert_int_equal(life_of(names[i].name, &version), READY);
        for (size_t k = 0; k < names[i].sample.count + 3; k++) {
            const int64_t parts[] = { version.listing_blob_id, version.times_blob_id,
                                      version.tree_blob_id };
            struct blob blob;
            size_t at = 0;

            if (k < 3)
                assert_int_equal(blob_get(world.database, parts[k], &blob, NULL), 0);
            else
                assert_int_equal(blob_of_version(world.database, version.id,
                                                 &names[i].sample.blobs[k - 3].sha256, &blob, NULL),
                                 0);
            while (at < count && !digest_equal(&seen[at], &blob.sha256))
                at++;
            if (at < count)
                continue;
            seen[count++] = blob.sha256;
            *out_large += blob.size > 524288;
        }
        version_release(&version);
    }
    return count;
}

static int count_kinds(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                       struct error *err)
{
    size_t *kinds = context;
    const char *dot = strchr(key, '.');

    kinds[dot == NULL ? 0 : dot[1] == 'm' ? 1 : dot[1] == 'r' ? 2 : dot[1] == 'd' ? 3 : 4]++;
    return 0;
}

static void check_end(void)
{
    size_t kinds[5] = { 0 }, large, live, ready = 0, count;

    quiet();
    check_all();
    assert_int_equal(record_store_complete(world.services, &count, NULL), 0);
    live = count_live(&large);
    for (size_t i = 0; i < NAMES; i++)
        ready += names[i].life == READY;
    assert_int_equal(blob_store_list(world.inner, count_kinds, kinds, NULL), 0);
    if (kinds[0] != live || wanted_objects() != live)
        blob_store_list(world.inner, name_object, NULL, NULL);
    assert_int_equal(wanted_objects(), live);
    assert_int_equal(kinds[0], live);
    assert_int_equal(kinds[1], large);
    assert_int_equal(kinds[2], ready);
}

/* A life of many steps has enough of what is rare, too; some seeds take longer for it. */
static bool wants_more(unsigned long done)
{
    return steps >= STEPS_MANY && done < 4 * steps && (kills < 20 || deletions < 3);
}

static void test_life(void **unused)
{
    world_open(&world, WORLD_FILE);
    /* Shorter than a push may live, so that a hold is all that keeps a blob. */
    assert_int_equal(policy_set(world.services, NULL, "collect_grace", "1h", NULL, NULL), 0);
    assert_int_equal(policy_set(world.services, NULL, "trash_age", "1d", NULL, NULL), 0);
    make_pool();
    for (size_t i = 0; i < NAMES; i++)
        snprintf(names[i].name, sizeof(names[i].name), "v%zu", i);
    for (unsigned long i = 0; i < steps || wants_more(i); i++) {
        step();
        check_all();
    }
    for (size_t i = 0; i < OPEN_MAX_COUNT; i++) {
        if (left[i].is_open)
            sample_release(&left[i].sample);
    }
    check_end();
    print_message("%lu steps, %u pushes, %u collections, %u kills, %u faults, %u deletions of the"
                  " app, %u refused\n",
                  steps, pushes, collections, kills, faults, deletions, refusals);
    assert_true(steps < STEPS_MANY || (kills >= 20 && deletions >= 3));
    for (size_t i = 0; i < NAMES; i++) {
        if (names[i].has_sample)
            sample_release(&names[i].sample);
    }
    for (size_t i = 0; i < POOL; i++)
        memory_free(pool[i].bytes);
    world_close(&world);
}

int main(int argc, char *argv[])
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_life) };

    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)time(NULL);
    if (argc > 2)
        steps = strtoul(argv[2], NULL, 10);
    state = seed * 0x9e3779b97f4a7c15u + 1;
    printf("# seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
