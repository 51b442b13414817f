/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "server/api/content_answer.h"
#include "server/api/handlers.h"
#include "server/api/request.h"
#include "server/service/content.h"

int api_tree_get(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    const struct identity *identity = &request->caller.identity;
    const char *part = http_exchange_query(exchange, "part");
    struct content *content = NULL;
    int r;

    if (part != NULL && strcmp(part, "names") != 0)
        return refusal_at(&request->why, "",
                          error_set(err, -EINVAL, "the only part of a tree is \"names\""));
    if (part != NULL)
        r = content_open_tree_names(request_services(exchange), identity, request->project,
                                    request->app, request->reference, &content, &request->why, err);
    else
        r = content_open_tree(request_services(exchange), identity, request->project, request->app,
                              request->reference, &content, &request->why, err);
    if (r < 0)
        return r;
    return content_answer(exchange, content,
                          part != NULL ? "application/zstd" : "application/vnd.kkartifact.tree",
                          NULL, err);
}

int api_tree_merkle(struct http_exchange *exchange, void *context, struct error *err)
{
    struct request *request = request_of(exchange);
    struct content *content = NULL;
    int r = content_open_tree_merkle(request_services(exchange), &request->caller.identity,
                                     request->project, request->app, request->reference, &content,
                                     &request->why, err);

    return r < 0 ? r : content_answer(exchange, content, "application/octet-stream", NULL, err);
}
