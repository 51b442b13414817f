/* SPDX-License-Identifier: MIT */
#include "common/client/api_client.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/client/secret.h"
#include "common/net/http_loop.h"
#include "common/net/tests/origin.h"
#include "tests/support/unit.h"

/* A server that answers by script: a status for each of the next requests, then 200. */
struct script {
    int statuses[16];
    _Atomic unsigned next;
    const char *body, *lines;
    char last_path[2048], last_method[16], authorization[128], agent[64];
    _Atomic bool hangs;
    const char *store; /* NULL: "store-1" */
};

/* Two connections may ask one server at once. */
static pthread_mutex_t noting = PTHREAD_MUTEX_INITIALIZER;

static void note_request(struct script *script, struct origin_request *request)
{
    pthread_mutex_lock(&noting);
    memcpy(script->last_path, request->path, sizeof(script->last_path));
    memcpy(script->last_method, request->method, sizeof(script->last_method));
    script->authorization[0] = '\0';
    origin_header(request, "Authorization", script->authorization, sizeof(script->authorization));
    origin_header(request, "User-Agent", script->agent, sizeof(script->agent));
    pthread_mutex_unlock(&noting);
}

static bool answer(void *context, struct origin_request *request)
{
    struct script *script = context;
    bool probe = strcmp(request->path, "/api/v1/version") == 0; /* whether it is there */
    unsigned n = probe ? 16 : atomic_fetch_add(&script->next, 1);
    int status = n < 16 ? script->statuses[n] : 0;
    char lines[128];

    while (atomic_load(&script->hangs))
        usleep(2000);
    if (!probe)
        note_request(script, request);
    if (status == -1)
        return false;
    (void)snprintf(lines, sizeof(lines), "X-Kkartifact-Store: %s\r\n",
                   script->store != NULL ? script->store : "store-1");
    if (status == 0 || status == 200)
        return origin_reply(request, 200, lines, "fine", 4);
    return origin_reply(request, status, script->lines, script->body == NULL ? "" : script->body,
                        script->body == NULL ? 0 : strlen(script->body));
}

struct world {
    struct script scripts[2];
    struct origin *origins[2];
    struct http_loop *loop;
    struct api_client *client;
};

static struct api_client *new_client(struct world *world, size_t servers, const char *token)
{
    const char *urls[] = { origin_url(world->origins[0]), origin_url(world->origins[1]) };
    struct servers_policy policy = servers_policy_default();
    struct secret *secret = NULL;
    struct api_client *client = NULL;
    struct api_client_options options = {
        .loop = world->loop,
        .servers = urls,
        .server_count = servers,
        .timeout_ms = 5000,
        .policy = &policy,
        .retry = { .tries = 3, .base_ms = 5, .max_ms = 20, .retry_after_max_ms = 2000 },
    };

    policy.patience = 200;
    if (token != NULL)
        assert_int_equal(secret_from_text(token, &secret, NULL), 0);
    options.token = secret;
    assert_int_equal(api_client_new(&client, &options, NULL), 0);
    return client;
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    for (size_t i = 0; i < 2; i++)
        world->origins[i] = origin_start(answer, &world->scripts[i]);
    assert_int_equal(http_loop_new(&world->loop, NULL, NULL), 0);
    world->client = new_client(world, 1, NULL);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    api_client_free(world->client);
    http_loop_free(world->loop);
    for (size_t i = 0; i < 2; i++) {
        atomic_store(&world->scripts[i].hangs, false);
        origin_stop(world->origins[i]);
    }
    free(world);
    return 0;
}

static int get(struct world *world, struct api_result *result, struct error *err)
{
    struct api_call_spec spec = { .method = HTTP_GET, .path = "/projects" };

    return api_call_run(world->client, &spec, result, err);
}

