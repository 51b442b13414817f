/* SPDX-License-Identifier: MIT */
#include "common/codec/ed25519.h"

#include <errno.h>

#include <openssl/evp.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/random.h"

CLEANUP_DEFINE(evp_pkey_st, EVP_PKEY_free);
CLEANUP_DEFINE(evp_md_ctx_st, EVP_MD_CTX_free);

static int library_error(struct error *err)
{
    return error_set(err, -ENOMEM, "the crypto library failed (out of memory?)");
}

int ed25519_make_seed(uint8_t out_seed[ED25519_SEED_SIZE], struct error *err)
{
    return random_bytes(out_seed, ED25519_SEED_SIZE, err);
}

int ed25519_public_key(const uint8_t seed[ED25519_SEED_SIZE], uint8_t out_key[ED25519_KEY_SIZE],
                       struct error *err)
{
    cleanup(cleanup_evp_pkey_st) EVP_PKEY *secret =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_SIZE);
    size_t size = ED25519_KEY_SIZE;

    if (secret == NULL || EVP_PKEY_get_raw_public_key(secret, out_key, &size) != 1)
        return library_error(err);
    return 0;
}

int ed25519_sign(const uint8_t seed[ED25519_SEED_SIZE], struct span message,
                 uint8_t out_signature[ED25519_SIGNATURE_SIZE], struct error *err)
{
    cleanup(cleanup_evp_pkey_st) EVP_PKEY *secret =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_SIZE);
    cleanup(cleanup_evp_md_ctx_st) EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = ED25519_SIGNATURE_SIZE;

    if (secret == NULL || context == NULL ||
        EVP_DigestSignInit(context, NULL, NULL, NULL, secret) != 1 ||
        EVP_DigestSign(context, out_signature, &size, message.bytes, message.size) != 1)
        return library_error(err);
    return 0;
}

int ed25519_verify(const uint8_t key[ED25519_KEY_SIZE], struct span message,
                   const uint8_t signature[ED25519_SIGNATURE_SIZE], struct error *err)
{
    cleanup(cleanup_evp_pkey_st) EVP_PKEY *public =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ED25519_KEY_SIZE);
    cleanup(cleanup_evp_md_ctx_st) EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (public == NULL || context == NULL ||
        EVP_DigestVerifyInit(context, NULL, NULL, NULL, public) != 1)
        return library_error(err);
    if (EVP_DigestVerify(context, signature, ED25519_SIGNATURE_SIZE, message.bytes, message.size) !=
        1)
        return error_set(err, -EBADMSG, "the signature does not match");
    return 0;
}
