/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/client/known_versions.h"
#include "common/client/tests/sample.h"
#include "common/model/record.h"
#include "common/model/tests/sample_tree.h"
#include "fs/pins/pins.h"

/*
 * scenario - what a mount does with its cache, all of it in one process and in an order that does
 * not change; and the truth that every byte is held against.
 */
#define SCENARIO_SMALL 10
#define SCENARIO_LARGE 4
#define SCENARIO_TREES 2
#define SCENARIO_VERSIONS 6
#define SCENARIO_QUOTA (7ull * 1024 * 1024)
#define SCENARIO_STORE "store-1"
#define SCENARIO_TOKEN "reader"

struct scenario {
    struct sample *small[SCENARIO_SMALL], *large[SCENARIO_LARGE];
    struct sample_tree trees[SCENARIO_TREES];
};

void scenario_init(struct scenario *scenario);
void scenario_release(struct scenario *scenario);

struct blob_key scenario_tree_key(const struct scenario *scenario, unsigned tree);
struct pin scenario_pin(const struct scenario *scenario, unsigned tree);
/* The n-th version, as a server tells it. */
struct known_version scenario_version(unsigned n, char out_name[16]);
void scenario_record(unsigned n, struct record *out);
/* Where ids and records are, below the directory. */
void scenario_path(const char *folder, const char *name, char out[512]);

/* Fills the cache in the directory, for the first time. Marks: "pinned N" and "unpinned N" once it
 * is so, "unpinning N" and "damaging SHA256" before. Ends the process when something does not do
 * what it should. */
void scenario_run(const struct scenario *scenario, const char *folder);
