/* SPDX-License-Identifier: MIT */
/* The reader of meta_yaml.h. */
#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/base/number.h"
#include "common/codec/base64.h"
#include "common/codec/yaml.h"
#include "common/model/listing.h"
#include "common/model/meta_yaml.h"

#define DEFAULT_MAX_SIZE (16ull * 1024 * 1024 * 1024)

CLEANUP_DEFINE(yaml_reader, yaml_reader_free);

/* The keys of an entry, one bit each. */
enum entry_key {
    KEY_PATH = 1,
    KEY_PATH_BASE64 = 2,
    KEY_LINK = 4,
    KEY_LINK_BASE64 = 8,
    KEY_DIR = 16,
    KEY_SHA256 = 32,
    KEY_SIZE = 64,
    KEY_MODE = 128,
    KEY_MTIME = 256,
    KEY_VERITY = 512,
};

static const struct {
    const char *name;
    enum entry_key key;
} entry_keys[] = {
    { "path", KEY_PATH },   { "path_base64", KEY_PATH_BASE64 },
    { "link", KEY_LINK },   { "link_base64", KEY_LINK_BASE64 },
    { "dir", KEY_DIR },     { "sha256", KEY_SHA256 },
    { "size", KEY_SIZE },   { "mode", KEY_MODE },
    { "mtime", KEY_MTIME }, { "verity", KEY_VERITY },
};
#define ENTRY_KEY_COUNT (sizeof(entry_keys) / sizeof(entry_keys[0]))

/* What an entry's kind needs and may have. */
static const struct {
    enum entry_kind kind;
    unsigned needs, may;
    const char *rule;
} entry_shapes[] = {
    { ENTRY_DIRECTORY, KEY_DIR, KEY_MODE | KEY_MTIME, "a directory has path, dir, mode, mtime" },
    { ENTRY_LINK, KEY_LINK, 0, "a link has path and link" },
    { ENTRY_FILE, KEY_SHA256 | KEY_SIZE, KEY_MODE | KEY_MTIME | KEY_VERITY,
      "a file has path, sha256, size, mode, mtime, verity" },
};

struct item {
    unsigned keys;
    struct entry entry;
    struct digest verity;
    size_t path_size, target_size;
    uint8_t path[PATH_MAX_SIZE];
    uint8_t target[PATH_MAX_SIZE];
};

struct reading {
    struct yaml_reader *reader;
    meta_yaml_function *function;
    void *context;
    struct listing_writer listing; /* checks the order, and hashes the content */
    uint64_t listing_size;
    struct record record;
    bool format_seen;
    struct item item;
};

/* Names of bytes have one writing: base64 only for what is no plain text. */
static int take_name(const struct yaml_event *event, bool is_base64, uint8_t *out, size_t *out_size,
                     struct error *err)
{
    cleanup(buf_release) struct buf bytes = buf_init(PATH_MAX_SIZE);
    struct span name = event->text;

    if (is_base64) {
        int r = base64_decode(event->text, &bytes, NULL);
        if (r == -ENOMEM || bytes.failure == -ENOMEM)
            return error_set(err, -ENOMEM, "out of memory");
        if (r < 0 || buf_check(&bytes, NULL) < 0)
            return yaml_refuse(event, err, "base64 with padding, of at most 4096 bytes");
        name = buf_span(&bytes);
        if (yaml_text_is_plain(name))
            return yaml_refuse(event, err, "base64 of what can be written plainly");
    }
    if (name.size > PATH_MAX_SIZE || !(is_base64 || yaml_text_is_plain(name)))
        return yaml_refuse(event, err, "a path or target of at most 4096 bytes");
    if (name.size > 0)
        memcpy(out, name.bytes, name.size);
    *out_size = name.size;
    return 0;
}

static int take_value(struct item *item, enum entry_key key, const struct yaml_event *event,
                      struct error *err)
{
    struct entry *entry = &item->entry;

