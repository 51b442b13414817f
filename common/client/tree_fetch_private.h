/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/error.h"
#include "common/client/known_versions.h"
#include "common/client/tree_fetch.h"
#include "common/model/names.h"
#include "common/model/tree.h"
#include "common/net/http_loop.h"

struct tree_names;
struct tree_waiter;

/*
 * tree_fetch_private - what tree_fetch.c (an open tree: what it knows, its whole image) and
 * tree_open.c (how it becomes open) share.
 */
#define TREE_PATH_MAXIMUM (16 * 1024)

struct tree_fetch {
    struct blob_fetch *engine;
    struct api_client *client;
    struct known_versions *known;
    _Atomic size_t refs;
    char project[NAME_TEXT_SIZE], app[NAME_TEXT_SIZE], version[VERSION_TEXT_SIZE];
    struct known_version facts;
    bool other_tree; /* than was known: nothing is believed before the image was checked */
    unsigned flags;
    uint64_t deadline_ms;
    struct blob_object *image;
    struct buf names; /* the names part; or the whole image, for small ones */
    size_t names_size;
    struct tree_header header;
    _Atomic bool complete;

    tree_fetch_done *done; /* until it was called */
    void *context;
    struct tree_names *names_fetch;
    bool is_completing;
    struct tree_waiter *waiters;
    struct http_post checked;
    int check_result;
    struct error check_err;
};

/* Without a look at its references. */
void tree_fetch_destroy(struct tree_fetch *tree);
