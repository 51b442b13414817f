/* SPDX-License-Identifier: MIT */
#include "common/net/http_request.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/net/http_loop.h"
#include "common/net/tests/origin.h"
#include "tests/support/unit.h"

#define AT_ONCE 4 /* connections of one host */

struct seen {
    struct http_loop *loop;
    struct buf body;
    int status;
    int header_calls, done_calls;
    char etag[64];
    struct http_result result;
    struct http_request *request;
    int pause_first; /* pauses that many times */
    int stop_with;
    bool cancel_in_headers_of_other;
    struct http_request *other;
};

static int see_headers(void *context, int status, const struct http_headers *headers,
                       struct error *err)
{
    struct seen *seen = context;
    const char *etag = http_headers_get(headers, "etag");

    seen->header_calls++;
    seen->status = status;
    if (etag != NULL)
        (void)snprintf(seen->etag, sizeof(seen->etag), "%.60s", etag);
    if (seen->other != NULL) {
        http_request_cancel(seen->other);
        seen->other = NULL;
    }
    return seen->stop_with;
}

static int see_body(void *context, struct span bytes, struct error *err)
{
    struct seen *seen = context;

    if (seen->pause_first > 0) {
        seen->pause_first--;
        return HTTP_PAUSE;
    }
    buf_add_span(&seen->body, bytes);
    return 0;
}

static void see_done(void *context, const struct http_result *result)
{
    struct seen *seen = context;

    seen->done_calls++;
    seen->result = *result;
}

static bool is_done(void *context)
{
    return ((struct seen *)context)->done_calls > 0;
}

static struct http_loop *new_loop(size_t connections)
{
    struct http_loop_options options = { .connections_per_host = connections };
    struct http_loop *loop = NULL;

    assert_int_equal(http_loop_new(&loop, &options, NULL), 0);
    return loop;
}

static struct http_request_spec spec_for(struct seen *seen, const char *url)
{
    seen->body = buf_init(BUF_UNLIMITED);
    return (struct http_request_spec){ .method = HTTP_GET,
                                       .url = url,
                                       .on_headers = see_headers,
                                       .on_body = see_body,
                                       .on_done = see_done,
                                       .context = seen };
}

static void run(struct http_loop *loop, struct seen *seen)
{
    uint64_t deadline = clock_monotonic_ms() + 20000;

    assert_int_equal(http_loop_run_until(loop, is_done, seen, deadline, NULL), 0);
    assert_int_equal(seen->done_calls, 1);
}

struct script {
    char authorization[64];
    int mode;
    uint8_t *received;
    size_t received_size;
    char method[16];
    _Atomic int inside, inside_most;
};

/* Nobody leaves before AT_ONCE are there; then there is a while for one too many to come. */
static void gather(struct script *script)
{
    int inside = atomic_fetch_add(&script->inside, 1) + 1, most = atomic_load(&script->inside_most);

    while (inside > most && !atomic_compare_exchange_weak(&script->inside_most, &most, inside))
        continue;
    for (int ms = 0; ms < 5000 && atomic_load(&script->inside_most) < AT_ONCE; ms++)
        usleep(1000);
    usleep(20000);
    atomic_fetch_sub(&script->inside, 1);
}

