/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/chunk_list.h"
#include "common/model/delta.h"
#include "server/service/content.h"
#include "server/service/context.h"
#include "server/service/delta_make.h"
#include "server/service/gate.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

#define SIZE ((size_t)3 << 20)
#define TEXT_SIZE ((size_t)300000)

/* What the versions hold, in this order. */
enum file { LARGE, SMALL, TEXT, TINY, FILE_COUNT };

static struct world world;
static struct sample old, in_place, inserted, foreign;

static void push(const char *project, const char *version, const struct sample *sample)
{
    enum pushes_outcome outcome;

    assert_int_equal(sample_push(&world, &world.caller, project, "a", version, sample, &outcome,
                                 NULL, NULL, NULL),
                     0);
}

/* Lines that zstd alone makes much smaller. */
static struct span text_of(uint8_t *out, unsigned seed)
{
    size_t size = 0;

    for (unsigned i = seed; size + 40 < TEXT_SIZE; i++)
        size +=
            (size_t)snprintf((char *)out + size, 40, "line %u of many lines, %u\n", i, i * 7919);
    return span_of(out, size);
}

static void make_samples(void)
{
    cleanup_memory uint8_t *changed = NULL, *longer = memory_new(SIZE + 1000);
    cleanup_memory uint8_t *text = memory_new(TEXT_SIZE), *text_2 = memory_new(TEXT_SIZE);
    struct span files[FILE_COUNT];
    struct sample random;

    sample_make(&random, 51, 2, SIZE);
    files[LARGE] = span_of(random.blobs[0].bytes, SIZE);
    files[SMALL] = span_of(random.blobs[1].bytes, 5000);
    files[TEXT] = text_of(text, 1);
    files[TINY] = span_text("tiny");
    sample_make_of(&old, 1, files, FILE_COUNT);

    changed = memory_copy(random.blobs[0].bytes, SIZE);
    memset(changed + SIZE / 2, 'x', 100);
    files[LARGE] = span_of(changed, SIZE);
    sample_make_of(&in_place, 2, files, FILE_COUNT);

    memset(longer, 'y', 1000);
    memcpy(longer + 1000, random.blobs[0].bytes, SIZE);
    files[LARGE] = span_of(longer, SIZE + 1000);
    files[SMALL] = span_of(random.blobs[1].bytes + 10, 5000);
    files[TEXT] = text_of(text_2, 1000);
    files[TINY] = span_text("tiny as well");
    sample_make_of(&inserted, 3, files, FILE_COUNT);

    sample_release(&random);
    sample_make(&foreign, 52, 2, SIZE);
}

static int setup(enum world_kind kind)
{
    world_open(&world, kind);
    make_samples();
    push("p", "old", &old);
    push("p", "in-place", &in_place);
    push("p", "inserted", &inserted);
    push("other", "1", &foreign);
    return 0;
}

static int setup_memory(void **state)
{
    return setup(WORLD_MEMORY);
}

static int setup_file(void **state)
{
    return setup(WORLD_FILE);
}

static int teardown(void **state)
{
    sample_release(&old);
    sample_release(&in_place);
    sample_release(&inserted);
    sample_release(&foreign);
    world_close(&world);
    return 0;
}

/* The delta, or NULL. */
static struct content *open_delta(const struct caller *caller, const char *version,
                                  const struct digest *target, const struct digest *base)
{
    struct content *content = NULL;
    struct refusal why = { 0 };

    assert_int_equal(content_open_delta(world.services, &caller->identity, "p", "a", version,
                                        target, base, &content, &why, NULL),
                     0);
    assert_int_equal(why.code, REFUSAL_NONE);
    return content;
}

