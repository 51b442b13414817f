/* SPDX-License-Identifier: MIT */
#pragma once

#include "server/db/pushes.h"

/*
 * version_copy - a version under another name, another app or another project: its rows and its
 * edges, and no bytes.
 *
 * What the pusher said of it goes along; its pin, its note and its signatures do not, for these
 * speak of the other name. The event is `version.created` and tells of what it is a copy.
 */
struct version_copy {
    int64_t from_id; /* it must be ready */
    const char *project, *app, *version;
    struct actor by;
};

/* One transaction. Makes project and app when they are not there (the caller has judged the right
 * to). The answer is CREATED, EXISTS or CONFLICT, as of a push. -ENOENT: what is to be copied is
 * not there any more; -EIO: it has missing or corrupt blobs; -EINPROGRESS: that app is being
 * deleted. Release *out. */
int version_copy(struct database *database, const struct version_copy *copy,
                 struct push_result *out, struct error *err);