static void a_call_is_answered(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();

    world->client = api_client_free(world->client);
    world->client = new_client(world, 1, "kka_a_b");
    assert_string_equal(api_client_store(world->client), "");
    assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(result.status, 200);
    assert_int_equal(result.body.size, 4);
    assert_int_equal(result.received, 4);
    assert_string_equal(world->scripts[0].last_path, "/api/v1/projects");
    assert_string_equal(world->scripts[0].authorization, "Bearer kka_a_b");
    assert_memory_equal(world->scripts[0].agent, "kkartifact/", 11);
    assert_string_equal(api_client_store(world->client), "store-1");
    assert_string_equal(http_headers_get(&result.headers, "x-kkartifact-store"), "store-1");
    assert_true(api_client_online(world->client));
    assert_int_equal(strlen(api_client_token_name(world->client)), 64);
    assert_null(strstr(api_client_token_name(world->client), "kka"));
}

static void what_may_pass_is_tried_again(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    static const int statuses[] = { 503, -1, 0 };

    memcpy(world->scripts[0].statuses, statuses, sizeof(statuses));
    assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(atomic_load(&world->scripts[0].next), 3);
}

static void in_the_end_it_is_said(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct error err = { 0 };

    for (int i = 0; i < 16; i++)
        world->scripts[0].statuses[i] = 503;
    world->scripts[0].lines = "Content-Type: application/problem+json\r\n";
    world->scripts[0].body =
        "{\"code\":\"not-ready\",\"detail\":\"the database is away\",\"request_id\":\"r1\"}";
    assert_int_equal(get(world, &result, &err), -EAGAIN);
    assert_int_equal(result.status, 503);
    assert_string_equal(result.problem.code, "not-ready");
    assert_string_equal(result.problem.request_id, "r1");
    assert_non_null(strstr(err.text, "the database is away"));
    assert_int_equal(atomic_load(&world->scripts[0].next), 3);
}

static void statuses_become_codes(void **state)
{
    static const struct {
        int status;
        const char *code;
        int error;
    } cases[] = {
        { 401, "token-expired", -EPERM },   { 403, "insufficient-scope", -EACCES },
        { 404, "not-found", -ENOENT },      { 410, "purged", -ESTALE },
        { 409, "version-exists", -EEXIST }, { 422, "digest-mismatch", -EBADMSG },
        { 422, "validation", -EINVAL },     { 413, "too-large", -EFBIG },
        { 507, "full", -ENOSPC },           { 400, "malformed-json", -EINVAL },
        { 404, "what-is-this", -ENOENT },
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup(api_result_release) struct api_result result = api_result_init();
        static char bodies[16][256]; /* the server's thread may still read the last one */
        char *body = bodies[i];

        (void)snprintf(body, sizeof(bodies[i]),
                       "{\"code\":\"%s\",\"status\":%d,\"detail\":\"d\\u001b[31mx\"}",
                       cases[i].code, cases[i].status);
        atomic_store(&world->scripts[0].next, 0);
        world->scripts[0].statuses[0] = cases[i].status;
        world->scripts[0].lines = "Content-Type: application/problem+json\r\n";
        world->scripts[0].body = body;
        if (get(world, &result, NULL) != cases[i].error)
            fail_msg("%d %s", cases[i].status, cases[i].code);
        assert_string_equal(result.problem.code, cases[i].code);
        assert_string_equal(result.problem.detail, "d [31mx"); /* nothing for a terminal */
        assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    }
}

static void assert_told(const struct world *world, const struct error *err, const char *text)
{
    const char *url = origin_url(world->origins[0]);

    assert_memory_equal(err->text, url, strlen(url));
    assert_string_equal(err->text + strlen(url), text);
}

/* The first mistake: what is to be set is said, not which header a request has. */
static void a_missing_token_is_told(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct error err = { 0 };

    world->scripts[0].statuses[0] = 401;
    world->scripts[0].lines = "Content-Type: application/problem+json\r\n";
    world->scripts[0].body = "{\"code\":\"unauthenticated\",\"status\":401,\"detail\":\"d\"}";
    assert_int_equal(get(world, &result, &err), -EPERM);
    assert_told(world, &err, " wants a token, and none is set (401): see token_file");
    assert_string_equal(result.problem.code, "unauthenticated");
}

