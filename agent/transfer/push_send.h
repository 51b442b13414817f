/* SPDX-License-Identifier: MIT */
#pragma once

#include "agent/transfer/push_lanes.h"
#include "common/base/span.h"

struct api_push_spec;
struct directory;
struct error;
struct scan;
struct transfer;

/*
 * push_send - the missing blobs of an open push, out of the files they are in (push_lanes.h).
 */
struct push_send_options {
    struct transfer *transfer;
    struct directory *root;
    const struct scan *scan;
    const struct api_push_spec *spec;
    const char *id;
    uint64_t part_size;
    bool is_resumed;
    struct span missing; /* bitmap of the listing's files */
};

/* Sets the meter to what is missing. */
void push_send_meter(const struct push_send_options *options);

/* 0, PUSH_SEND_CHANGED with *out_path (the scan's), or an error. Runs the loop. */
int push_send(const struct push_send_options *options, const char **out_path, struct error *err);
