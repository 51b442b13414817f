/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/zstd.h"
#include "common/model/merkle.h"
#include "common/model/tree.h"
#include "server/db/database.h"
#include "server/service/content.h"
#include "server/service/listings.h"
#include "server/service/tests/fault_store.h"
#include "server/service/tests/world.h"
#include "server/storage/blob_store.h"

static struct world world;
static struct sample sample;

static int setup(enum world_kind kind)
{
    enum pushes_outcome outcome;

    world_open(&world, kind);
    sample_make(&sample, 77, 8, 5000);
    return sample_push(&world, &world.caller, "p", "a", "1", &sample, &outcome, NULL, NULL, NULL);
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
    sample_release(&sample);
    world_close(&world);
    return 0;
}

/* All bytes of a content, in pieces; memory_free() them. */
static uint8_t *read_all(struct content *content)
{
    uint64_t size = content_size(content);
    uint8_t *bytes = memory_new(size + 1);

    for (uint64_t at = 0; at < size; at += 1000)
        assert_int_equal(content_read(content, at, bytes + at,
                                      size - at < 1000 ? (size_t)(size - at) : 1000, NULL),
                         0);
    return bytes;
}

static void test_blobs_and_documents(void **state)
{
    struct content *content;
    char etag[80];

    sample_check(&world, "p", "a", "1", &sample);
    sample_check(&world, "p", "a", "latest", &sample);
    assert_int_equal(content_open_blob(world.services, &world.caller.identity, "p", "a", "1",
                                       &sample.content, &content, NULL, NULL),
                     0);
    assert_int_equal(content_size(content), sample.listing.size);
    etag[0] = '"';
    digest_hex(&sample.content, etag + 1);
    etag[65] = '"';
    etag[66] = '\0';
    assert_string_equal(content_etag(content), etag);
    uint8_t *bytes = read_all(content);
    assert_memory_equal(bytes, sample.listing.bytes, sample.listing.size);
    memory_free(bytes);
    assert_int_equal(content_read(content, content_size(content), etag, 1, NULL), -EINVAL);
    content_close(content);
    assert_int_equal(content_open_blob(world.services, &world.caller.identity, "p", "a", "1",
                                       &sample.times_sha256, &content, NULL, NULL),
                     0);
    assert_int_equal(content_size(content), sample.times.size);
    content_close(content);
}

static int open_blob(const struct identity *identity, const char *app, const char *version,
                     const struct digest *sha256, struct refusal *why)
{
    struct content *content = NULL;
    int r;

    memset(why, 0, sizeof(*why));
    r = content_open_blob(world.services, identity, "p", app, version, sha256, &content, why, NULL);
    content_close(content);
    return r;
}

static void test_only_what_the_version_holds(void **state)
{
    struct caller outsider, pusher;
    struct sample other;
    enum pushes_outcome outcome;
    struct refusal why;
    char text[64];

    sample_make(&other, 78, 1, 5000);
    assert_int_equal(sample_push(&world, &world.caller, "p", "b", "1", &other, &outcome, NULL, NULL,
                                 NULL),
                     0);
    /* There, but of another version. */
    assert_int_equal(open_blob(&world.caller.identity, "a", "1", &other.blobs[0].sha256, &why),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NOT_FOUND);
    assert_int_equal(open_blob(&world.caller.identity, "a", "nope", &sample.blobs[0].sha256, &why),
                     -ENOENT);
    assert_int_equal(open_blob(&world.caller.identity, "a", "@nope", &sample.blobs[0].sha256, &why),
                     -ENOENT);
    assert_int_equal(open_blob(&world.caller.identity, "a", "../1", &sample.blobs[0].sha256, &why),
                     -ENOENT);
    world_token(&world, "p", "b", ACCESS_PULL, &outsider, text);
    assert_int_equal(open_blob(&outsider.identity, "a", "1", &sample.blobs[0].sha256, &why),
                     -ENOENT);
    world_token(&world, "p", "a", ACCESS_PUSH, &pusher, text);
    assert_int_equal(open_blob(&pusher.identity, "a", "1", &sample.blobs[0].sha256, &why), -EACCES);
    assert_int_equal(why.code, REFUSAL_INSUFFICIENT_SCOPE);
    sample_release(&other);
}