static void extra_members_are_read(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();

    world->scripts[0].statuses[0] = 409;
    world->scripts[0].lines = "Content-Type: application/problem+json\r\n";
    world->scripts[0].body = "{\"code\":\"offset-mismatch\",\"expected_offset\":77,\"missing\":3}";
    assert_int_equal(get(world, &result, NULL) < 0, 1);
    assert_int_equal(result.problem.expected_offset, 77);
    assert_int_equal(result.problem.missing, 3);
}

static void a_page_of_a_proxy_is_no_problem_body(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct error err = { 0 };

    world->scripts[0].statuses[0] = 404;
    world->scripts[0].lines = "Content-Type: text/html\r\n";
    world->scripts[0].body = "<html>secret page</html>";
    assert_int_equal(get(world, &result, &err), -ENOENT);
    assert_string_equal(result.problem.code, "");
    assert_null(strstr(err.text, "html"));
    assert_told(world, &err, ": answered 404 Not Found, but not as kkArtifact does: a proxy?");
    /* JSON of somebody else, and a status that our table knows by another name */
    atomic_store(&world->scripts[0].next, 0);
    world->scripts[0].statuses[0] = 501;
    world->scripts[0].lines = "Content-Type: application/json\r\n";
    world->scripts[0].body = "{\"detail\":\"theirs\",\"code\":\"E1\"}";
    assert_int_equal(get(world, &result, &err), -EIO);
    assert_string_equal(result.problem.detail, "");
    assert_told(world, &err,
                ": answered 501 Not Implemented, but not as kkArtifact does: a proxy?");
}

static void a_page_that_says_all_is_well_is_no_answer(void **state)
{
    static const char *const lines[] = { "Content-Type: text/html\r\n",
                                         "Content-Type: application/json\r\n" };
    static const char *const bodies[] = { "<html>", " [] " };
    struct world *world = *state;
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .path = "/projects",
                                  .accept = "application/json" };

    for (size_t i = 0; i < 2; i++) {
        cleanup(api_result_release) struct api_result result = api_result_init();
        struct error err = { 0 };

        atomic_store(&world->scripts[0].next, 0);
        world->scripts[0].statuses[0] = 203;
        world->scripts[0].lines = lines[i];
        world->scripts[0].body = bodies[i];
        assert_int_equal(api_call_run(world->client, &spec, &result, &err), -EIO);
        assert_told(world, &err, ": answered 203, but without JSON: is this a kkArtifact server?");
        assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    }
}

static void a_redirect_is_told_and_not_followed(void **state)
{
    static const struct {
        const char *lines, *told;
    } cases[] = {
        { "Location: https://me:secret@other.example/x?key=secret\r\n", " (302)" },
        { "Location: https://other.example:8443/x?key=secret\r\n",
          " to https://other.example:8443 (302)" },
        { "Location: /login?key=secret\r\n", " (302)" },
        { "X: y\r\n", " (302)" },
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cleanup(api_result_release) struct api_result result = api_result_init();
        struct error err = { 0 };
        char told[128];

        atomic_store(&world->scripts[0].next, 0);
        world->scripts[0].statuses[0] = 302;
        world->scripts[0].lines = cases[i].lines;
        assert_int_equal(get(world, &result, &err), -EIO);
        (void)snprintf(told, sizeof(told),
                       ": redirects%s, which is not followed: is the address right?",
                       cases[i].told);
        assert_told(world, &err, told);
        assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    }
}

static void the_next_server_is_asked(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();

    world->client = api_client_free(world->client);
    world->client = new_client(world, 2, NULL);
    for (int i = 0; i < 16; i++)
        world->scripts[0].statuses[i] = i % 2 == 0 ? 502 : -1;
    assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    assert_int_equal(atomic_load(&world->scripts[1].next), 1);
    assert_int_equal(api_client_current(world->client), 1);
    /* and first for a while */
    assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    assert_int_equal(atomic_load(&world->scripts[1].next), 2);
}

/* A world with two servers, of which the first is what the script says. */
static void use_both(struct world *world)
{
    world->client = api_client_free(world->client);
    world->client = new_client(world, 2, NULL);
}

static bool is_first_again(void *context)
{
    return api_client_current(context) == 0;
}

