/* SPDX-License-Identifier: MIT */
#include "agent/transfer/push_dry.h"

#include <errno.h>
#include <string.h>

#include "agent/transfer/push.h"
#include "agent/transfer/push_documents.h"
#include "agent/transfer/remote_tree.h"
#include "agent/transfer/transfer.h"
#include "agent/transfer/tree_diff.h"
#include "common/base/cleanup.h"
#include "common/base/error.h"

#define CONTENT_SHOWN 12 /* hex digits: of a version that is named by its content, its name */

enum dry_state { DRY_NEW, DRY_EXISTS, DRY_UNKNOWN };

static void name_version(const struct push_options *options, const struct digest *content,
                         char out[VERSION_TEXT_SIZE])
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(content, hex);
    if (options->version != NULL) {
        memcpy(out, options->version, strlen(options->version) + 1);
    } else {
        memcpy(out, hex, CONTENT_SHOWN);
        out[CONTENT_SHOWN] = '\0';
    }
}

static int refuse(const struct push_options *options, const char *version,
                  const struct digest *content, struct error *err)
{
    char hex[DIGEST_HEX_SIZE];

    digest_hex(content, hex);
    return error_set(err, -EEXIST, "%s/%s/%s has other content: %.*s...", options->project,
                     options->app, version, CONTENT_SHOWN, hex);
}

static int ask_for_name(const struct push_options *options, const char *version,
                        const struct digest *content, enum dry_state *out, struct error *err)
{
    cleanup(api_version_release) struct api_version there = { 0 };
    struct error told = { 0 };
    int r = api_version_get(options->transfer->client, options->project, options->app, version,
                            &there, &told);

    if (r == 0 && !digest_equal(&there.record.content, content))
        return refuse(options, version, &there.record.content, err);
    if (r < 0 && r != -ENOENT && r != -EACCES)
        return error_set(err, r, "%s", told.text);
    if (r == -EACCES)
        transfer_warning(options->transfer,
                         "the server does not let this token read, so nothing is compared: %s",
                         told.text);
    *out = r == 0 ? DRY_EXISTS : r == -ENOENT ? DRY_NEW : DRY_UNKNOWN;
    return 0;
}

/* The latest version's image is left zeroed when there is none. */
static int fetch_latest(const struct push_options *options, struct remote_tree *out,
                        struct error *err)
{
    struct error told = { 0 };
    int r =
        remote_tree_fetch(options->transfer, options->project, options->app, "latest", out, &told);

    if (r == 0 || r == -ENOENT)
        return 0;
    return error_set(err, r, "%s", told.text);
}

static int weigh(const struct scan *scan, const struct tree *latest, uint64_t *out_bytes,
                 struct error *err)
{
    const struct push_documents_options documents = { .scan = scan };
    uint64_t blobs, described;
    int r = scan_distinct_bytes(scan, latest, &blobs, err);

    if (r == 0)
        r = push_documents_size(&documents, &described, err);
    if (r == 0)
        *out_bytes = blobs + described;
    return r;
}

static int compare(const struct push_options *options, const struct scan *scan,
                   enum dry_state state, uint64_t *out_bytes, struct error *err)
{
    cleanup(remote_tree_release) struct remote_tree latest = { 0 };
    const struct tree *tree = NULL;
    int r = state == DRY_NEW ? fetch_latest(options, &latest, err) : 0;

    if (r < 0)
        return r;
    if (latest.image.bytes.size > 0)
        tree = &latest.image.tree;
    if (options->changes != NULL)
        r = tree_diff_scan(tree, scan, options->changes, err);
    return r < 0 ? r : weigh(scan, tree, out_bytes, err);
}

int push_dry(const struct push_options *options, const struct scan *scan,
             const struct listing_totals *totals, struct push_result *out, struct error *err)
{
    struct push_result result = { .content = totals->content,
                                  .files = totals->file_count,
                                  .bytes = totals->bytes };
    enum dry_state state;
    int r;

    name_version(options, &result.content, result.version);
    transfer_meter(options->transfer, METER_ASKING, 0, 0);
    r = ask_for_name(options, result.version, &result.content, &state, err);
    if (r == 0 && state != DRY_EXISTS)
        r = compare(options, scan, state, &result.would_send_bytes, err);
    if (r < 0)
        return r;
    result.exists = state == DRY_EXISTS;
    *out = result;
    return 0;
}
