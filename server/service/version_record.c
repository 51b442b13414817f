/* SPDX-License-Identifier: MIT */
#include "server/service/version_record.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/base64.h"
#include "common/codec/json.h"

CLEANUP_DEFINE(json, json_free);

/* Labels and signatures are JSON in the row: the record's own reader takes both. */
static int read_lists(const struct version *version, struct record *out, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    cleanup(cleanup_json) struct json *json = NULL;
    int r;

    if (version->metadata.labels == NULL && version->signatures == NULL)
        return 0;
    buf_format(&text, "{\"labels\":%s,\"signatures\":%s}",
               version->metadata.labels != NULL ? version->metadata.labels : "null",
               version->signatures != NULL ? version->signatures : "null");
    r = buf_check(&text, err);
    if (r == 0)
        r = json_parse(buf_span(&text), &json, err);
    if (r == 0)
        r = record_read_json(json_root(json), out, err);
    return r;
}

static int set_texts(const struct version *version, struct record *out, struct error *err)
{
    const struct {
        const char *name;
        const char *value;
    } texts[] = {
        { "git_commit", version->metadata.git_commit }, { "git_ref", version->metadata.git_ref },
        { "vcs_url", version->metadata.vcs_url },       { "builder", version->metadata.builder },
        { "build_url", version->metadata.build_url },   { "pushed_by", version->pushed_by },
    };
    int r;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].value == NULL)
            continue;
        r = record_set_field(out, texts[i].name, span_text(texts[i].value), err);
        if (r < 0)
            return r;
    }
    return 0;
}

int version_record_of(const struct version *version, struct record *out, struct error *err)
{
    int r = read_lists(version, out, err);

    if (r == 0)
        r = record_set_names(out, span_text(version->project), span_text(version->app),
                             span_text(version->name), err);
    if (r == 0)
        r = set_texts(version, out, err);
    if (r < 0)
        return r;
    out->has_content = out->has_times = out->has_tree = true;
    out->content = version->content;
    out->times = version->times;
    out->tree = version->tree;
    out->has_tree_size = out->has_file_count = out->has_bytes = true;
    out->tree_size = version->tree_size;
    out->file_count = version->file_count;
    out->bytes = version->bytes;
    out->has_build_time = version->metadata.has_build_time;
    out->build_time_s = version->metadata.build_time_s;
    out->has_created_at = true;
    out->created_at_s = version->created_at_s;
    return 0;
}

static int copy_text(const char *text, char **out, struct error *err)
{
    if (text == NULL)
        return 0;
    *out = memory_text(text);
    if (*out == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    return 0;
}

int version_record_labels(const struct labels *labels, char **out, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&text);
    int r;

    if (labels->count == 0)
        return 0;
    json_begin_object(&writer, NULL);
    for (size_t i = 0; i < labels->count; i++)
        json_text(&writer, labels->items[i].key, labels->items[i].value);
    json_end(&writer);
    buf_add_byte(&text, 0);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    *out = buf_take(&text);
    return 0;
}

int version_record_metadata(const struct record *record, struct version_metadata *out,
                            struct error *err)
{
    cleanup(version_metadata_release) struct version_metadata metadata = { 0 };
    int r;

    r = copy_text(record->git_commit, &metadata.git_commit, err);
    if (r == 0)
        r = copy_text(record->git_ref, &metadata.git_ref, err);
    if (r == 0)
        r = copy_text(record->vcs_url, &metadata.vcs_url, err);
    if (r == 0)
        r = copy_text(record->builder, &metadata.builder, err);
    if (r == 0)
        r = copy_text(record->build_url, &metadata.build_url, err);
    if (r == 0)
        r = version_record_labels(&record->labels, &metadata.labels, err);
    if (r < 0)
        return r;
    metadata.has_build_time = record->has_build_time;
    metadata.build_time_s = record->build_time_s;
    *out = metadata;
    memset(&metadata, 0, sizeof(metadata));
    return 0;
}

static void write_base64(struct json_writer *writer, const char *name, const uint8_t *bytes,
                         size_t size)
{
    cleanup(buf_release) struct buf text = buf_init(128);

    base64_encode(span_of(bytes, size), &text);
    json_text_span(writer, name, buf_span(&text));
}

int version_record_signatures(const struct record *record, char **out, struct error *err)
{
    cleanup(buf_release) struct buf text = buf_init(BUF_UNLIMITED);
    struct json_writer writer = json_writer_init(&text);
    int r;

    *out = NULL;
    if (record->signature_count == 0)
        return 0;
    json_begin_array(&writer, NULL);
    for (size_t i = 0; i < record->signature_count; i++) {
        const struct record_signature *signature = &record->signatures[i];

        json_begin_object(&writer, NULL);
        write_base64(&writer, "key", signature->key, sizeof(signature->key));
        json_integer(&writer, "time", signature->time);
        write_base64(&writer, "sig", signature->sig, sizeof(signature->sig));
        json_end(&writer);
    }
    json_end(&writer);
    r = buf_check(&text, err);
    if (r < 0)
        return r;
    *out = buf_take(&text);
    return *out != NULL ? 0 : error_set(err, -ENOMEM, "out of memory");
}
