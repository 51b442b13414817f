/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"

struct buf;

/*
 * name_fold - what two names have in common that a file system takes for one.
 *
 * Case: the simple case folding of Unicode (one character becomes one), as NTFS, APFS
 * and casefolding ext4 do but for a few characters that they fold differently.
 * Normalisation: canonical decomposition without the reordering of marks. Bytes that
 * are not UTF-8 stay as they are. Equal keys are a warning that two names may be one
 * there, not a proof.
 */
enum {
    NAME_FOLD_CASE = 1,
    NAME_FOLD_NORMAL = 2,
};

/* Appends the key of the name to *out; failure sticks there. */
void name_fold(struct span name, unsigned what, struct buf *out);