static void one_that_comes_back_is_first_again(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();

    use_both(world);
    world->scripts[0].statuses[0] = 503;
    assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(api_client_current(world->client), 1);
    assert_true(api_client_online(world->client));
    assert_int_equal(http_loop_run_until(world->loop, is_first_again, world->client,
                                         clock_monotonic_ms() + 60000, NULL),
                     0);
    assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(atomic_load(&world->scripts[0].next), 2);
    assert_int_equal(atomic_load(&world->scripts[1].next), 1);
}

static void a_silent_one_is_not_waited_for(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();

    use_both(world);
    atomic_store(&world->scripts[0].hangs, true);
    assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(atomic_load(&world->scripts[1].next), 1);
    assert_int_equal(api_client_current(world->client), 1);
    /* alone it has all the time */
    world->client = api_client_free(world->client);
    world->client = new_client(world, 1, NULL);
    atomic_store(&world->scripts[0].hangs, false);
    assert_int_equal(get(world, &result, NULL), 0);
}

/* What may be done once only is given all the time that there is. */
static void a_push_is_waited_for(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_POST, .path = "/x", .timeout_ms = 600 };

    use_both(world);
    atomic_store(&world->scripts[0].hangs, true);
    assert_int_equal(api_call_run(world->client, &spec, &result, NULL), -ETIMEDOUT);
    assert_int_equal(atomic_load(&world->scripts[1].next), 0);
}

static void a_page_makes_the_next_one_be_asked(void **state)
{
    static const struct {
        int status;
        const char *lines, *body;
    } cases[] = {
        { 203, "Content-Type: text/html\r\n", "<html>" },
        { 302, "Location: https://other.example/\r\n", "" },
        { 404, "Content-Type: text/html\r\n", "<html>" },
    };
    struct world *world = *state;
    struct api_call_spec spec = { .method = HTTP_GET,
                                  .path = "/projects",
                                  .accept = "application/json" };

    for (size_t i = 0; i < 3; i++) {
        cleanup(api_result_release) struct api_result result = api_result_init();
        struct server_status status;

        use_both(world);
        for (size_t k = 0; k < 2; k++) {
            atomic_store(&world->scripts[k].next, 0);
            memset(world->scripts[k].statuses, 0, sizeof(world->scripts[k].statuses));
        }
        world->scripts[0].statuses[0] = cases[i].status;
        world->scripts[0].lines = cases[i].lines;
        world->scripts[0].body = cases[i].body;
        world->scripts[1].statuses[0] = 201;
        world->scripts[1].body = "{}";
        assert_int_equal(api_call_run(world->client, &spec, &result, NULL), 0);
        assert_int_equal(result.status, 201);
        api_client_server_status(world->client, 0, &status);
        assert_int_equal(status.state, SERVER_DOUBTED);
        assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    }
}

static void a_refusal_is_an_answer(void **state)
{
    static const int statuses[] = { 401, 403 };
    struct world *world = *state;

    use_both(world);
    for (size_t i = 0; i < 2; i++) {
        cleanup(api_result_release) struct api_result result = api_result_init();

        atomic_store(&world->scripts[0].next, 0);
        world->scripts[0].statuses[0] = statuses[i];
        world->scripts[0].lines = "Content-Type: text/html\r\n";
        assert_int_equal(get(world, &result, NULL), i == 0 ? -EPERM : -EACCES);
        assert_int_equal(atomic_load(&world->scripts[1].next), 0);
        assert_int_equal(api_client_current(world->client), 0);
    }
}

static void another_store_is_not_asked(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct error err = { 0 };

    use_both(world);
    api_client_expect_store(world->client, "store-2");
    world->scripts[1].store = "store-2";
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    assert_int_equal(atomic_load(&world->scripts[1].next), 3);
    /* and when it is all there is */
    world->scripts[1].store = "store-3";
    assert_int_equal(get(world, &result, &err), -EIO);
    assert_non_null(strstr(err.text, "belongs to another store (store-3)"));
}

