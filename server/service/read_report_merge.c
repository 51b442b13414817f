/* SPDX-License-Identifier: MIT */
/* Several reports of one version made one. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/model/tree.h"
#include "server/service/read_report.h"

/* What one report says of a file. */
struct word {
    const struct read_report *report;
    const struct report_file *said;
    size_t place; /* among those of its report */
};

/* A file, and all that was said of it. */
struct common_file {
    const struct word *words;
    size_t count, median;
};

static int order_of(size_t a, size_t b)
{
    return a < b ? -1 : a > b;
}

/* The words of a file stand together, by their places. */
static int by_file(const void *a, const void *b)
{
    const struct word *left = a, *right = b;
    int order = order_of(left->said->file, right->said->file);

    return order != 0 ? order : order_of(left->place, right->place);
}

static int by_place(const void *a, const void *b)
{
    const struct common_file *left = a, *right = b;
    int order = order_of(left->median, right->median);

    return order != 0 ? order : order_of(left->words->said->file, right->words->said->file);
}

static int by_count(const void *a, const void *b)
{
    const struct common_file *left = a, *right = b;
    int order = order_of(right->count, left->count);

    return order != 0 ? order : by_place(a, b);
}

static size_t gather_words(const struct read_report *reports, size_t count, struct word *out)
{
    size_t words = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < reports[i].count; k++)
            out[words++] = (struct word){ &reports[i], &reports[i].files[k], k };
    qsort(out, words, sizeof(*out), by_file);
    return words;
}

static size_t gather_files(const struct word *words, size_t count, struct common_file *out)
{
    size_t files = 0;

    for (size_t i = 0; i < count; i++) {
        if (files == 0 || out[files - 1].words->said->file != words[i].said->file)
            out[files++] = (struct common_file){ .words = &words[i] };
        out[files - 1].count++;
    }
    for (size_t i = 0; i < files; i++)
        out[i].median = out[i].words[out[i].count / 2].place;
    return files;
}

/* The ranges of all, not joined yet; 0: one of them has read it whole. */
static size_t gather_ranges(const struct common_file *file, struct read_range *out)
{
    size_t count = 0;

    for (size_t i = 0; i < file->count; i++) {
        const struct word *word = &file->words[i];

        if (word->said->range_count == 0)
            return 0;
        for (uint32_t k = 0; k < word->said->range_count; k++)
            out[count++] = word->report->ranges[word->said->first_range + k];
    }
    return count;
}

static size_t join_ranges(const struct common_file *file, const struct tree *tree,
                          struct read_range *out)
{
    uint32_t record = tree_find_file(tree, file->words->said->file);
    uint64_t size = tree_record(tree, record).size;
    size_t left = read_ranges_join(out, gather_ranges(file, out), size, READS_RANGES_MAX);

    return left == 1 && out[0].length == size ? 0 : left;
}

/* `files` are in the order in which they are to stand. */
static void write_files(const struct common_file *files, size_t count, const struct tree *tree,
                        struct read_report *out)
{
    for (size_t i = 0; i < count; i++) {
        size_t left = join_ranges(&files[i], tree, &out->ranges[out->range_count]);

        out->files[out->count++] = (struct report_file){ .file = files[i].words->said->file,
                                                         .first_range = (uint32_t)out->range_count,
                                                         .range_count = (uint32_t)left };
        out->range_count += left;
    }
}

int read_reports_merge(const struct read_report *reports, size_t count, const struct tree *tree,
                       struct read_report *out, struct error *err)
{
    cleanup(read_report_release) struct read_report made = { 0 };
    cleanup_memory struct word *words = NULL;
    cleanup_memory struct common_file *files = NULL;
    size_t word_count = 0, range_count = 0, file_count;

    for (size_t i = 0; i < count; i++) {
        word_count += reports[i].count;
        range_count += reports[i].range_count;
    }
    words = memory_array(word_count, sizeof(*words));
    files = memory_array(word_count, sizeof(*files));
    made.files = memory_array(word_count, sizeof(*made.files));
    made.ranges = memory_array(range_count, sizeof(*made.ranges));
    if (words == NULL || files == NULL || made.files == NULL || made.ranges == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    word_count = gather_words(reports, count, words);
    file_count = gather_files(words, word_count, files);
    qsort(files, file_count, sizeof(*files), by_count);
    if (file_count > READS_MAX)
        file_count = READS_MAX;
    qsort(files, file_count, sizeof(*files), by_place);
    write_files(files, file_count, tree, &made);
    *out = made;
    memset(&made, 0, sizeof(made));
    return 0;
}
