/* SPDX-License-Identifier: MIT */
#pragma once

#include "common/base/span.h"
#include "common/codec/digest.h"

struct error;

/*
 * repr_digest - the value of the header Repr-Digest (RFC 9530): what the whole of a thing hashes
 * to, of which the body is a part.
 *
 * A dictionary of structured fields (RFC 8941), `sha-256=:BASE64:`. Other algorithms beside it are
 * passed over, and so are parameters; of two members of the same name the last one counts.
 */
#define REPR_DIGEST_SIZE 55 /* `sha-256=:`, 44 characters, `:`, NUL */

void repr_digest_write(const struct digest *sha256, char out[REPR_DIGEST_SIZE]);
/* -EINVAL: no sha-256 in it, or not of 32 bytes in strict base64. */
int repr_digest_parse(struct span text, struct digest *out, struct error *err);