static void test_files_by_path(void **state)
{
    static const char *const bad[] = {
        "",  "d", "d/link", "nope", "d/f0000000/x", "../d/f0000000", "/d/f0000000", "d//f0000000",
        "d/"
    };
    struct content *content;

    assert_int_equal(content_open_file(world.services, &world.caller.identity, "p", "a", "1",
                                       span_text("d/f0000003"), &content, NULL, NULL),
                     0);
    uint8_t *bytes = read_all(content);
    assert_int_equal(content_size(content), sample.blobs[3].size);
    assert_memory_equal(bytes, sample.blobs[3].bytes, sample.blobs[3].size);
    memory_free(bytes);
    content_close(content);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(content_open_file(world.services, &world.caller.identity, "p", "a", "1",
                                           span_text(bad[i]), &content, NULL, NULL),
                         -ENOENT);
}

static void test_tree(void **state)
{
    cleanup(buf_release) struct buf names = buf_init(BUF_UNLIMITED);
    cleanup(version_info_release) struct version_info info = { 0 };
    struct content *content;
    struct digest verity;
    struct tree tree;
    uint8_t *image, *merkle, *frame;

    assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "a", "1", &info,
                                  NULL, NULL),
                     0);
    assert_int_equal(content_open_tree(world.services, &world.caller.identity, "p", "a", "1",
                                       &content, NULL, NULL),
                     0);
    image = read_all(content);
    assert_int_equal(content_size(content), info.record.tree_size);
    assert_int_equal(merkle_verity_of(span_of(image, content_size(content)), &verity, NULL), 0);
    assert_true(digest_equal(&verity, &info.record.tree));
    assert_int_equal(tree_open(span_of(image, content_size(content)), &tree, NULL), 0);
    assert_true(digest_equal(&tree.header.content, &sample.content));
    content_close(content);
    assert_int_equal(content_open_tree_merkle(world.services, &world.caller.identity, "p", "a", "1",
                                              &content, NULL, NULL),
                     0);
    merkle = read_all(content);
    assert_int_equal(merkle_check_object(info.record.tree_size, &info.record.tree,
                                         span_of(merkle, content_size(content)), NULL),
                     0);
    content_close(content);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(content_open_tree_names(world.services, &world.caller.identity, "p", "a",
                                                 "1", &content, NULL, NULL),
                         0);
        frame = read_all(content);
        buf_clear(&names);
        assert_int_equal(zstd_decompress(span_of(frame, content_size(content)), 1u << 20, &names,
                                         NULL),
                         0);
        assert_int_equal(names.size, tree.header.names_part_size);
        assert_memory_equal(names.bytes, image, names.size);
        memory_free(frame);
        content_close(content);
    }
    memory_free(image);
    memory_free(merkle);
}

/* The names part is answered also by a store that takes nothing. */
static void test_names_of_a_full_store(void **state)
{
    struct content *content;
    struct sample other;
    enum pushes_outcome outcome;

    sample_make(&other, 79, 2, 10);
    assert_int_equal(sample_push(&world, &world.caller, "p", "full", "1", &other, &outcome, NULL,
                                 NULL, NULL),
                     0);
    sample_check(&world, "p", "full", "1", &other); /* the tree is open */
    fault_store_fail(world.store, 1, -ENOSPC, 1);   /* not the look whether it is there */
    assert_int_equal(content_open_tree_names(world.services, &world.caller.identity, "p", "full",
                                             "1", &content, NULL, NULL),
                     0);
    fault_store_heal(world.store);
    assert_true(content_bytes(content).size > 0);
    assert_int_equal(content_bytes(content).size, content_size(content));
    content_close(content);
    sample_release(&other);
}

static void test_small_blobs_have_no_merkle(void **state)
{
    struct content *content;
    struct sample other;
    enum pushes_outcome outcome;
    struct refusal why = { 0 };

    sample_make(&other, 80, 1, 4096);
    assert_int_equal(sample_push(&world, &world.caller, "p", "small", "1", &other, &outcome, NULL,
                                 NULL, NULL),
                     0);
    assert_int_equal(content_open_blob_merkle(world.services, &world.caller.identity, "p", "small",
                                              "1", &other.blobs[0].sha256, &content, &why, NULL),
                     -ENOENT);
    assert_int_equal(why.code, REFUSAL_NO_MERKLE);
    sample_release(&other);
}

