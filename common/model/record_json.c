/* SPDX-License-Identifier: MIT */
/* A record as the members of the API's version object. */
#include <errno.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/codec/base64.h"
#include "common/codec/json.h"
#include "common/model/record_fields.h"

static void write_labels(const struct labels *labels, struct json_writer *writer)
{
    json_begin_object(writer, "labels");
    for (size_t i = 0; i < labels->count; i++)
        json_text(writer, labels->items[i].key, labels->items[i].value);
    json_end(writer);
}

static void write_base64(struct json_writer *writer, const char *name, const uint8_t *bytes,
                         size_t size)
{
    cleanup(buf_release) struct buf text = buf_init(128);

    base64_encode(span_of(bytes, size), &text);
    if (text.failure != 0)
        writer->out->failure = text.failure;
    json_text_span(writer, name, buf_span(&text));
}

static void write_signatures(const struct record *record, struct json_writer *writer)
{
    json_begin_array(writer, "signatures");
    for (size_t i = 0; i < record->signature_count; i++) {
        const struct record_signature *signature = &record->signatures[i];
        json_begin_object(writer, NULL);
        write_base64(writer, "key", signature->key, sizeof(signature->key));
        json_integer(writer, "time", signature->time);
        write_base64(writer, "sig", signature->sig, sizeof(signature->sig));
        json_end(writer);
    }
    json_end(writer);
}

static void write_field(const struct record *record, const struct record_field *field,
                        struct json_writer *writer)
{
    char hex[DIGEST_HEX_SIZE];

    switch (field->type) {
    case RECORD_FORMAT:
        break;
    case RECORD_NAME:
    case RECORD_TEXT:
        json_text(writer, field->name, record_field_text(record, field));
        break;
    case RECORD_DIGEST:
        digest_hex(record_field_digest(record, field), hex);
        json_text(writer, field->name, hex);
        break;
    case RECORD_COUNT:
        json_integer(writer, field->name, (int64_t)record_field_count(record, field));
        break;
    case RECORD_TIME:
        json_time(writer, field->name, record_field_time(record, field));
        break;
    case RECORD_LABELS:
        write_labels(&record->labels, writer);
        break;
    case RECORD_SIGNATURES:
        write_signatures(record, writer);
        break;
    }
}

void record_write_json(const struct record *record, struct json_writer *writer)
{
    for (const struct record_field *field = record_fields; field->name != NULL; field++) {
        if (record_field_is_set(record, field))
            write_field(record, field, writer);
    }
}

void record_write_metadata(const struct record *record, struct json_writer *writer)
{
    for (const struct record_field *field = record_fields; field->name != NULL; field++) {
        if (field->is_metadata && record_field_is_set(record, field))
            write_field(record, field, writer);
    }
}

static int read_labels(const struct json_value *object, struct record *record, struct error *err)
{
    const struct json_value *at = NULL;

    if (!json_is_object(object))
        return error_set(err, -EINVAL, "labels is an object");
    while ((at = json_next(object, at)) != NULL) {
        const char *text;
        int r = json_get_text(at, "a label", &text, err);
        if (r == 0)
            r = labels_add(&record->labels, span_text(json_name(at)), span_text(text), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_signature(const struct json_value *object, struct record *record, struct error *err)
{
    struct record_signature signature;
    const char *key, *sig;
    int r = json_get_text(json_member(object, "key"), "a signature's key", &key, err);

    if (r == 0)
        r = json_get_text(json_member(object, "sig"), "a signature's sig", &sig, err);
    if (r == 0)
        r = json_get_integer(json_member(object, "time"), "a signature's time", &signature.time,
                             err);
    if (r == 0)
        r = record_signature_parse("key", span_text(key), &signature, err);
    if (r == 0)
        r = record_signature_parse("sig", span_text(sig), &signature, err);
    return r == 0 ? record_add_signature(record, &signature, err) : r;
}

static int read_signatures(const struct json_value *array, struct record *record, struct error *err)
{
    const struct json_value *at = NULL;
    int r = 0;

    if (!json_is_array(array))
        return error_set(err, -EINVAL, "signatures is an array");
    while (r == 0 && (at = json_next(array, at)) != NULL)
        r = read_signature(at, record, err);
    return r;
}

static int read_count(const struct json_value *value, const struct record_field *field,
                      struct record *record, struct error *err)
{
    int64_t count;
    int r = json_get_integer(value, field->name, &count, err);

    if (r == 0 && count < 0)
        r = error_set(err, -EINVAL, "%s is not negative", field->name);
    return r == 0 ? record_field_set_count(record, field, (uint64_t)count, err) : r;
}

static int read_field(const struct json_value *value, const struct record_field *field,
                      struct record *record, struct error *err)
{
    const char *text;
    int r;

    if (field->type == RECORD_LABELS)
        return read_labels(value, record, err);
    if (field->type == RECORD_SIGNATURES)
        return read_signatures(value, record, err);
    if (field->type == RECORD_COUNT)
        return read_count(value, field, record, err);
    r = json_get_text(value, field->name, &text, err);
    return r == 0 ? record_field_parse(record, field, span_text(text), err) : r;
}

int record_read_json(const struct json_value *object, struct record *out, struct error *err)
{
    cleanup(record_release) struct record record;
    int r = 0;

    record_init(&record);
    if (!json_is_object(object))
        return error_set(err, -EINVAL, "a version is an object");
    for (const struct record_field *field = record_fields; r == 0 && field->name != NULL; field++) {
        const struct json_value *value = json_member(object, field->name);
        if (field->type != RECORD_FORMAT && !json_is_null(value))
            r = read_field(value, field, &record, err);
    }
    if (r < 0)
        return r;
    *out = record;
    record_init(&record);
    return 0;
}

static int read_metadatum(const struct json_value *value, struct record *record, struct error *err)
{
    const char *name = json_name(value), *text;
    const struct record_field *field = record_field_find(span_text(name));
    int r;

    if (field == NULL || !field->is_metadata)
        return error_set(err, -EINVAL, "no such member");
    if (json_is_null(value))
        return 0;
    if (field->type == RECORD_LABELS)
        return read_labels(value, record, err);
    r = json_get_text(value, name, &text, err);
    return r == 0 ? record_set_field(record, name, span_text(text), err) : r;
}

int record_read_metadata(const struct json_value *metadata, struct record *record,
                         struct error *err)
{
    const struct json_value *at = NULL;

    if (!json_is_object(metadata))
        return error_set(err, -EINVAL, "/metadata: an object");
    while ((at = json_next(metadata, at)) != NULL) {
        int r = read_metadatum(at, record, err);
        if (r < 0)
            return error_prefix(err, r, "/metadata/%s", json_name(at));
    }
    return 0;
}
