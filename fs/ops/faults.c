/* SPDX-License-Identifier: MIT */
#include "fs/ops/faults.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "common/base/memory.h"

#define CAUSES 8

struct cause {
    char text[ERROR_TEXT_SIZE];
    uint64_t logged_ms; /* 0: free */
};

struct faults {
    pthread_mutex_t lock;
    struct cause causes[CAUSES];
    char last[ERROR_TEXT_SIZE];
    uint64_t integrity;
};

struct faults *faults_new(void)
{
    struct faults *faults = memory_new(sizeof(*faults));

    if (faults != NULL)
        pthread_mutex_init(&faults->lock, NULL);
    return faults;
}

struct faults *faults_free(struct faults *faults)
{
    if (faults != NULL)
        pthread_mutex_destroy(&faults->lock);
    return memory_free(faults);
}

static bool is_answer(int code)
{
    return code == 0 || code == -ENOENT || code == -ESTALE || code == -ENOTDIR ||
           code == -ECANCELED;
}

/* The same cause, or the place of the one that was logged longest ago. */
static struct cause *cause_of(struct faults *faults, const char *text)
{
    struct cause *oldest = &faults->causes[0];

    for (size_t i = 0; i < CAUSES; i++) {
        if (strcmp(faults->causes[i].text, text) == 0)
            return &faults->causes[i];
        if (faults->causes[i].logged_ms < oldest->logged_ms)
            oldest = &faults->causes[i];
    }
    return oldest;
}

bool faults_note(struct faults *faults, const struct error *err, const char *where, uint64_t now_ms)
{
    struct cause *cause;
    struct error told;
    bool logged;

    if (err == NULL || is_answer(err->code))
        return false;
    told = *err;
    if (where[0] != '\0')
        error_prefix(&told, told.code, "%s", where);
    pthread_mutex_lock(&faults->lock);
    memcpy(faults->last, told.text, sizeof(faults->last));
    if (err->code == -EBADMSG)
        faults->integrity++;
    cause = cause_of(faults, err->text);
    logged = cause->logged_ms == 0 || strcmp(cause->text, err->text) != 0 ||
             now_ms - cause->logged_ms >= FAULTS_SILENCE_MS;
    if (logged) {
        memcpy(cause->text, err->text, sizeof(cause->text));
        cause->logged_ms = now_ms;
    }
    pthread_mutex_unlock(&faults->lock);
    return logged;
}

void faults_last(struct faults *faults, char out[ERROR_TEXT_SIZE])
{
    pthread_mutex_lock(&faults->lock);
    memcpy(out, faults->last, ERROR_TEXT_SIZE);
    pthread_mutex_unlock(&faults->lock);
}

uint64_t faults_integrity(struct faults *faults)
{
    uint64_t count;

    pthread_mutex_lock(&faults->lock);
    count = faults->integrity;
    pthread_mutex_unlock(&faults->lock);
    return count;
}

int faults_errno(int code)
{
    static const int plain[] = { ENOENT,  ESTALE, ENOTDIR, EBADMSG, ENOMEM,
                                 ENODATA, ERANGE, EISDIR,  EINVAL };

    if (code == -EPERM || code == -EACCES)
        return EACCES;
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        if (code == -plain[i])
            return plain[i];
    return EIO;
}