/* Warm facts: no database and no opening in the store; cold: -EAGAIN. */
static void test_warm(void **state)
{
    const struct digest *sha256 = &sample.blobs[2].sha256;
    struct content *content;
    struct refusal why = { 0 };
    struct caller outsider;
    char text[64];
    int64_t calls;

    world_restart(&world);
    assert_int_equal(content_open_blob_cached(world.services, &world.caller.identity, "p", "a", "1",
                                              sha256, &content, &why, NULL),
                     -EAGAIN);
    assert_int_equal(content_open_blob(world.services, &world.caller.identity, "p", "a", "1",
                                       sha256, &content, &why, NULL),
                     0);
    content_close(content);
    calls = fault_store_calls(world.store);
    assert_int_equal(content_open_blob_cached(world.services, &world.caller.identity, "p", "a", "1",
                                              sha256, &content, &why, NULL),
                     0);
    content_close(content);
    assert_int_equal(content_open_file_cached(world.services, &world.caller.identity, "p", "a", "1",
                                              span_text("d/f0000002"), &content, &why, NULL),
                     0);
    content_close(content);
    assert_int_equal(fault_store_calls(world.store), calls);
    /* Warm for one is not warm for all. */
    world_token(&world, "q", NULL, ACCESS_PULL, &outsider, text);
    assert_int_equal(content_open_blob_cached(world.services, &outsider.identity, "p", "a", "1",
                                              sha256, &content, &why, NULL),
                     -ENOENT);
    assert_int_equal(content_open_blob_cached(world.services, &world.caller.identity, "p", "a", "1",
                                              &(struct digest){ { 1 } }, &content, &why, NULL),
                     -ENOENT);
    assert_int_equal(content_open_blob_cached(world.services, &world.caller.identity, "p", "a",
                                              "latest", sha256, &content, &why, NULL),
                     -EAGAIN);
}

static void test_descriptor(void **state)
{
    struct content *content;
    uint8_t bytes[16];
    uint64_t base;
    int fd;

    assert_int_equal(content_open_blob(world.services, &world.caller.identity, "p", "a", "1",
                                       &sample.blobs[1].sha256, &content, NULL, NULL),
                     0);
    fd = content_descriptor(content, &base);
    content_close(content);
    if (world.kind == WORLD_MEMORY) {
        assert_int_equal(fd, -1);
        return;
    }
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), (off_t)(base + 100)), sizeof(bytes));
    assert_memory_equal(bytes, sample.blobs[1].bytes + 100, sizeof(bytes));
    close(fd);
}

struct hunt {
    const char *directory;
    uint64_t size;
    char key[128];
};

static int hunt_size(void *context, const char *key, uint64_t size, int64_t changed_at_s,
                     struct error *err)
{
    struct hunt *hunt = context;

    if (size == hunt->size)
        snprintf(hunt->key, sizeof(hunt->key), "%s", key);
    return 0;
}

static void object_path(uint64_t size, char *out, size_t out_size)
{
    struct hunt hunt = { .size = size };

    assert_int_equal(blob_store_list(world.inner, hunt_size, &hunt, NULL), 0);
    assert_string_not_equal(hunt.key, "");
    snprintf(out, out_size, "%s/store/blobs/%.2s/%s", world.directory, hunt.key, hunt.key);
}

/* A blob that the disk lost or cut: an error of ours, never other bytes; healed by a new push. */
static void test_damage_is_seen_and_healed(void **state)
{
    struct sample other;
    enum pushes_outcome outcome;
    struct refusal why;
    char path[256];
    size_t sent;

    if (world.kind == WORLD_MEMORY)
        return;
    for (int lost = 0; lost < 2; lost++) {
        char app[8] = { 'd', (char)('0' + lost), 0 };

        sample_make(&other, 81 + (uint32_t)lost, 1, 7777 + (size_t)lost);
        assert_int_equal(sample_push(&world, &world.caller, "p", app, "1", &other, &outcome, NULL,
                                     NULL, NULL),
                         0);
        world_restart(&world);
        object_path(other.blobs[0].size, path, sizeof(path));
        if (lost) {
            assert_int_equal(unlink(path), 0);
        } else {
            assert_int_equal(chmod(path, 0600), 0);
            assert_int_equal(truncate(path, 100), 0);
        }
        assert_int_equal(open_blob(&world.caller.identity, app, "1", &other.blobs[0].sha256, &why),
                         -EIO);
        assert_int_equal(why.code, REFUSAL_STORAGE);
        /* The same bytes pushed again, under any name, heal both. */
        assert_int_equal(sample_push(&world, &world.caller, "p", app, "2", &other, &outcome, &sent,
                                     &why, NULL),
                         0);
        assert_int_equal(sent, 1);
        sample_check(&world, "p", app, "1", &other);
        sample_check(&world, "p", app, "2", &other);
        sample_release(&other);
    }
}

