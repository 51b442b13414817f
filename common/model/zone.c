/* SPDX-License-Identifier: MIT */
#include "common/model/zone.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/base/memory.h"
#include "common/model/zone_rule.h"

#define FOLDER "/usr/share/zoneinfo/"
#define NAME_MAX_SIZE 63
#define FILE_MAX ((size_t)1 << 20)
#define HEADER_SIZE 44
#define CHANGES_MAX 4096
#define TYPES_MAX 256
#define OFFSET_MAX_S (26 * 3600)
#define DAY_S 86400

struct zone_change {
    int64_t from_s;
    int32_t offset_s;
};

struct zone {
    int32_t first_s; /* the offset before the first change */
    struct zone_change *changes;
    size_t change_count;
    bool has_rule;
    struct zone_rule rule; /* from the last change on */
};

CLEANUP_DEFINE(zone, zone_free);

struct zone *zone_free(struct zone *zone)
{
    if (zone == NULL)
        return NULL;
    memory_free(zone->changes);
    return memory_free(zone);
}

/* ------------------------------------------------------------ reading */

/* The one format here that is big-endian. */
static uint64_t big(const uint8_t *at, size_t size)
{
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

struct counts {
    uint32_t universal, standard, leaps, changes, types, letters;
};

/* A block: its header, and the size of what follows it, with times of `width` bytes. */
static bool read_header(struct span bytes, size_t width, struct counts *out, uint64_t *out_size)
{
    uint32_t *const fields[] = { &out->universal, &out->standard, &out->leaps,
                                 &out->changes,   &out->types,    &out->letters };

    if (bytes.size < HEADER_SIZE || memcmp(bytes.bytes, "TZif", 4) != 0 || bytes.bytes[4] < '2')
        return false;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        *fields[i] = (uint32_t)big(bytes.bytes + 20 + 4 * i, 4);
    *out_size = (uint64_t)out->changes * (width + 1) + (uint64_t)out->types * 6 + out->letters +
                (uint64_t)out->leaps * (width + 4) + out->standard + out->universal;
    return *out_size <= bytes.size - HEADER_SIZE;
}

static bool read_offset(const uint8_t *type, int32_t *out)
{
    *out = (int32_t)big(type, 4);
    return *out >= -OFFSET_MAX_S && *out <= OFFSET_MAX_S;
}

static bool read_changes(const uint8_t *data, const struct counts *counts, struct zone *zone)
{
    const uint8_t *kinds = data + (size_t)counts->changes * 8;
    const uint8_t *types = kinds + counts->changes;

    if (!read_offset(types, &zone->first_s))
        return false;
    for (size_t i = 0; i < counts->changes; i++) {
        struct zone_change *change = &zone->changes[i];

        change->from_s = (int64_t)big(data + 8 * i, 8);
        if (kinds[i] >= counts->types ||
            !read_offset(types + (size_t)kinds[i] * 6, &change->offset_s) ||
            (i > 0 && change->from_s <= zone->changes[i - 1].from_s))
            return false;
    }
    zone->change_count = counts->changes;
    return true;
}

/* A line break, the rule or nothing, a line break. */
static bool read_footer(struct span bytes, struct zone *zone)
{
    if (bytes.size < 2 || bytes.bytes[0] != '\n' || bytes.bytes[bytes.size - 1] != '\n')
        return false;
    zone->has_rule = bytes.size > 2;
    return !zone->has_rule || zone_rule_parse(span_slice(bytes, 1, bytes.size - 2), &zone->rule);
}

int zone_parse(struct span bytes, struct zone **out_zone, struct error *err)
{
    cleanup(cleanup_zone) struct zone *zone = NULL;
    struct counts counts;
    uint64_t size;
    struct span block;

    /* the first block is for those who know no more; the second says all again */
    if (!read_header(bytes, 4, &counts, &size))
        return error_set(err, -EBADMSG, "not a time zone of version 2 or later");
    block = span_slice(bytes, HEADER_SIZE + (size_t)size, bytes.size);
    if (!read_header(block, 8, &counts, &size) || counts.types == 0 || counts.types > TYPES_MAX ||
        counts.changes > CHANGES_MAX || counts.leaps != 0)
        return error_set(err, -EBADMSG, "a time zone's file is damaged, or counts leap seconds");
    zone = memory_new(sizeof(*zone));
    if (zone != NULL)
        zone->changes = memory_array(counts.changes, sizeof(*zone->changes));
    if (zone == NULL || zone->changes == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    if (!read_changes(block.bytes + HEADER_SIZE, &counts, zone) ||
        !read_footer(span_slice(block, HEADER_SIZE + (size_t)size, block.size), zone))
        return error_set(err, -EBADMSG, "a time zone's file is damaged");
    *out_zone = take_pointer(&zone);
    return 0;
}

/* Letters, digits and _ + - in parts between slashes: never a path that leads out. */
static bool is_name(const char *name)
{
    const size_t size = strlen(name);

    if (size == 0 || size > NAME_MAX_SIZE || name[0] == '/' || name[size - 1] == '/')
        return false;
    return strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") ==
               size &&
           strstr(name, "//") == NULL;
}

static int make_utc(struct zone **out_zone, struct error *err)
{
    struct zone *zone = memory_new(sizeof(*zone));

    if (zone == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    *out_zone = zone;
    return 0;
}

int zone_load(const char *name, struct zone **out_zone, struct error *err)
{
    cleanup(buf_release) struct buf bytes = buf_init(FILE_MAX);
    char path[sizeof(FOLDER) + NAME_MAX_SIZE];
    int r;

    if (strcmp(name, "UTC") == 0)
        return make_utc(out_zone, err);
    if (!is_name(name))
        return error_set(err, -EINVAL, "a time zone is named as in Europe/Berlin");
    snprintf(path, sizeof(path), FOLDER "%s", name);
    r = file_load(path, &bytes, NULL);
    if (r == -ENOMEM)
        return error_set(err, r, "out of memory");
    if (r < 0)
        return error_set(err, -EINVAL, "this system knows no time zone %s", name);
    return zone_parse(buf_span(&bytes), out_zone, err);
}

/* ------------------------------------------------------------ telling */

int64_t zone_offset(const struct zone *zone, int64_t time_s)
{
    size_t low = 0, high = zone->change_count; /* the first change that is later */

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (zone->changes[middle].from_s <= time_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->change_count && zone->has_rule)
        return zone_rule_offset(&zone->rule, time_s);
    return low == 0 ? zone->first_s : zone->changes[low - 1].offset_s;
}

/* Between two moments with different offsets: the first with the later one. */
static int64_t find_change(const struct zone *zone, int64_t before, int64_t after)
{
    const int64_t offset = zone_offset(zone, before);

    while (after - before > 1) {
        const int64_t middle = before + (after - before) / 2;

        if (zone_offset(zone, middle) == offset)
            before = middle;
        else
            after = middle;
    }
    return after;
}

size_t zone_moments(const struct zone *zone, int64_t local_s, int64_t out[2])
{
    const int64_t before = zone_offset(zone, local_s - 2 * DAY_S);
    const int64_t after = zone_offset(zone, local_s + 2 * DAY_S);
    size_t count = 0;

    /* what is earlier first: the larger offset */
    const int64_t offsets[2] = { before > after ? before : after, before > after ? after : before };

    for (size_t i = 0; i < 2; i++) {
        const int64_t moment = local_s - offsets[i];

        if (zone_offset(zone, moment) == offsets[i] && (count == 0 || moment != out[0]))
            out[count++] = moment;
    }
    if (count == 0)
        out[0] = find_change(zone, local_s - offsets[0], local_s - offsets[1]);
    return count;
}
