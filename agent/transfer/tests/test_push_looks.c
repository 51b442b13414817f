/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_looks.h"

#include <string.h>

#include "agent/transfer/hint_cache.h"
#include "agent/transfer/push_delta.h"
#include "agent/transfer/scan.h"
#include "agent/transfer/stat_cache.h"
#include "tests/support/place.h"
#include "common/base/cleanup.h"
#include "common/base/directory.h"
#include "common/base/file.h"

#define SIZE ((size_t)PUSH_LOOKS_FILE_MIN)

/* A file of `size` bytes, and what is known of it. */
struct sample {
    struct scan_entry entry;
    struct buf list, tree;
};

static void make(struct place *place, size_t size, uint64_t seed, struct sample *out)
{
    cleanup(buf_release) struct buf bytes = buf_init(BUF_UNLIMITED);
    uint8_t *at = buf_reserve(&bytes, size);
    struct push_delta_file file = { .size = size };
    struct file_info info;
    int fd = -1;

    for (size_t i = 0; i < size; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        at[i] = (uint8_t)(seed >> 56);
    }
    file.sha256 = digest_of(at, size);
    directory_remove_file(place->at, "file", NULL);
    assert_int_equal(directory_create(place->at, "file", 0600, &fd, NULL), 0);
    assert_int_equal(file_write(fd, at, size, NULL), 0);
    assert_int_equal(file_info(fd, &info, NULL), 0);
    *out = (struct sample){ .entry = { .path = "file",
                                       .size = size,
                                       .kind = ENTRY_FILE,
                                       .stamp = stat_stamp(&info),
                                       .sha256 = file.sha256 },
                            .list = buf_init(BUF_UNLIMITED),
                            .tree = buf_init(BUF_UNLIMITED) };
    file.fd = fd;
    assert_int_equal(push_delta_look(&file, &out->list, &out->tree, NULL), 0);
    cleanup_fd_at(&fd);
}

static void release(struct sample *sample)
{
    buf_release(&sample->list);
    buf_release(&sample->tree);
}

/* Whether a look at the sample was taken for a file that held `last` before. */
static bool takes(struct place *place, const struct sample *sample, const struct digest *last,
                  enum push_base_kind kind)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct push_looks *looks;
    bool taken;

    assert_int_equal(push_looks_new(place->at, place->at, &looks, NULL), 0);
    push_looks_add(looks, &sample->entry, last);
    taken = push_looks_take(looks, &sample->entry, kind, &out);
    if (taken)
        assert_true(span_equal(buf_span(&out),
                               buf_span(kind == PUSH_BASE_LIST ? &sample->list : &sample->tree)));
    assert_true(!taken || !push_looks_take(looks, &sample->entry, kind, &out));
    push_looks_free(looks);
    return taken;
}

static void keep(struct place *place, const struct sample *sample, enum push_base_kind kind)
{
    hint_cache_put(place->at, &sample->entry.sha256, push_base_hint(kind),
                   buf_span(kind == PUSH_BASE_LIST ? &sample->list : &sample->tree));
}

static void trees_for_files_of_one_size(void **state)
{
    struct place *place = *state;
    struct sample old, new;

    make(place, SIZE, 1, &old);
    make(place, SIZE, 2, &new);
    assert_false(takes(place, &new, &old.entry.sha256, PUSH_BASE_TREE));
    keep(place, &old, PUSH_BASE_LIST);
    assert_true(takes(place, &new, &old.entry.sha256, PUSH_BASE_TREE));
    keep(place, &old, PUSH_BASE_TREE);
    assert_true(takes(place, &new, &old.entry.sha256, PUSH_BASE_TREE));
    assert_false(takes(place, &new, &old.entry.sha256, PUSH_BASE_LIST));
    release(&old);
    release(&new);
}

static void lists_for_others(void **state)
{
    struct place *place = *state;
    struct sample old, new;

    make(place, SIZE, 1, &old);
    make(place, 2 * SIZE, 2, &new);
    keep(place, &old, PUSH_BASE_LIST);
    assert_true(takes(place, &new, &old.entry.sha256, PUSH_BASE_LIST));
    keep(place, &old, PUSH_BASE_TREE);
    assert_true(takes(place, &new, &old.entry.sha256, PUSH_BASE_LIST));
    release(&old);
    release(&new);
}

static void nothing_without_a_past(void **state)
{
    struct place *place = *state;
    struct digest never = { .bytes = { 0 } };
    struct sample old, new;

    make(place, SIZE - 1, 1, &old);
    keep(place, &old, PUSH_BASE_LIST);
    make(place, SIZE - 1, 2, &new);
    assert_false(takes(place, &new, &old.entry.sha256, PUSH_BASE_TREE)); /* too small */
    release(&new);
    make(place, SIZE, 2, &new);
    assert_false(takes(place, &new, &never, PUSH_BASE_LIST));
    assert_true(takes(place, &new, &old.entry.sha256, PUSH_BASE_LIST));
    new.entry.stamp++; /* it was another when it was hashed */
    assert_false(takes(place, &new, &old.entry.sha256, PUSH_BASE_LIST));
    release(&old);
    release(&new);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        IN_A_PLACE(trees_for_files_of_one_size),
        IN_A_PLACE(lists_for_others),
        IN_A_PLACE(nothing_without_a_past),
    };

    return cmocka_run_group_tests_name("push_looks", tests, NULL, NULL);
}
