/* SPDX-License-Identifier: MIT */
#include "common/model/record.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/base64.h"
#include "common/codec/yaml.h"
#include "common/model/entry.h"
#include "common/model/record_fields.h"

#define NEEDED true
#define OPTIONAL false
#define AT(member) offsetof(struct record, member)
#define HAS(member) offsetof(struct record, has_##member)

const struct record_field record_fields[] = {
    { "format", RECORD_FORMAT, NEEDED, false, 0, 0, 0 },
    { "project", RECORD_NAME, NEEDED, false, AT(project), 0, NAME_PROJECT },
    { "app", RECORD_NAME, NEEDED, false, AT(app), 0, NAME_APP },
    { "version", RECORD_NAME, NEEDED, false, AT(version), 0, NAME_VERSION },
    { "content", RECORD_DIGEST, NEEDED, false, AT(content), HAS(content), 0 },
    { "times", RECORD_DIGEST, NEEDED, false, AT(times), HAS(times), 0 },
    { "tree", RECORD_DIGEST, NEEDED, false, AT(tree), HAS(tree), 0 },
    { "tree_size", RECORD_COUNT, NEEDED, false, AT(tree_size), HAS(tree_size), ENTRY_MAX_SIZE },
    { "file_count", RECORD_COUNT, NEEDED, false, AT(file_count), HAS(file_count), ENTRY_MAX_COUNT },
    { "bytes", RECORD_COUNT, NEEDED, false, AT(bytes), HAS(bytes), ENTRY_MAX_SIZE },
    { "git_commit", RECORD_TEXT, OPTIONAL, true, AT(git_commit), 0, 0 },
    { "git_ref", RECORD_TEXT, OPTIONAL, true, AT(git_ref), 0, 0 },
    { "vcs_url", RECORD_TEXT, OPTIONAL, true, AT(vcs_url), 0, 0 },
    { "build_time", RECORD_TIME, OPTIONAL, true, AT(build_time_s), HAS(build_time), 0 },
    { "builder", RECORD_TEXT, OPTIONAL, true, AT(builder), 0, 0 },
    { "build_url", RECORD_TEXT, OPTIONAL, true, AT(build_url), 0, 0 },
    { "labels", RECORD_LABELS, OPTIONAL, true, AT(labels), 0, 0 },
    { "created_at", RECORD_TIME, NEEDED, false, AT(created_at_s), HAS(created_at), 0 },
    { "pushed_by", RECORD_TEXT, OPTIONAL, false, AT(pushed_by), 0, 0 },
    { "signatures", RECORD_SIGNATURES, OPTIONAL, false, AT(signatures), 0, 0 },
    { NULL, RECORD_FORMAT, false, false, 0, 0, 0 },
};

static void *at(struct record *record, size_t offset)
{
    return (uint8_t *)record + offset;
}

static const void *at_const(const struct record *record, size_t offset)
{
    return (const uint8_t *)record + offset;
}

const struct record_field *record_field_find(struct span name)
{
    for (const struct record_field *field = record_fields; field->name != NULL; field++) {
        if (span_equal_text(name, field->name))
            return field;
    }
    return NULL;
}

const struct digest *record_field_digest(const struct record *record,
                                         const struct record_field *field)
{
    return at_const(record, field->offset);
}

uint64_t record_field_count(const struct record *record, const struct record_field *field)
{
    return *(const uint64_t *)at_const(record, field->offset);
}

int64_t record_field_time(const struct record *record, const struct record_field *field)
{
    return *(const int64_t *)at_const(record, field->offset);
}

const char *record_field_text(const struct record *record, const struct record_field *field)
{
    if (field->type == RECORD_NAME)
        return at_const(record, field->offset);
    return *(char *const *)at_const(record, field->offset);
}

bool record_field_is_set(const struct record *record, const struct record_field *field)
{
    switch (field->type) {
    case RECORD_FORMAT:
        return true;
    case RECORD_NAME:
        return record_field_text(record, field)[0] != '\0';
    case RECORD_TEXT:
        return record_field_text(record, field) != NULL;
    case RECORD_LABELS:
        return record->labels.count > 0;
    case RECORD_SIGNATURES:
        return record->signature_count > 0;
    case RECORD_DIGEST:
    case RECORD_COUNT:
    case RECORD_TIME:
        break;
    }
    return *(const bool *)at_const(record, field->has_offset);
}