static void test_damaged_tree_is_no_tree(void **state)
{
    cleanup(version_info_release) struct version_info info = { 0 };
    struct content *content;
    struct sample other;
    enum pushes_outcome outcome;
    struct refusal why = { 0 };
    char path[256];
    int fd;

    if (world.kind == WORLD_MEMORY)
        return;
    sample_make(&other, 90, 300, 10);
    assert_int_equal(sample_push(&world, &world.caller, "p", "tree", "1", &other, &outcome, NULL,
                                 NULL, NULL),
                     0);
    assert_int_equal(versions_get(world.services, &world.caller.identity, "p", "tree", "1", &info,
                                  NULL, NULL),
                     0);
    world_restart(&world);
    object_path(info.record.tree_size, path, sizeof(path));
    assert_int_equal(chmod(path, 0600), 0);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, 5000), 1);
    close(fd);
    assert_int_equal(content_open_tree(world.services, &world.caller.identity, "p", "tree", "1",
                                       &content, &why, NULL),
                     -EIO);
    assert_int_equal(why.code, REFUSAL_STORAGE);
    assert_int_equal(open_blob(&world.caller.identity, "tree", "1", &other.blobs[0].sha256, &why),
                     -EIO);
    sample_release(&other);
}

static void cut(uint64_t object_size, off_t size)
{
    char path[256];

    object_path(object_size, path, sizeof(path));
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(truncate(path, size), 0);
}

/* Every call that walks the tree image of p/APP/1; each must give `wanted`. */
static void walk_tree(const char *app, const struct sample *of, int wanted)
{
    const struct identity *identity = &world.caller.identity;
    const struct page_request page_request = { .limit = 500 };
    struct refusal why = { 0 };
    struct meta_stream *stream = NULL;
    struct content *content = NULL;
    struct listed_page page = { 0 };
    char bytes[4096];
    size_t size = 1;

    assert_int_equal(open_blob(identity, app, "1", &of->blobs[of->count - 1].sha256, &why), wanted);
    assert_int_equal(content_open_file(world.services, identity, "p", app, "1",
                                       span_text("d/f0000007"), &content, &why, NULL),
                     wanted);
    content_close(content);
    assert_int_equal(listings_page(world.services, identity, "p", app, "1", span_text("d"),
                                   &page_request, &page, &why, NULL),
                     wanted);
    listed_page_release(&page);
    assert_int_equal(meta_stream_open(world.services, identity, "p", app, "1", &stream, &why, NULL),
                     wanted);
    while (stream != NULL && size > 0)
        assert_int_equal(meta_stream_read(stream, bytes, sizeof(bytes), &size, NULL), 0);
    meta_stream_close(stream);
    if (wanted < 0)
        assert_int_equal(why.code, REFUSAL_STORAGE);
}

/* A tree image that is cut while it is open: whoever has it reads on, whoever opens it later is
 * refused, and nobody is ended by a signal. Once small enough for memory, once not. */
static void test_tree_cut_while_it_is_open(void **state)
{
    static const struct {
        const char *app;
        size_t count;
    } cases[] = { { "cut-small", 250 }, { "cut-large", 900 } };

    if (world.kind == WORLD_MEMORY)
        return;
    for (size_t i = 0; i < 2; i++) {
        cleanup(version_info_release) struct version_info info = { 0 };
        const char *app = cases[i].app;
        struct content *content;
        struct sample other;
        enum pushes_outcome outcome;
        uint8_t bytes[100];

        sample_make(&other, 300 + (uint32_t)i, cases[i].count, 5);
        assert_int_equal(sample_push(&world, &world.caller, "p", app, "1", &other, &outcome, NULL,
                                     NULL, NULL),
                         0);
        assert_int_equal(versions_get(world.services, &world.caller.identity, "p", app, "1", &info,
                                      NULL, NULL),
                         0);
        assert_int_equal(info.record.tree_size > 64 * 1024, i);
        walk_tree(app, &other, 0);
        assert_int_equal(content_open_tree(world.services, &world.caller.identity, "p", app, "1",
                                           &content, NULL, NULL),
                         0);
        cut(info.record.tree_size, 4096);
        walk_tree(app, &other, 0);
        assert_true(content_read(content, info.record.tree_size - sizeof(bytes), bytes,
                                 sizeof(bytes), NULL) < 0);
        content_close(content);
        world_restart(&world);
        walk_tree(app, &other, -EIO);
        sample_release(&other);
    }
}

