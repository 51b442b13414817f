/* SPDX-License-Identifier: MIT */
#include "server/security/token_verifier.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/map.h"
#include "common/base/memory.h"
#include "common/base/random.h"
#include "common/codec/digest.h"
#include "server/security/token_secret.h"

#define KEY_SIZE 32

struct token_verifier {
    uint8_t key[KEY_SIZE];
    pthread_mutex_t lock; /* what follows */
    pthread_cond_t freed;
    unsigned running, parallel;
    uint64_t slow_count;
    struct map known;    /* MAC -> itself in `ring` */
    struct digest *ring; /* in the order they came; the oldest makes room */
    size_t capacity, next;
};

int token_verifier_new(size_t capacity, unsigned parallel, struct token_verifier **out,
                       struct error *err)
{
    struct token_verifier *verifier = memory_new(sizeof(*verifier));
    int r;

    assert(capacity > 0 && parallel > 0);
    if (verifier == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    pthread_mutex_init(&verifier->lock, NULL);
    pthread_cond_init(&verifier->freed, NULL);
    verifier->known = map_init();
    verifier->capacity = capacity;
    verifier->parallel = parallel;
    verifier->ring = memory_array(capacity, sizeof(*verifier->ring));
    r = verifier->ring == NULL ? error_set(err, -ENOMEM, "out of memory")
                               : random_bytes(verifier->key, KEY_SIZE, err);
    if (r < 0) {
        token_verifier_free(verifier);
        return r;
    }
    *out = verifier;
    return 0;
}

struct token_verifier *token_verifier_free(struct token_verifier *verifier)
{
    if (verifier == NULL)
        return NULL;
    map_release(&verifier->known);
    memory_free(verifier->ring);
    pthread_cond_destroy(&verifier->freed);
    pthread_mutex_destroy(&verifier->lock);
    memory_wipe(verifier->key, KEY_SIZE);
    return memory_free(verifier);
}

/* Of id, secret and stored hash; the first two have a fixed size. */
static struct digest mac_of(const struct token_verifier *verifier, const struct token_secret *token,
                            const char *hash)
{
    uint8_t text[TOKEN_ID_SIZE + TOKEN_SECRET_SIZE + TOKEN_HASH_SIZE];
    size_t size = strnlen(hash, TOKEN_HASH_SIZE);
    struct digest mac;

    memcpy(text, token->id, TOKEN_ID_SIZE);
    memcpy(text + TOKEN_ID_SIZE, token->secret, TOKEN_SECRET_SIZE);
    memcpy(text + TOKEN_ID_SIZE + TOKEN_SECRET_SIZE, hash, size);
    mac = digest_keyed(span_of(verifier->key, KEY_SIZE),
                       span_of(text, TOKEN_ID_SIZE + TOKEN_SECRET_SIZE + size));
    memory_wipe(text, sizeof(text));
    return mac;
}

static struct span mac_span(const struct digest *mac)
{
    return span_of(mac->bytes, DIGEST_SIZE);
}

static bool knows(struct token_verifier *verifier, const struct digest *mac)
{
    bool is_known;

    pthread_mutex_lock(&verifier->lock);
    is_known = map_has(&verifier->known, mac_span(mac));
    pthread_mutex_unlock(&verifier->lock);
    return is_known;
}

int token_verifier_knows(struct token_verifier *verifier, const struct token_secret *token,
                         const char *hash)
{
    struct digest mac = mac_of(verifier, token, hash);

    return knows(verifier, &mac);
}

/* Not remembered when memory is out: it is only slower then. */
static void remember(struct token_verifier *verifier, const struct digest *mac)
{
    struct digest *place = &verifier->ring[verifier->next];

    if (map_has(&verifier->known, mac_span(mac)))
        return;
    map_remove(&verifier->known, mac_span(place));
    *place = *mac;
    if (map_set(&verifier->known, mac_span(place), place, NULL) < 0)
        return;
    verifier->next = (verifier->next + 1) % verifier->capacity;
}

int token_verifier_check(struct token_verifier *verifier, const struct token_secret *token,
                         const char *hash, struct error *err)
{
    struct digest mac = mac_of(verifier, token, hash);
    int r;

    pthread_mutex_lock(&verifier->lock);
    while (verifier->running == verifier->parallel && !map_has(&verifier->known, mac_span(&mac)))
        pthread_cond_wait(&verifier->freed, &verifier->lock);
    if (map_has(&verifier->known, mac_span(&mac))) {
        pthread_mutex_unlock(&verifier->lock);
        return 0;
    }
    verifier->running++;
    pthread_mutex_unlock(&verifier->lock);
    r = token_secret_verify(token, hash, err);
    pthread_mutex_lock(&verifier->lock);
    verifier->running--;
    verifier->slow_count++;
    if (r >= 0)
        remember(verifier, &mac);
    pthread_cond_broadcast(&verifier->freed);
    pthread_mutex_unlock(&verifier->lock);
    return r;
}

uint64_t token_verifier_slow_count(struct token_verifier *verifier)
{
    uint64_t count;

    pthread_mutex_lock(&verifier->lock);
    count = verifier->slow_count;
    pthread_mutex_unlock(&verifier->lock);
    return count;
}