void record_init(struct record *record)
{
    *record = (struct record){ .has_content = false };
}

void record_release(struct record *record)
{
    for (const struct record_field *field = record_fields; field->name != NULL; field++) {
        if (field->type == RECORD_TEXT)
            memory_free(*(char **)at(record, field->offset));
    }
    labels_release(&record->labels);
    memory_free(record->signatures);
    record_init(record);
}

static int no_memory(struct error *err)
{
    return error_set(err, -ENOMEM, "out of memory");
}

/* The user info of scheme://user:secret@host/path; empty when there is none. */
static struct span user_info(struct span url)
{
    struct span rest = url;
    size_t start = 0, end = 0;

    while (start + 3 <= url.size && memcmp(url.bytes + start, "://", 3) != 0)
        start++;
    if (start + 3 > url.size)
        return span_slice(url, 0, 0);
    rest = span_slice(url, start + 3, url.size);
    for (size_t i = 0; i < rest.size && memchr("/?#", rest.bytes[i], 3) == NULL; i++) {
        if (rest.bytes[i] == '@')
            end = i + 1;
    }
    return span_slice(rest, 0, end);
}

static int set_text(struct record *record, const struct record_field *field, struct span text,
                    struct error *err)
{
    char **place = at(record, field->offset);
    char *copy;

    if (text.size == 0 || text.size > RECORD_TEXT_MAX_SIZE)
        return error_set(err, -EINVAL, "%s has 1 to %d bytes", field->name, RECORD_TEXT_MAX_SIZE);
    if (!yaml_text_is_plain(text))
        return error_set(err, -EINVAL, "%s is UTF-8 without control characters", field->name);
    if (strcmp(field->name, "vcs_url") == 0 && user_info(text).size > 0)
        return error_set(err, -EINVAL, "vcs_url has no user info");
    copy = memory_copy(text.bytes, text.size);
    if (copy == NULL)
        return no_memory(err);
    memory_free(*place);
    *place = copy;
    return 0;
}

static void set_time(struct record *record, const struct record_field *field, int64_t time_s)
{
    *(int64_t *)at(record, field->offset) = time_s;
    *(bool *)at(record, field->has_offset) = true;
}

/* The years 0001 to 9999, so that a time can always be written. */
static bool year_is_good(int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];

    return clock_format(time_s, text, NULL) == 0 && memcmp(text, "0000", 4) != 0;
}

static int parse_time(struct record *record, const struct record_field *field, struct span text,
                      struct error *err)
{
    bool has_zone = text.size == CLOCK_TEXT_SIZE - 1 && text.bytes[text.size - 1] == 'Z';
    bool lacks_zone = text.size == CLOCK_TEXT_SIZE - 2 && field->is_metadata;
    int64_t time_s;

    if ((!has_zone && !lacks_zone) || text.bytes[10] != 'T' ||
        clock_parse(text, &time_s, NULL) < 0 || !year_is_good(time_s))
        return error_set(err, -EINVAL, "%s is YYYY-MM-DDThh:mm:ssZ, years 0001 to 9999",
                         field->name);
    set_time(record, field, time_s);
    return 0;
}

int record_field_set_count(struct record *record, const struct record_field *field, uint64_t value,
                           struct error *err)
{
    if (value > field->limit)
        return error_set(err, -EINVAL, "%s is at most %llu", field->name,
                         (unsigned long long)field->limit);
    if (strcmp(field->name, "tree_size") == 0 && (value < 8192 || value % 4096 != 0))
        return error_set(err, -EINVAL, "tree_size is a multiple of 4096, at least 8192");
    *(uint64_t *)at(record, field->offset) = value;
    *(bool *)at(record, field->has_offset) = true;
    return 0;
}