/* One server's wish to be left alone is none of the other's. */
static void retry_after_is_of_one_server(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct error err = { 0 };

    use_both(world);
    world->scripts[0].statuses[0] = 429;
    world->scripts[0].lines = "Retry-After: 3600\r\n";
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(world, &result, NULL), 0);
    assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    assert_int_equal(atomic_load(&world->scripts[1].next), 3);
    /* both say so, and it is too long to wait */
    world->scripts[0].statuses[1] = 429;
    world->scripts[1].statuses[3] = 503;
    world->scripts[1].lines = "Retry-After: 1800\r\n";
    assert_int_equal(get(world, &result, &err), -EAGAIN);
    assert_int_equal(atomic_load(&world->scripts[0].next), 2);
    assert_int_equal(atomic_load(&world->scripts[1].next), 4);
}

static void what_is_not_repeatable_is_sent_once(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = {
        .method = HTTP_POST,
        .path = "/x",
        .body = { .kind = HTTP_BODY_SPAN, .size = 2, .span = span_text("{}") }
    };

    for (int i = 0; i < 16; i++)
        world->scripts[0].statuses[i] = 503;
    assert_int_equal(api_call_run(world->client, &spec, &result, NULL), -EAGAIN);
    assert_int_equal(atomic_load(&world->scripts[0].next), 1);
    spec.repeatable = true;
    assert_int_equal(api_call_run(world->client, &spec, &result, NULL), -EAGAIN);
    assert_int_equal(atomic_load(&world->scripts[0].next), 4);
    spec.method = HTTP_PUT;
    spec.once = true;
    assert_int_equal(api_call_run(world->client, &spec, &result, NULL), -EAGAIN);
    assert_int_equal(atomic_load(&world->scripts[0].next), 5);
    assert_string_equal(world->scripts[0].last_method, "PUT");
}

static void retry_after_is_honoured(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    uint64_t start = clock_monotonic_ms();

    world->scripts[0].statuses[0] = 429;
    world->scripts[0].lines = "Retry-After: 1\r\n";
    assert_int_equal(get(world, &result, NULL), 0);
    assert_true(clock_monotonic_ms() - start >= 1000);
    /* too long to wait: said at once */
    atomic_store(&world->scripts[0].next, 0);
    world->scripts[0].lines = "Retry-After: 3600\r\n";
    assert_int_equal(get(world, &result, NULL), -EAGAIN);
    assert_int_equal(atomic_load(&world->scripts[0].next), 1);
}

/* So many tries that a server may take its time; one that has never said a word gets fewer. */
static void a_stranger_is_given_up_sooner(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    const char *urls[] = { origin_url(world->origins[0]) };
    struct api_client_options options = {
        .loop = world->loop,
        .servers = urls,
        .server_count = 1,
        .timeout_ms = 5000,
        .retry = { .tries = 8, .base_ms = 1, .max_ms = 2, .retry_after_max_ms = 2000 },
    };

    api_client_free(world->client);
    assert_int_equal(api_client_new(&world->client, &options, NULL), 0);
    for (size_t i = 0; i < 16; i++)
        world->scripts[0].statuses[i] = -1;
    assert_int_equal(get(world, &result, NULL), -EAGAIN);
    assert_int_equal(atomic_load(&world->scripts[0].next), 5);
    /* one that was there is waited for */
    world->scripts[0].statuses[0] = 200;
    atomic_store(&world->scripts[0].next, 0);
    assert_int_equal(get(world, &result, NULL), 0);
    world->scripts[0].statuses[0] = -1;
    atomic_store(&world->scripts[0].next, 0);
    assert_int_equal(get(world, &result, NULL), -EAGAIN);
    /* libcurl tries the connection that it has kept once more, by itself */
    assert_int_equal(atomic_load(&world->scripts[0].next), 9);
}

