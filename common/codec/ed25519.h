/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

#include "common/base/span.h"

struct error;

/*
 * ed25519 - signatures of RFC 8032. Keys and signatures are plain bytes; the
 * secret is the 32-byte seed. Any thread.
 */
#define ED25519_SEED_SIZE 32
#define ED25519_KEY_SIZE 32
#define ED25519_SIGNATURE_SIZE 64

/* A new seed; wipe it (memory_wipe) when done. */
int ed25519_make_seed(uint8_t out_seed[ED25519_SEED_SIZE], struct error *err);
int ed25519_public_key(const uint8_t seed[ED25519_SEED_SIZE], uint8_t out_key[ED25519_KEY_SIZE],
                       struct error *err);
int ed25519_sign(const uint8_t seed[ED25519_SEED_SIZE], struct span message,
                 uint8_t out_signature[ED25519_SIGNATURE_SIZE], struct error *err);

/* 0, or -EBADMSG when the signature is not the key's over the message. */
int ed25519_verify(const uint8_t key[ED25519_KEY_SIZE], struct span message,
                   const uint8_t signature[ED25519_SIGNATURE_SIZE], struct error *err);