/* Applies it to the base and compares with the target; its size. Closes it. */
static uint64_t apply(struct content *content, const struct digest *base_sha256, struct span base,
                      const struct digest *target_sha256, struct span target)
{
    cleanup(buf_release) struct buf made = buf_init(BUF_UNLIMITED);
    const struct delta_header header = { *base_sha256, *target_sha256, base.size, target.size };
    const uint64_t size = content_size(content);
    cleanup_memory uint8_t *bytes = memory_new(size);
    struct delta_reader *reader;

    assert_null(content_etag(content));
    assert_int_equal(content_read(content, 0, bytes, size, NULL), 0);
    assert_int_equal(content_read(content, size, bytes, 1, NULL), -EINVAL);
    assert_int_equal(delta_reader_new(&reader, &header, delta_source_of_span(&base),
                                      sink_to_buf(&made), DELTA_PATCH_MAX, NULL),
                     0);
    assert_int_equal(delta_reader_feed(reader, bytes, size, NULL), 0);
    assert_int_equal(delta_reader_end(reader, NULL), 0);
    delta_reader_free(reader);
    assert_int_equal(made.size, target.size);
    assert_memory_equal(made.bytes, target.bytes, target.size);
    content_close(content);
    return size;
}

/* Bytes of the delta of one file between two versions; 0: none. */
static uint64_t delta_size(const char *version, const struct sample *target,
                           const struct sample *base, enum file file)
{
    const struct sample_blob *from = &base->blobs[file], *to = &target->blobs[file];
    struct content *content = open_delta(&world.caller, version, &to->sha256, &from->sha256);

    return content == NULL ? 0
                           : apply(content, &from->sha256, span_of(from->bytes, from->size),
                                   &to->sha256, span_of(to->bytes, to->size));
}

static void test_changed_in_place(void **state)
{
    uint64_t size = delta_size("in-place", &in_place, &old, LARGE);

    assert_in_range(size, 89, 6000);
    assert_in_range(delta_size("old", &old, &in_place, LARGE), 89, 6000); /* and back */
}

static void test_inserted(void **state)
{
    assert_in_range(delta_size("inserted", &inserted, &old, LARGE), 89, 80000);
    assert_in_range(delta_size("inserted", &inserted, &in_place, LARGE), 89, 160000);
}

static void test_small_ones_are_patched(void **state)
{
    assert_in_range(delta_size("inserted", &inserted, &old, SMALL), 89, 250);
    assert_in_range(delta_size("inserted", &inserted, &old, TEXT), 89, 30000);
}

static void test_the_same_blob(void **state)
{
    assert_in_range(delta_size("old", &old, &old, LARGE), 89, 120);
}

static void test_none_when_it_is_not_worth_it(void **state)
{
    const struct digest *target = &in_place.blobs[LARGE].sha256;

    assert_int_equal(delta_size("inserted", &inserted, &old, TINY), 0);
    /* Nothing in common. */
    assert_null(open_delta(&world.caller, "in-place", target, &foreign.blobs[0].sha256));
    assert_null(open_delta(&world.caller, "in-place", target, &foreign.blobs[0].sha256));
    assert_null(open_delta(&world.caller, "in-place", target, &old.blobs[TINY].sha256));
}

/* What compresses to less than a delta's copies take: sent whole it would travel as it is. */
static void test_one_that_compresses_to_nothing(void **state)
{
    uint8_t *zeros = memory_new(SIZE);
    struct span file = span_of(zeros, SIZE);
    struct content *content;
    struct sample sample;

    sample_make_of(&sample, 60, &file, 1);
    push("p", "zeros", &sample);
    content = open_delta(&world.caller, "zeros", &sample.blobs[0].sha256, &old.blobs[LARGE].sha256);
    assert_non_null(content);
    assert_in_range(apply(content, &old.blobs[LARGE].sha256,
                          span_of(old.blobs[LARGE].bytes, old.blobs[LARGE].size),
                          &sample.blobs[0].sha256, file),
                    89, SIZE / 100);
    sample_release(&sample);
    memory_free(zeros);
}

#define MANY 100

