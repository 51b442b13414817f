/* SPDX-License-Identifier: MIT */
/* pin, unpin, prefetch: versions that are to be in a mount's cache. */
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/number.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "fs/main/care_client.h"
#include "fs/main/exit_code.h"
#include "fs/main/verbs.h"

CLEANUP_DEFINE(json, json_free);

struct amount {
    int64_t bytes, done_bytes, files, done_files;
};

static struct amount amount_of(const struct json_value *answer)
{
    struct amount amount = { 0 };

    json_member_integer(answer, "bytes", &amount.bytes, NULL);
    json_member_integer(answer, "done_bytes", &amount.done_bytes, NULL);
    json_member_integer(answer, "files", &amount.files, NULL);
    json_member_integer(answer, "done_files", &amount.done_files, NULL);
    return amount;
}

static bool is_complete(const struct amount *amount)
{
    return amount->done_files == amount->files;
}

static void print_json(const char *version, const struct amount *amount)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&out);

    json_begin_object(&writer, NULL);
    json_text(&writer, "version", version);
    json_bool(&writer, "complete", is_complete(amount));
    json_integer(&writer, "cached_bytes", amount->done_bytes);
    json_integer(&writer, "bytes", amount->bytes);
    json_integer(&writer, "cached_files", amount->done_files);
    json_integer(&writer, "files", amount->files);
    json_end(&writer);
    printf("%s\n", buf_text(&out));
}

static void print_words(const char *version, const char *what, const struct amount *amount)
{
    char done[NUMBER_SIZE_TEXT], all[NUMBER_SIZE_TEXT];

    number_format_size((uint64_t)amount->done_bytes, done);
    number_format_size((uint64_t)amount->bytes, all);
    if (is_complete(amount))
        printf("%s %s, complete: %s\n", version, what, all);
    else
        printf("%s %s, partial: %s of %s are here, the rest is being fetched\n", version, what,
               done, all);
}

static int run(const struct options *options, const char *ask, const char *what, struct error *err)
{
    cleanup(cleanup_json) struct json *answer = NULL;
    const char *version = options_operand(options, 1);
    struct amount amount;
    int r = care_client_ask(options_operand(options, 0), ask, version, &answer, err);

    if (r < 0)
        return care_client_exit(r);
    amount = amount_of(json_root(answer));
    if (options_has(options, "json"))
        print_json(version, &amount);
    else
        print_words(version, what, &amount);
    return EXIT_DONE;
}

int verb_pin(const struct options *options, struct error *err)
{
    return run(options, "pin", "is pinned", err);
}

int verb_prefetch(const struct options *options, struct error *err)
{
    return run(options, "prefetch", "is in the cache", err);
}

int verb_unpin(const struct options *options, struct error *err)
{
    cleanup(cleanup_json) struct json *answer = NULL;
    int r = care_client_ask(options_operand(options, 0), "unpin", options_operand(options, 1),
                            &answer, err);

    return care_client_exit(r);
}
