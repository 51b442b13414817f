/* SPDX-License-Identifier: MIT */
#include "common/model/tests/sample_tree.h"

#include "tests/support/unit.h"

#include <string.h>

#include "common/model/entry.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "common/model/times.h"
#include "common/model/tree_builder.h"

struct maker {
    struct listing_writer listing;
    struct times_writer times;
    uint32_t random;
    uint32_t left;
};

static uint32_t maker_random(struct maker *maker, uint32_t below)
{
    maker->random = maker->random * 1664525 + 1013904223;
    return (maker->random >> 8) % below;
}

static void add(struct maker *maker, struct entry entry)
{
    if (entry.kind == ENTRY_FILE && entry.size == 0)
        entry.sha256 = entry_empty_sha256;
    assert_int_equal(listing_writer_add(&maker->listing, &entry, NULL), 0);
    assert_int_equal(times_writer_add(&maker->times, entry.mtime, NULL), 0);
}

/* Names ascend by their first two characters; some sort around '/'. */
static size_t make_name(struct maker *maker, uint32_t number, uint8_t *out)
{
    static const char tails[][12] = { "", "-", ".x", "\xff\xfe", " a\n", "longer-name" };
    const char *tail = tails[maker_random(maker, 6)];

    out[0] = (uint8_t)('A' + number / 26);
    out[1] = (uint8_t)('a' + number % 26);
    memcpy(out + 2, tail, strlen(tail));
    return 2 + strlen(tail);
}

static struct digest digest_of_number(uint32_t number)
{
    return digest_of(&number, sizeof(number));
}

static void make_directory(struct maker *maker, uint8_t *path, size_t size)
{
    uint32_t children = maker_random(maker, 12);

    for (uint32_t i = 0; i < children && maker->left > 0; i++) {
        size_t end = size;
        struct entry entry = { .mode = 0755, .mtime = maker_random(maker, 1000000) };
        uint32_t kind = maker_random(maker, 10);
        if (size > 0)
            path[end++] = '/';
        end += make_name(maker, i, path + end);
        entry.path = span_of(path, end);
        maker->left--;
        if (kind < 4 && end < 3000) {
            entry.kind = ENTRY_DIRECTORY;
            add(maker, entry);
            make_directory(maker, path, end);
        } else if (kind < 9) {
            entry.kind = ENTRY_FILE;
            entry.mode = 0644;
            entry.size = maker_random(maker, 50);
            entry.sha256 = digest_of_number((uint32_t)entry.size);
            add(maker, entry);
        } else {
            add(maker, (struct entry){ .kind = ENTRY_LINK,
                                       .path = entry.path,
                                       .target = span_text("../somewhere") });
        }
    }
}

static void make_vector(struct maker *maker)
{
    struct digest hello = digest_of("hello", 5);

    add(maker, (struct entry){ .kind = ENTRY_DIRECTORY, .mode = 0755, .path = span_text("a") });
    add(maker, (struct entry){ .kind = ENTRY_FILE,
                               .mode = 0644,
                               .size = 5,
                               .sha256 = hello,
                               .path = span_text("a/b"),
                               .mtime = 1700000000 });
    add(maker, (struct entry){
                   .kind = ENTRY_LINK, .path = span_text("a/l"), .target = span_text("../a-b") });
    add(maker,
        (struct entry){ .kind = ENTRY_FILE, .mode = 0755, .path = span_text("a-b"), .mtime = -7 });
    add(maker, (struct entry){ .kind = ENTRY_FILE,
                               .mode = 0644,
                               .size = 5,
                               .sha256 = hello,
                               .path = span_text("n\nl") });
}

static int give_verity(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                       struct error *err)
{
    *out = merkle_empty_verity;
    if (entry->size > 0)
        *out = digest_of(entry->sha256.bytes, DIGEST_SIZE);
    return 0;
}

static void begin(struct maker *maker, struct sample_tree *sample)
{
    sample->listing = sample->times = sample->image = buf_init(BUF_UNLIMITED);
    assert_int_equal(listing_writer_init(&maker->listing, sink_to_buf(&sample->listing), NULL), 0);
    assert_int_equal(times_writer_init(&maker->times, sink_to_buf(&sample->times), NULL), 0);
}

static void end(struct maker *maker, struct sample_tree *sample)
{
    struct listing_totals totals;
    uint64_t size;

    assert_int_equal(listing_writer_end(&maker->listing, &totals, NULL), 0);
    assert_int_equal(times_writer_end(&maker->times, &sample->times_sha256, NULL), 0);
    sample->content = totals.content;
    sample->count = totals.count;
    sample->file_count = totals.file_count;
    assert_int_equal(tree_build(buf_span(&sample->listing), buf_span(&sample->times), give_verity,
                                NULL, sink_to_buf(&sample->image), &sample->verity, &size, NULL),
                     0);
    assert_int_equal(size, sample->image.size);
}

void sample_tree_make(struct sample_tree *sample, uint32_t seed, uint32_t count)
{
    struct maker maker = { .random = seed, .left = count };
    uint8_t path[PATH_MAX_SIZE];

    begin(&maker, sample);
    if (seed == 0)
        make_vector(&maker);
    else
        make_directory(&maker, path, 0);
    end(&maker, sample);
}

void sample_tree_make_of(struct sample_tree *sample, const struct sample_entry *entries,
                         size_t count)
{
    struct maker maker = { .left = 0 };

    begin(&maker, sample);
    for (size_t i = 0; i < count; i++) {
        struct span path = span_text(entries[i].path);

        if (path.bytes[path.size - 1] == '/')
            add(&maker, (struct entry){ .kind = ENTRY_DIRECTORY,
                                        .mode = 0755,
                                        .path = span_of(path.bytes, path.size - 1) });
        else
            add(&maker, (struct entry){ .kind = ENTRY_FILE,
                                        .mode = 0644,
                                        .size = entries[i].size,
                                        .sha256 = digest_of_number(entries[i].content),
                                        .path = path });
    }
    end(&maker, sample);
}

void sample_tree_release(struct sample_tree *sample)
{
    buf_release(&sample->listing);
    buf_release(&sample->times);
    buf_release(&sample->image);
}