static bool answer(void *context, struct origin_request *request)
{
    struct script *script = context;
    char value[64];

    if (strncmp(request->path, "/plain", 6) == 0)
        return origin_reply(request, 200, "ETag: \"x\"\r\nX-Two: a\r\nX-Two: b\r\n", "hello", 5);
    if (strcmp(request->path, "/interim") == 0) {
        origin_print(request, "HTTP/1.1 103 Early\r\nETag: \"early\"\r\n\r\n");
        return origin_reply(request, 200, "ETag: \"late\"\r\n", "hello", 5);
    }
    if (strcmp(request->path, "/token") == 0) {
        script->authorization[0] = '\0';
        origin_header(request, "Authorization", script->authorization,
                      sizeof(script->authorization));
        return origin_reply(request, 200, NULL, "", 0);
    }
    if (strcmp(request->path, "/redirect") == 0)
        return origin_reply(request, 302, "Location: http://127.0.0.1:1/elsewhere\r\n", "", 0);
    if (strcmp(request->path, "/short") == 0) {
        origin_print(request, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        return false;
    }
    if (strcmp(request->path, "/nothing") == 0)
        return false;
    if (strcmp(request->path, "/garbage") == 0) {
        origin_print(request, "this is no http\r\n\r\n");
        return false;
    }
    if (strcmp(request->path, "/folded") == 0) {
        origin_print(request, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n");
        return true;
    }
    if (strcmp(request->path, "/headers") == 0) {
        origin_print(request, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 100; i++) {
            char line[1001];
            memset(line, 'x', sizeof(line));
            line[1000] = '\0';
            if (!origin_print(request, "A%d: %s\r\n", i, line))
                break;
        }
        return false;
    }
    if (strcmp(request->path, "/hang") == 0) {
        char byte;
        return read(request->fd, &byte, 1) > 0; /* until the client goes */
    }
    if (strcmp(request->path, "/stall") == 0) {
        char byte;
        origin_print(request, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        return read(request->fd, &byte, 1) > 0;
    }
    if (strcmp(request->path, "/big") == 0) {
        static uint8_t big[3 * 1024 * 1024];
        return origin_reply(request, 200, NULL, big, sizeof(big));
    }
    if (strcmp(request->path, "/slow") == 0) {
        gather(script);
        return origin_reply(request, 200, NULL, "ok", 2);
    }
    if (strcmp(request->path, "/take") == 0) {
        /* Two connections may be here: one of them the client has given up. */
        static pthread_mutex_t taking = PTHREAD_MUTEX_INITIALIZER;
        pthread_mutex_lock(&taking);
        free(script->received);
        script->received = request->body;
        script->received_size = request->body_size;
        memcpy(script->method, request->method, sizeof(script->method));
        request->body = NULL;
        pthread_mutex_unlock(&taking);
        assert_null(origin_header(request, "Expect", value, sizeof(value)));
        return origin_reply(request, 201, NULL, "", 0);
    }
    return origin_reply(request, 404, NULL, "no", 2);
}

struct world {
    struct script script;
    struct origin *origin;
    struct http_loop *loop;
    char url[128];
};

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    world->origin = origin_start(answer, &world->script);
    world->loop = new_loop(AT_ONCE);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    http_loop_free(world->loop);
    origin_stop(world->origin);
    free(world->script.received);
    free(world);
    return 0;
}

static const char *at(struct world *world, const char *path)
{
    (void)snprintf(world->url, sizeof(world->url), "%s%s", origin_url(world->origin), path);
    return world->url;
}

/* Does one GET; the body is released by the caller. */
static struct seen get(struct world *world, const char *path)
{
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, at(world, path));

    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    return seen;
}

static void an_answer_comes_whole(void **state)
{
    struct seen seen = get(*state, "/plain");

    assert_int_equal(seen.result.code, 0);
    assert_int_equal(seen.result.status, 200);
    assert_int_equal(seen.result.received, 5);
    assert_string_equal(seen.etag, "\"x\"");
    assert_int_equal(seen.header_calls, 1);
    assert_memory_equal(seen.body.bytes, "hello", 5);
    buf_release(&seen.body);
    seen = get(*state, "/interim");
    assert_int_equal(seen.header_calls, 1);
    assert_string_equal(seen.etag, "\"late\"");
    buf_release(&seen.body);
    seen = get(*state, "/absent");
    assert_int_equal(seen.result.code, 0);
    assert_int_equal(seen.result.status, 404);
    buf_release(&seen.body);
}

static void connections_are_kept(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 20; i++) {
        struct seen seen = get(world, "/plain");
        buf_release(&seen.body);
    }
    assert_int_equal(origin_requests(world->origin), 20);
    assert_int_equal(origin_connections(world->origin), 1);
}

