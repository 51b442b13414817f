/* SPDX-License-Identifier: MIT */
#include "common/client/api_cleanup.h"

#include <errno.h>
#include <string.h>

#include "common/client/tests/asked.h"
#include "tests/support/unit.h"

#define ID "0123456789abcdef0123456789abcdef"
#define SUMS "\"trashed\":2,\"bytes\":7,\"kept\":{\"newest\":10,\"min-age\":1}"

/* What is answered, one after the other; the last one for ever. */
struct world {
    struct asked at;
    const char *bodies[4];
    int status; /* of the first; 0: 200 */
    unsigned asked;
    char path[1024];
};

static bool answer(void *context, struct origin_request *request)
{
    struct world *world = context;
    unsigned last = 0, at = world->asked++;

    while (last + 1 < 4 && world->bodies[last + 1] != NULL)
        last++;
    at = at < last ? at : last;
    memcpy(world->path, request->path, sizeof(world->path));
    return origin_reply(request, at == 0 && world->status != 0 ? world->status : 200,
                        "Content-Type: application/problem+json\r\n", world->bodies[at],
                        strlen(world->bodies[at]));
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    asked_start(&world->at, answer, world, NULL);
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;

    asked_stop(&world->at);
    free(world);
    return 0;
}

static int run(struct world *world, struct api_cleanup *out)
{
    world->asked = 0;
    return api_cleanup_run(world->at.client, "p", "a", false, out, NULL);
}

static void a_job_is_waited_for(void **state)
{
    struct world *world = *state;
    struct api_cleanup done;

    world->bodies[0] = "{\"id\":\"" ID "\"}";
    world->bodies[1] = "{\"state\":\"queued\"}";
    world->bodies[2] = "{\"state\":\"running\",\"result\":{}}";
    world->bodies[3] =
        "{\"state\":\"done\",\"result\":{" SUMS ",\"versions\":[\"p/a/v1\",\"p/a/v2\"]}}";
    assert_int_equal(run(world, &done), 0);
    assert_string_equal(world->path, "/api/v1/jobs/" ID);
    assert_int_equal(world->asked, 4);
    assert_int_equal(done.trashed, 2);
    assert_int_equal(done.bytes, 7);
    assert_int_equal(done.kept_count, 2);
    assert_string_equal(done.kept[1].reason, "min-age");
    assert_int_equal(done.version_count, 2);
    assert_string_equal(done.versions[1], "v2");
    api_cleanup_release(&done);
}

static void how_a_job_ends(void **state)
{
    static const struct {
        const char *job;
        int code;
    } cases[] = {
        { "{\"state\":\"failed\",\"problem\":\"safety-limit: too much\"}", -EBUSY },
        { "{\"state\":\"failed\",\"problem\":\"the disk\"}", -EINVAL },
        { "{\"state\":\"cancelled\",\"problem\":\"x\"}", -EINVAL },
        { "{\"state\":\"done\"}", -EBADMSG },
        { "{\"state\":1}", -EBADMSG },
        { "{}", -EBADMSG },
        { "{\"state\":\"done\",\"result\":{\"trashed\":-1,\"bytes\":0,\"kept\":{}}}", -EBADMSG },
        { "{\"state\":\"done\",\"result\":{" SUMS ",\"versions\":[\"p/a/\\u001b[2J\"]}}",
          -EBADMSG },
        { "{\"state\":\"done\",\"result\":{\"trashed\":1,\"bytes\":0,\"kept\":{\"a b\":1}}}",
          -EBADMSG },
    };
    struct world *world = *state;
    struct api_cleanup done;

    world->bodies[0] = "{\"id\":\"" ID "\"}";
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world->bodies[1] = cases[i].job;
        assert_int_equal(run(world, &done), cases[i].code);
        api_cleanup_release(&done);
    }
    world->bodies[1] = NULL;
    world->bodies[0] = "{\"id\":\"../../x\"}";
    assert_int_equal(run(world, &done), -EBADMSG);
    api_cleanup_release(&done);
}

static void a_refusal(void **state)
{
    struct world *world = *state;
    struct api_cleanup done;

    world->status = 409;
    world->bodies[0] = "{\"code\":\"safety-limit\",\"detail\":\"too much\"}";
    assert_int_equal(run(world, &done), -EBUSY);
    api_cleanup_release(&done);
}

static void pages_of_a_look(void **state)
{
    struct world *world = *state;
    struct api_cleanup done;

    world->bodies[0] = "{" SUMS ",\"items\":[{\"version\":\"v1\",\"action\":\"trash\"},"
                       "{\"version\":\"v2\",\"action\":\"keep\"}],\"next_cursor\":\"c\"}";
    world->bodies[1] = "{" SUMS ",\"safety_limit\":\"too much\","
                       "\"items\":[{\"version\":\"v3\",\"action\":\"trash\"}]}";
    assert_int_equal(api_cleanup_look(world->at.client, "p", "a", &done, NULL), 0);
    assert_string_equal(world->path, "/api/v1/projects/p/apps/a/cleanup?limit=500&cursor=c");
    assert_int_equal(done.version_count, 2);
    assert_string_equal(done.versions[1], "v3");
    assert_string_equal(done.safety_limit, "too much");
    api_cleanup_release(&done);
    /* a list without an end */
    world->bodies[1] = NULL;
    assert_int_equal(api_cleanup_look(world->at.client, "p", "a", &done, NULL), -EBADMSG);
    api_cleanup_release(&done);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, world_new, world_free)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        CASE(a_job_is_waited_for),
        CASE(how_a_job_ends),
        CASE(a_refusal),
        CASE(pages_of_a_look),
    };

    return cmocka_run_group_tests_name("api_cleanup", tests, NULL, NULL);
}
