/* SPDX-License-Identifier: MIT */
#include "common/client/tree_fetch.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/client/tests/sample.h"
#include "common/codec/zstd.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "common/model/times.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"
#include "tests/support/unit.h"

/* A version on a server, told as the API tells it, with scripted lies. */
struct tree_texts {
    struct buf listing, times, image;
    struct digest content, times_sha256, verity;
};

struct version {
    struct tree_texts tree;
    struct buf names; /* zstd */
    uint8_t *merkle;
    size_t merkle_size;
    struct tree_header header;
};

enum tree_lie {
    TREE_HONEST,
    TREE_NAMES_DAMAGED, /* the zstd frame */
    TREE_NAMES_OTHER,   /* a right frame of another tree's names */
    TREE_NAMES_CUT,
    TREE_NAMES_HTML,
    TREE_MERKLE_WRONG,
    TREE_MERKLE_SHORT,
    TREE_MERKLE_200,
    TREE_IMAGE_WRONG, /* also to the engine */
    TREE_LIES
};

struct site {
    struct origin *origin;
    struct version *_Atomic version;
    struct version *_Atomic other;
    _Atomic int lie;
    _Atomic bool tells_other_content, tells_other_tree, tells_other_name;
    _Atomic bool is_gone, hangs;
    _Atomic unsigned version_requests, names_requests;
};

static struct version *small, *large, *second;

static int give_verity(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                       struct error *err)
{
    *out = entry->size == 0 ? merkle_empty_verity : digest_of(entry->sha256.bytes, DIGEST_SIZE);
    return 0;
}

/* `count` files in directories of 100. */
static void texts_make(struct tree_texts *texts, uint32_t seed, uint32_t count)
{
    struct listing_writer *listing = malloc(sizeof(*listing));
    struct times_writer times;
    struct listing_totals totals;
    char path[64];
    uint64_t size;

    texts->listing = buf_init(BUF_UNLIMITED);
    texts->times = buf_init(BUF_UNLIMITED);
    texts->image = buf_init(BUF_UNLIMITED);
    assert_int_equal(listing_writer_init(listing, sink_to_buf(&texts->listing), NULL), 0);
    assert_int_equal(times_writer_init(&times, sink_to_buf(&texts->times), NULL), 0);
    for (uint32_t i = 0; i < count; i++) {
        struct entry entry = { .kind = ENTRY_DIRECTORY, .mode = 0755 };
        uint32_t number = i * seed;

        if (i % 100 == 0) {
            entry.path = span_of(path, (size_t)snprintf(path, sizeof(path), "d%05u", i / 100));
            assert_int_equal(listing_writer_add(listing, &entry, NULL), 0);
            assert_int_equal(times_writer_add(&times, 7, NULL), 0);
        }
        entry.kind = ENTRY_FILE;
        entry.size = 1 + number % 1000;
        number = (uint32_t)entry.size;
        entry.sha256 = digest_of(&number, sizeof(number));
        entry.path = span_of(path, (size_t)snprintf(path, sizeof(path), "d%05u/file-%05u-%u",
                                                    i / 100, i % 100, seed));
        assert_int_equal(listing_writer_add(listing, &entry, NULL), 0);
        assert_int_equal(times_writer_add(&times, (int64_t)i, NULL), 0);
    }
    assert_int_equal(listing_writer_end(listing, &totals, NULL), 0);
    texts->content = totals.content;
    assert_int_equal(times_writer_end(&times, &texts->times_sha256, NULL), 0);
    assert_int_equal(tree_build(buf_span(&texts->listing), buf_span(&texts->times), give_verity,
                                NULL, sink_to_buf(&texts->image), &texts->verity, &size, NULL),
                     0);
    assert_int_equal(size, texts->image.size);
    free(listing);
}

static struct version *version_new(uint32_t seed, uint32_t count)
{
    struct version *version = calloc(1, sizeof(*version));
    struct merkle_shape shape;
    struct digest verity;

    texts_make(&version->tree, seed, count);
    assert_int_equal(tree_check_header(span_slice(buf_span(&version->tree.image), 0, 4096),
                                       &version->header, NULL),
                     0);
    version->names = buf_init(BUF_UNLIMITED);
    assert_int_equal(zstd_compress(span_slice(buf_span(&version->tree.image), 0,
                                              (size_t)version->header.names_part_size),
                                   3, &version->names, NULL),
                     0);
    assert_int_equal(merkle_shape_of(version->tree.image.size, &shape, NULL), 0);
    version->merkle_size = (size_t)shape.object_size;
    version->merkle = malloc(version->merkle_size);
    assert_int_equal(merkle_build(buf_span(&version->tree.image), version->merkle, NULL, &verity,
                                  NULL),
                     0);
    assert_true(digest_equal(&verity, &version->tree.verity));
    return version;
}