/* However many tries are left, and whatever each of them may take. */
static void the_deadline_ends_all_tries(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET, .path = "/projects" };

    atomic_store(&world->scripts[0].hangs, true);
    spec.deadline_ms = clock_monotonic_ms() + 300;
    assert_int_equal(api_call_run(world->client, &spec, &result, NULL), -ETIMEDOUT);
    assert_true(clock_monotonic_ms() >= spec.deadline_ms);
    assert_int_equal(origin_requests(world->origins[0]), 1);
    /* the wait before the next try is longer than what is left */
    atomic_store(&world->scripts[0].hangs, false);
    world->scripts[0].statuses[1] = 429;
    world->scripts[0].lines = "Retry-After: 2\r\n";
    atomic_store(&world->scripts[0].next, 1);
    spec.deadline_ms = clock_monotonic_ms() + 1900;
    assert_int_equal(api_call_run(world->client, &spec, &result, NULL), -EAGAIN);
    assert_int_equal(result.status, 429);
    assert_int_equal(atomic_load(&world->scripts[0].next), 2);
}

struct ending {
    bool done;
    int code, status;
    bool has_headers;
    size_t body_size;
};

static void note_ending(void *context, const struct api_answer *answer)
{
    struct ending *ending = context;

    *ending = (struct ending){ .done = true,
                               .code = answer->code,
                               .status = answer->status,
                               .has_headers = answer->headers != NULL,
                               .body_size = answer->body.size };
}

static bool is_offline(void *context)
{
    return !api_client_online(context);
}

/* What the last try answered is gone with its request. */
static void a_call_that_waits_can_be_cancelled(void **state)
{
    struct world *world = *state;
    struct ending ending = { 0 };
    struct api_call_spec spec = {
        .method = HTTP_GET, .path = "/x", .done = note_ending, .context = &ending
    };
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call *call = NULL;

    assert_int_equal(get(world, &result, NULL), 0);
    assert_true(api_client_online(world->client));
    world->scripts[0].statuses[1] = 503;
    world->scripts[0].lines = "Retry-After: 1\r\nContent-Type: application/problem+json\r\n";
    world->scripts[0].body = "{\"code\":\"not-ready\"}";
    assert_int_equal(api_call_start(world->client, &spec, &call, NULL), 0);
    /* the first try is over, the second waits for what Retry-After says */
    assert_int_equal(http_loop_run_until(world->loop, is_offline, world->client,
                                         clock_monotonic_ms() + 10000, NULL),
                     0);
    assert_false(ending.done);
    api_call_cancel(call);
    assert_true(ending.done);
    assert_int_equal(ending.code, -ECANCELED);
    assert_int_equal(ending.status, 0);
    assert_false(ending.has_headers);
    assert_int_equal(ending.body_size, 0);
}

static void a_token_does_not_go_in_clear_text(void **state)
{
    struct world *world = *state;
    const char *urls[] = { "https://repo.example.org", "http://repo.example.org" };
    struct api_client_options options = { .loop = world->loop, .servers = urls, .server_count = 2 };
    struct api_client *client = NULL;
    struct error err = { 0 };

    assert_int_equal(secret_from_text("kka_a_b", &options.token, NULL), 0);
    assert_int_equal(api_client_new(&client, &options, &err), -EINVAL);
    assert_null(strstr(err.text, "kka_a_b"));
    assert_int_equal(secret_from_text("kka_a_b", &options.token, NULL), 0);
    options.insecure = true;
    assert_int_equal(api_client_new(&client, &options, NULL), 0);
    api_client_free(client);
    options.token = NULL;
    options.insecure = false;
    client = NULL;
    assert_int_equal(api_client_new(&client, &options, NULL), 0);
    api_client_free(client);
    urls[1] = "ftp://x";
    assert_int_equal(api_client_new(&client, &options, NULL), -EINVAL);
    options.server_count = 0;
    assert_int_equal(api_client_new(&client, &options, NULL), -EINVAL);
}

/* When the request is there nobody answers it: its client waits. */
static void *interrupt_when_asked(void *context)
{
    struct world *world = context;

    while (origin_requests(world->origins[0]) == 0)
        usleep(1000);
    api_client_interrupt(world->client);
    return NULL;
}

