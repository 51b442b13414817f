/* SPDX-License-Identifier: MIT */
#include "fs/ops/faults.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "common/base/memory.h"

#define CAUSES 64
#define VERSIONS 64
#define PATH_SHOWN 300 /* bytes of a path in a line */

struct cause {
    char text[FAULTS_NAME_SIZE + ERROR_TEXT_SIZE]; /* without the path */
    uint64_t logged_ms;                            /* 0: free */
};

struct version {
    char name[FAULTS_NAME_SIZE];
    char text[FAULTS_TEXT_SIZE];
    uint64_t noted; /* a number that grows; 0: free */
};

struct faults {
    pthread_mutex_t lock;
    struct cause causes[CAUSES];
    struct version versions[VERSIONS];
    char last[FAULTS_TEXT_SIZE];
    uint64_t noted;
    uint64_t window_ms; /* when the minute of `lines` began */
    unsigned lines, left_out;
    atomic_bool away; /* it was logged that no server is there */
    atomic_uint in_versions;
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

void fault_name(char out[FAULTS_NAME_SIZE], const char *project, const char *app,
                const char *version)
{
    (void)snprintf(out, FAULTS_NAME_SIZE, "%s%s%s%s%s", project != NULL ? project : "",
                   app != NULL ? "/" : "", app != NULL ? app : "", version != NULL ? "/" : "",
                   version != NULL ? version : "");
}

static bool is_answer(int code)
{
    return code == 0 || code == -ENOENT || code == -ESTALE || code == -ENOTDIR ||
           code == -ECANCELED;
}

/* "PATH: CAUSE (SERVER)"; words that name the server already do it once. */
static void write_text(const struct fault *fault, char out[FAULTS_TEXT_SIZE])
{
    const char *cause = fault->err->text;
    bool tells = fault->server[0] == '\0' || strstr(cause, fault->server) != NULL;
    size_t size = strlen(fault->path);

    (void)snprintf(out, FAULTS_TEXT_SIZE, "%.*s%s%s%s%s%s%s", PATH_SHOWN, fault->path,
                   size > PATH_SHOWN ? "..." : "", size > 0 ? ": " : "", cause, tells ? "" : " (",
                   tells ? "" : fault->server, tells ? "" : ")");
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

static struct version *find_version(struct faults *faults, const char *name)
{
    for (size_t i = 0; i < VERSIONS; i++)
        if (faults->versions[i].noted != 0 && strcmp(faults->versions[i].name, name) == 0)
            return &faults->versions[i];
    return NULL;
}

static void note_version(struct faults *faults, const char *name, const char *text)
{
    struct version *version = find_version(faults, name);

    if (version == NULL) {
        version = &faults->versions[0];
        for (size_t i = 1; i < VERSIONS; i++)
            if (faults->versions[i].noted < version->noted)
                version = &faults->versions[i];
        if (version->noted == 0)
            atomic_fetch_add(&faults->in_versions, 1);
    }
    (void)snprintf(version->name, sizeof(version->name), "%s", name);
    memcpy(version->text, text, sizeof(version->text));
    version->noted = ++faults->noted;
}

/* Each cause of a version once a minute, and not too many lines in that. */
static bool is_due(struct faults *faults, const struct fault *fault, uint64_t now_ms)
{
    char text[FAULTS_NAME_SIZE + ERROR_TEXT_SIZE];
    struct cause *cause;

    (void)snprintf(text, sizeof(text), "%s: %s", fault->name, fault->err->text);
    cause = cause_of(faults, text);
    if (cause->logged_ms != 0 && strcmp(cause->text, text) == 0 &&
        now_ms - cause->logged_ms < FAULTS_SILENCE_MS)
        return false;
    if (now_ms - faults->window_ms >= FAULTS_SILENCE_MS) {
        faults->window_ms = now_ms;
        faults->lines = 0;
    }
    if (faults->lines >= FAULTS_LINES) {
        faults->left_out++;
        return false;
    }
    faults->lines++;
    memcpy(cause->text, text, sizeof(cause->text));
    cause->logged_ms = now_ms;
    return true;
}

static void write_line(struct faults *faults, char out[FAULTS_TEXT_SIZE])
{
    if (faults->left_out == 0)
        memcpy(out, faults->last, FAULTS_TEXT_SIZE);
    else
        (void)snprintf(out, FAULTS_TEXT_SIZE, "%.960s (%u others were left out)", faults->last,
                       faults->left_out);
    faults->left_out = 0;
}

bool faults_note(struct faults *faults, const struct fault *fault, uint64_t now_ms,
                 char out[FAULTS_TEXT_SIZE])
{
    char text[FAULTS_TEXT_SIZE];
    bool due;

    if (fault->err == NULL || is_answer(fault->err->code))
        return false;
    write_text(fault, text);
    pthread_mutex_lock(&faults->lock);
    (void)snprintf(faults->last, sizeof(faults->last), "%.*s%s%.*s", FAULTS_NAME_SIZE - 3,
                   fault->name, fault->name[0] != '\0' ? ": " : "",
                   FAULTS_TEXT_SIZE - FAULTS_NAME_SIZE, text);
    if (fault->name[0] != '\0')
        note_version(faults, fault->name, text);
    due = is_due(faults, fault, now_ms);
    if (due)
        write_line(faults, out);
    pthread_mutex_unlock(&faults->lock);
    if (due && fault->is_away)
        atomic_store(&faults->away, true);
    return due;
}

bool faults_answered(struct faults *faults)
{
    return atomic_load_explicit(&faults->away, memory_order_relaxed) &&
           atomic_exchange(&faults->away, false);
}

void faults_last(struct faults *faults, char out[FAULTS_TEXT_SIZE])
{
    pthread_mutex_lock(&faults->lock);
    memcpy(out, faults->last, FAULTS_TEXT_SIZE);
    pthread_mutex_unlock(&faults->lock);
}

void faults_of(struct faults *faults, const char *name, char out[FAULTS_TEXT_SIZE])
{
    const struct version *version;

    out[0] = '\0';
    pthread_mutex_lock(&faults->lock);
    version = find_version(faults, name);
    if (version != NULL)
        memcpy(out, version->text, FAULTS_TEXT_SIZE);
    pthread_mutex_unlock(&faults->lock);
}

void faults_forget(struct faults *faults, const char *name)
{
    struct version *version;

    if (atomic_load(&faults->in_versions) == 0)
        return;
    pthread_mutex_lock(&faults->lock);
    version = find_version(faults, name);
    if (version != NULL) {
        version->noted = 0;
        atomic_fetch_sub(&faults->in_versions, 1);
    }
    pthread_mutex_unlock(&faults->lock);
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
