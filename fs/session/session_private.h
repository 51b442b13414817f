/* SPDX-License-Identifier: MIT */
#pragma once

#define FUSE_USE_VERSION 317
#include <pthread.h>
#include <stdatomic.h>

#include <fuse_lowlevel.h>

#include "fs/session/session.h"

/*
 * session_private - what session.c (what the kernel may ask; mounting), adopted.c (connections that
 * outlive the process), readers.c (threads that take requests) and replies.c (answers) share.
 */
#define SESSION_PREFERRED_SIZE (128 * 1024)

/* Of the request that a thread handles. */
struct session_asked {
    uint64_t ms;
    uint64_t number;
    bool repeated;
};

struct session {
    struct fuse_session *fuse;
    const struct session_ops *ops;
    void *context;
    struct session_options options;
    char *mountpoint;
    uint64_t device;
    _Atomic uint32_t protocol; /* major << 16 | minor */
    bool by_helper;            /* fusermount3 mounted it, and takes it away */
    struct ring *ring;         /* of an adopted connection; else NULL */
    bool without_resend;
    bool replaying;
    pthread_key_t asked; /* each thread's: a struct session_asked */
    atomic_bool stopping;
    pthread_mutex_t lock; /* of the wait for the end */
    pthread_cond_t stopped;
};

/* A request is libfuse's, under our name. */
fuse_req_t session_fuse_of(struct session_request *request);
struct session *session_of(fuse_req_t req);

/* One request: read, handled. 0 at the end of the connection, -EINTR after a signal, -EAGAIN: there
 * was none. The buffer is the thread's, released by session_buffer_release. */
int session_serve_one(struct session *session, struct fuse_buf *buffer);
void session_buffer_release(struct session *session, struct fuse_buf *buffer);

/* session.c */
int session_new(struct session **out_session, const char *mountpoint,
                const struct session_options *options, const struct session_ops *ops, void *context,
                struct error *err);

/* adopted.c */
int session_serve_slot(struct session *session, struct fuse_buf *buffer);
void session_settle_debts(struct session *session); /* before the first reader */
