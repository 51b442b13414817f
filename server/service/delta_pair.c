/* SPDX-License-Identifier: MIT */
#include "server/service/delta_pair.h"

#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/error.h"
#include "common/base/file.h"
#include "common/model/delta.h"
#include "server/service/blob_chunks.h"
#include "server/service/context.h"
#include "server/service/file_cache.h"
#include "server/service/memo.h"

/* What is known of a pair besides the delta that is kept. */
enum delta_fact {
    DELTA_HOPELESS = 1, /* none is worth it, or none that is made is right */
    DELTA_PROVEN,       /* the one that is kept makes the target */
};

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

static bool has_fact(struct services *services, const struct delta_pair *pair, uint8_t fact)
{
    uint8_t known;

    return memo_get(services->delta_facts, delta_pair_name(pair), &known) && known == fact;
}

static void set_fact(struct services *services, const struct delta_pair *pair, uint8_t fact)
{
    memo_put(services->delta_facts, delta_pair_name(pair), &fact);
}

void delta_pair_keep(struct services *services, const struct delta_pair *pair, int fd,
                     uint64_t size, bool proven)
{
    memo_forget(services->delta_facts, delta_pair_name(pair));
    if (services->deltas == NULL)
        return;
    /* What was kept before may be there still: nothing was proven of that. */
    if (file_cache_put(services->deltas, pair->file, fd, size, NULL) == 0 && proven)
        delta_pair_is_right(services, pair);
}

void delta_pair_is_right(struct services *services, const struct delta_pair *pair)
{
    set_fact(services, pair, DELTA_PROVEN);
}

bool delta_pair_is_proven(struct services *services, const struct delta_pair *pair)
{
    return has_fact(services, pair, DELTA_PROVEN);
}

bool delta_pair_is_hopeless(struct services *services, const struct delta_pair *pair)
{
    return has_fact(services, pair, DELTA_HOPELESS);
}

void delta_pair_give_up(struct services *services, const struct delta_pair *pair)
{
    set_fact(services, pair, DELTA_HOPELESS);
}

void delta_pair_is_wrong(struct services *services, const struct delta_pair *pair)
{
    delta_pair_give_up(services, pair);
    if (services->deltas != NULL)
        file_cache_remove(services->deltas, pair->file, NULL);
    blob_chunks_forget(services, &pair->base);
    blob_chunks_forget(services, &pair->target);
}