static void version_free(struct version *version)
{
    buf_release(&version->tree.listing);
    buf_release(&version->tree.times);
    buf_release(&version->tree.image);
    buf_release(&version->names);
    free(version->merkle);
    free(version);
}

static int versions_new(void **state)
{
    small = version_new(3, 200);
    large = version_new(11, 20000);
    second = version_new(77, 20000);
    return 0;
}

static int versions_free(void **state)
{
    version_free(small);
    version_free(large);
    version_free(second);
    return 0;
}

static bool reply_version(struct site *site, struct origin_request *request)
{
    struct version *version = site->version;
    char content[DIGEST_HEX_SIZE], times[DIGEST_HEX_SIZE], tree[DIGEST_HEX_SIZE], body[2048];
    struct digest none = { { 9 } };
    int n;

    atomic_fetch_add(&site->version_requests, 1);
    digest_hex(atomic_load(&site->tells_other_content) ? &none : &version->tree.content, content);
    digest_hex(&version->tree.times_sha256, times);
    digest_hex(atomic_load(&site->tells_other_tree) ? &none : &version->tree.verity, tree);
    n = snprintf(
        body, sizeof(body),
        "{\"project\":\"p\",\"app\":\"a\",\"version\":\"%s\",\"content\":\"%s\",\"times\":\"%s\","
        "\"tree\":\"%s\",\"tree_size\":%zu,\"file_count\":%u,\"bytes\":%llu,"
        "\"created_at\":\"2024-01-02T03:04:05Z\",\"state\":\"ready\"}",
        atomic_load(&site->tells_other_name) ? "w" : "v", content, times, tree,
        version->tree.image.size, version->header.file_count,
        (unsigned long long)version->header.bytes);
    return origin_reply(request, 200, "Content-Type: application/json\r\n", body, (size_t)n);
}

static bool reply_names(struct site *site, struct origin_request *request)
{
    struct span names = buf_span(&site->version->names);
    uint8_t *copy;
    bool stays;

    atomic_fetch_add(&site->names_requests, 1);
    switch (atomic_load(&site->lie)) {
    case TREE_NAMES_DAMAGED:
        copy = malloc(names.size);
        memcpy(copy, names.bytes, names.size);
        copy[names.size / 2] ^= 0x10;
        stays = origin_reply(request, 200, NULL, copy, names.size);
        free(copy);
        return stays;
    case TREE_NAMES_OTHER:
        names = buf_span(&site->other->names);
        return origin_reply(request, 200, NULL, names.bytes, names.size);
    case TREE_NAMES_CUT:
        return origin_reply(request, 200, NULL, names.bytes, names.size / 2);
    case TREE_NAMES_HTML:
        return origin_reply(request, 200, "Content-Type: text/html\r\n", "<html>hello</html>", 18);
    default:
        return origin_reply(request, 200, NULL, names.bytes, names.size);
    }
}

static bool reply_merkle(struct site *site, struct origin_request *request)
{
    struct version *version = site->version;
    uint8_t *copy;
    bool stays;

    switch (atomic_load(&site->lie)) {
    case TREE_MERKLE_WRONG:
        copy = malloc(version->merkle_size);
        memcpy(copy, version->merkle, version->merkle_size);
        copy[version->merkle_size / 2] ^= 1;
        copy[7] ^= 1;
        stays = origin_reply_file(request, "m", copy, version->merkle_size);
        free(copy);
        return stays;
    case TREE_MERKLE_SHORT:
        return origin_reply(request, 206, "Content-Range: bytes 0-9/10\r\n", version->merkle, 10);
    case TREE_MERKLE_200:
        return origin_reply(request, 200, NULL, version->merkle, version->merkle_size);
    default:
        return origin_reply_file(request, "m", version->merkle, version->merkle_size);
    }
}