static void redirects_are_not_followed(void **state)
{
    struct seen seen = get(*state, "/redirect");

    assert_int_equal(seen.result.code, 0);
    assert_int_equal(seen.result.status, 302);
    buf_release(&seen.body);
}

static void broken_answers_are_errors(void **state)
{
    static const struct {
        const char *path;
        int code;
    } cases[] = { { "/short", -EIO },
                  { "/nothing", -EAGAIN },
                  { "/garbage", -EIO },
                  { "/folded", -EIO },
                  { "/headers", -EFBIG } };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct seen seen = get(*state, cases[i].path);

        if (seen.result.code != cases[i].code)
            print_error("%s: %s\n", cases[i].path, seen.result.err.text);
        assert_int_equal(seen.result.code, cases[i].code);
        assert_int_equal(seen.result.err.code, cases[i].code);
        buf_release(&seen.body);
    }
}

static void nobody_there_is_eagain(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, "http://127.0.0.1:1/x?secret=1");

    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -EAGAIN);
    assert_int_equal(seen.result.status, 0);
    assert_null(strstr(seen.result.err.text, "secret"));
    assert_non_null(strstr(seen.result.err.text, "127.0.0.1:1"));
}

static void deadlines_hold(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, at(world, "/hang"));
    uint64_t start = clock_monotonic_ms();

    spec.total_ms = 150;
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -ETIMEDOUT);
    assert_true(clock_monotonic_ms() - start < 3000);
    memset(&seen, 0, sizeof(seen));
    spec = spec_for(&seen, at(world, "/stall"));
    spec.stall_bytes = 100;
    spec.stall_s = 1;
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -ETIMEDOUT);
    assert_int_equal(seen.status, 200);
    buf_release(&seen.body);
}

/* For the headers, and for all: the first is over when they are there. */
static void an_answer_has_to_begin_in_time(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, at(world, "/hang"));
    struct http_request *request = NULL;

    spec.first_ms = 100;
    spec.total_ms = 600000;
    assert_int_equal(http_request_start(world->loop, &spec, &request, NULL), 0);
    assert_false(http_request_is_sent(request));
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -ETIMEDOUT);
    assert_int_equal(seen.header_calls, 0);
    memset(&seen, 0, sizeof(seen));
    spec = spec_for(&seen, at(world, "/stall"));
    spec.first_ms = 600;
    spec.total_ms = 1200;
    assert_int_equal(http_request_start(world->loop, &spec, &request, NULL), 0);
    while (seen.header_calls == 0)
        assert_int_equal(http_loop_run_once(world->loop, 100, NULL), 0);
    assert_true(http_request_is_sent(request));
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -ETIMEDOUT);
    assert_int_equal(seen.status, 200);
    buf_release(&seen.body);
}

static void limits_hold(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, at(world, "/big"));

    spec.body_maximum = 1024 * 1024;
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -EFBIG);
    assert_true(seen.body.size <= 1024 * 1024);
    buf_release(&seen.body);
    memset(&seen, 0, sizeof(seen));
    seen.stop_with = -EBADMSG;
    spec = spec_for(&seen, at(world, "/plain"));
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -EBADMSG);
    assert_int_equal(seen.body.size, 0);
}

static void resume_it(void *context)
{
    http_request_resume(((struct seen *)context)->request);
}

static void a_paused_body_goes_on(void **state)
{
    struct world *world = *state;
    struct seen seen = { .pause_first = 3 };
    struct http_request_spec spec = spec_for(&seen, at(world, "/big"));
    struct http_timer timer = { .function = resume_it, .context = &seen };

    seen.loop = world->loop;
    assert_int_equal(http_request_start(world->loop, &spec, &seen.request, NULL), 0);
    while (seen.done_calls == 0) {
        int pauses = seen.pause_first;

        assert_int_equal(http_loop_run_once(world->loop, 1000, NULL), 0);
        if (pauses != seen.pause_first)
            assert_int_equal(http_timer_set(world->loop, &timer, clock_monotonic_ms() + 5), 0);
    }
    assert_int_equal(seen.result.code, 0);
    assert_int_equal(seen.body.size, 3 * 1024 * 1024);
    assert_int_equal(seen.result.received, 3 * 1024 * 1024);
    buf_release(&seen.body);
}

