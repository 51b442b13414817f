/* SPDX-License-Identifier: MIT */
/* A record as canonical YAML. */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/codec/base64.h"
#include "common/codec/yaml.h"
#include "common/model/record_fields.h"

CLEANUP_DEFINE(yaml_reader, yaml_reader_free);

static void write_labels(const struct labels *labels, struct buf *out)
{
    buf_add_text(out, "labels:\n");
    for (size_t i = 0; i < labels->count; i++) {
        buf_add_text(out, "  ");
        yaml_add_quoted(out, span_text(labels->items[i].key));
        buf_add_text(out, ": ");
        yaml_add_quoted(out, span_text(labels->items[i].value));
        buf_add_byte(out, '\n');
    }
}

static void write_signatures(const struct record *record, struct buf *out)
{
    buf_add_text(out, "signatures:\n");
    for (size_t i = 0; i < record->signature_count; i++) {
        const struct record_signature *signature = &record->signatures[i];
        buf_add_text(out, "  - key: \"");
        base64_encode(span_of(signature->key, sizeof(signature->key)), out);
        buf_format(out, "\"\n    time: %lld\n    sig: \"", (long long)signature->time);
        base64_encode(span_of(signature->sig, sizeof(signature->sig)), out);
        buf_add_text(out, "\"\n");
    }
}

static void write_field(const struct record *record, const struct record_field *field,
                        struct buf *out)
{
    char hex[DIGEST_HEX_SIZE], time[CLOCK_TEXT_SIZE];

    switch (field->type) {
    case RECORD_FORMAT:
        yaml_add_plain_line(out, 0, field->name, "1");
        break;
    case RECORD_NAME:
    case RECORD_TEXT:
        yaml_add_quoted_line(out, 0, field->name, span_text(record_field_text(record, field)));
        break;
    case RECORD_DIGEST:
        digest_hex(record_field_digest(record, field), hex);
        yaml_add_quoted_line(out, 0, field->name, span_text(hex));
        break;
    case RECORD_COUNT:
        buf_format(out, "%s: %llu\n", field->name,
                   (unsigned long long)record_field_count(record, field));
        break;
    case RECORD_TIME:
        if (clock_format(record_field_time(record, field), time, NULL) == 0)
            yaml_add_quoted_line(out, 0, field->name, span_text(time));
        break;
    case RECORD_LABELS:
        write_labels(&record->labels, out);
        break;
    case RECORD_SIGNATURES:
        write_signatures(record, out);
        break;
    }
}

void record_write(const struct record *record, struct buf *out)
{
    for (const struct record_field *field = record_fields; field->name != NULL; field++) {
        if (record_field_is_set(record, field))
            write_field(record, field, out);
    }
}

/* A rule of another module, told with the place of the value. Memory faults stay what they are. */
static int refuse_value(const struct yaml_event *event, int code, const struct error *why,
                        struct error *err)
{
    if (code == -ENOMEM)
        return error_set(err, code, "%s", why->text);
    return yaml_refuse(event, err, "%s", why->text);
}

static int read_labels(struct record *record, struct yaml_reader *reader, struct error *err)
{
    struct yaml_event event;
    struct error why = { 0 };
    int r = yaml_expect(reader, YAML_MAP, &event, err);

    for (;;) {
        char key[LABEL_KEY_MAX_SIZE + 1];
        size_t key_size;
        if (r == 0)
            r = yaml_next(reader, &event, err);
        if (r < 0 || event.kind == YAML_MAP_END)
            return r;
        if (label_check_key(event.text, &why) < 0)
            return yaml_refuse(&event, err, "%s", why.text);
        key_size = event.text.size;
        memcpy(key, event.text.bytes, key_size);
        r = yaml_expect(reader, YAML_SCALAR, &event, err);
        if (r < 0)
            return r;
        r = labels_add(&record->labels, span_of(key, key_size), event.text, &why);
        if (r < 0)
            return refuse_value(&event, r, &why, err);
    }
}