static bool answer(void *context, struct origin_request *request)
{
    static const char base[] = "/api/v1/projects/p/apps/a/versions/v";
    struct site *site = context;
    const char *rest = request->path + sizeof(base) - 1;
    struct buf *image = &site->version->tree.image;
    char etag[DIGEST_HEX_SIZE];
    bool stays;

    if (atomic_load(&site->is_gone))
        return false;
    while (atomic_load(&site->hangs))
        usleep(2000);
    if (strncmp(request->path, base, sizeof(base) - 1) != 0)
        return origin_reply(request, 404, NULL, "", 0);
    if (rest[0] == '\0')
        return reply_version(site, request);
    if (strcmp(rest, "/tree?part=names") == 0)
        return reply_names(site, request);
    if (strcmp(rest, "/tree/merkle") == 0)
        return reply_merkle(site, request);
    digest_hex(&site->version->tree.verity, etag);
    if (strcmp(rest, "/tree") == 0 && atomic_load(&site->lie) == TREE_IMAGE_WRONG) {
        uint8_t *copy = malloc(image->size);

        memset(copy, 1, image->size);
        stays = origin_reply_file(request, etag, copy, image->size);
        free(copy);
        return stays;
    }
    if (strcmp(rest, "/tree") == 0)
        return origin_reply_file(request, etag, image->bytes, image->size);
    return origin_reply(request, 404, NULL, "", 0);
}

struct world {
    struct site site;
    struct kit kit;
    struct known_versions *known;
    char *cache, *state;
};

static void start(struct world *world, const char *cache)
{
    const char *url = origin_url(world->site.origin);
    struct api_client_options options = {
        .servers = &url,
        .server_count = 1,
        .retry = { .tries = 2, .base_ms = 5, .max_ms = 10, .retry_after_max_ms = 100 },
    };
    struct blob_fetch_options engine = { .workers = 2 };

    assert_int_equal(http_loop_new(&world->kit.loop, NULL, NULL), 0);
    options.loop = world->kit.loop;
    assert_int_equal(api_client_new(&world->kit.client, &options, NULL), 0);
    assert_int_equal(blob_cache_open(cache, NULL, &world->kit.cache, NULL), 0);
    engine.client = world->kit.client;
    engine.cache = world->kit.cache;
    assert_int_equal(blob_fetch_new(&world->kit.engine, &engine, NULL), 0);
    assert_int_equal(known_versions_open(world->state, "store", "scope", &world->known, NULL), 0);
}

static void stop(struct world *world)
{
    kit_free(&world->kit);
    world->known = known_versions_close(world->known);
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->cache = temporary_new();
    world->state = temporary_new();
    world->site.version = large;
    world->site.other = second;
    world->site.origin = origin_start(answer, &world->site);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    if (world->kit.engine != NULL)
        stop(world);
    origin_stop(world->site.origin);
    temporary_remove(world->cache);
    temporary_remove(world->state);
    free(world);
    return 0;
}

static int open_tree(struct world *world, unsigned flags, struct tree_fetch **out)
{
    struct tree_fetch_options options = {
        .engine = world->kit.engine,
        .client = world->kit.client,
        .known = world->known,
        .project = "p",
        .app = "a",
        .version = "v",
        .flags = flags,
        .deadline_ms = clock_monotonic_ms() + 10000,
    };

    return tree_fetch_open_wait(&options, out, NULL);
}

struct digest_outcome {
    struct outcome outcome;
    struct digest sha256, verity;
};

static void note_digest(void *context, int result, const struct digest *sha256,
                        const struct digest *verity, const struct error *err)
{
    struct digest_outcome *outcome = context;

    outcome->sha256 = *sha256;
    outcome->verity = *verity;
    note_outcome(&outcome->outcome, result, err);
}

static void assert_same(struct world *world, struct tree_fetch *tree, const struct version *version)
{
    struct span names = tree_fetch_names(tree);
    struct tree whole;

    assert_int_equal(names.size, version->header.names_part_size);
    assert_memory_equal(names.bytes, version->tree.image.bytes, names.size);
    assert_int_equal(tree_open_unhashed(buf_span(&version->tree.image), &whole, NULL), 0);
    for (uint32_t i = 0; i < version->header.file_count; i += version->header.file_count / 20 + 1) {
        struct digest_outcome got = { 0 };
        struct digest sha256 = tree_sha256(&whole, i), verity = tree_verity(&whole, i);

        if (tree_fetch_digest(tree, i, &got.sha256, &got.verity) < 0) {
            assert_int_equal(tree_fetch_digest_start(tree, i, clock_monotonic_ms() + 10000,
                                                     note_digest, &got, NULL),
                             0);
            assert_int_equal(kit_wait(&world->kit, &got.outcome), 0);
        }
        assert_true(digest_equal(&got.sha256, &sha256));
        assert_true(digest_equal(&got.verity, &verity));
    }
}

static void wait_complete(struct world *world, struct tree_fetch *tree, int expected)
{
    struct outcome outcome = { 0 };

    assert_int_equal(tree_fetch_complete(tree, clock_monotonic_ms() + 20000, note_outcome, &outcome,
                                         NULL),
                     0);
    assert_int_equal(kit_wait(&world->kit, &outcome), expected);
}