static void cancel_is_at_once(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 }, other = { 0 };
    char url[128];
    struct http_request_spec spec;

    (void)snprintf(url, sizeof(url), "%s/hang", origin_url(world->origin));
    spec = spec_for(&seen, url);
    assert_int_equal(http_request_start(world->loop, &spec, &seen.request, NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(http_loop_run_once(world->loop, 10, NULL), 0);
    http_request_cancel(seen.request);
    assert_int_equal(seen.done_calls, 1);
    assert_int_equal(seen.result.code, -ECANCELED);
    /* from inside a callback of another request */
    memset(&seen, 0, sizeof(seen));
    spec = spec_for(&seen, url);
    assert_int_equal(http_request_start(world->loop, &spec, &seen.request, NULL), 0);
    other.other = seen.request;
    spec = spec_for(&other, at(world, "/plain"));
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &other);
    assert_int_equal(other.result.code, 0);
    assert_int_equal(seen.done_calls, 1);
    assert_int_equal(seen.result.code, -ECANCELED);
    buf_release(&other.body);
    /* by the end of the loop */
    memset(&seen, 0, sizeof(seen));
    spec = spec_for(&seen, url);
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    world->loop = http_loop_free(world->loop);
    assert_int_equal(seen.done_calls, 1);
    assert_int_equal(seen.result.code, -ECANCELED);
}

static void at_most_so_many_at_once(void **state)
{
    struct world *world = *state;
    struct seen seen[24] = { 0 };

    for (size_t i = 0; i < 24; i++) {
        struct http_request_spec spec = spec_for(&seen[i], at(world, "/slow"));
        assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    }
    for (size_t i = 0; i < 24; i++) {
        run(world->loop, &seen[i]);
        assert_int_equal(seen[i].result.code, 0);
        buf_release(&seen[i].body);
    }
    assert_int_equal(atomic_load(&world->script.inside_most), AT_ONCE);
}

static int pull_bytes(void *context, uint64_t offset, void *out, size_t size, size_t *out_size,
                      struct error *err)
{
    if (*(int *)context != 0)
        return offset == 0 ? error_set(err, *(int *)context, "pulled no more") : 0;
    if (size > 1000)
        size = 1000;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)((offset + i) * 7);
    *out_size = size;
    return 0;
}

static void bodies_are_sent(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, at(world, "/take"));
    char path[] = "/tmp/test_http_request_XXXXXX";
    uint8_t bytes[3000];
    int fail = 0, fd;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    fd = mkstemp(path);
    unlink(path);
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
    struct http_body bodies[] = {
        { .kind = HTTP_BODY_SPAN, .size = sizeof(bytes), .span = span_of(bytes, sizeof(bytes)) },
        { .kind = HTTP_BODY_FILE, .size = sizeof(bytes), .fd = fd, .offset = 3 },
        { .kind = HTTP_BODY_PULL,
          .size = sizeof(bytes),
          .pull = pull_bytes,
          .pull_context = &fail },
    };
    static const enum http_method methods[] = { HTTP_PUT, HTTP_PATCH, HTTP_POST };

    for (size_t i = 0; i < 3; i++) {
        for (size_t m = 0; m < 3; m++) {
            memset(&seen, 0, sizeof(seen));
            spec.method = methods[m];
            spec.body = bodies[i];
            assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
            run(world->loop, &seen);
            assert_int_equal(seen.result.code, 0);
            assert_int_equal(seen.status, 201);
            assert_int_equal(seen.result.sent, sizeof(bytes));
            assert_int_equal(world->script.received_size, sizeof(bytes));
            assert_memory_equal(world->script.received, bytes, sizeof(bytes));
            assert_string_equal(world->script.method, http_method_name(methods[m]));
        }
    }
    /* a source that fails, and a file that is too short */
    fail = -EBUSY;
    memset(&seen, 0, sizeof(seen));
    spec.body = bodies[2];
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -EBUSY);
    memset(&seen, 0, sizeof(seen));
    spec.body = bodies[1];
    spec.body.size += 1;
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.result.code, -EIO);
    /* a POST without a body */
    memset(&seen, 0, sizeof(seen));
    spec.body = (struct http_body){ 0 };
    spec.method = HTTP_POST;
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_int_equal(seen.status, 201);
    assert_int_equal(world->script.received_size, 0);
    close(fd);
}

