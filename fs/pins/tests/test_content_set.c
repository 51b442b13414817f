/* SPDX-License-Identifier: MIT */
#include "fs/pins/content_set.h"

#include <errno.h>
#include <string.h>

#include "common/client/tests/sample.h"
#include "common/model/tests/sample_tree.h"
#include "common/model/tree.h"
#include "tests/support/unit.h"

static void open_sample(struct sample_tree *sample, uint32_t seed, struct tree *tree)
{
    sample_tree_make(sample, seed, 200);
    assert_int_equal(tree_open(buf_span(&sample->image), tree, NULL), 0);
}

/* Every content of the tree once, whatever stands how often in it. */
static void each_content_once(void **state)
{
    for (uint32_t seed = 0; seed < 30; seed++) {
        struct content_set *set = NULL;
        struct sample_tree sample;
        struct digest other = digest_of("no such content", 15);
        uint64_t bytes = 0;
        struct tree tree;
        size_t unique = 0;

        open_sample(&sample, seed, &tree);
        assert_int_equal(content_set_new(&tree, &sample.verity, &set, NULL), 0);
        for (uint32_t i = 0; i < tree.header.record_count; i++) {
            struct tree_record record = tree_record(&tree, i);
            struct digest name;
            uint32_t first;

            if (record.kind != ENTRY_FILE || record.size == 0)
                continue;
            name = tree_sha256(&tree, record.digest_index);
            assert_true(content_set_has(set, &name));
            assert_int_equal(tree_find_sha256(&tree, &name, &first), 0);
            if (first == record.digest_index) {
                unique++;
                bytes += record.size;
            }
        }
        assert_int_equal(set->count, unique);
        assert_int_equal(set->bytes, bytes);
        assert_true(content_set_has(set, &sample.verity));
        assert_false(content_set_has(set, &other));
        content_set_free(set);
        sample_tree_release(&sample);
    }
}

static void sets_together(void **state)
{
    struct content_set *sets[2] = { NULL, NULL };
    struct sample_tree samples[2];
    struct tree tree;
    uint64_t bytes = 0, all = 0;

    for (uint32_t i = 0; i < 2; i++) {
        open_sample(&samples[i], i + 5, &tree);
        assert_int_equal(content_set_new(&tree, &samples[i].verity, &sets[i], NULL), 0);
    }
    const struct content_set *twice[] = { sets[0], sets[0] };
    const struct content_set *both[] = { sets[0], sets[1] };

    assert_int_equal(content_sets_bytes(twice, 1, &bytes, NULL), 0);
    assert_int_equal(bytes, sets[0]->bytes + sets[0]->tree_size);
    assert_int_equal(content_sets_bytes(twice, 2, &all, NULL), 0);
    assert_int_equal(all, bytes + sets[0]->tree_size);
    assert_int_equal(content_sets_bytes(both, 2, &all, NULL), 0);
    assert_true(all <= bytes + sets[1]->bytes + sets[1]->tree_size);
    assert_true(all >= bytes + sets[1]->tree_size);
    assert_int_equal(content_sets_bytes(both, 0, &all, NULL), 0);
    assert_int_equal(all, 0);
    for (int i = 0; i < 2; i++) {
        content_set_free(sets[i]);
        sample_tree_release(&samples[i]);
    }
}

static int make(const struct tree *tree, const struct digest *name)
{
    struct content_set *set = NULL;
    int r = content_set_new(tree, name, &set, NULL);

    content_set_free(set);
    return r;
}

static void no_memory_is_an_error(void **state)
{
    struct sample_tree sample;
    struct tree tree;

    open_sample(&sample, 3, &tree);
    assert_survives_no_memory(make(&tree, &sample.verity));
    sample_tree_release(&sample);
}

static void an_image_that_is_not_there(void **state)
{
    char *folder = temporary_new();
    struct blob_cache *cache = NULL;
    struct content_set *set = NULL;
    struct digest name = digest_of("x", 1);

    assert_int_equal(blob_cache_open(folder, NULL, &cache, NULL), 0);
    assert_int_equal(content_set_load(cache, &name, 8192, &set, NULL), -EAGAIN);
    assert_null(set);
    blob_cache_close(cache);
    temporary_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_content_once),
        cmocka_unit_test(sets_together),
        cmocka_unit_test(no_memory_is_an_error),
        cmocka_unit_test(an_image_that_is_not_there),
    };

    return cmocka_run_group_tests_name("content_set", tests, NULL, NULL);
}