    switch (key) {
    case KEY_PATH:
    case KEY_PATH_BASE64:
        return take_name(event, key == KEY_PATH_BASE64, item->path, &item->path_size, err);
    case KEY_LINK:
    case KEY_LINK_BASE64:
        return take_name(event, key == KEY_LINK_BASE64, item->target, &item->target_size, err);
    case KEY_DIR:
        if (!span_equal_text(event->text, "true"))
            return yaml_refuse(event, err, "dir is true");
        return 0;
    case KEY_SHA256:
    case KEY_VERITY:
        if (digest_parse(event->text, key == KEY_SHA256 ? &entry->sha256 : &item->verity, NULL) < 0)
            return yaml_refuse(event, err, "a digest is 64 lower-case hex digits");
        return 0;
    case KEY_SIZE:
        if (number_parse(event->text, ENTRY_MAX_SIZE, &entry->size, NULL) < 0)
            return yaml_refuse(event, err, "a size is an integer up to 2^53 - 1");
        return 0;
    case KEY_MODE:
        if (name_parse_mode(event->text, &entry->mode, NULL) < 0)
            return yaml_refuse(event, err, "a mode is four octal digits from 0000 to 0777");
        return 0;
    case KEY_MTIME:
        if (number_parse_signed(event->text, ENTRY_MAX_TIME, &entry->mtime, NULL) < 0)
            return yaml_refuse(event, err, "an mtime is an integer within 2^53 - 1");
        return 0;
    }
    return 0;
}

static int read_item_key(struct reading *reading, const struct yaml_event *key, struct error *err)
{
    struct yaml_event event;

    for (size_t i = 0; i < ENTRY_KEY_COUNT; i++) {
        int r;
        if (!span_equal_text(key->text, entry_keys[i].name))
            continue;
        reading->item.keys |= entry_keys[i].key;
        r = yaml_expect(reading->reader, YAML_SCALAR, &event, err);
        return r < 0 ? r : take_value(&reading->item, entry_keys[i].key, &event, err);
    }
    return yaml_refuse(key, err, "unknown key of an entry");
}

/* Which kind of entry the keys make; base64 keys count as the plain ones. */
static int finish_item(struct item *item, const struct yaml_event *begin, struct error *err)
{
    unsigned keys = item->keys;

    if (((keys & KEY_PATH) != 0) == ((keys & KEY_PATH_BASE64) != 0))
        return yaml_refuse(begin, err, "an entry has one of path and path_base64");
    if ((keys & KEY_LINK) != 0 && (keys & KEY_LINK_BASE64) != 0)
        return yaml_refuse(begin, err, "a link has one of link and link_base64");
    if ((keys & KEY_LINK_BASE64) != 0)
        keys |= KEY_LINK;
    keys &= ~(unsigned)(KEY_PATH | KEY_PATH_BASE64 | KEY_LINK_BASE64);
    for (size_t i = 0; i < 3; i++) {
        unsigned needs = entry_shapes[i].needs;
        if (entry_shapes[i].kind != ENTRY_FILE && (keys & needs) == 0)
            continue;
        if ((keys & needs) != needs || (keys & ~(needs | entry_shapes[i].may)) != 0)
            return yaml_refuse(begin, err, "%s", entry_shapes[i].rule);
        item->entry.kind = entry_shapes[i].kind;
        break;
    }
    if ((keys & KEY_MODE) == 0 && item->entry.kind != ENTRY_LINK)
        item->entry.mode = item->entry.kind == ENTRY_DIRECTORY ? 0755 : 0644;
    item->entry.path = span_of(item->path, item->path_size);
    item->entry.target = span_of(item->target, item->target_size);
    return 0;
}

static int give(struct reading *reading, const struct entry *entry, bool made,
                const struct digest *verity, const struct yaml_event *begin, struct error *err)
{
    struct error why = { 0 };
    int r = listing_writer_add(&reading->listing, entry, &why);

    if (r == -ENOMEM)
        return error_set(err, r, "%s", why.text);
    if (r < 0)
        return yaml_refuse(begin, err, "%s", why.text);
    if (reading->function == NULL)
        return 0;
    return reading->function(reading->context, entry, made, verity, err);
}

/* True when `path` is the last entry, or one of its parents. */
static bool is_there(const struct entry_order *order, struct span path)
{
    return order->last_size >= path.size && memcmp(order->last_path, path.bytes, path.size) == 0 &&
           (order->last_size == path.size || order->last_path[path.size] == '/');
}