static void two_round_trips_then_none(void **state)
{
    struct world *world = *state;
    struct version *versions[] = { small, large };

    for (size_t i = 0; i < 2; i++) {
        struct tree_fetch *tree = NULL;
        unsigned before;

        known_versions_close(world->known);
        world->known = NULL;
        if (world->kit.engine != NULL)
            kit_free(&world->kit);
        temporary_remove(world->state);
        world->state = temporary_new();
        world->site.version = versions[i];
        start(world, world->cache);
        before = origin_requests(world->site.origin);
        assert_int_equal(open_tree(world, TREE_NO_BEHIND, &tree), 0);
        /* the version; then names and merkle, or the small image alone (and with levels above a
         * piece) */
        assert_in_range(origin_requests(world->site.origin) - before, 2, 3);
        assert_same(world, tree, versions[i]);
        assert_string_equal(tree_fetch_version(tree), "v");
        wait_complete(world, tree, 0);
        assert_true(tree_fetch_is_complete(tree));
        tree_fetch_unref(tree);
        kit_free(&world->kit);
        world->known = known_versions_close(world->known);
        /* the server is gone: from the disk */
        start(world, world->cache);
        before = origin_requests(world->site.origin);
        assert_int_equal(open_tree(world, TREE_OFFLINE, &tree), 0);
        assert_same(world, tree, versions[i]);
        assert_int_equal(origin_requests(world->site.origin), before);
        wait_complete(world, tree, 0);
        tree_fetch_unref(tree);
        assert_int_equal(origin_requests(world->site.origin), before);
    }
}

static void unknown_offline_is_enoent(void **state)
{
    struct world *world = *state;
    struct tree_fetch *tree = NULL;

    start(world, world->cache);
    assert_int_equal(open_tree(world, TREE_OFFLINE, &tree), -ENOENT);
    assert_int_equal(origin_requests(world->site.origin), 0);
}

static void lies_about_the_tree(void **state)
{
    struct world *world = *state;
    struct version *versions[] = { large, small };

    for (size_t i = 0; i < 2; i++) {
        for (int lie = TREE_HONEST + 1; lie < TREE_LIES; lie++) {
            struct tree_fetch *tree = NULL;
            struct blob_fetch_stats stats;
            char *cache = temporary_new();
            int r;

            world->site.version = versions[i];
            temporary_remove(world->state);
            world->state = temporary_new();
            start(world, cache);
            atomic_store(&world->site.lie, lie);
            r = open_tree(world, TREE_NO_BEHIND, &tree);
            blob_fetch_stats(world->kit.engine, &stats);
            atomic_store(&world->site.lie, TREE_HONEST);
            if (r == 0) {
                assert_same(world, tree, versions[i]);
                tree_fetch_unref(tree);
                if (i == 0 && lie <= TREE_NAMES_HTML)
                    assert_true(stats.integrity_failures > 0);
            } else if (r != -EBADMSG && r != -EIO) {
                fail_msg("lie %d gave %d", lie, r);
            }
            if (lie <= TREE_NAMES_HTML && r != 0) /* the image itself is still right */
                fail_msg("lie %d gave %d: %s", lie, r, stats.last_error);
            if (lie == TREE_IMAGE_WRONG && i == 1)
                assert_int_equal(r, -EBADMSG);
            if (lie == TREE_MERKLE_WRONG && i == 0)
                assert_int_equal(r, -EBADMSG);
            stop(world);
            temporary_remove(cache);
        }
    }
}

static void another_version_is_not_taken(void **state)
{
    struct world *world = *state;
    struct tree_fetch *tree = NULL;

    start(world, world->cache);
    atomic_store(&world->site.tells_other_name, true);
    assert_int_equal(open_tree(world, 0, &tree), -EBADMSG);
    atomic_store(&world->site.tells_other_name, false);
    /* a content that the tree does not have */
    atomic_store(&world->site.tells_other_content, true);
    assert_int_equal(open_tree(world, 0, &tree), -EBADMSG);
    atomic_store(&world->site.tells_other_content, false);
    /* that false content was remembered: the true one is now "another" */
    assert_int_equal(open_tree(world, 0, &tree), -EBADMSG);
}

static void known_content_does_not_change(void **state)
{
    struct world *world = *state;
    struct tree_fetch *tree = NULL;

    start(world, world->cache);
    assert_int_equal(open_tree(world, TREE_NO_BEHIND, &tree), 0);
    tree_fetch_unref(tree);
    world->site.version = second;
    assert_int_equal(open_tree(world, 0, &tree), -EBADMSG);
    world->site.version = large;
    assert_int_equal(open_tree(world, TREE_NO_BEHIND, &tree), 0);
    tree_fetch_unref(tree);
}