static void make_many(struct sample *out, unsigned changed)
{
    char bytes[MANY][12];
    struct span files[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        snprintf(bytes[i], sizeof(bytes[i]), "%u", i == 7 ? changed : 1000 + i);
        files[i] = span_text(bytes[i]);
    }
    sample_make_of(out, 7, files, MANY);
}

static void test_listings_and_times(void **state)
{
    struct sample before, after;
    struct content *content;

    make_many(&before, 1);
    make_many(&after, 2);
    push("p", "before", &before);
    push("p", "after", &after);
    content = open_delta(&world.caller, "after", &after.content, &before.content);
    assert_non_null(content);
    assert_in_range(apply(content, &before.content, buf_span(&before.listing), &after.content,
                          buf_span(&after.listing)),
                    89, 300);
    /* The listing is a base like any other; whether these are worth it is zstd's to say. */
    content = open_delta(&world.caller, "after", &after.times_sha256, &before.times_sha256);
    if (content != NULL)
        apply(content, &before.times_sha256, buf_span(&before.times), &after.times_sha256,
              buf_span(&after.times));
    content = open_delta(&world.caller, "after", &after.content, &old.content);
    if (content != NULL)
        apply(content, &old.content, buf_span(&old.listing), &after.content,
              buf_span(&after.listing));
    sample_release(&before);
    sample_release(&after);
}

