/* SPDX-License-Identifier: MIT */
/*
 * format-tool - the C readers and writers of the formats, for the tests that hold
 * them against the ones in Python. One job a line on stdin, fields separated by
 * tabs; one line of answer each, in order: `ok ...`, `refused OFFSET RULE`, or
 * `error ...` when the job itself could not be done.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/digest.h"
#include "common/codec/hex.h"
#include "common/model/listing.h"
#include "common/model/merkle.h"
#include "common/model/meta_yaml.h"
#include "common/model/names.h"
#include "common/model/record.h"
#include "common/model/times.h"
#include "common/model/tree.h"
#include "common/model/tree_builder.h"
#include "tests/formats/format_jobs.h"

#define LINE_MAX_SIZE 65536

int job_load(struct job *job, size_t slot, size_t field, struct span *out, struct error *err)
{
    int r;

    job->loaded[slot] = buf_init(BUF_UNLIMITED);
    r = file_load(job->fields[field], &job->loaded[slot], err);
    if (r < 0)
        return error_set(err, -EIO, "%s cannot be read", job->fields[field]);
    *out = buf_span(&job->loaded[slot]);
    return 0;
}

int job_save(const char *path, struct span bytes, struct error *err)
{
    FILE *file = fopen(path, "wb");
    bool done = file != NULL && fwrite(bytes.bytes, 1, bytes.size, file) == bytes.size;

    if (file != NULL && fclose(file) != 0)
        done = false;
    return done ? 0 : error_set(err, -EIO, "%s cannot be written", path);
}

void job_answer_digest(struct job *job, const struct digest *digest, uint64_t number, bool counted)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(digest, hex);
    if (counted)
        snprintf(job->answer, sizeof(job->answer), "%s %llu", hex, (unsigned long long)number);
    else
        snprintf(job->answer, sizeof(job->answer), "%s", hex);
}

/* Twice: as a whole, and in pieces of seven bytes; both must say the same. */
static int do_listing(struct job *job, struct error *err)
{
    struct listing_reader *reader = NULL;
    struct listing_totals totals = { .count = 0 }, again;
    struct error streamed = { 0 };
    struct span listing;
    int r = job_load(job, 0, 1, &listing, err), s;

    if (r < 0)
        return r;
    r = listing_check(listing, &totals, err);
    s = listing_reader_new(&reader, NULL, NULL, &streamed);
    for (size_t at = 0; s == 0 && at < listing.size; at += 7) {
        struct span piece = span_slice(listing, at, 7);
        s = listing_reader_feed(reader, piece.bytes, piece.size, &streamed);
    }
    if (s == 0)
        s = listing_reader_end(reader, &again, &streamed);
    listing_reader_free(reader);
    if (r != s || (r < 0 && err != NULL && strcmp(err->text, streamed.text) != 0) ||
        (r == 0 && !digest_equal(&totals.content, &again.content)))
        return error_set(err, -EIO, "the two readers of listings differ");
    job_answer_digest(job, &totals.content, totals.count, true);
    return r;
}

static int do_times(struct job *job, struct error *err)
{
    struct times_reader reader;
    struct digest digest, again;
    struct span times;
    uint64_t count;
    int r = job_load(job, 0, 1, &times, err), s = 0;

    if (r == 0 && number_parse(span_text(job->fields[2]), UINT64_MAX, &count, NULL) < 0)
        r = error_set(err, -EINVAL, "a count is an integer");
    if (r < 0)
        return r;
    r = times_check(times, count, &digest, err);
    times_reader_init(&reader, count);
    for (size_t at = 0; s == 0 && at < times.size; at += 5)
        s = times_reader_feed(&reader, times.bytes + at, span_slice(times, at, 5).size, NULL);
    if (s == 0)
        s = times_reader_end(&reader, &again, NULL);
    if (r != s || (r == 0 && !digest_equal(&digest, &again)))
        return error_set(err, -EIO, "the two readers of times differ");
    if (r == 0)
        job_answer_digest(job, &digest, 0, false);
    return r;
}