/* A server that refuses the token is there; one that fails says nothing of it. */
static void a_refused_token_is_told(void **state)
{
    static const struct {
        int status, code;
        bool online, unauthorised;
    } answers[] = {
        { 401, -EPERM, true, true }, { 200, 0, true, false },       { 403, -EACCES, true, true },
        { 500, -EIO, false, true },  { 404, -ENOENT, true, false },
    };
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET, .path = "/x", .once = true };

    assert_false(api_client_unauthorised(world->client));
    for (unsigned i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        world->scripts[0].statuses[i] = answers[i].status;
        assert_int_equal(api_call_run(world->client, &spec, &result, NULL), answers[i].code);
        assert_int_equal(api_client_online(world->client), answers[i].online);
        assert_int_equal(api_client_unauthorised(world->client), answers[i].unauthorised);
    }
}

static void an_interrupt_ends_the_wait(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    uint64_t start = clock_monotonic_ms();
    pthread_t thread;

    atomic_store(&world->scripts[0].hangs, true);
    pthread_create(&thread, NULL, interrupt_when_asked, world);
    assert_int_equal(get(world, &result, NULL), -ECANCELED);
    assert_true(clock_monotonic_ms() - start < 3000);
    assert_int_equal(get(world, &result, NULL), -ECANCELED);
    pthread_join(thread, NULL);
}

static void answers_are_bounded(void **state)
{
    struct world *world = *state;
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET, .path = "/x", .body_maximum = 3 };

    assert_int_equal(api_call_run(world->client, &spec, &result, NULL), -EFBIG);
}

static void paths_are_made(void **state)
{
    cleanup(buf_release) struct buf path = buf_init(1024);

    api_path_blob(&path, "p", "a+b", "v 1", "00ff");
    assert_string_equal(buf_text(&path), "/projects/p/apps/a%2Bb/versions/v%201/blobs/00ff");
    buf_clear(&path);
    api_path_version(&path, "p", "a", "@live");
    assert_string_equal(buf_text(&path), "/projects/p/apps/a/versions/@live");
    buf_clear(&path);
    api_path_version(&path, "..", "a", "../x");
    assert_string_equal(buf_text(&path), "/projects/%2E%2E/apps/a/versions/..%2Fx");
}

static int one_call(struct world *world)
{
    struct api_client *client = NULL;
    const char *url = origin_url(world->origins[0]);
    struct api_client_options options = { .loop = world->loop, .servers = &url, .server_count = 1 };
    cleanup(api_result_release) struct api_result result = api_result_init();
    struct api_call_spec spec = { .method = HTTP_GET, .path = "/projects", .once = true };
    int r = api_client_new(&client, &options, NULL);

    if (r == 0)
        r = api_call_run(client, &spec, &result, NULL);
    api_client_free(client);
    return r;
}

static void no_memory_is_an_error(void **state)
{
    assert_survives_no_memory(one_call(*state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)
        CASE(a_call_is_answered),
        CASE(what_may_pass_is_tried_again),
        CASE(in_the_end_it_is_said),
        CASE(statuses_become_codes),
        CASE(a_missing_token_is_told),
        CASE(extra_members_are_read),
        CASE(a_page_of_a_proxy_is_no_problem_body),
        CASE(a_page_that_says_all_is_well_is_no_answer),
        CASE(a_redirect_is_told_and_not_followed),
        CASE(the_next_server_is_asked),
        CASE(one_that_comes_back_is_first_again),
        CASE(a_silent_one_is_not_waited_for),
        CASE(a_push_is_waited_for),
        CASE(a_page_makes_the_next_one_be_asked),
        CASE(a_refusal_is_an_answer),
        CASE(another_store_is_not_asked),
        CASE(retry_after_is_of_one_server),
        CASE(what_is_not_repeatable_is_sent_once),
        CASE(retry_after_is_honoured),
        CASE(a_stranger_is_given_up_sooner),
        CASE(the_deadline_ends_all_tries),
        CASE(a_call_that_waits_can_be_cancelled),
        CASE(a_token_does_not_go_in_clear_text),
        CASE(a_refused_token_is_told),
        CASE(an_interrupt_ends_the_wait),
        CASE(answers_are_bounded),
        CASE(paths_are_made),
        CASE(no_memory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