static void test_only_what_the_token_may_pull(void **state)
{
    const struct digest *target = &in_place.blobs[LARGE].sha256;
    const struct digest unknown = digest_of("unknown", 7);
    struct content *content;
    struct caller insider, of_app, outsider;
    struct refusal why = { 0 };
    char text[64];

    /* A base that would be worth it, in a project that not everybody sees. */
    push("other", "2", &old);
    world_token(&world, "p", NULL, ACCESS_PULL, &insider, text);
    world_token(&world, "p", "a", ACCESS_PULL, &of_app, text);
    world_token(&world, "other", NULL, ACCESS_ALL, &outsider, text);
    content = open_delta(&insider, "in-place", target, &old.blobs[LARGE].sha256);
    assert_non_null(content);
    content_close(content);
    content = open_delta(&of_app, "in-place", target, &old.blobs[LARGE].sha256);
    assert_non_null(content);
    content_close(content);
    assert_null(open_delta(&insider, "in-place", target, &foreign.blobs[0].sha256));
    assert_null(open_delta(&insider, "in-place", target, &unknown));
    /* The target is looked at first. */
    assert_int_equal(content_open_delta(world.services, &outsider.identity, "p", "a", "in-place",
                                        target, &old.blobs[LARGE].sha256, &content, &why, NULL),
                     -ENOENT);
    assert_int_equal(content_open_delta(world.services, &insider.identity, "p", "a", "in-place",
                                        &unknown, &old.blobs[LARGE].sha256, &content, &why, NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
}

/* A delta that was made for one who may pull its base is nothing to one who may not. */
static void test_what_is_kept_is_asked_for_again(void **state)
{
    const struct digest *target = &old.blobs[LARGE].sha256;
    struct sample near_old;
    struct content *content;
    struct caller insider;
    struct span file;
    char text[64];

    old.blobs[LARGE].bytes[5] ^= 1; /* what only the other project has */
    file = span_of(old.blobs[LARGE].bytes, old.blobs[LARGE].size);
    sample_make_of(&near_old, 9, &file, 1);
    old.blobs[LARGE].bytes[5] ^= 1;
    push("other", "3", &near_old);
    content = open_delta(&world.caller, "old", target, &near_old.blobs[0].sha256);
    assert_non_null(content);
    content_close(content);
    world_token(&world, "p", NULL, ACCESS_PULL, &insider, text);
    assert_null(open_delta(&insider, "old", target, &near_old.blobs[0].sha256));
    sample_release(&near_old);
}

static int find_list(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                     struct error *err)
{
    char prefix[17];
    size_t length = strlen(key);
    const struct digest *sha256 = &old.blobs[LARGE].sha256;

    for (size_t i = 0; i < 8; i++)
        snprintf(prefix + 2 * i, 3, "%02x", sha256->bytes[i]);
    if (strncmp(key, prefix, 16) == 0 && strcmp(key + length - 2, ".c") == 0)
        snprintf(context, BLOB_KEY_MAX + 1, "%s", key);
    return 0;
}

static void replace(const char *key, struct span bytes)
{
    struct blob_writer *writer;

    assert_int_equal(blob_store_remove(world.inner, key, NULL), 0);
    assert_int_equal(blob_store_create(world.inner, key, bytes.size, &writer, NULL), 0);
    assert_int_equal(blob_writer_write(writer, bytes.bytes, bytes.size, NULL), 0);
    assert_int_equal(blob_writer_commit(writer, NULL), 0);
}

static void forget_deltas(void)
{
    struct directory *directory;

    world_restart(&world);
    assert_int_equal(directory_open(world.directory, &directory, NULL), 0);
    assert_int_equal(directory_remove_all(directory, "delta", NULL), 0);
    directory_close(directory);
    world_restart(&world); /* which makes the directory again */
}

/* A list that keeps every rule and says that the target's bytes stand where others do: the delta
 * made by it is not given to anybody, and the list is made again. */
static void test_a_chunk_list_that_lies(void **state)
{
    cleanup(buf_release) struct buf lie = buf_init(BUF_UNLIMITED);
    const struct sample_blob *base = &old.blobs[LARGE], *target = &inserted.blobs[LARGE];
    char key[BLOB_KEY_MAX + 1] = "";

    assert_int_not_equal(delta_size("inserted", &inserted, &old, LARGE), 0);
    assert_int_equal(blob_store_list(world.inner, find_list, key, NULL), 0);
    assert_true(key[0] != '\0');
    assert_int_equal(chunk_list_build(span_of(target->bytes, base->size), &base->sha256, &lie,
                                      NULL),
                     0);
    replace(key, buf_span(&lie));
    forget_deltas();
    assert_int_equal(delta_size("inserted", &inserted, &old, LARGE), 0);
    assert_in_range(delta_size("inserted", &inserted, &old, LARGE), 89, 80000);
}

/* Whatever fails while a delta is made: the blob can still be given whole. */
static void test_a_store_that_fails(void **state)
{
    for (int64_t after = 0; after < 12; after++) {
        struct content *content;

        forget_deltas();
        fault_store_fail(world.store, after, -EIO, 0);
        content = NULL;
        int r = content_open_delta(world.services, &world.caller.identity, "p", "a", "inserted",
                                   &inserted.blobs[LARGE].sha256, &old.blobs[LARGE].sha256,
                                   &content, NULL, NULL);
        content_close(content);
        fault_store_heal(world.store);
        assert_true(r == 0 || r == -EIO); /* of the version's tree */
    }
    forget_deltas();
    assert_in_range(delta_size("inserted", &inserted, &old, LARGE), 89, 80000);
}

/* Context: how the names of the files begin that are to hold something else. */
static int spoil(void *context, const char *name, enum file_kind kind, struct error *err)
{
    char path[512];
    int fd;

    if (strncmp(name, context, strlen(context)) != 0)
        return 0;
    snprintf(path, sizeof(path), "%s/delta/%s", world.directory, name);
    fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "nonsense", 8), 8);
    close(fd);
    return 1;
}

static void spoil_kept(char *prefix)
{
    struct directory *directory;

    assert_int_equal(directory_open(world.directory, &directory, NULL), 0);
    assert_int_equal(directory_list(directory, "delta", spoil, prefix, NULL), 1);
    directory_close(directory);
}