static int do_merkle(struct job *job, struct error *err)
{
    cleanup_memory uint8_t *object = NULL;
    char root_hex[DIGEST_HEX_SIZE], verity_hex[DIGEST_HEX_SIZE];
    struct digest root, verity;
    struct merkle_shape shape;
    struct span data;
    int r = job_load(job, 0, 1, &data, err);

    if (r == 0)
        r = merkle_shape_of(data.size, &shape, err);
    if (r < 0)
        return r;
    object = memory_new(shape.object_size);
    if (object == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = merkle_build(data, object, &root, &verity, err);
    if (r == 0)
        r = job_save(job->fields[2], span_of(object, shape.object_size), err);
    if (r < 0)
        return r;
    digest_hex(&root, root_hex);
    digest_hex(&verity, verity_hex);
    snprintf(job->answer, sizeof(job->answer), "%s %s", root_hex, verity_hex);
    return 0;
}

static int do_merkle_check(struct job *job, struct error *err)
{
    struct digest verity;
    struct span object;
    uint64_t size;
    int r = job_load(job, 0, 1, &object, err);

    if (r == 0 && number_parse(span_text(job->fields[2]), UINT64_MAX, &size, NULL) < 0)
        r = error_set(err, -EINVAL, "a size is an integer up to 2^53 - 1");
    if (r == 0 && digest_parse(span_text(job->fields[3]), &verity, NULL) < 0)
        r = error_set(err, -EINVAL, "a digest is 64 lower-case hex digits");
    return r < 0 ? r : merkle_check_object(size, &verity, object, err);
}

static int give_verity(void *context, uint64_t index, const struct entry *entry, struct digest *out,
                       struct error *err)
{
    const struct span *verities = context;

    if (index >= verities->size / DIGEST_SIZE)
        return error_set(err, -EINVAL, "too few verity digests");
    memcpy(out->bytes, verities->bytes + index * DIGEST_SIZE, DIGEST_SIZE);
    return 0;
}

static int do_tree_build(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf image = buf_init(BUF_UNLIMITED);
    struct span listing, times, verities;
    struct listing_totals totals;
    struct digest verity;
    uint64_t size;
    int r = job_load(job, 0, 1, &listing, err);

    if (r == 0)
        r = job_load(job, 1, 2, &times, err);
    if (r == 0)
        r = job_load(job, 2, 3, &verities, err);
    if (r == 0)
        r = listing_check(listing, &totals, err);
    if (r == 0 && verities.size != totals.file_count * DIGEST_SIZE)
        r = error_set(err, -EINVAL, "one verity digest for each file");
    if (r == 0)
        r = tree_build(listing, times, give_verity, &verities, sink_to_buf(&image), &verity, &size,
                       err);
    if (r == 0)
        r = job_save(job->fields[4], buf_span(&image), err);
    if (r == 0)
        job_answer_digest(job, &verity, size, true);
    return r;
}

/* The names part alone must be sound whenever the whole is; cut as it travels. */
static int do_tree(struct job *job, struct error *err)
{
    struct tree tree, names;
    struct span image;
    int r = job_load(job, 0, 1, &image, err);

    if (r == 0)
        r = tree_open(image, &tree, err);
    if (r < 0)
        return r;
    if (tree_open_names(span_slice(image, 0, tree.header.names_part_size), &names, NULL) < 0)
        return error_set(err, -EIO, "the names part of a sound image is refused");
    job_answer_digest(job, &tree.header.content, 0, false);
    return 0;
}

static int do_tree_listing(struct job *job, struct error *err)
{
    cleanup(buf_release) struct buf listing = buf_init(BUF_UNLIMITED);
    cleanup(buf_release) struct buf times = buf_init(BUF_UNLIMITED);
    struct digest digest;
    struct span image;
    struct tree tree;
    int r = job_load(job, 0, 1, &image, err);

    if (r == 0)
        r = tree_open(image, &tree, err);
    if (r == 0)
        r = tree_write_listing(&tree, sink_to_buf(&listing), &digest, err);
    if (r == 0)
        r = tree_write_times(&tree, sink_to_buf(&times), &digest, err);
    if (r == 0)
        r = job_save(job->fields[2], buf_span(&listing), err);
    if (r == 0)
        r = job_save(job->fields[3], buf_span(&times), err);
    return r;
}

static int do_meta(struct job *job, struct error *err)
{
    cleanup(record_release) struct record record = { .has_content = false };
    struct meta_yaml_totals totals;
    struct span text;
    int r = job_load(job, 0, 1, &text, err);

    if (r == 0)
        r = meta_yaml_read(source_of_span(&text), 0, NULL, NULL, &record, &totals, err);
    if (r == 0)
        job_answer_digest(job, &totals.content, totals.count, true);
    return r;
}

static int do_meta_write(struct job *job, struct error *err)
{
    cleanup(record_release) struct record record = { .has_content = false };
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct meta_yaml_totals totals;
    struct span text, image;
    struct tree tree;
    int r = job_load(job, 0, 1, &text, err);

    if (r == 0)
        r = job_load(job, 1, 2, &image, err);
    if (r == 0)
        r = meta_yaml_read(source_of_span(&text), 0, NULL, NULL, &record, &totals, err);
    if (r == 0)
        r = tree_open(image, &tree, err);
    if (r == 0)
        r = meta_yaml_write(&record, &tree, sink_to_buf(&out), err);
    return r < 0 ? r : job_save(job->fields[3], buf_span(&out), err);
}

static int do_record(struct job *job, struct error *err)
{
    cleanup(record_release) struct record record = { .has_content = false };
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct span text;
    int r = job_load(job, 0, 1, &text, err);

    if (r == 0)
        r = record_read(text, &record, err);
    if (r < 0)
        return r;
    record_write(&record, &out);
    return job_save(job->fields[2], buf_span(&out), err);
}

static int do_name(struct job *job, struct error *err)
{
    static const struct {
        const char *word;
        enum name_kind kind;
    } kinds[] = { { "project", NAME_PROJECT },
                  { "app", NAME_APP },
                  { "channel", NAME_CHANNEL },
                  { "version", NAME_VERSION } };
    struct span hex = span_text(job->fields[2]);
    cleanup_memory uint8_t *bytes = memory_new(hex.size);

    if (bytes == NULL || hex_decode(hex, bytes) < 0)
        return error_set(err, -EIO, "bytes in hex are wanted");
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(job->fields[1], kinds[i].word) == 0)
            return name_check(kinds[i].kind, span_of(bytes, hex.size / 2), err);
    }
    if (strcmp(job->fields[1], "path") == 0)
        return name_check_path(span_of(bytes, hex.size / 2), err);
    return error_set(err, -EIO, "no such kind of name");
}