struct sent_seen {
    struct seen seen; /* first: the other callbacks' context */
    struct http_request *request;
    unsigned count;
    bool was_over, cancels;
};

static void note_sent(void *context)
{
    struct sent_seen *sent = context;

    sent->count++;
    sent->was_over = sent->seen.done_calls > 0;
    if (sent->cancels)
        http_request_cancel(sent->request);
}

static void it_is_told_when_a_body_has_left(void **state)
{
    struct world *world = *state;
    struct sent_seen sent = { 0 };
    struct http_request_spec spec = spec_for(&sent.seen, at(world, "/take"));
    static uint8_t bytes[300000];

    spec.method = HTTP_PUT;
    spec.on_sent = note_sent;
    spec.body = (struct http_body){ .kind = HTTP_BODY_SPAN,
                                    .size = sizeof(bytes),
                                    .span = span_of(bytes, sizeof(bytes)) };
    assert_int_equal(http_request_start(world->loop, &spec, &sent.request, NULL), 0);
    run(world->loop, &sent.seen);
    assert_int_equal(sent.seen.status, 201);
    assert_int_equal(sent.count, 1);
    assert_false(sent.was_over);
    /* it may be given up from there */
    sent = (struct sent_seen){ .cancels = true };
    assert_int_equal(http_request_start(world->loop, &spec, &sent.request, NULL), 0);
    run(world->loop, &sent.seen);
    assert_int_equal(sent.seen.result.code, -ECANCELED);
    assert_int_equal(sent.count, 1);
    /* no body, nothing to tell */
    sent = (struct sent_seen){ 0 };
    spec.body = (struct http_body){ 0 };
    assert_int_equal(http_request_start(world->loop, &spec, &sent.request, NULL), 0);
    run(world->loop, &sent.seen);
    assert_int_equal(sent.seen.status, 201);
    assert_int_equal(sent.count, 0);
}

static void a_token_stays_where_it_belongs(void **state)
{
    struct world *world = *state;
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, at(world, "/token"));
    struct error err = { 0 };

    spec.bearer = "kka_abc_def";
    assert_int_equal(http_request_start(world->loop, &spec, NULL, NULL), 0);
    run(world->loop, &seen);
    assert_string_equal(world->script.authorization, "Bearer kka_abc_def");
    spec.url = "http://192.0.2.1/x";
    assert_int_equal(http_request_start(world->loop, &spec, NULL, &err), -EACCES);
    assert_non_null(strstr(err.text, "192.0.2.1"));
    assert_null(strstr(err.text, "kka_"));
    spec.url = "http://127.0.0.1.example.org/x";
    assert_int_equal(http_request_start(world->loop, &spec, NULL, &err), -EACCES);
    spec.url = "http://localhost.example.org/x";
    assert_int_equal(http_request_start(world->loop, &spec, NULL, &err), -EACCES);
    spec.url = at(world, "/token");
    spec.bearer = "a\r\nX: y";
    assert_int_equal(http_request_start(world->loop, &spec, NULL, &err), -EINVAL);
    spec.bearer = NULL;
    spec.url = "ftp://127.0.0.1/x";
    assert_int_equal(http_request_start(world->loop, &spec, NULL, &err), -EINVAL);
    spec.url = "file:///etc/passwd";
    assert_int_equal(http_request_start(world->loop, &spec, NULL, &err), -EINVAL);
}

