/* SPDX-License-Identifier: MIT */
#include "fs/holder/message.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/error.h"

union rights {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(MESSAGE_DESCRIPTORS_MAX * sizeof(int))];
};

int message_pair(int out_ends[2], struct error *err)
{
    int size = (int)MESSAGE_MAX * 2;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out_ends) < 0)
        return error_system(err, errno, "socketpair");
    for (int i = 0; i < 2; i++)
        setsockopt(out_ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    return 0;
}

static int send_message(int socket, struct span text, const int *descriptors, size_t count,
                        int flags, struct error *err)
{
    union rights rights = { 0 };
    struct iovec bytes = { (void *)(uintptr_t)text.bytes, text.size };
    struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
    ssize_t sent;

    if (count > MESSAGE_DESCRIPTORS_MAX || text.size > MESSAGE_MAX)
        return error_set(err, -EFBIG, "a message to or from the worker is too long");
    if (count > 0) {
        struct cmsghdr *header;
        message.msg_control = rights.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | flags);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? error_system(err, errno, "a message to or from the worker") : 0;
}

int message_send(int socket, struct span text, const int *descriptors, size_t count,
                 struct error *err)
{
    return send_message(socket, text, descriptors, count, 0, err);
}

int message_try(int socket, struct span text, const int *descriptors, size_t count,
                struct error *err)
{
    return send_message(socket, text, descriptors, count, MSG_DONTWAIT, err);
}

/* The kernel fills the space for them with as many as fit, whatever was sent. */
_Static_assert(CMSG_SPACE(MESSAGE_DESCRIPTORS_MAX * sizeof(int)) ==
                   CMSG_LEN(MESSAGE_DESCRIPTORS_MAX * sizeof(int)),
               "no more fit than are taken");

static void take_descriptors(struct msghdr *message, int descriptors[MESSAGE_DESCRIPTORS_MAX])
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            memcpy(descriptors, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    }
}

int message_receive(int socket, struct buf *text, int descriptors[MESSAGE_DESCRIPTORS_MAX],
                    struct error *err)
{
    union rights rights = { 0 };
    uint8_t *at = buf_reserve(text, MESSAGE_MAX);
    struct iovec bytes = { at, MESSAGE_MAX };
    struct msghdr message = { .msg_iov = &bytes,
                              .msg_iovlen = 1,
                              .msg_control = rights.bytes,
                              .msg_controllen = sizeof(rights.bytes) };
    ssize_t got;

    for (size_t i = 0; i < MESSAGE_DESCRIPTORS_MAX; i++)
        descriptors[i] = -1;
    if (at == NULL)
        return buf_check(text, err);
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0 && errno != ECONNRESET)
        return error_system(err, errno, "a message to or from the worker");
    if (got <= 0)
        return error_set(err, -EPIPE, "the other side is gone");
    take_descriptors(&message, descriptors);
    buf_added(text, (size_t)got);
    return 0;
}
