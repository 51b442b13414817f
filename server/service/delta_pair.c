/* SPDX-License-Identifier: MIT */
#include "server/service/delta_pair.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/model/delta.h"
#include "server/service/context.h"
#include "server/service/file_cache.h"
#include "server/service/memo.h"

void delta_pair_init(struct delta_pair *pair, const struct blob *base, const struct blob *target)
{
    char *at = pair->file;

    pair->base = *base;
    pair->target = *target;
    memcpy(pair->name, base->sha256.bytes, DIGEST_SIZE);
    memcpy(pair->name + DIGEST_SIZE, target->sha256.bytes, DIGEST_SIZE);
    digest_hex(&base->sha256, at);
    at += DIGEST_HEX_SIZE;
    at[-1] = '-';
    digest_hex(&target->sha256, at);
    at += DIGEST_HEX_SIZE;
    at[-1] = '-';
    memcpy(at, target->key, sizeof(target->key));
}

struct span delta_pair_name(const struct delta_pair *pair)
{
    return span_of(pair->name, sizeof(pair->name));
}

/* The header says what it was kept for: a file that somebody has put into its place is not believed
 * that far either, and its result is verified by who asked. */
static int check_header(const struct delta_pair *pair, int fd, struct error *err)
{
    uint8_t bytes[DELTA_HEADER_SIZE];
    struct delta_header header;
    size_t got;
    int r = file_read_at(fd, 0, bytes, sizeof(bytes), &got, err);

    if (r == 0)
        r = delta_header_parse(span_of(bytes, got), &header, err);
    if (r < 0)
        return r;
    if (!digest_equal(&header.base, &pair->base.sha256) ||
        !digest_equal(&header.target, &pair->target.sha256) ||
        header.base_size != pair->base.size || header.target_size != pair->target.size)
        return error_set(err, -EBADMSG, "the delta of another pair");
    return 0;
}

int delta_pair_open(struct services *services, const struct delta_pair *pair, int *out_fd,
                    uint64_t *out_size, struct error *err)
{
    cleanup_fd int fd = -1;
    int r;

    if (services->deltas == NULL)
        return error_set(err, -ENOENT, "no deltas are kept");
    r = file_cache_open(services->deltas, pair->file, &fd, out_size, err);
    if (r < 0)
        return r;
    r = check_header(pair, fd, err);
    if (r < 0) {
        file_cache_remove(services->deltas, pair->file, NULL);
        return r;
    }
    *out_fd = take_fd(&fd);
    return 0;
}

void delta_pair_keep(struct services *services, const struct delta_pair *pair, int fd,
                     uint64_t size)
{
    if (services->deltas != NULL)
        file_cache_put(services->deltas, pair->file, fd, size, NULL);
    memo_forget(services->no_deltas, delta_pair_name(pair));
}

bool delta_pair_is_hopeless(struct services *services, const struct delta_pair *pair)
{
    uint8_t none;

    return memo_get(services->no_deltas, delta_pair_name(pair), &none);
}

void delta_pair_give_up(struct services *services, const struct delta_pair *pair)
{
    static const uint8_t none = 1;

    memo_put(services->no_deltas, delta_pair_name(pair), &none);
}
