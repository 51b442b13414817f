/* SPDX-License-Identifier: MIT */
#include "server/api/api.h"

#include <errno.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/base/memory.h"
#include "common/codec/json.h"
#include "server/api/api_state.h"
#include "server/api/request.h"
#include "server/api/route.h"
#include "server/service/access.h"
#include "server/service/services.h"

static uint64_t body_max(const struct route *route, const struct api *api)
{
    if (route->body == HTTP_BODY_JSON)
        return ROUTE_JSON_MAX;
    return route->length_required ? services_part_size(api->options.services) : ROUTE_DOCUMENT_MAX;
}

int api_new(const struct api_options *options, struct api **out_api, struct error *err)
{
    struct api *api = memory_new(sizeof(*api));

    if (api == NULL)
        return error_set(err, -ENOMEM, "out of memory");
    api->options = *options;
    api->started_ms = clock_monotonic_ms();
    api->operations = memory_array(route_count, sizeof(*api->operations));
    if (api->operations == NULL) {
        memory_free(api);
        return error_set(err, -ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < route_count; i++) {
        api->operations[i] = (struct http_operation){
            .label = routes[i].pattern,
            .place = routes[i].place,
            .body = routes[i].body,
            .body_max = body_max(&routes[i], api),
            .length_required = routes[i].length_required,
            .sink = routes[i].sink,
            .handle = routes[i].handle,
        };
    }
    *out_api = api;
    return 0;
}

struct api *api_free(struct api *api)
{
    if (api == NULL)
        return NULL;
    memory_free(api->operations);
    return memory_free(api);
}

static bool actor_alive(const char *actor, void *context)
{
    const struct api *api = context;

    return access_alive(api->options.services, actor);
}

struct http_application api_application(struct api *api)
{
    return (struct http_application){ api, request_match, request_admit, request_fail,
                                      actor_alive };
}

void api_write_routes(struct buf *out)
{
    static const char *const bodies[] = { "none", "json", "stream" };
    static const char *const places[] = { "loop", "worker" };
    struct json_writer writer = json_writer_init(out);

    json_begin_array(&writer, NULL);
    for (size_t i = 0; i < route_count; i++) {
        json_begin_object(&writer, NULL);
        json_text(&writer, "method", http_method_name(routes[i].method));
        json_text(&writer, "path", routes[i].pattern);
        json_text(&writer, "permission", permit_name(routes[i].permit));
        json_text(&writer, "body", bodies[routes[i].body]);
        json_text(&writer, "place", places[routes[i].place]);
        json_end(&writer);
    }
    json_end(&writer);
}
