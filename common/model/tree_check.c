/* SPDX-License-Identifier: MIT */
/* The opening of tree.h: every field of an image is checked here, before an accessor reads it. */
#include <errno.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/model/merkle.h"
#include "common/model/tree.h"

#define ALIGNMENT 4096

/* So that an offset of a name is a u32, whatever the names. */
_Static_assert((ENTRY_MAX_COUNT + 1ull) * COMPONENT_MAX_SIZE <= UINT32_MAX,
               "names are < 2^32 bytes");

static int refuse(uint64_t offset, struct error *err, const char *rule)
{
    return error_set(err, -EBADMSG, "offset %llu: %s", (unsigned long long)offset, rule);
}

static uint64_t round_up(uint64_t value)
{
    return (value + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* The first byte of [from, to) that is not zero, or `to`. */
static uint64_t find_non_zero(struct span bytes, uint64_t from, uint64_t to)
{
    while (from < to && bytes.bytes[from] == 0)
        from++;
    return from;
}

static int check_zeros(struct span bytes, uint64_t from, uint64_t to, struct error *err)
{
    uint64_t at = find_non_zero(bytes, from, to);

    return at == to ? 0 : refuse(at, err, "gaps are zero");
}

/* Section `number`, which begins at *at and has at most `max` bytes; *at goes to where the next
 * begins. */
static int check_section(const uint8_t *header, uint32_t number, uint64_t max, uint64_t *at,
                         struct tree_section *out, struct error *err)
{
    uint64_t place = 32 + 16 * (uint64_t)number;

    out->offset = bytes_u64(header + place);
    out->size = bytes_u64(header + place + 8);
    if (out->offset != *at)
        return refuse(place, err, "a section begins at the end of the one before, rounded up");
    if (out->size > max)
        return refuse(place + 8, err, "a section is larger than its records can fill");
    *at = round_up(*at + out->size);
    return 0;
}

static int check_sections(const uint8_t *bytes, struct tree_header *header, struct error *err)
{
    uint64_t at = TREE_HEADER_SIZE, n = header->record_count, files = header->file_count;
    int r = check_section(bytes, 0, n * TREE_RECORD_SIZE, &at, &header->records, err);

    if (r == 0)
        r = check_section(bytes, 1, n * COMPONENT_MAX_SIZE, &at, &header->names, err);
    if (r == 0)
        r = check_section(bytes, 2, ENTRY_MAX_TARGETS, &at, &header->targets, err);
    header->names_part_size = header->targets.offset + header->targets.size;
    if (r == 0)
        r = check_section(bytes, 3, files * TREE_DIGESTS_SIZE, &at, &header->digests, err);
    if (r == 0)
        r = check_section(bytes, 4, files * 4, &at, &header->by_digest, err);
    header->image_size = at;
    if (r == 0 && header->records.size != n * TREE_RECORD_SIZE)
        r = refuse(40, err, "32 bytes for each record");
    if (r == 0 && header->digests.size != files * TREE_DIGESTS_SIZE)
        r = refuse(88, err, "64 bytes of digests for each file");
    if (r == 0 && header->by_digest.size != files * 4)
        r = refuse(104, err, "4 bytes by digest for each file");
    return r;
}

int tree_check_header(struct span bytes, struct tree_header *out, struct error *err)
{
    struct tree_header header = { 0 };
    int r;

    if (bytes.size < TREE_HEADER_SIZE)
        return refuse(bytes.size, err, "a tree image has a header of 4096 bytes");
    if (memcmp(bytes.bytes, "KKATREE1", 8) != 0)
        return refuse(0, err, "a tree image begins with KKATREE1");
    if (bytes_u32(bytes.bytes + 8) != TREE_HEADER_SIZE)
        return refuse(8, err, "the header's size is 4096");
    if (bytes_u32(bytes.bytes + 12) != 0)
        return refuse(12, err, "flags are 0");
    header.record_count = bytes_u32(bytes.bytes + 16);
    header.file_count = bytes_u32(bytes.bytes + 20);
    header.bytes = bytes_u64(bytes.bytes + 24);
    if (header.record_count == 0 || header.record_count - 1 > ENTRY_MAX_COUNT)
        return refuse(16, err, "1 to 16777217 records");
    if (header.file_count >= header.record_count)
        return refuse(20, err, "fewer files than records");
    if (header.bytes > ENTRY_MAX_SIZE)
        return refuse(24, err, "all files together have at most 2^53 - 1 bytes");
    r = check_sections(bytes.bytes, &header, err);
    if (r < 0)
        return r;
    memcpy(header.content.bytes, bytes.bytes + 112, DIGEST_SIZE);
    memcpy(header.times.bytes, bytes.bytes + 144, DIGEST_SIZE);
    r = check_zeros(bytes, 176, TREE_HEADER_SIZE, err);
    if (r == 0)
        *out = header;
    return r;
}

/* What the one pass over the records carries along. */
struct pass {
    const struct tree *tree;
    uint32_t run_parent; /* the directory whose children are being read */
    uint32_t run_end;    /* behind its last child */
    uint32_t claimed;    /* behind the last record that a directory read so far has for a child */
    uint32_t level_end;  /* behind the last record of this depth */
    uint32_t depth;
    uint32_t longest;       /* no path of this depth is longer (bound) */
    uint32_t longest_above; /* nor of the depth above */
    uint64_t names_at, targets_at, bytes;
    uint32_t files;
};

static uint64_t record_offset(const struct pass *pass, uint32_t index)
{
    return pass->tree->header.records.offset + (uint64_t)index * TREE_RECORD_SIZE;
}

static const uint8_t *record_bytes(const struct pass *pass, uint32_t index)
{
    return pass->tree->image.bytes + record_offset(pass, index);
}

static struct span record_name(const struct pass *pass, uint32_t index)
{
    const uint8_t *at = record_bytes(pass, index);

    return span_of(pass->tree->image.bytes + pass->tree->header.names.offset + bytes_u32(at),
                   bytes_u16(at + 4));
}

static bool is_directory(const struct pass *pass, uint32_t index)
{
    return bytes_u16(record_bytes(pass, index) + 6) >> 12 == ENTRY_DIRECTORY;
}

static uint32_t child_count(const struct pass *pass, uint32_t index)
{
    return bytes_u32(record_bytes(pass, index) + 12);
}

/* Goes on to the directory that has record `index` for its first child. There is one: index <
 * claimed. */
static void next_run(struct pass *pass, uint32_t index)
{
    if (index < pass->run_end)
        return;
    do {
        pass->run_parent++;
    } while (!is_directory(pass, pass->run_parent) || child_count(pass, pass->run_parent) == 0);
    pass->run_end = index + child_count(pass, pass->run_parent);
}

/* Depth and a bound for the length of paths, from the fact that depths stand one behind the
 * other. */
static int next_depth(struct pass *pass, uint32_t index, struct error *err)
{
    if (index < pass->level_end)
        return 0;
    pass->level_end = pass->claimed;
    pass->longest_above = pass->longest;
    pass->longest = 0;
    if (++pass->depth > PATH_MAX_DEPTH)
        return refuse(record_offset(pass, index), err, "a path has at most 255 components");
    return 0;
}

static int check_name(struct pass *pass, uint32_t index, struct error *err)
{
    const uint8_t *at = record_bytes(pass, index);
    uint64_t offset = record_offset(pass, index);
    uint16_t size = bytes_u16(at + 4);
    struct error why = { 0 };
    struct span name;

    if (bytes_u32(at) != pass->names_at || size > pass->tree->header.names.size - pass->names_at)
        return refuse(offset, err, "names stand in record order, nothing between them");
    name = record_name(pass, index);
    if (name_check_component(name, &why) < 0)
        return refuse(offset + 4, err, why.text);
    if (pass->depth == 1 && name_is_ours(name))
        return refuse(offset, err,
                      "\".kkartifact\" and \".kkartifact.yml\" at the top are never "
                      "part of a version");
    if (index > TREE_ROOT + 1 &&
        bytes_u32(record_bytes(pass, index - 1) + 24) == pass->run_parent &&
        span_compare(record_name(pass, index - 1), name) >= 0)
        return refuse(offset, err, "children of a directory are in order, each name once");
    pass->names_at += size;
    if (pass->longest_above + 1 + size > pass->longest)
        pass->longest = pass->longest_above + 1 + size;
    return 0;
}

static int check_directory(struct pass *pass, uint32_t index, struct error *err)
{
    const uint8_t *at = record_bytes(pass, index);
    uint64_t offset = record_offset(pass, index);
    uint32_t first = bytes_u32(at + 8), count = bytes_u32(at + 12);

    if (bytes_u32(at + 28) != 0)
        return refuse(offset + 28, err, "a directory's B is 0");
    if (count == 0)
        return first == 0 ? 0 : refuse(offset + 8, err, "without children A is 0");
    if (first != pass->claimed || count > pass->tree->header.record_count - first)
        return refuse(offset + 8, err, "the runs of children follow in the order of directories");
    pass->claimed = first + count;
    return 0;
}

static int check_file(struct pass *pass, uint32_t index, struct error *err)
{
    const uint8_t *at = record_bytes(pass, index);
    uint64_t offset = record_offset(pass, index), size = bytes_u64(at + 8);

    if (size > ENTRY_MAX_SIZE - pass->bytes)
        return refuse(offset + 8, err, "sizes are at most 2^53 - 1, also together");
    if (pass->files >= pass->tree->header.file_count || bytes_u32(at + 28) != pass->files)
        return refuse(offset + 28, err, "a file's B counts the files before it");
    pass->bytes += size;
    pass->files++;
    return 0;
}

static int check_link(struct pass *pass, uint32_t index, struct error *err)
{
    const uint8_t *at = record_bytes(pass, index);
    uint64_t offset = record_offset(pass, index);
    uint32_t target = bytes_u32(at + 8), size = bytes_u32(at + 12);
    struct error why = { 0 };

    if (target != pass->targets_at || size > pass->tree->header.targets.size - pass->targets_at)
        return refuse(offset + 8, err, "targets stand in record order, nothing between them");
    if (name_check_target(
            span_of(pass->tree->image.bytes + pass->tree->header.targets.offset + target, size),
            &why) < 0)
        return refuse(offset + 8, err, why.text);
    if (bytes_u32(at + 28) != 0)
        return refuse(offset + 28, err, "a link's B is 0");
    if ((bytes_u16(at + 6) & 0xfff) != 0 || bytes_u64(at + 16) != 0)
        return refuse(offset + 6, err, "a link has no mode and no time");
    pass->targets_at += size;
    return 0;
}

static int check_root(struct pass *pass, struct error *err)
{
    const uint8_t *at = record_bytes(pass, TREE_ROOT);
    uint64_t offset = record_offset(pass, TREE_ROOT);

    if (bytes_u32(at) != 0 || bytes_u16(at + 4) != 0)
        return refuse(offset, err, "the root has no name");
    if (bytes_u16(at + 6) != (ENTRY_DIRECTORY << 12 | ENTRY_ROOT_MODE))
        return refuse(offset + 6, err, "the root is a directory with mode 0755");
    if (bytes_u64(at + 16) != 0 || bytes_u32(at + 24) != 0)
        return refuse(offset + 16, err, "the root's time and parent are 0");
    pass->claimed = pass->level_end = 1;
    return check_directory(pass, TREE_ROOT, err);
}

static int check_record(struct pass *pass, uint32_t index, struct error *err)
{
    const uint8_t *at = record_bytes(pass, index);
    uint64_t offset = record_offset(pass, index);
    uint16_t kind = bytes_u16(at + 6);
    int64_t mtime = (int64_t)bytes_u64(at + 16);
    int r;

    if (index >= pass->claimed)
        return refuse(offset, err, "a record that is no directory's child");
    r = next_depth(pass, index, err);
    if (r < 0)
        return r;
    if (index == 1)
        pass->run_end = 1 + child_count(pass, TREE_ROOT);
    else
        next_run(pass, index);
    if (bytes_u32(at + 24) != pass->run_parent)
        return refuse(offset + 24, err, "the parent is the directory whose run this is");
    r = check_name(pass, index, err);
    if (r < 0)
        return r;
    if ((kind & 0xfff) > 0777)
        return refuse(offset + 6, err, "a mode is within 0777");
    if (mtime > ENTRY_MAX_TIME || mtime < -ENTRY_MAX_TIME)
        return refuse(offset + 16, err, "a time is within 2^53 - 1 seconds of 1970");
    switch (kind >> 12) {
    case ENTRY_DIRECTORY:
        return check_directory(pass, index, err);
    case ENTRY_FILE:
        return check_file(pass, index, err);
    case ENTRY_LINK:
        return check_link(pass, index, err);
    default:
        return refuse(offset + 6, err, "a record is a directory, a file or a link");
    }
}

static int check_totals(const struct pass *pass, struct error *err)
{
    const struct tree_header *header = &pass->tree->header;

    if (pass->claimed != header->record_count)
        return refuse(16, err, "the count of records");
    if (pass->files != header->file_count)
        return refuse(20, err, "the count of files");
    if (pass->bytes != header->bytes)
        return refuse(24, err, "the sum of sizes");
    if (pass->names_at != header->names.size)
        return refuse(56, err, "names end with the last record's");
    if (pass->targets_at != header->targets.size)
        return refuse(72, err, "targets end with the last record's");
    return 0;
}

/* Only for trees that might have too long a path: a walk that adds up lengths. The structure is
 * sound. */
static int check_path_lengths(const struct tree *tree, struct error *err)
{
    uint32_t index = TREE_ROOT;
    uint64_t size = 0;

    for (;;) {
        struct tree_record record = tree_record(tree, index);
        if (record.kind == ENTRY_DIRECTORY && record.child_count > 0) {
            index = record.first_child;
        } else {
            for (;;) {
                struct tree_record parent;
                if (index == TREE_ROOT)
                    return 0;
                record = tree_record(tree, index);
                parent = tree_record(tree, record.parent);
                size -= record.name.size + (record.parent == TREE_ROOT ? 0 : 1);
                if (++index < parent.first_child + parent.child_count)
                    break;
                index = record.parent;
            }
        }
        record = tree_record(tree, index);
        size += record.name.size + (record.parent == TREE_ROOT ? 0 : 1);
        if (size > PATH_MAX_SIZE)
            return refuse(tree->header.records.offset + (uint64_t)index * TREE_RECORD_SIZE, err,
                          "a path has at most 4096 bytes");
    }
}

int tree_open_names(struct span bytes, struct tree *out, struct error *err)
{
    struct tree tree = { .image = bytes };
    struct pass pass = { .tree = &tree };
    bool maybe_long = false;
    int r = tree_check_header(bytes, &tree.header, err);

    if (r < 0)
        return r;
    if (bytes.size < tree.header.names_part_size)
        return refuse(bytes.size, err, "the names part is cut off");
    tree.image.size = tree.header.names_part_size;
    r = check_zeros(bytes, tree.header.records.offset + tree.header.records.size,
                    tree.header.names.offset, err);
    if (r == 0)
        r = check_zeros(bytes, tree.header.names.offset + tree.header.names.size,
                        tree.header.targets.offset, err);
    if (r == 0)
        r = check_root(&pass, err);
    for (uint32_t i = 1; r == 0 && i < tree.header.record_count; i++) {
        r = check_record(&pass, i, err);
        maybe_long = maybe_long || pass.longest > PATH_MAX_SIZE;
    }
    if (r == 0)
        r = check_totals(&pass, err);
    if (r == 0 && maybe_long)
        r = check_path_lengths(&tree, err);
    if (r == 0)
        *out = tree;
    return r;
}

/* Digests of one file against its size: no bytes have their own two digests, and nothing else
 * has. */
static int check_file_digests(const struct tree *tree, const struct tree_record *record,
                              struct error *err)
{
    struct digest sha256 = tree_sha256(tree, record->digest_index);
    struct digest verity = tree_verity(tree, record->digest_index);
    uint64_t offset = tree_digests_offset(tree, record->digest_index);

    if (digest_equal(&sha256, &entry_empty_sha256) != (record->size == 0))
        return refuse(offset, err, "the sha256 of no bytes belongs to empty files");
    if (digest_equal(&verity, &merkle_empty_verity) != (record->size == 0))
        return refuse(offset + 32, err, "the verity digest of no bytes belongs to empty files");
    return 0;
}

/* Two neighbours in by-digest: ascending; of equal sha256 also equal size and verity digest. */
static int check_neighbours(const struct tree *tree, uint64_t offset, uint32_t a, uint32_t b,
                            struct error *err)
{
    struct digest sha256_a = tree_sha256(tree, a), sha256_b = tree_sha256(tree, b);
    struct digest verity_a, verity_b;
    int order = digest_compare(&sha256_a, &sha256_b);

    if (order > 0 || (order == 0 && a >= b))
        return refuse(offset, err, "by-digest is sorted by sha256 and index");
    if (order < 0)
        return 0;
    verity_a = tree_verity(tree, a);
    verity_b = tree_verity(tree, b);
    if (!digest_equal(&verity_a, &verity_b))
        return refuse(tree_digests_offset(tree, b) + 32, err,
                      "equal files have equal verity digests");
    return 0;
}

static int check_by_digest(const struct tree *tree, struct error *err)
{
    const struct tree_section *section = &tree->header.by_digest;
    uint32_t before = 0;

    for (uint32_t i = 0; i < tree->header.file_count; i++) {
        uint64_t offset = section->offset + (uint64_t)i * 4;
        uint32_t index = bytes_u32(tree->image.bytes + offset);
        int r = 0;
        if (index >= tree->header.file_count)
            return refuse(offset, err, "by-digest holds indices of digests");
        if (i > 0)
            r = check_neighbours(tree, offset, before, index, err);
        if (r < 0)
            return r;
        before = index;
    }
    return 0;
}

/* Equal verity digests of equal files say equal sizes, if they are true; that they say so is
 * checked here, through the record of each. */
static int check_equal_sizes(const struct tree *tree, struct error *err)
{
    const uint8_t *by_digest = tree->image.bytes + tree->header.by_digest.offset;

    for (uint32_t i = 1; i < tree->header.file_count; i++) {
        uint32_t a = bytes_u32(by_digest + (size_t)(i - 1) * 4);
        uint32_t b = bytes_u32(by_digest + (size_t)i * 4);
        struct digest sha256_a = tree_sha256(tree, a), sha256_b = tree_sha256(tree, b);
        uint32_t record_a, record_b;
        if (!digest_equal(&sha256_a, &sha256_b))
            continue;
        record_a = tree_find_file(tree, a);
        record_b = tree_find_file(tree, b);
        if (tree_record(tree, record_a).size != tree_record(tree, record_b).size)
            return refuse(tree->header.records.offset + (uint64_t)record_b * TREE_RECORD_SIZE + 8,
                          err, "equal files have equal sizes");
    }
    return 0;
}

static int check_digests(const struct tree *tree, struct error *err)
{
    int r = 0;

    for (uint32_t i = 0; r == 0 && i < tree->header.record_count; i++) {
        struct tree_record record = tree_record(tree, i);
        if (record.kind == ENTRY_FILE)
            r = check_file_digests(tree, &record, err);
    }
    if (r == 0)
        r = check_by_digest(tree, err);
    if (r == 0)
        r = check_equal_sizes(tree, err);
    return r;
}

int tree_open_unhashed(struct span image, struct tree *out, struct error *err)
{
    struct tree tree;
    int r = tree_open_names(image, &tree, err);

    if (r < 0)
        return r;
    if (image.size != tree.header.image_size)
        return refuse(image.size < tree.header.image_size ? image.size : tree.header.image_size,
                      err, "the image ends at the end of by-digest, rounded up");
    tree.image = image;
    tree.whole = true;
    r = check_zeros(image, tree.header.names_part_size, tree.header.digests.offset, err);
    if (r == 0)
        r = check_zeros(image, tree.header.digests.offset + tree.header.digests.size,
                        tree.header.by_digest.offset, err);
    if (r == 0)
        r = check_zeros(image, tree.header.by_digest.offset + tree.header.by_digest.size,
                        image.size, err);
    if (r == 0)
        r = check_digests(&tree, err);
    if (r == 0)
        *out = tree;
    return r;
}

int tree_open(struct span image, struct tree *out, struct error *err)
{
    struct digest content, times;
    uint64_t size = 0;
    struct tree tree;
    int r = tree_open_unhashed(image, &tree, err);

    if (r == 0)
        r = tree_write_times(&tree, sink_to_counter(&size), &times, err);
    if (r == 0 && !digest_equal(&times, &tree.header.times))
        r = refuse(144, err, "the times give another SHA-256");
    if (r == 0)
        r = tree_write_listing(&tree, sink_to_counter(&size), &content, err);
    if (r == -EFBIG)
        r = refuse(32, err, "a listing has at most 4 GiB");
    if (r == 0 && !digest_equal(&content, &tree.header.content))
        r = refuse(112, err, "the listing gives another content");
    if (r == 0)
        *out = tree;
    return r;
}
