/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/base/utf8.h"
#include "common/codec/base64.h"
#include "common/codec/json.h"
#include "fs/control/control_client.h"
#include "fs/main/exit_code.h"
#include "fs/main/json_print.h"

CLEANUP_DEFINE(json, json_free);

/* The daemon is asked by number: it never opens a path of its own mount. */
static int ask(const char *path, struct json **out_answer, struct error *err)
{
    cleanup(buf_release) struct buf question = buf_init(4096);
    struct stat found;
    int r;

    if (lstat(path, &found) < 0)
        return error_system(err, errno, "%s", path);
    buf_format(&question, "{\"ask\":\"stat\",\"node\":\"%llu\"}", (unsigned long long)found.st_ino);
    r = buf_check(&question, err);
    if (r == 0)
        r = control_ask(found.st_dev, buf_text(&question), out_answer, err);
    return r < 0 ? error_prefix(err, r, "%s", path) : 0;
}

static void print_json(const char *path, const struct json_value *answer)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED), base64 = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&out);

    json_begin_object(&writer, NULL);
    if (utf8_is_valid(span_text(path))) {
        json_text(&writer, "path", path);
    } else {
        base64_encode(span_text(path), &base64);
        json_text(&writer, "path_base64", buf_text(&base64));
    }
    json_print_members(&writer, answer);
    json_end(&writer);
    printf("%s\n", buf_text(&out));
}

static void print_lines(const char *path, const struct json_value *answer)
{
    const struct json_value *at = NULL;
    const char *text;
    int64_t number;

    printf("%-13s %s\n", "path", path);
    while ((at = json_next(answer, at)) != NULL) {
        if (json_get_text(at, "", &text, NULL) == 0)
            printf("%-13s %s\n", json_name(at), text);
        else if (json_get_integer(at, "", &number, NULL) == 0)
            printf("%-13s %lld\n", json_name(at), (long long)number);
    }
}

int verb_stat(const struct options *options, struct error *err)
{
    cleanup(cleanup_json) struct json *answer = NULL;
    const char *path = options_operand(options, 0);
    int r = ask(path, &answer, err);

    if (r < 0)
        return exit_code_of(EXIT_OF_SERVER, r);
    if (options_has(options, "json"))
        print_json(path, json_root(answer));
    else
        print_lines(path, json_root(answer));
    return EXIT_DONE;
}