static void proxies_of_the_environment_are_not_used(void **state)
{
    struct seen seen;

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    seen = get(*state, "/plain");
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    assert_int_equal(seen.result.code, 0);
    buf_release(&seen.body);
}

static int start_one(struct world *world)
{
    struct seen seen = { 0 };
    struct http_request_spec spec = spec_for(&seen, at(world, "/plain"));
    int r;

    spec.on_body = NULL;
    r = http_request_start(world->loop, &spec, NULL, NULL);
    if (r < 0)
        return r;
    run(world->loop, &seen);
    return seen.result.code;
}

static void no_memory_is_an_error(void **state)
{
    /* The loop's thread allocates nothing else of ours. */
    assert_survives_no_memory(start_one(*state));
}

/* Bodies of all requests, both ways, share it; who waits can be cancelled. */
static void a_limit_is_shared(void **state)
{
    enum { RATE = 4 << 20, BIG = 3 * 1024 * 1024, HALF = 1 << 20 };
    struct world *world = *state;
    struct http_loop_options options = { .connections_per_host = 4, .bytes_per_s = RATE };
    struct seen seen[4];
    struct http_request *cancelled = NULL;
    uint8_t *bytes = calloc(1, HALF);
    uint64_t began, took;

    world->loop = http_loop_free(world->loop);
    assert_int_equal(http_loop_new(&world->loop, &options, NULL), 0);
    began = clock_monotonic_ms();
    memset(seen, 0, sizeof(seen));
    for (size_t i = 0; i < 4; i++) {
        struct http_request_spec spec = spec_for(&seen[i], at(world, i < 3 ? "/big" : "/take"));
        seen[i].pause_first = (int)i; /* a pause of its own, besides */
        if (i == 3) {
            spec.method = HTTP_PUT;
            spec.body = (struct http_body){ .kind = HTTP_BODY_SPAN,
                                            .size = HALF,
                                            .span = span_of(bytes, HALF) };
        }
        assert_int_equal(http_request_start(world->loop, &spec, &seen[i].request, NULL), 0);
    }
    cancelled = seen[2].request;
    while (seen[0].done_calls + seen[1].done_calls + seen[3].done_calls < 3) {
        assert_true(clock_monotonic_ms() < began + 60000);
        assert_int_equal(http_loop_run_once(world->loop, 10, NULL), 0);
        for (size_t i = 0; i < 3; i++) {
            if (seen[i].done_calls == 0)
                http_request_resume(seen[i].request);
        }
        if (cancelled != NULL && clock_monotonic_ms() > began + 300) {
            http_request_cancel(cancelled);
            cancelled = NULL;
        }
    }
    took = clock_monotonic_ms() - began;
    assert_true(took >= 1000ull * (2 * BIG + HALF - RATE / 4) / RATE);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(seen[i].result.code, 0);
        assert_int_equal(seen[i].body.size, BIG);
    }
    assert_int_equal(seen[3].result.code, 0);
    assert_int_equal(world->script.received_size, HALF);
    for (size_t i = 0; i < 4; i++)
        buf_release(&seen[i].body);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(an_answer_comes_whole),
        CASE(connections_are_kept),
        CASE(redirects_are_not_followed),
        CASE(broken_answers_are_errors),
        CASE(nobody_there_is_eagain),
        CASE(deadlines_hold),
        CASE(an_answer_has_to_begin_in_time),
        CASE(limits_hold),
        CASE(a_paused_body_goes_on),
        CASE(cancel_is_at_once),
        CASE(at_most_so_many_at_once),
        CASE(a_limit_is_shared),
        CASE(bodies_are_sent),
        CASE(it_is_told_when_a_body_has_left),
        CASE(a_token_stays_where_it_belongs),
        CASE(proxies_of_the_environment_are_not_used),
        CASE(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