static int set_name(struct record *record, const struct record_field *field, struct span text,
                    struct error *err)
{
    char *place = at(record, field->offset);
    int r = name_check((enum name_kind)field->limit, text, err);

    if (r < 0)
        return r;
    memcpy(place, text.bytes, text.size);
    place[text.size] = '\0';
    return 0;
}

static int parse_count(struct record *record, const struct record_field *field, struct span text,
                       struct error *err)
{
    uint64_t value;

    if (number_parse(text, field->limit, &value, NULL) < 0)
        return error_set(err, -EINVAL, "%s is an integer up to %llu", field->name,
                         (unsigned long long)field->limit);
    return record_field_set_count(record, field, value, err);
}

static int parse_digest(struct record *record, const struct record_field *field, struct span text,
                        struct error *err)
{
    int r = digest_parse(text, at(record, field->offset), err);

    if (r < 0)
        return error_prefix(err, r, "%s", field->name);
    *(bool *)at(record, field->has_offset) = true;
    return 0;
}

int record_field_parse(struct record *record, const struct record_field *field, struct span text,
                       struct error *err)
{
    switch (field->type) {
    case RECORD_NAME:
        return set_name(record, field, text, err);
    case RECORD_DIGEST:
        return parse_digest(record, field, text, err);
    case RECORD_COUNT:
        return parse_count(record, field, text, err);
    case RECORD_TEXT:
        return set_text(record, field, text, err);
    case RECORD_TIME:
        return parse_time(record, field, text, err);
    case RECORD_FORMAT:
    case RECORD_LABELS:
    case RECORD_SIGNATURES:
        break;
    }
    return error_set(err, -EINVAL, "%s is no text", field->name);
}

int record_set_version(struct record *record, struct span version, struct error *err)
{
    return set_name(record, record_field_find(span_text("version")), version, err);
}

int record_set_names(struct record *record, struct span project, struct span app,
                     struct span version, struct error *err)
{
    int r = name_check(NAME_PROJECT, project, err);

    if (r == 0)
        r = name_check(NAME_APP, app, err);
    if (r == 0)
        r = record_set_version(record, version, err);
    if (r == 0)
        r = set_name(record, record_field_find(span_text("project")), project, err);
    if (r == 0)
        r = set_name(record, record_field_find(span_text("app")), app, err);
    return r;
}

static void forget_field(struct record *record, const struct record_field *field)
{
    if (field->type == RECORD_TIME) {
        *(bool *)at(record, field->has_offset) = false;
    } else {
        char **place = at(record, field->offset);
        *place = memory_free(*place);
    }
}

static int set_url_without_user(struct record *record, const struct record_field *field,
                                struct span url, struct error *err)
{
    cleanup(buf_release) struct buf clean = buf_init(RECORD_TEXT_MAX_SIZE);
    struct span user = user_info(url);
    size_t before = (size_t)(user.bytes - url.bytes);
    int r;

    buf_add_span(&clean, span_slice(url, 0, before));
    buf_add_span(&clean, span_slice(url, before + user.size, url.size));
    r = buf_check(&clean, NULL);
    if (r == -ENOMEM)
        return no_memory(err);
    return set_text(record, field, r < 0 ? url : buf_span(&clean), err);
}

int record_set_field(struct record *record, const char *name, struct span value, struct error *err)
{
    const struct record_field *field = record_field_find(span_text(name));
    int64_t time_s;

    if (field == NULL || (field->type != RECORD_TEXT && field->type != RECORD_TIME))
        return error_set(err, -EINVAL, "no such field: %s", name);
    if (value.size == 0) {
        forget_field(record, field);
        return 0;
    }
    if (field->type == RECORD_TIME) {
        if (clock_parse(value, &time_s, NULL) < 0 || !year_is_good(time_s))
            return error_set(err, -EINVAL, "%s is a time such as 2024-05-17T12:00:00Z", name);
        set_time(record, field, time_s);
        return 0;
    }
    if (strcmp(name, "vcs_url") == 0 && user_info(value).size > 0)
        return set_url_without_user(record, field, value, err);
    return set_text(record, field, value, err);
}

