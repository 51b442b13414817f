/* SPDX-License-Identifier: MIT */
#include "common/model/version_ref.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/error.h"

/* The name was checked: it fits. */
static void copy_name(char *out, struct span name)
{
    memcpy(out, name.bytes, name.size);
    out[name.size] = '\0';
}

static int parse_channel(struct span text, struct version_ref *ref, struct error *err)
{
    int r = name_check(NAME_CHANNEL, text, err);

    if (r < 0)
        return r;
    ref->kind = VERSION_REF_CHANNEL;
    ref->version[0] = '\0';
    copy_name(ref->channel, text);
    return 0;
}

int version_ref_parse_version(struct span text, struct version_ref *ref, struct error *err)
{
    int r;

    if (text.size > 0 && text.bytes[0] == '@')
        return parse_channel(span_slice(text, 1, text.size), ref, err);
    if (span_equal_text(text, "latest")) {
        ref->kind = VERSION_REF_LATEST;
        ref->version[0] = ref->channel[0] = '\0';
        return 0;
    }
    r = name_check(NAME_VERSION, text, err);
    if (r < 0)
        return r;
    ref->kind = VERSION_REF_VERSION;
    ref->channel[0] = '\0';
    copy_name(ref->version, text);
    return 0;
}

/* `app` or `app@channel`. */
static int parse_app(struct span text, struct version_ref *ref, struct error *err)
{
    const uint8_t *at = text.size > 0 ? memchr(text.bytes, '@', text.size) : NULL;
    struct span app = text;
    int r;

    if (at != NULL)
        app.size = (size_t)(at - text.bytes);
    r = name_check(NAME_APP, app, err);
    if (r < 0)
        return r;
    copy_name(ref->app, app);
    ref->kind = VERSION_REF_APP;
    if (at != NULL)
        return parse_channel(span_slice(text, app.size + 1, text.size), ref, err);
    return 0;
}

int version_ref_parse(struct span text, struct version_ref *out, struct error *err)
{
    struct version_ref ref = { .kind = VERSION_REF_PROJECT };
    struct span rest = text, part = { NULL, 0 };
    bool ends_in_slash = text.size > 0 && text.bytes[text.size - 1] == '/';
    int r;

    span_cut(&rest, '/', &part);
    r = name_check(NAME_PROJECT, part, err);
    if (r < 0)
        return r;
    copy_name(ref.project, part);
    if (span_cut(&rest, '/', &part)) {
        r = parse_app(part, &ref, err);
        if (r < 0)
            return r;
    }
    if (ref.kind == VERSION_REF_APP && span_cut(&rest, '/', &part)) {
        r = version_ref_parse_version(part, &ref, err);
        if (r < 0)
            return r;
    }
    if (rest.size > 0) {
        r = span_equal_text(rest, VERSION_REF_MANIFEST) ? 0 : name_check_path(rest, err);
        if (r < 0)
            return r;
        ref.path = rest;
    } else if (ends_in_slash) {
        return error_set(err, -EINVAL, "nothing stands behind the last '/'");
    }
    *out = ref;
    return 0;
}

void version_ref_format_version(const struct version_ref *ref, struct buf *out)
{
    if (ref->kind == VERSION_REF_VERSION) {
        buf_add_text(out, ref->version);
    } else if (ref->kind == VERSION_REF_LATEST) {
        buf_add_text(out, "latest");
    } else if (ref->kind == VERSION_REF_CHANNEL) {
        buf_add_byte(out, '@');
        buf_add_text(out, ref->channel);
    }
}

void version_ref_format(const struct version_ref *ref, struct buf *out)
{
    buf_add_text(out, ref->project);
    if (ref->kind == VERSION_REF_PROJECT)
        return;
    buf_add_byte(out, '/');
    buf_add_text(out, ref->app);
    if (ref->kind == VERSION_REF_VERSION || ref->kind == VERSION_REF_LATEST)
        buf_add_byte(out, '/');
    version_ref_format_version(ref, out);
    if (ref->path.size > 0) {
        buf_add_byte(out, '/');
        buf_add_span(out, ref->path);
    }
}
