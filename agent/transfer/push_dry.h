/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct listing_totals;
struct push_options;
struct push_result;
struct scan;

/*
 * push_dry - what a push of a scanned tree would come to, found out by reading alone.
 *
 * The server is asked whether the version's name is taken (-EEXIST: by other content, as a push
 * would be told), and what the app's latest version holds. No push is begun: that would make
 * project and app, or take the version out of the trash. A token that may push but not pull cannot
 * ask; then a warning says so, and all counts as added.
 */

/* Every digest of the scan is known. Runs the loop. Errors as in push.h; -ESTALE: the name was
 * removed for ever. */
int push_dry(const struct push_options *options, const struct scan *scan,
             const struct listing_totals *totals, struct push_result *out, struct error *err);