static void another_tree_digest_is_checked_whole(void **state)
{
    struct world *world = *state;
    struct known_version told = { 0 }, got;
    struct tree_fetch *tree = NULL;

    start(world, world->cache);
    told.content = large->tree.content;
    told.tree = digest_of("another tree of the same content", 5);
    told.tree_size = 8192;
    assert_int_equal(known_versions_check(world->known, "p", "a", "v", &told, NULL), 0);
    /* an image that does not verify under the new digest: refused, nothing changes */
    atomic_store(&world->site.tells_other_tree, true);
    assert_int_equal(open_tree(world, 0, &tree) < 0, 1);
    assert_int_equal(known_versions_get(world->known, "p", "a", "v", &got, NULL), 0);
    assert_true(digest_equal(&got.tree, &told.tree));
    /* one that gives `content`: taken, and remembered */
    atomic_store(&world->site.tells_other_tree, false);
    assert_int_equal(open_tree(world, 0, &tree), 0);
    assert_true(tree_fetch_is_complete(tree));
    tree_fetch_unref(tree);
    assert_int_equal(known_versions_get(world->known, "p", "a", "v", &got, NULL), 0);
    assert_true(digest_equal(&got.tree, &large->tree.verity));
}

static void it_works_without_a_cache(void **state)
{
    struct world *world = *state;
    struct tree_fetch *tree = NULL;

    start(world, NULL);
    assert_int_equal(open_tree(world, 0, &tree), 0);
    assert_same(world, tree, large);
    tree_fetch_unref(tree);
}

/* When the request is there nobody answers it: its client waits. */
static void *interrupt_when_asked(void *context)
{
    struct world *world = context;

    while (origin_requests(world->site.origin) == 0)
        usleep(1000);
    api_client_interrupt(world->kit.client);
    return NULL;
}

static void an_interrupt_ends_the_wait(void **state)
{
    struct world *world = *state;
    struct tree_fetch *tree = NULL;
    uint64_t begun = clock_monotonic_ms();
    pthread_t thread;

    start(world, world->cache);
    atomic_store(&world->site.hangs, true);
    pthread_create(&thread, NULL, interrupt_when_asked, world);
    assert_int_equal(open_tree(world, 0, &tree), -ECANCELED);
    assert_true(clock_monotonic_ms() - begun < 5000);
    pthread_join(thread, NULL);
    atomic_store(&world->site.hangs, false);
}

static void ignore_open(void *context, struct tree_fetch *tree, const struct error *err)
{
    *(int *)context = tree == NULL ? err->code : 1;
    tree_fetch_unref(tree);
}

/* The engine goes while a tree is being opened, at every stage of it. */
static void the_end_in_the_middle(void **state)
{
    struct world *world = *state;

    for (int turns = 0; turns < 12; turns++) {
        struct tree_fetch_options options = { .project = "p",
                                              .app = "a",
                                              .version = "v",
                                              .flags = TREE_COMPLETE,
                                              .deadline_ms = UINT64_MAX };
        char *cache = temporary_new();
        int code = 0;

        start(world, cache);
        options.engine = world->kit.engine;
        options.client = world->kit.client;
        options.known = world->known;
        assert_int_equal(tree_fetch_open(&options, ignore_open, &code, NULL), 0);
        atomic_store(&world->site.lie, turns % 3 == 2 ? TREE_NAMES_DAMAGED : TREE_HONEST);
        for (int i = 0; i < turns && code == 0; i++) {
            atomic_store(&world->site.hangs, i + 1 == turns);
            assert_int_equal(http_loop_run_once(world->kit.loop, 20, NULL), 0);
        }
        stop(world);
        assert_true(code != 0); /* it ended, one way or the other */
        atomic_store(&world->site.hangs, false);
        temporary_remove(cache);
    }
}

static void the_server_away(void **state)
{
    struct world *world = *state;
    struct tree_fetch *tree = NULL;

    start(world, world->cache);
    atomic_store(&world->site.is_gone, true);
    assert_int_equal(open_tree(world, 0, &tree), -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(two_round_trips_then_none),     CASE(unknown_offline_is_enoent),
        CASE(lies_about_the_tree),           CASE(another_version_is_not_taken),
        CASE(known_content_does_not_change), CASE(another_tree_digest_is_checked_whole),
        CASE(it_works_without_a_cache),      CASE(an_interrupt_ends_the_wait),
        CASE(the_end_in_the_middle),         CASE(the_server_away),
    };

    return cmocka_run_group_tests(tests, versions_new, versions_free);
}
