/* SPDX-License-Identifier: MIT */
#include "common/client/pack_fetch.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/memory.h"
#include "common/base/workers.h"
#include "common/client/api_client.h"
#include "common/codec/digest.h"
#include "common/net/http_loop.h"

#define PART_SIZE ((size_t)256 << 10) /* so much at least goes to a thread at a time */
#define PATH_SIZE 4096
#define ONCE_MS 5000

struct pack_fetch {
    struct pack_fetch_spec spec;
    struct http_loop *loop;
    struct pack_limits limits;
    struct buf digests;
    struct buf received; /* not given to a thread yet */
    struct buf given;
    struct pack_reader *reader;
    struct api_call *call; /* NULL: ended */
    bool begins;           /* what is received next is the beginning of a pack */
    bool answered;         /* nothing more comes */
    bool broken;           /* a thread failed: nothing more is given */
    bool at_work;          /* a thread has `given`, the reader and the two below */
    int work_result;
    struct error work_error;
    struct http_post worked;
    struct pack_fetch_end end; /* the first failure, of the answer or of a thread */
};

static void go_on(struct pack_fetch *fetch);

static struct pack_fetch *release(struct pack_fetch *fetch)
{
    pack_reader_free(fetch->reader);
    buf_release(&fetch->digests);
    buf_release(&fetch->received);
    buf_release(&fetch->given);
    return memory_free(fetch);
}

static void note_failure(struct pack_fetch *fetch, int r, const struct error *err)
{
    if (r == 0 || fetch->end.code != 0)
        return;
    fetch->end.code = r;
    fetch->end.err = *err;
}

static int new_reader(struct pack_fetch *fetch, struct error *err)
{
    int r;

    fetch->reader = pack_reader_free(fetch->reader);
    if (fetch->spec.restart != NULL)
        fetch->spec.restart(fetch->spec.context);
    r = pack_reader_new(&fetch->reader, &fetch->limits, fetch->spec.member, fetch->spec.context,
                        err);
    if (r == 0 && fetch->spec.ask != NULL)
        pack_reader_ask(fetch->reader, fetch->spec.ask);
    return r;
}

static void work(void *context)
{
    struct pack_fetch *fetch = context;

    fetch->work_result =
        pack_reader_feed(fetch->reader, fetch->given.bytes, fetch->given.size, &fetch->work_error);
    http_loop_post_at(fetch->loop, &fetch->worked);
}

/* What was received goes to a thread. */
static void give_part(struct pack_fetch *fetch)
{
    struct buf emptied = fetch->given;

    buf_clear(&emptied);
    fetch->given = fetch->received;
    fetch->received = emptied;
    fetch->at_work = true;
    workers_submit(fetch->spec.workers, work, fetch);
}

/* The answer is through. */
static void finish(struct pack_fetch *fetch)
{
    if (fetch->end.code == 0 && fetch->reader != NULL)
        note_failure(fetch, pack_reader_end(fetch->reader, &fetch->work_error), &fetch->work_error);
    fetch->spec.done(fetch->spec.context, &fetch->end);
    release(fetch);
}

/* Parts of one answer follow each other. The last is given also of an answer that broke off: what
 * came of it stays. */
static void go_on(struct pack_fetch *fetch)
{
    struct error err;
    int r = 0;

    if (fetch->at_work)
        return;
    if (fetch->begins && !fetch->broken) {
        fetch->begins = false;
        r = new_reader(fetch, &err);
    }
    note_failure(fetch, r, &err);
    fetch->broken |= r < 0;
    if (!fetch->broken && fetch->received.size >= (fetch->answered ? 1 : PART_SIZE))
        give_part(fetch);
    else if (fetch->answered)
        finish(fetch);
}

static void part_is_done(void *context)
{
    struct pack_fetch *fetch = context;

    fetch->at_work = false;
    note_failure(fetch, fetch->work_result, &fetch->work_error);
    fetch->broken |= fetch->work_result < 0;
    if (fetch->broken && fetch->call != NULL)
        api_call_cancel(fetch->call); /* on_done() goes on */
    else
        go_on(fetch);
}

static int on_body(void *context, struct span bytes, struct error *err)
{
    struct pack_fetch *fetch = context;
    int r;

    buf_add_span(&fetch->received, bytes);
    r = buf_check(&fetch->received, err);
    if (r == -EFBIG)
        return error_set(err, -EBADMSG, "the server sends more than it was asked for");
    if (r == 0)
        go_on(fetch);
    return r;
}

/* A broken answer is begun anew; what came of it stays. */
static void on_restart(void *context)
{
    struct pack_fetch *fetch = context;

    buf_clear(&fetch->received);
    fetch->begins = true;
}

static void on_done(void *context, const struct api_answer *answer)
{
    struct pack_fetch *fetch = context;

    fetch->call = NULL;
    fetch->answered = true;
    fetch->end.status = answer->status;
    fetch->end.received = answer->received;
    fetch->end.server = answer->server;
    note_failure(fetch, answer->code, &answer->err);
    go_on(fetch);
}

static int ask(struct pack_fetch *fetch, struct error *err)
{
    const struct pack_fetch_spec *spec = &fetch->spec;
    cleanup(buf_release) struct buf path = buf_init(PATH_SIZE);
    const struct http_header accept[] = { { "Accept-Encoding", "zstd" } };
    struct api_call_spec call = { .method = HTTP_POST,
                                  .content_type = "application/octet-stream",
                                  .headers = accept,
                                  .header_count = api_client_is_local(spec->client) ? 0 : 1,
                                  .repeatable = true,
                                  .once = spec->once,
                                  .timeout_ms = spec->once ? ONCE_MS : 0,
                                  .on_body = on_body,
                                  .on_restart = on_restart,
                                  .done = on_done,
                                  .context = fetch };
    int r;

    buf_add_span(&fetch->digests, spec->digests);
    call.body = (struct http_body){ .kind = HTTP_BODY_SPAN,
                                    .span = buf_span(&fetch->digests),
                                    .size = fetch->digests.size };
    api_path_version(&path, spec->project, spec->app, spec->version);
    buf_add_text(&path, "/blobs:batch");
    call.path = buf_text(&path);
    r = buf_check(&path, err);
    if (r == 0)
        r = buf_check(&fetch->digests, err);
    return r < 0 ? r : api_call_start(spec->client, &call, &fetch->call, err);
}

int pack_fetch_start(const struct pack_fetch_spec *spec, struct pack_fetch **out, struct error *err)
{
    struct pack_fetch *fetch = memory_new(sizeof(*fetch));
    size_t count = spec->digests.size / DIGEST_SIZE;
    size_t most = (size_t)spec->bytes + count * PACK_MEMBER_SIZE + 64;
    int r;

    if (fetch == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    fetch->spec = *spec;
    fetch->loop = api_client_loop(spec->client);
    fetch->limits = (struct pack_limits){ .member_size = spec->member_size, .count = count };
    fetch->digests = buf_init(spec->digests.size);
    fetch->received = fetch->given = buf_init(most);
    fetch->worked = (struct http_post){ .function = part_is_done, .context = fetch };
    fetch->begins = true;
    r = ask(fetch, err);
    fetch->spec.project = fetch->spec.app = fetch->spec.version = NULL;
    fetch->spec.digests = buf_span(&fetch->digests);
    if (r < 0) {
        release(fetch);
        return r;
    }
    if (out != NULL)
        *out = fetch;
    return 0;
}

void pack_fetch_cancel(struct pack_fetch *fetch)
{
    fetch->broken = true;
    if (fetch->call != NULL)
        api_call_cancel(fetch->call);
}