/* Parents that nobody listed. What stands in their way is found by the order's own rules. */
static int make_parents(struct reading *reading, const struct yaml_event *begin, struct error *err)
{
    struct span path = reading->item.entry.path;

    for (size_t i = 1; i < path.size; i++) {
        struct entry parent = { .kind = ENTRY_DIRECTORY, .mode = 0755, .path = { path.bytes, i } };
        int r = 0;
        if (path.bytes[i] == '/' && !is_there(&reading->listing.order, parent.path))
            r = give(reading, &parent, true, NULL, begin, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_item(struct reading *reading, const struct yaml_event *begin, struct error *err)
{
    struct item *item = &reading->item;
    struct yaml_event event;
    struct error why = { 0 };
    int r;

    item->keys = 0;
    item->path_size = item->target_size = 0;
    item->entry = (struct entry){ .mode = 0 };
    for (;;) {
        r = yaml_next(reading->reader, &event, err);
        if (r < 0)
            return r;
        if (event.kind == YAML_MAP_END)
            break;
        r = read_item_key(reading, &event, err);
        if (r < 0)
            return r;
    }
    r = finish_item(item, begin, err);
    if (r < 0)
        return r;
    if (entry_check(&item->entry, &why) < 0)
        return yaml_refuse(begin, err, "%s", why.text);
    r = make_parents(reading, begin, err);
    if (r < 0)
        return r;
    return give(reading, &item->entry, false, (item->keys & KEY_VERITY) != 0 ? &item->verity : NULL,
                begin, err);
}

static int read_files(struct reading *reading, struct error *err)
{
    struct yaml_event event;
    int r = yaml_expect(reading->reader, YAML_LIST, &event, err);

    for (;;) {
        if (r == 0)
            r = yaml_next(reading->reader, &event, err);
        if (r < 0 || event.kind == YAML_LIST_END)
            return r;
        if (event.kind != YAML_MAP)
            return yaml_refuse(&event, err, "an entry is a map");
        r = read_item(reading, &event, err);
    }
}

static int check_totals(const struct reading *reading, const struct listing_totals *totals,
                        const struct yaml_event *end, struct error *err)
{
    const struct record *record = &reading->record;

    if (!reading->format_seen || record->project[0] == '\0' || record->app[0] == '\0' ||
        record->version[0] == '\0')
        return yaml_refuse(end, err, "a manifest has format, project, app and version");
    if (record->has_content && !digest_equal(&record->content, &totals->content))
        return yaml_refuse(end, err, "the files give another content");
    if (record->has_file_count && record->file_count != totals->file_count)
        return yaml_refuse(end, err, "the files give another file_count");
    if (record->has_bytes && record->bytes != totals->bytes)
        return yaml_refuse(end, err, "the files give another sum of bytes");
    return 0;
}

static int read_all(struct reading *reading, struct listing_totals *totals, struct error *err)
{
    struct yaml_event event;
    int r = listing_writer_init(&reading->listing, sink_to_counter(&reading->listing_size), err);

    if (r == 0)
        r = yaml_expect(reading->reader, YAML_MAP, &event, err);
    for (;;) {
        if (r >= 0)
            r = yaml_next(reading->reader, &event, err);
        if (r < 0)
            return r;
        if (event.kind != YAML_KEY)
            break;
        if (span_equal_text(event.text, "files")) {
            r = read_files(reading, err);
            continue;
        }
        r = record_read_key(&reading->record, reading->reader, &event, &reading->format_seen, err);
        if (r == 0)
            return yaml_refuse(&event, err, "unknown key");
    }
    r = listing_writer_end(&reading->listing, totals, err);
    if (r == 0)
        r = check_totals(reading, totals, &event, err);
    if (r == 0)
        r = yaml_expect(reading->reader, YAML_END, &event, err);
    return r;
}

static void reading_release(struct reading **at)
{
    if (*at != NULL)
        record_release(&(*at)->record);
    *at = memory_free(*at);
}

int meta_yaml_read(struct source source, uint64_t max_size, meta_yaml_function *function,
                   void *context, struct record *out_record, struct meta_yaml_totals *out_totals,
                   struct error *err)
{
    cleanup(reading_release) struct reading *reading = memory_new(sizeof(*reading));
    cleanup(cleanup_yaml_reader) struct yaml_reader *reader = NULL;
    struct listing_totals totals;
    int r;

    if (reading == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    r = yaml_reader_new(source.read, source.context, YAML_STRICT,
                        max_size == 0 ? DEFAULT_MAX_SIZE : max_size, &reader, err);
    if (r < 0)
        return r;
    reading->reader = reader;
    reading->function = function;
    reading->context = context;
    r = read_all(reading, &totals, err);
    if (r < 0)
        return r;
    *out_record = reading->record;
    record_init(&reading->record);
    *out_totals = (struct meta_yaml_totals){ .content = totals.content,
                                             .count = totals.count,
                                             .file_count = totals.file_count,
                                             .bytes = totals.bytes };
    return 0;
}
