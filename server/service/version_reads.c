/* SPDX-License-Identifier: MIT */
#include "server/service/version_reads.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "server/db/read_reports.h"
#include "server/service/context.h"
#include "server/service/lease_words.h"
#include "server/service/read_report.h"
#include "server/service/refusal.h"
#include "server/service/tree_image.h"
#include "server/service/version_fact.h"

/* READS_MAX files and as many ranges as each may have, in bytes. */
#define REPORT_MAX (4 + READS_MAX * 8 + READS_RANGES_ALL * 16)

/* A version with its tree open. */
struct subject {
    char version[VERSION_TEXT_SIZE];
    struct version_fact fact;
    struct tree_image *image;
};

static void subject_release(struct subject *subject)
{
    subject->image = tree_image_unref(subject->image);
}

void version_reads_release(struct version_reads *reads)
{
    reads_release(&reads->reads);
}

static int subject_open(struct services *services, const struct identity *identity,
                        const char *project, const char *app, const char *reference,
                        struct subject *out, struct refusal *why, struct error *err)
{
    cleanup(version_release) struct version version = version_empty();
    int r = version_resolve(services, identity, project, app, reference, &version, why, err);

    if (r < 0)
        return r;
    memcpy(out->version, version.name, sizeof(out->version));
    r = version_fact_get(services, identity, project, app, out->version, &out->fact, why, err);
    return r < 0 ? r : tree_image_open(services, &out->fact, &out->image, why, err);
}

/* What was told of it, as one; no files when there is nothing. A list that is damaged is left
 * out. */
static int load(struct services *services, const struct subject *subject, struct read_report *out,
                struct error *err)
{
    const struct tree *tree = tree_image_tree(subject->image);
    struct read_report_list lists[READ_REPORTS_MAX];
    struct read_report reports[READ_REPORTS_MAX] = { { 0 } };
    size_t count = 0, list_count = 0;
    int r = read_report_get(services->database, subject->fact.id, lists, &list_count, err);

    if (r < 0)
        return r;
    for (size_t i = 0; r != -ENOMEM && i < list_count; i++) {
        r = read_report_parse(span_of(lists[i].bytes, lists[i].size), tree, &reports[count], err);
        count += r == 0;
    }
    if (r != -ENOMEM)
        r = read_reports_merge(reports, count, tree, out, err);
    for (size_t i = 0; i < count; i++)
        read_report_release(&reports[i]);
    read_report_lists_release(lists, list_count);
    return r;
}

/* That of the version before it, in this one's tree. It is a hint: what cannot be read, or is gone
 * by now, is as if it were not there. */
static int inherit(struct services *services, const struct identity *identity, const char *project,
                   const char *app, const struct subject *subject, struct version_reads *out,
                   struct error *err)
{
    const struct tree *tree = tree_image_tree(subject->image);
    cleanup(subject_release) struct subject from = { .image = NULL };
    cleanup(read_report_release) struct read_report told = { 0 }, carried = { 0 };
    struct error ignored = { 0 };
    int r = read_report_earlier(services->database, subject->fact.id, from.version, &ignored);

    if (r == 0)
        r = subject_open(services, identity, project, app, from.version, &from, NULL, &ignored);
    if (r == 0)
        r = load(services, &from, &told, &ignored);
    if (r == 0)
        r = read_report_carry(&told, tree_image_tree(from.image), tree, &carried, &ignored);
    if (r == 0)
        r = read_report_paths(&carried, tree, &out->reads, &ignored);
    if (r == -ENOMEM)
        return error_set(err, r, "out of memory");
    if (r < 0 || out->reads.count == 0)
        return 0;
    out->source = READS_INHERITED;
    memcpy(out->from, from.version, sizeof(out->from));
    return 0;
}

static int fill(struct services *services, const struct identity *identity, const char *project,
                const char *app, const struct subject *subject, struct version_reads *out,
                struct error *err)
{
    cleanup(read_report_release) struct read_report told = { 0 };
    int r = load(services, subject, &told, err);

    if (r < 0)
        return r;
    memcpy(out->version, subject->version, sizeof(out->version));
    if (told.count == 0)
        return inherit(services, identity, project, app, subject, out, err);
    out->source = READS_OWN;
    return read_report_paths(&told, tree_image_tree(subject->image), &out->reads, err);
}

int version_reads_get(struct services *services, const struct identity *identity,
                      const char *project, const char *app, const char *reference,
                      struct version_reads *out, struct refusal *why, struct error *err)
{
    cleanup(subject_release) struct subject subject = { .image = NULL };
    struct version_reads made = { .source = READS_NONE, .reads = reads_init() };
    int r = access_check(services, identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why, err);

    if (r == 0)
        r = subject_open(services, identity, project, app, reference, &subject, why, err);
    if (r == 0)
        r = fill(services, identity, project, app, &subject, &made, err);
    if (r < 0)
        version_reads_release(&made);
    else
        *out = made;
    return r;
}

static int put(struct services *services, const struct caller *caller,
               const struct subject *subject, const char *host, const struct reads *reads,
               struct reads_told *out, struct error *err)
{
    cleanup(read_report_release) struct read_report report = { 0 };
    cleanup(buf_release) struct buf list = buf_init(REPORT_MAX);
    struct read_report_put put = { .version_id = subject->fact.id,
                                   .token_id = caller->identity.id,
                                   .host = host };
    int r = read_report_of(reads, tree_image_tree(subject->image), &report, err);

    if (r < 0)
        return r;
    memcpy(out->version, subject->version, sizeof(out->version));
    out->count = report.count;
    out->kept = false;
    if (report.count == 0)
        return 0;
    read_report_write(&report, &list);
    r = buf_check(&list, err);
    put.list = buf_span(&list);
    return r < 0 ? r : read_report_put(services->database, &put, &out->kept, err);
}

int version_reads_put(struct services *services, const struct caller *caller, const char *project,
                      const char *app, const char *reference, const char *host,
                      const struct reads *reads, struct reads_told *out, struct refusal *why,
                      struct error *err)
{
    cleanup(subject_release) struct subject subject = { .image = NULL };
    struct reads_told told;
    int r = access_check(services, &caller->identity, ACCESS_PULL, ACCESS_WHOLE, project, app, why,
                         err);

    if (r == 0)
        r = lease_check_host(host, why, err);
    if (r == 0)
        r = subject_open(services, &caller->identity, project, app, reference, &subject, why, err);
    if (r < 0)
        return r;
    r = put(services, caller, &subject, host, reads, &told, err);
    if (r == -ENOENT) /* purged in between */
        return refusal_set(why, REFUSAL_NOT_FOUND, r);
    if (r == 0)
        *out = told;
    return r;
}