int record_add_signature(struct record *record, const struct record_signature *signature,
                         struct error *err)
{
    struct record_signature *signatures;

    if (record->signature_count == RECORD_MAX_SIGNATURES)
        return error_set(err, -EINVAL, "at most %d signatures", RECORD_MAX_SIGNATURES);
    if (signature->time > ENTRY_MAX_TIME || signature->time < -ENTRY_MAX_TIME)
        return error_set(err, -EINVAL, "a signature's time is within 2^53 - 1 seconds of 1970");
    signatures =
        memory_resize(record->signatures, record->signature_count + 1, sizeof(*signatures));
    if (signatures == NULL)
        return no_memory(err);
    record->signatures = signatures;
    signatures[record->signature_count++] = *signature;
    return 0;
}

static int parse_bytes(const char *member, struct span text, uint8_t *out, size_t size,
                       struct error *err)
{
    cleanup(buf_release) struct buf bytes = buf_init(64);
    int r = base64_decode(text, &bytes, NULL);

    if (r == -ENOMEM || bytes.failure == -ENOMEM)
        return no_memory(err);
    if (r < 0 || buf_check(&bytes, NULL) < 0 || bytes.size != size)
        return error_set(err, -EINVAL, "a signature's %s is %zu bytes in base64", member, size);
    memcpy(out, bytes.bytes, size);
    return 0;
}

int record_signature_parse(const char *member, struct span text, struct record_signature *out,
                           struct error *err)
{
    if (strcmp(member, "key") == 0)
        return parse_bytes(member, text, out->key, sizeof(out->key), err);
    if (strcmp(member, "sig") == 0)
        return parse_bytes(member, text, out->sig, sizeof(out->sig), err);
    if (number_parse_signed(text, ENTRY_MAX_TIME, &out->time, NULL) < 0)
        return error_set(err, -EINVAL, "a signature's time is an integer within 2^53 - 1");
    return 0;
}

static int copy_parts(const struct record *record, struct record *out, struct error *err)
{
    int r = 0;

    for (const struct record_field *field = record_fields; r == 0 && field->name != NULL; field++) {
        const char *text = field->type == RECORD_TEXT ? record_field_text(record, field) : NULL;
        if (text != NULL)
            r = set_text(out, field, span_text(text), err);
    }
    for (size_t i = 0; r == 0 && i < record->labels.count; i++)
        r = labels_add(&out->labels, span_text(record->labels.items[i].key),
                       span_text(record->labels.items[i].value), err);
    for (size_t i = 0; r == 0 && i < record->signature_count; i++)
        r = record_add_signature(out, &record->signatures[i], err);
    return r;
}

int record_copy(const struct record *record, struct record *out, struct error *err)
{
    cleanup(record_release) struct record copy = *record;
    int r;

    copy.git_commit = copy.git_ref = copy.vcs_url = copy.builder = NULL;
    copy.build_url = copy.pushed_by = NULL;
    copy.labels = (struct labels){ .items = NULL };
    copy.signatures = NULL;
    copy.signature_count = 0;
    r = copy_parts(record, &copy, err);
    if (r < 0)
        return r;
    *out = copy;
    record_init(&copy);
    return 0;
}

int record_check(const struct record *record, struct error *err)
{
    struct record scratch;

    for (const struct record_field *field = record_fields; field->name != NULL; field++) {
        int r = 0;
        if (field->is_needed && !record_field_is_set(record, field))
            return error_set(err, -EINVAL, "a record has a %s", field->name);
        if (!record_field_is_set(record, field))
            continue;
        if (field->type == RECORD_COUNT)
            r = record_field_set_count(&scratch, field, record_field_count(record, field), err);
        else if (field->type == RECORD_TIME && !year_is_good(record_field_time(record, field)))
            r = error_set(err, -EINVAL, "%s is within the years 0001 to 9999", field->name);
        else if (field->type == RECORD_NAME)
            r = name_check((enum name_kind)field->limit,
                           span_text(record_field_text(record, field)), err);
        if (r < 0)
            return r;
    }
    return 0;
}
