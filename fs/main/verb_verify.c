/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "fs/main/cache_check.h"
#include "fs/main/care_client.h"
#include "fs/main/exit_code.h"
#include "fs/main/verbs.h"

CLEANUP_DEFINE(json, json_free);

/* The result, as it grows. */
struct report {
    bool as_json;
    struct buf out;
    struct json_writer writer;
};

static void report_begin(struct report *report, const struct options *options)
{
    *report =
        (struct report){ .as_json = options_has(options, "json"), .out = buf_init(BUF_UNLIMITED) };
    report->writer = json_writer_init(&report->out);
    if (!report->as_json)
        return;
    json_begin_object(&report->writer, NULL);
    json_begin_array(&report->writer, "wrong");
}

static void report_wrong(struct report *report, const char *what, bool fetched)
{
    if (report->as_json) {
        json_begin_object(&report->writer, NULL);
        json_text(&report->writer, "what", what);
        json_bool(&report->writer, "fetched", fetched);
        json_end(&report->writer);
    } else {
        buf_format(&report->out, "wrong: %s (%s)\n", what,
                   fetched ? "set aside, and fetched again"
                           : "set aside; it is fetched when it is read");
    }
}

static int report_end(struct report *report, uint64_t objects, uint64_t wrong, struct error *err)
{
    int r;

    if (report->as_json) {
        json_end(&report->writer);
        json_integer(&report->writer, "objects", (int64_t)objects);
        json_integer(&report->writer, "wrong_count", (int64_t)wrong);
        json_end(&report->writer);
        buf_add_byte(&report->out, '\n');
    } else {
        buf_format(&report->out, "%llu objects hashed, %llu wrong\n", (unsigned long long)objects,
                   (unsigned long long)wrong);
    }
    r = buf_check(&report->out, err);
    if (r == 0)
        fputs(buf_text(&report->out), stdout);
    buf_release(&report->out);
    if (r < 0)
        return exit_code_of(EXIT_OF_LOCAL, r);
    return wrong == 0 ? EXIT_DONE : EXIT_INTEGRITY;
}

/* With a mount -------------------------------------------------------------------------- */

static int of_mount(const struct options *options, struct error *err)
{
    cleanup(cleanup_json) struct json *answer = NULL;
    const char *version = options_operand_count(options) > 1 ? options_operand(options, 1) : NULL;
    const struct json_value *list, *at = NULL;
    int64_t objects = 0, wrong = 0;
    struct report report;
    int r = care_client_ask(options_operand(options, 0), "verify", version, &answer, err);

    if (r < 0)
        return care_client_exit(r);
    report_begin(&report, options);
    list = json_member(json_root(answer), "wrong");
    while ((at = json_next(list, at)) != NULL) {
        const char *what = "";
        bool fetched = false;

        json_member_text(at, "what", &what, NULL);
        json_member_bool(at, "fetched", &fetched, NULL);
        report_wrong(&report, what, fetched);
    }
    json_member_integer(json_root(answer), "done_files", &objects, NULL);
    json_member_integer(json_root(answer), "wrong_count", &wrong, NULL);
    return report_end(&report, (uint64_t)objects, (uint64_t)wrong, err);
}

/* Without ------------------------------------------------------------------------------- */

static void found_wrong(void *context, const char *what)
{
    report_wrong(context, what, false);
}

static int of_cache(const struct options *options, const char *directory, struct error *err)
{
    const char *version = options_operand_count(options) > 0 ? options_operand(options, 0) : NULL;
    struct report report;
    struct cache_check sum = { 0 };
    int r;

    report_begin(&report, options);
    r = cache_check_run(directory, version, found_wrong, &report, &sum, err);
    if (r < 0) {
        buf_release(&report.out);
        return exit_code_of(r == -ENOENT || r == -EINVAL || r == -EBADMSG ? EXIT_OF_SERVER
                                                                          : EXIT_OF_LOCAL,
                            r);
    }
    return report_end(&report, sum.objects, sum.wrong, err);
}

int verb_verify(const struct options *options, struct error *err)
{
    const char *directory = options_get(options, "cache");
    size_t count = options_operand_count(options);

    if (directory != NULL && count > 1) {
        error_set(err, -EINVAL, "verify --cache DIR takes one version at most");
        return EXIT_USAGE;
    }
    if (directory == NULL && count == 0) {
        error_set(err, -EINVAL, "verify takes MOUNTPOINT, or --cache DIR");
        return EXIT_USAGE;
    }
    return directory != NULL ? of_cache(options, directory, err) : of_mount(options, err);
}
