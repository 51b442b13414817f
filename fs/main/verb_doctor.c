/* SPDX-License-Identifier: MIT */
#include "fs/main/verbs.h"

#include <errno.h>
#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/options.h"
#include "common/codec/json.h"
#include "fs/doctor/doctor.h"
#include "fs/doctor/findings.h"
#include "fs/main/exit_code.h"
#include "fs/main/mount_options.h"

static bool is_well(const struct findings *findings)
{
    return findings_worst(findings) < FINDING_WARNING;
}

static int write_json(const struct findings *findings, struct buf *out, struct error *err)
{
    struct json_writer writer = json_writer_init(out);

    json_begin_object(&writer, NULL);
    json_bool(&writer, "ok", is_well(findings));
    json_begin_array(&writer, "checks");
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        json_begin_object(&writer, NULL);
        json_text(&writer, "name", finding->name);
        json_text(&writer, "level", finding_level_name(finding->level));
        json_text(&writer, "what", finding->what);
        if (finding->advice != NULL)
            json_text(&writer, "advice", finding->advice);
        else
            json_null(&writer, "advice");
        json_end(&writer);
    }
    json_end(&writer);
    json_end(&writer);
    buf_add_byte(out, '\n');
    return buf_check(out, err);
}

static int write_lines(const struct findings *findings, struct buf *out, struct error *err)
{
    size_t counts[FINDING_PROBLEM + 1] = { 0 };

    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        counts[finding->level]++;
        buf_format(out, "%-8s %s: %s\n", finding_level_name(finding->level), finding->name,
                   finding->what);
        if (finding->advice != NULL && finding->level > FINDING_OK)
            buf_format(out, "         -> %s\n", finding->advice);
    }
    if (is_well(findings))
        buf_add_text(out, "All is well.\n");
    else
        buf_format(out, "%zu problems, %zu warnings\n", counts[FINDING_PROBLEM],
                   counts[FINDING_WARNING]);
    return buf_check(out, err);
}

static int report(const struct options *words, const struct findings *findings, struct error *err)
{
    cleanup(buf_release) struct buf out = buf_init(BUF_UNLIMITED);
    int r = options_has(words, "json") ? write_json(findings, &out, err)
                                       : write_lines(findings, &out, err);

    if (r < 0)
        return EXIT_OTHER;
    fputs(buf_text(&out), stdout);
    return is_well(findings) ? EXIT_DONE : EXIT_OTHER;
}

int verb_doctor(const struct options *words, struct error *err)
{
    bool names_one = options_operand_count(words) > 0;
    struct mount_options defaults = { 0 };
    struct doctor_options options = { .mountpoint = NULL };
    struct findings findings = { 0 };
    int code, r;

    r = mount_options_init(&defaults, err);
    /* The way to it is resolved, never the mount point itself: nobody may be there to answer. */
    if (r == 0 && names_one)
        r = mount_options_set_mountpoint_unasked(&defaults, options_operand(words, 0), err);
    options.default_cache = defaults.cache;
    options.mountpoint = defaults.mountpoint;
    if (r == 0)
        r = doctor_examine(&options, &findings, err);
    code = r == 0 ? report(words, &findings, err)
                  : exit_code_of(r == -ENOENT ? EXIT_OF_SERVER : EXIT_OF_LOCAL, r);
    findings_release(&findings);
    mount_options_release(&defaults);
    return code;
}