static int read_signature(struct record *record, struct yaml_reader *reader,
                          const struct yaml_event *begin, struct error *err)
{
    static const char *const members[] = { "key", "time", "sig" };
    struct record_signature signature = { .time = 0 };
    struct yaml_event event;
    struct error why = { 0 };
    size_t seen = 0;
    int r;

    for (;;) {
        const char *member = NULL;
        r = yaml_next(reader, &event, err);
        if (r < 0)
            return r;
        if (event.kind == YAML_MAP_END)
            break;
        for (size_t i = 0; i < 3; i++) {
            if (span_equal_text(event.text, members[i]))
                member = members[i];
        }
        if (member == NULL)
            return yaml_refuse(&event, err, "a signature has key, time and sig");
        r = yaml_expect(reader, YAML_SCALAR, &event, err);
        if (r < 0)
            return r;
        r = record_signature_parse(member, event.text, &signature, &why);
        if (r < 0)
            return refuse_value(&event, r, &why, err);
        seen++;
    }
    if (seen != 3)
        return yaml_refuse(begin, err, "a signature has key, time and sig");
    r = record_add_signature(record, &signature, &why);
    return r < 0 ? refuse_value(begin, r, &why, err) : 0;
}

static int read_signatures(struct record *record, struct yaml_reader *reader, struct error *err)
{
    struct yaml_event event;
    int r = yaml_expect(reader, YAML_LIST, &event, err);

    for (;;) {
        if (r == 0)
            r = yaml_next(reader, &event, err);
        if (r < 0 || event.kind == YAML_LIST_END)
            return r;
        if (event.kind != YAML_MAP)
            return yaml_refuse(&event, err, "a signature is a map");
        r = read_signature(record, reader, &event, err);
    }
}

int record_read_key(struct record *record, struct yaml_reader *reader, const struct yaml_event *key,
                    bool *in_out_format_seen, struct error *err)
{
    const struct record_field *field = record_field_find(key->text);
    struct yaml_event event;
    struct error why = { 0 };
    int r;

    if (field == NULL)
        return 0;
    if (field->type == RECORD_LABELS)
        r = read_labels(record, reader, err);
    else if (field->type == RECORD_SIGNATURES)
        r = read_signatures(record, reader, err);
    else
        r = yaml_expect(reader, YAML_SCALAR, &event, err);
    if (r < 0)
        return r;
    if (field->type == RECORD_FORMAT) {
        if (!span_equal_text(event.text, "1"))
            return yaml_refuse(&event, err, "format is 1");
        *in_out_format_seen = true;
    } else if (field->type != RECORD_LABELS && field->type != RECORD_SIGNATURES) {
        r = record_field_parse(record, field, event.text, &why);
        if (r < 0)
            return refuse_value(&event, r, &why, err);
    }
    return 1;
}

static int read_record(struct yaml_reader *reader, struct record *record, struct error *err)
{
    bool format_seen = false;
    struct yaml_event event;
    int r = yaml_expect(reader, YAML_MAP, &event, err);

    for (;;) {
        if (r >= 0)
            r = yaml_next(reader, &event, err);
        if (r < 0)
            return r;
        if (event.kind != YAML_KEY)
            break;
        r = record_read_key(record, reader, &event, &format_seen, err);
        if (r == 0)
            return yaml_refuse(&event, err, "unknown key");
    }
    for (const struct record_field *field = record_fields; field->name != NULL; field++) {
        if (field->is_needed && (!record_field_is_set(record, field) || !format_seen))
            return yaml_refuse(&event, err, "a record has a %s", field->name);
    }
    return yaml_expect(reader, YAML_END, &event, err);
}

int record_read(struct span yaml, struct record *out, struct error *err)
{
    cleanup(cleanup_yaml_reader) struct yaml_reader *reader = NULL;
    cleanup(record_release) struct record record;
    int r;

    record_init(&record);
    if (yaml.size > RECORD_MAX_SIZE)
        return error_set(err, -EBADMSG, "offset %d: a record has at most 1 MiB", RECORD_MAX_SIZE);
    r = yaml_reader_new_span(yaml, YAML_STRICT, &reader, err);
    if (r == 0)
        r = read_record(reader, &record, err);
    if (r < 0)
        return r;
    *out = record;
    record_init(&record);
    return 0;
}