static void test_kept(void **state)
{
    const struct sample_blob *base = &old.blobs[LARGE], *target = &in_place.blobs[LARGE];
    char prefix[2 * DIGEST_HEX_SIZE + 1], base_hex[DIGEST_HEX_SIZE], target_hex[DIGEST_HEX_SIZE];
    struct content *content;

    if (world.kind != WORLD_FILE)
        return; /* nothing is kept without a directory */
    assert_int_not_equal(delta_size("in-place", &in_place, &old, LARGE), 0);
    /* What was made is given though nothing of the store can be read. */
    fault_store_fail(world.store, 0, -EIO, 1);
    assert_int_not_equal(delta_size("in-place", &in_place, &old, LARGE), 0);
    fault_store_heal(world.store);
    /* A file that is no such delta is not given. */
    digest_hex(&base->sha256, base_hex);
    digest_hex(&target->sha256, target_hex);
    snprintf(prefix, sizeof(prefix), "%s-%s-", base_hex, target_hex);
    spoil_kept(prefix);
    content = open_delta(&world.caller, "in-place", &target->sha256, &base->sha256);
    assert_non_null(content);
    apply(content, &base->sha256, span_of(base->bytes, base->size), &target->sha256,
          span_of(target->bytes, target->size));
}

static void *ask(void *context)
{
    *(uint64_t *)context = delta_size("in-place", &in_place, &inserted, LARGE);
    return NULL;
}

/* One makes it, and where deltas are kept the others get the same. */
static void test_several_at_once(void **state)
{
    pthread_t threads[4];
    uint64_t sizes[4];
    size_t given = 0;

    forget_deltas();
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &sizes[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        given += sizes[i] > 0;
    }
    assert_true(world.kind == WORLD_FILE ? given == 4 : given >= 1);
}

/* Nobody waits for a turn where there is no room: that is told apart from what is not worth it. */
static void test_no_turn(void **state)
{
    const struct services_settings settings = { .store = world.store,
                                                .database = world.database,
                                                .workers = 1 };
    const struct digest *target = &in_place.blobs[LARGE].sha256, *base = &old.blobs[LARGE].sha256;
    struct content *content = NULL;
    struct services *services;

    assert_int_equal(services_new(&settings, &services, NULL), 0);
    assert_int_equal(gate_enter(services->gate, span_text("other"), 0), GATE_MINE);
    assert_int_equal(content_open_delta(services, &world.caller.identity, "p", "a", "in-place",
                                        target, base, &content, NULL, NULL),
                     CONTENT_DELTA_LATER);
    assert_null(content);
    gate_leave(services->gate, span_text("other"));
    assert_int_equal(content_open_delta(services, &world.caller.identity, "p", "a", "in-place",
                                        target, base, &content, NULL, NULL),
                     0);
    assert_non_null(content);
    content_close(content);
    services_free(services);
}

static void test_larger_than_somebody_waits_for(void **state)
{
    const struct blob base = { .size = DELTA_MAKE_MAX + 1 }, target = { .size = 5 };
    uint64_t size;
    int fd;

    assert_int_equal(delta_make(world.services, &base, &target, &fd, &size, NULL), 0);
    assert_int_equal(delta_make(world.services, &target, &base, &fd, &size, NULL), 0);
}

/* The argument names the store: "memory" or "file". */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changed_in_place),
        cmocka_unit_test(test_inserted),
        cmocka_unit_test(test_small_ones_are_patched),
        cmocka_unit_test(test_the_same_blob),
        cmocka_unit_test(test_none_when_it_is_not_worth_it),
        cmocka_unit_test(test_one_that_compresses_to_nothing),
        cmocka_unit_test(test_listings_and_times),
        cmocka_unit_test(test_only_what_the_token_may_pull),
        cmocka_unit_test(test_what_is_kept_is_asked_for_again),
        cmocka_unit_test(test_a_chunk_list_that_lies),
        cmocka_unit_test(test_a_store_that_fails),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_several_at_once),
        cmocka_unit_test(test_no_turn),
        cmocka_unit_test(test_larger_than_somebody_waits_for),
    };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
