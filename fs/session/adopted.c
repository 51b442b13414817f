/* SPDX-License-Identifier: MIT */
/* Connections that outlive the process: requests are read into a ring, and what a dead process
 * owes is answered first. */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/log.h"
#include "common/base/memory.h"
#include "fs/ring/ring.h"
#include "fs/session/session_private.h"

/* The kernel wants a buffer for the largest write that there could be, also where nothing can be
 * written; it is touched only by lists of forgotten nodes. */
#define SPILL_SIZE (1024 * 1024 + 65536)
#define CLAIM_MS 50

/* Of <linux/fuse.h>, which uses a name that is poisoned here. */
enum operation {
    OPERATION_LOOKUP = 1,
    OPERATION_FORGET = 2,
    OPERATION_INTERRUPT = 36,
    OPERATION_NOTIFY_REPLY = 41,
    OPERATION_BATCH_FORGET = 42,
};
#define REQUEST_SIZE_MIN 40
#define NOTIFY_RESEND 7 /* Linux 6.9 */

struct answer_header {
    uint32_t size;
    int32_t error; /* negative errno; of a message with number 0: what it is about */
    uint64_t number;
};

/* Every answer passes here; the request is owed until the kernel has it. */
static ssize_t write_answer(int fd, struct iovec *iov, int count, void *userdata)
{
    struct session *session = userdata;
    uint64_t number = ((const struct answer_header *)iov[0].iov_base)->number;
    ssize_t written = writev(fd, iov, count);
    int saved = errno;

    ring_answered(session->ring, number);
    errno = saved;
    return written;
}

/* libfuse wants one, and does not read: session_serve_slot does. */
static ssize_t read_directly(int fd, void *bytes, size_t size, void *userdata)
{
    return read(fd, bytes, size);
}

static bool wants_no_answer(uint32_t operation)
{
    return operation == OPERATION_FORGET || operation == OPERATION_BATCH_FORGET ||
           operation == OPERATION_INTERRUPT || operation == OPERATION_NOTIFY_REPLY;
}

/* Only a name can be so long, and none of ours is; or someone writes, after a remount. */
static void refuse_oversize(struct session *session, const struct ring_header *request)
{
    int error = request->operation == OPERATION_LOOKUP ? -ENAMETOOLONG : -EROFS;
    struct answer_header answer = { sizeof(answer), error, request->number };
    struct iovec iov = { &answer, sizeof(answer) };

    if (write_answer(fuse_session_fd(session->fuse), &iov, 1, session) < 0)
        log_debug("a request that was too long is gone");
}

static void handle_slot(void *context, size_t slot)
{
    struct session *session = context;
    struct ring_header header = ring_header(session->ring, slot);
    struct fuse_buf buffer = { .mem = ring_bytes(session->ring, slot), .size = header.size };
    struct session_asked asked = {
        .ms = ring_asked_ms(session->ring, slot),
        .number = header.number & ~RING_RESENT,
        .repeated = session->replaying || (header.number & RING_RESENT) != 0,
    };

    if (wants_no_answer(header.operation)) {
        if (header.size <= RING_REQUEST_SIZE)
            fuse_session_process_buf(session->fuse, &buffer);
        ring_release(session->ring, slot);
    } else if (header.size > RING_REQUEST_SIZE) {
        refuse_oversize(session, &header);
    } else {
        pthread_setspecific(session->asked, &asked);
        fuse_session_process_buf(session->fuse, &buffer);
        pthread_setspecific(session->asked, NULL);
    }
}

static int reserve_spill(struct fuse_buf *buffer)
{
    if (buffer->mem == NULL) {
        buffer->mem = memory_new(SPILL_SIZE);
        buffer->mem_size = SPILL_SIZE;
    }
    return buffer->mem != NULL ? 0 : -ENOMEM;
}

int session_serve_slot(struct session *session, struct fuse_buf *buffer)
{
    struct iovec parts[2];
    ssize_t size;
    size_t slot;
    int r = reserve_spill(buffer);

    if (r == 0)
        r = ring_claim(session->ring, CLAIM_MS, &slot);
    if (r < 0)
        return r;
    parts[0] = (struct iovec){ ring_bytes(session->ring, slot), RING_REQUEST_SIZE };
    parts[1] = (struct iovec){ buffer->mem, buffer->mem_size };
    size = readv(fuse_session_fd(session->fuse), parts, 2);
    r = size < 0 ? -errno : 0;
    if (size >= REQUEST_SIZE_MIN) {
        ring_filled(session->ring, slot);
        handle_slot(session, slot);
        return 1;
    }
    ring_release(session->ring, slot);
    if (r == -ENODEV)
        return 0;
    /* ENOENT: the request was interrupted before it was read. */
    return r == -ENOENT ? -EAGAIN : r == 0 ? -EIO : r;
}

void session_buffer_release(struct session *session, struct fuse_buf *buffer)
{
    if (session->ring != NULL)
        memory_free(buffer->mem);
    else
        free(buffer->mem);
    buffer->mem = NULL;
}

/* The kernel puts what was read and not answered back among what is to be read. */
static bool ask_to_resend(struct session *session)
{
    struct answer_header message = { sizeof(message), NOTIFY_RESEND, 0 };

    return !session->without_resend && write(fuse_session_fd(session->fuse), &message,
                                             sizeof(message)) == (ssize_t)sizeof(message);
}

void session_settle_debts(struct session *session)
{
    if (ask_to_resend(session)) {
        ring_carry(session->ring);
        return;
    }
    session->replaying = true;
    ring_replay(session->ring, handle_slot, session);
    session->replaying = false;
}

static int negotiate_again(struct session *session, struct span init, struct error *err)
{
    cleanup_memory void *copy = memory_copy(init.bytes, init.size);
    struct fuse_buf buffer = { .mem = copy, .size = init.size };

    if (copy == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    fuse_session_process_buf(session->fuse, &buffer);
    if (fuse_session_exited(session->fuse))
        return error_set(err, -EIO, "the saved negotiation is not understood");
    return 0;
}

int session_adopt(struct session **out_session, const char *mountpoint,
                  const struct session_connection *connection,
                  const struct session_options *options, const struct session_ops *ops,
                  void *context, struct error *err)
{
    static const struct fuse_custom_io io = { .writev = write_answer, .read = read_directly };
    struct session *session = NULL;
    cleanup_fd int fd = dup(connection->fd);
    int r;

    if (fd < 0)
        return error_system(err, errno, "/dev/fuse");
    r = session_new(&session, mountpoint, options, ops, context, err);
    if (r < 0)
        return r;
    session->ring = connection->ring;
    session->device = connection->device;
    session->without_resend = connection->without_resend;
    r = fuse_session_custom_io(session->fuse, &io, sizeof(io), fd);
    if (r < 0)
        r = error_set(err, r, "this libfuse does not take a connection of another's");
    else
        take_fd(&fd); /* libfuse closes it */
    if (r == 0)
        r = negotiate_again(session, connection->init, err);
    if (r < 0) {
        session_close(session);
        return r;
    }
    *out_session = session;
    return 0;
}
