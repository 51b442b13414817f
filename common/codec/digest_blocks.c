/* SPDX-License-Identifier: MIT */
#include "common/codec/digest_blocks.h"

#ifdef HAVE_IPSEC_MB

#define NO_COMPAT_IMB_API_053 /* its old names are OpenSSL's functions */
#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <string.h>

/* Fewer leave the lanes empty and are dearer than one after the other. */
#define FEWEST 16
/* A manager has 200 KB and takes 0.1 ms to make. This many wait for the next who needs one. */
#define IDLE_MAX 4

static struct {
    pthread_mutex_t lock;
    IMB_MGR *idle[IDLE_MAX];
    size_t idle_count;
    bool is_useless; /* it cannot be had here */
} managers = { .lock = PTHREAD_MUTEX_INITIALIZER };

static IMB_MGR *manager_new(void)
{
    IMB_MGR *manager = alloc_mb_mgr(0);
    IMB_ARCH arch = IMB_ARCH_NONE;

    if (manager == NULL)
        return NULL;
    init_mb_mgr_auto(manager, &arch);
    if (imb_get_errno(manager) == 0 && arch != IMB_ARCH_NONE && arch != IMB_ARCH_NOAESNI)
        return manager;
    free_mb_mgr(manager);
    return NULL;
}

static IMB_MGR *manager_take(void)
{
    IMB_MGR *manager = NULL;
    bool is_useless;

    pthread_mutex_lock(&managers.lock);
    if (managers.idle_count > 0)
        manager = managers.idle[--managers.idle_count];
    is_useless = managers.is_useless;
    pthread_mutex_unlock(&managers.lock);
    if (manager != NULL || is_useless)
        return manager;
    manager = manager_new();
    if (manager == NULL) {
        pthread_mutex_lock(&managers.lock);
        managers.is_useless = true;
        pthread_mutex_unlock(&managers.lock);
    }
    return manager;
}

static void manager_give(IMB_MGR *manager)
{
    pthread_mutex_lock(&managers.lock);
    if (managers.idle_count < IDLE_MAX) {
        managers.idle[managers.idle_count++] = manager;
        manager = NULL;
    }
    pthread_mutex_unlock(&managers.lock);
    if (manager != NULL)
        free_mb_mgr(manager);
}

static IMB_JOB *submit(IMB_MGR *manager, const uint8_t *block, size_t size, struct digest *out)
{
    IMB_JOB *job = IMB_GET_NEXT_JOB(manager);

    memset(job, 0, sizeof(*job));
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = IMB_AUTH_SHA_256;
    job->src = block;
    job->msg_len_to_hash_in_bytes = size;
    job->auth_tag_output = out->bytes;
    job->auth_tag_output_len_in_bytes = DIGEST_SIZE;
    return IMB_SUBMIT_JOB(manager);
}

/* How many of them were made. */
static size_t hash_together(IMB_MGR *manager, const uint8_t *bytes, size_t size, size_t count,
                            struct digest *out)
{
    size_t done = 0;
    IMB_JOB *job;

    for (size_t i = 0; i < count; i++) {
        job = submit(manager, bytes + i * size, size, &out[i]);
        for (; job != NULL; job = IMB_GET_COMPLETED_JOB(manager))
            done += job->status == IMB_STATUS_COMPLETED;
    }
    while ((job = IMB_FLUSH_JOB(manager)) != NULL)
        done += job->status == IMB_STATUS_COMPLETED;
    return done;
}

static bool blocks_together(const uint8_t *bytes, size_t size, size_t count, struct digest *out)
{
    IMB_MGR *manager;
    size_t done;

    if (count < FEWEST || size == 0 || (manager = manager_take()) == NULL)
        return false;
    done = hash_together(manager, bytes, size, count, out);
    if (done == count)
        manager_give(manager);
    else
        free_mb_mgr(manager);
    return done == count;
}

#else

static bool blocks_together(const uint8_t *bytes, size_t size, size_t count, struct digest *out)
{
    return false;
}

#endif

void digest_blocks(const void *bytes, size_t block_size, size_t count, struct digest *out)
{
    const uint8_t *at = bytes;

    if (blocks_together(at, block_size, count, out))
        return;
    for (size_t i = 0; i < count; i++)
        out[i] = digest_of(at + i * block_size, block_size);
}