static const struct verb verbs[] = {
    { "listing", 2, do_listing },
    { "times", 3, do_times },
    { "merkle", 3, do_merkle },
    { "merkle-check", 4, do_merkle_check },
    { "tree-build", 5, do_tree_build },
    { "tree", 2, do_tree },
    { "tree-listing", 4, do_tree_listing },
    { "meta", 2, do_meta },
    { "meta-write", 4, do_meta_write },
    { "record", 3, do_record },
    { "name", 3, do_name },
};

static bool is_verb(const struct job *job, const struct verb *verb)
{
    return strcmp(job->fields[0], verb->name) == 0 && job->count == verb->fields;
}

static int run(struct job *job, struct error *err)
{
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (is_verb(job, &verbs[i]))
            return verbs[i].run(job, err);
    }
    for (const struct verb *verb = transfer_verbs; verb->name != NULL; verb++) {
        if (is_verb(job, verb))
            return verb->run(job, err);
    }
    return error_set(err, -EIO, "no such job: %s with %zu fields", job->fields[0], job->count);
}

/* "offset N: rule" becomes "N rule"; a rule without a place stands at 0. */
static void answer(const struct job *job, int r, const struct error *err)
{
    unsigned long long offset = 0;
    int used = 0;

    if (r == 0) {
        printf("ok%s%s\n", job->answer[0] == '\0' ? "" : " ", job->answer);
    } else if (r == -EIO || r == -ENOMEM) {
        printf("error %s\n", err->text);
    } else {
        if (sscanf(err->text, "offset %llu: %n", &offset, &used) < 1)
            used = 0;
        printf("refused %llu %s\n", offset, err->text + used);
    }
    fflush(stdout);
}

static void split(char *line, struct job *job)
{
    char *end;

    for (;;) {
        if (job->count < FIELDS_MAX)
            job->fields[job->count] = line;
        job->count++;
        end = strchr(line, '\t');
        if (end == NULL)
            return;
        *end = '\0';
        line = end + 1;
    }
}

int main(void)
{
    static char line[LINE_MAX_SIZE];

    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct job job = { .count = 0 };
        struct error err = { 0 };
        line[strcspn(line, "\n")] = '\0';
        split(line, &job);
        answer(&job, run(&job, &err), &err);
        for (size_t i = 0; i < 3; i++)
            buf_release(&job.loaded[i]);
    }
    return 0;
}
