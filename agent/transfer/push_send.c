/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_send.h"

#include "agent/transfer/scan.h"
#include "agent/transfer/transfer.h"
#include "common/model/bitmap.h"

/* The f entries of a scan whose bit is set. */
struct missing {
    const struct push_send_options *options;
    size_t entry_index; /* where to look for the next one */
    uint64_t file_index;
};

static const struct scan_entry *next_entry(struct missing *missing)
{
    const struct scan *scan = missing->options->scan;

    while (missing->entry_index < scan_count(scan)) {
        const struct scan_entry *entry = scan_entry_at(scan, missing->entry_index++);

        if (entry->kind == ENTRY_FILE &&
            bitmap_get(missing->options->missing.bytes, missing->file_index++))
            return entry;
    }
    return NULL;
}

static bool next_file(void *context, struct push_file *out)
{
    const struct scan_entry *entry = next_entry(context);

    if (entry == NULL)
        return false;
    *out = (struct push_file){
        .path = entry->path, .size = entry->size, .stamp = entry->stamp, .sha256 = &entry->sha256
    };
    return true;
}

void push_send_meter(const struct push_send_options *options)
{
    struct missing missing = { .options = options };
    const struct scan_entry *entry;
    uint64_t files = 0, bytes = 0;

    while ((entry = next_entry(&missing)) != NULL) {
        files++;
        bytes += entry->size;
    }
    transfer_meter(options->transfer, METER_SENDING, files, bytes);
}

int push_send(const struct push_send_options *options, const char **out_path, struct error *err)
{
    struct missing missing = { .options = options };
    const struct push_lanes_options lanes = {
        .transfer = options->transfer,
        .root = options->root,
        .spec = options->spec,
        .id = options->id,
        .part_size = options->part_size,
        .is_resumed = options->is_resumed,
        .source = { .next = next_file, .context = &missing },
    };

    return push_lanes_run(&lanes, out_path, err);
}