/* A listing that is cut while it is open: the next push that needs it is refused, by name. */
static void test_listing_cut_while_it_is_open(void **state)
{
    struct content *content;
    struct sample other;
    enum pushes_outcome outcome;
    struct refusal why = { 0 };

    if (world.kind == WORLD_MEMORY)
        return;
    sample_make(&other, 310, 900, 5);
    assert_int_equal(sample_push(&world, &world.caller, "p", "listing", "1", &other, &outcome, NULL,
                                 NULL, NULL),
                     0);
    world_restart(&world);
    assert_int_equal(content_open_blob(world.services, &world.caller.identity, "p", "listing", "1",
                                       &other.content, &content, NULL, NULL),
                     0);
    cut(other.listing.size, 4096);
    assert_int_equal(sample_push(&world, &world.caller, "p", "listing", "2", &other, &outcome, NULL,
                                 &why, NULL),
                     -EIO);
    assert_int_equal(why.code, REFUSAL_STORAGE);
    content_close(content);
    sample_release(&other);
}

/* Without its merkle object a blob gets a new one. */
static void test_lost_merkle_is_made_again(void **state)
{
    struct content *content;
    struct merkle_shape shape;
    struct sample other;
    enum pushes_outcome outcome;
    char path[256];

    if (world.kind == WORLD_MEMORY)
        return;
    sample_make(&other, 91, 1, 1000000);
    assert_int_equal(sample_push(&world, &world.caller, "p", "m", "1", &other, &outcome, NULL, NULL,
                                 NULL),
                     0);
    assert_int_equal(merkle_shape_of(1000000, &shape, NULL), 0);
    object_path(shape.object_size, path, sizeof(path));
    world_restart(&world);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(content_open_blob_merkle(world.services, &world.caller.identity, "p", "m", "1",
                                              &other.blobs[0].sha256, &content, NULL, NULL),
                     0);
    assert_int_equal(content_size(content), shape.object_size);
    content_close(content);
    sample_release(&other);
}

/* That of a blob of one piece is made from its bytes, and not of other bytes. */
static void test_merkle_of_damaged_bytes(void **state)
{
    struct refusal why = { 0 };
    struct content *content;
    struct sample other;
    enum pushes_outcome outcome;
    char path[256];
    int fd;

    if (world.kind == WORLD_MEMORY)
        return;
    sample_make(&other, 92, 1, 54321);
    assert_int_equal(sample_push(&world, &world.caller, "p", "m", "2", &other, &outcome, NULL, NULL,
                                 NULL),
                     0);
    object_path(54321, path, sizeof(path));
    world_restart(&world);
    assert_int_equal(content_open_blob_merkle(world.services, &world.caller.identity, "p", "m", "2",
                                              &other.blobs[0].sha256, &content, NULL, NULL),
                     0);
    assert_int_equal(content_size(content), 4096);
    content_close(content);
    assert_int_equal(chmod(path, 0600), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "other", 5, 5000), 5);
    close(fd);
    world_restart(&world);
    assert_int_equal(content_open_blob_merkle(world.services, &world.caller.identity, "p", "m", "2",
                                              &other.blobs[0].sha256, &content, &why, NULL),
                     -EIO);
    assert_int_equal(why.code, REFUSAL_STORAGE);
    sample_release(&other);
}

static void test_store_away(void **state)
{
    struct refusal why;

    world_restart(&world);
    fault_store_fail(world.store, 0, -EIO, 1);
    assert_int_equal(open_blob(&world.caller.identity, "a", "1", &sample.blobs[0].sha256, &why),
                     -EIO);
    assert_int_equal(why.code, REFUSAL_STORAGE);
    fault_store_heal(world.store);
    sample_check(&world, "p", "a", "1", &sample);
}

#define ALL_TESTS                                                                                 \
    cmocka_unit_test(test_blobs_and_documents),                                                   \
        cmocka_unit_test(test_only_what_the_version_holds), cmocka_unit_test(test_files_by_path), \
        cmocka_unit_test(test_tree), cmocka_unit_test(test_names_of_a_full_store),                \
        cmocka_unit_test(test_small_blobs_have_no_merkle), cmocka_unit_test(test_warm),           \
        cmocka_unit_test(test_descriptor), cmocka_unit_test(test_damage_is_seen_and_healed),      \
        cmocka_unit_test(test_damaged_tree_is_no_tree),                                           \
        cmocka_unit_test(test_tree_cut_while_it_is_open),                                         \
        cmocka_unit_test(test_listing_cut_while_it_is_open),                                      \
        cmocka_unit_test(test_lost_merkle_is_made_again),                                         \
        cmocka_unit_test(test_merkle_of_damaged_bytes), cmocka_unit_test(test_store_away)

/* The argument names the store: "memory" or "file". */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { ALL_TESTS };

    assert_int_equal(argc, 2);
    if (strcmp(argv[1], "memory") == 0)
        return cmocka_run_group_tests(tests, setup_memory, teardown);
    assert_string_equal(argv[1], "file");
    return cmocka_run_group_tests(tests, setup_file, teardown);
}
