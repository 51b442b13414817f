/* SPDX-License-Identifier: MIT */
#include "common/base/notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS has none; nobody there listens */
#endif

/* The length of the address; 0: there is nobody to be told. */
static socklen_t find_manager(struct sockaddr_un *out_address)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t size = path != NULL ? strlen(path) : 0;

    *out_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (size < 2 || size >= sizeof(out_address->sun_path) || (path[0] != '/' && path[0] != '@'))
        return 0;
    memcpy(out_address->sun_path, path, size);
    if (path[0] == '@')
        out_address->sun_path[0] = '\0'; /* the abstract name space */
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
}

void notify_manager_with(const char *state, const int *descriptors, size_t count)
{
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(NOTIFY_DESCRIPTORS_MAX * sizeof(int))];
    } control = { 0 };
    struct sockaddr_un address;
    struct iovec text = { (void *)(uintptr_t)state, strlen(state) };
    struct msghdr message = { .msg_name = &address, .msg_iov = &text, .msg_iovlen = 1 };
    cleanup_fd int fd = -1;

    message.msg_namelen = find_manager(&address);
    if (message.msg_namelen == 0 || count > NOTIFY_DESCRIPTORS_MAX)
        return;
    if (count > 0) {
        struct cmsghdr *header;
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return;
    sendmsg(fd, &message, MSG_NOSIGNAL);
}

void notify_manager(const char *state)
{
    notify_manager_with(state, NULL, 0);
}
