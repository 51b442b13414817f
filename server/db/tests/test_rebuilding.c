/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/hex.h"
#include "server/db/rebuilding.h"
#include "server/db/store.h"
#include "server/db/tests/fixture.h"

#define DB(state) (((struct fixture *)*(state))->database)
#define STORE_ID "01234567-89ab-4def-8123-456789abcdef"

static void begin(void **state)
{
    assert_int_equal(rebuilding_begin(DB(state), STORE_ID, NULL), 0);
}

/* What the n-th object gives; its key begins with its digest, or not. */
static struct blob blob_of(unsigned n, bool keyed)
{
    struct blob blob = { .sha256 = fixture_digest(n),
                         .verity = fixture_digest(1000000 + n),
                         .size = 1000 + n };

    memset(blob.key, '0', BLOB_STORAGE_KEY_SIZE - 1);
    hex_encode(blob.sha256.bytes, 8, blob.key);
    memset(blob.key + 16, (char)('a' + n % 6), 16);
    if (!keyed)
        memset(blob.key, 'f', 8);
    return blob;
}

static size_t add(void **state, unsigned first, unsigned count)
{
    size_t added = 0, one;

    for (unsigned n = first; n < first + count; n++) {
        const struct blob blob = blob_of(n, true);

        assert_int_equal(rebuilding_blobs(DB(state), &blob, 1, &one, NULL), 0);
        added += one;
    }
    return added;
}

/* Files 1.. of a version whose listing, times and tree are 100, 101 and 102. */
static void file_of(void *context, size_t index, struct digest *out_sha256,
                    struct digest *out_verity)
{
    const struct blob blob = blob_of((unsigned)index % 3 + 1, true);

    *out_sha256 = blob.sha256;
    *out_verity = blob.verity;
}

static int add_version(void **state, const char *name, int64_t tree_id, uint64_t *out_missing)
{
    struct version version = { .project = "shop",
                               .app = "api",
                               .content = fixture_digest(100),
                               .times = fixture_digest(101),
                               .tree = fixture_digest(1000102),
                               .tree_size = 1102,
                               .file_count = 6,
                               .bytes = 7,
                               .created_at_s = 12345 };
    const struct rebuilding_version wanted = {
        .version = &version, .file_count = 6, .file = file_of, .tree_blob_id = tree_id
    };

    memcpy(version.name, name, strlen(name) + 1);
    return rebuilding_version(DB(state), &wanted, out_missing, NULL);
}

static int64_t tree_id(void **state)
{
    const struct digest verity = fixture_digest(1000102);
    struct blob blob;

    assert_int_equal(rebuilding_find(DB(state), &verity, 1102, &blob, NULL), 0);
    assert_int_equal(rebuilding_find(DB(state), &verity, 1103, &blob, NULL), -ENOENT);
    return blob.id;
}

static void it_belongs_to_the_store(void **state)
{
    struct store store;

    begin(state);
    assert_int_equal(store_get(DB(state), &store, NULL), 0);
    assert_string_equal(store.id, STORE_ID);
    assert_int_equal(add(state, 1, 1), 1);
    assert_int_equal(rebuilding_begin(DB(state), STORE_ID, NULL), -EEXIST);
    assert_int_equal(rebuilding_end(DB(state), NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM sqlite_schema"
                                                " WHERE name = 'blobs_verity'"),
                     0);
}

static void the_same_bytes_have_one_row(void **state)
{
    struct blob twice[2] = { blob_of(1, true), blob_of(1, true) };
    size_t added;

    begin(state);
    memset(twice[1].key + 16, '9', 16);
    assert_int_equal(rebuilding_blobs(DB(state), twice, 2, &added, NULL), 0);
    assert_int_equal(added, 1);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM blobs"
                                                " WHERE state = 'live'"),
                     1);
}

static void a_version_that_is_complete(void **state)
{
    cleanup(version_release) struct version found = version_empty();
    uint64_t missing;

    begin(state);
    add(state, 1, 3);
    add(state, 50, 1);
    add(state, 100, 3);
    assert_int_equal(add_version(state, "1", tree_id(state), &missing), 0);
    assert_int_equal(missing, 0);
    assert_int_equal(version_get(DB(state), "shop", "api", "1", &found, NULL), 0);
    assert_int_equal(found.created_at_s, 12345);
    assert_int_equal(found.state, VERSION_READY);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM version_blobs"), 6);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM gc_candidates"), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM names"
                                                " WHERE purged_at IS NULL"),
                     1);
    assert_int_equal(add_version(state, "1", tree_id(state), &missing), -EEXIST);
}

/* Its name is spent, and nothing else is there. */
static void a_version_that_is_not(void **state)
{
    cleanup(version_release) struct version found = version_empty();
    uint64_t missing;

    begin(state);
    add(state, 1, 2);
    add(state, 100, 3);
    assert_int_equal(add_version(state, "1", tree_id(state), &missing), 0);
    assert_int_equal(missing, 2); /* the same one, twice */
    assert_int_equal(add_version(state, "2", 0, &missing), 0);
    assert_int_equal(missing, 3);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM versions"), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM version_blobs"), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM names"), 2);
    assert_int_equal(version_get(DB(state), "shop", "api", "1", &found, NULL), -ESTALE);
}

static void purged_names_stay_spent(void **state)
{
    struct purged_record purged = { .project = "shop",
                                    .app = "api",
                                    .version = "1",
                                    .content = fixture_digest(7),
                                    .purged_at_s = 99 };
    uint64_t missing;

    begin(state);
    add(state, 1, 3);
    add(state, 100, 3);
    assert_int_equal(rebuilding_purged(DB(state), &purged, NULL), 0);
    assert_int_equal(rebuilding_purged(DB(state), &purged, NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT purged_at FROM names"), 99);
    /* A place of which nothing but these is left may have been deleted. */
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM apps"), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM projects"), 0);
    assert_int_equal(add_version(state, "1", tree_id(state), &missing), -EEXIST);
    /* Pushed again with the same content after it was purged: it is there. */
    purged.content = fixture_digest(100);
    purged.version[0] = '2';
    assert_int_equal(rebuilding_purged(DB(state), &purged, NULL), 0);
    assert_int_equal(add_version(state, "2", tree_id(state), &missing), 0);
    /* The last end of its name is still known, whichever of several is told last. */
    purged.purged_at_s = 50;
    assert_int_equal(rebuilding_purged(DB(state), &purged, NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT min(purged_at) FROM names"), 99);
}

/* Small, another digest than the key's, and nobody's: its bytes may be anything. */
static void what_nothing_proves(void **state)
{
    struct blob doubtful = blob_of(60, false), used = blob_of(1, false), large = blob_of(61, false);
    struct blob found;
    uint64_t missing;
    size_t added;

    begin(state);
    large.size = 524289; /* its merkle object proved it */
    assert_int_equal(rebuilding_blobs(DB(state), &doubtful, 1, &added, NULL), 0);
    assert_int_equal(rebuilding_blobs(DB(state), &used, 1, &added, NULL), 0);
    assert_int_equal(rebuilding_blobs(DB(state), &large, 1, &added, NULL), 0);
    add(state, 2, 2);
    add(state, 50, 1);
    add(state, 100, 3);
    assert_int_equal(add_version(state, "1", tree_id(state), &missing), 0);
    assert_int_equal(missing, 0);
    assert_int_equal(rebuilding_doubtful(DB(state), 0, &found, NULL), 1);
    assert_string_equal(found.key, doubtful.key);
    assert_int_equal(rebuilding_doubtful(DB(state), found.id, &found, NULL), 0);
    assert_int_equal(rebuilding_doubtful(DB(state), 0, &found, NULL), 0);
    assert_int_equal(fixture_integer(DB(state), "SELECT count(*) FROM blobs"), 8);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(it_belongs_to_the_store),    CASE(the_same_bytes_have_one_row),
        CASE(a_version_that_is_complete), CASE(a_version_that_is_not),
        CASE(purged_names_stay_spent),    CASE(what_nothing_proves),
    };

    return cmocka_run_group_tests_name("rebuilding", tests, NULL, NULL);
}
