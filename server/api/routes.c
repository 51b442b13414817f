/* SPDX-License-Identifier: MIT */
#include "server/api/handlers.h"
#include "server/api/route.h"

#define API "/api/v1"
#define PROJECT API "/projects/{p}"
#define APP PROJECT "/apps/{a}"
#define VERSION APP "/versions/{v}"
#define LEASES API "/hosts/{host}/leases"
#define PUSH APP "/pushes/{id}"

#define GET HTTP_GET
#define HEAD HTTP_HEAD
#define PUT HTTP_PUT
#define POST HTTP_POST
#define PATCH HTTP_PATCH
#define DELETE HTTP_DELETE
/* the body, and whether its length has to be said first */
#define NONE HTTP_BODY_NONE, false
#define JSON HTTP_BODY_JSON, false
#define STREAM HTTP_BODY_STREAM, false
#define SIZED HTTP_BODY_STREAM, true
/* a handler, or a sink for a body that streams */
#define CALL(function) function, NULL
#define TAKE(sink) NULL, &sink
#define LOOP HTTP_ON_LOOP
#define WORKER HTTP_ON_WORKER

/* One line per operation of api/openapi.yaml; tests/api/test_openapi.py compares the two, and
 * tests/api/test_access.py tries each with every kind of token. */
/* clang-format off */
const struct route routes[] = {
    {GET,    "/healthz",                  CALL(api_healthz), PERMIT_OPEN, NONE, LOOP},
    {GET,    "/readyz",                   CALL(api_readyz), PERMIT_OPEN, NONE, WORKER},
    {GET,    "/metrics",                  CALL(api_metrics), PERMIT_METRICS, NONE, WORKER},
    {GET,    API "/version",              CALL(api_version), PERMIT_OPEN, NONE, LOOP},
    {GET,    API "/openapi.yaml",         CALL(api_openapi), PERMIT_OPEN, NONE, LOOP},

    {GET,    API "/events",               CALL(api_events_get), PERMIT_SEE, NONE, WORKER},

    {GET,    API "/projects",             CALL(api_projects_list), PERMIT_SEE, NONE, WORKER},
    {GET,    PROJECT,                     CALL(api_projects_get), PERMIT_SEE, NONE, WORKER},
    {PUT,    PROJECT,                     CALL(api_projects_put), PERMIT_ADMIN, JSON, WORKER},
    {DELETE, PROJECT,                     CALL(api_projects_delete), PERMIT_ADMIN, NONE, WORKER},
    {GET,    PROJECT "/apps",             CALL(api_apps_list), PERMIT_SEE, NONE, WORKER},
    {GET,    APP,                         CALL(api_apps_get), PERMIT_PULL, NONE, WORKER},
    {PUT,    APP,                         CALL(api_apps_put), PERMIT_ADMIN, JSON, WORKER},
    {DELETE, APP,                         CALL(api_apps_delete), PERMIT_ADMIN, NONE, WORKER},

    {GET,    APP "/versions",             CALL(api_versions_list), PERMIT_PULL, NONE, WORKER},
    {GET,    VERSION,                     CALL(api_versions_get), PERMIT_PULL, NONE, WORKER},
    {PATCH,  VERSION,                     CALL(api_versions_change), PERMIT_ADMIN, JSON, WORKER},
    {DELETE, VERSION,                     CALL(api_versions_delete), PERMIT_ADMIN, NONE, WORKER},
    {POST,   VERSION "/restore",          CALL(api_versions_restore), PERMIT_ADMIN, NONE, WORKER},
    {GET,    VERSION "/meta.yaml",        CALL(api_versions_meta), PERMIT_PULL, NONE, WORKER},
    {GET,    VERSION "/tree",             CALL(api_tree_get), PERMIT_PULL, NONE, WORKER},
    {GET,    VERSION "/tree/merkle",      CALL(api_tree_merkle), PERMIT_PULL, NONE, WORKER},
    {GET,    VERSION "/files",            CALL(api_files_list), PERMIT_PULL, NONE, WORKER},
    {GET,    VERSION "/files/{path...}",  CALL(api_files_get), PERMIT_PULL, NONE, LOOP},
    {HEAD,   VERSION "/files/{path...}",  CALL(api_files_get), PERMIT_PULL, NONE, LOOP},
    {GET,    VERSION "/blobs/{d}",        CALL(api_blobs_get), PERMIT_PULL, NONE, LOOP},
    {HEAD,   VERSION "/blobs/{d}",        CALL(api_blobs_get), PERMIT_PULL, NONE, LOOP},
    {POST,   VERSION "/blobs:batch",      TAKE(api_blob_packs), PERMIT_PULL, SIZED, WORKER},
    {GET,    VERSION "/blobs/{d}/merkle", CALL(api_blobs_merkle), PERMIT_PULL, NONE, WORKER},
    {GET,    VERSION "/blobs/{d}/chunks", CALL(api_blobs_chunks), PERMIT_PULL, NONE, WORKER},

    {POST,   APP "/promote",              CALL(api_promote), PERMIT_PROMOTE, JSON, WORKER},
    {POST,   APP "/rollback",             CALL(api_rollback), PERMIT_PROMOTE, JSON, WORKER},
    {GET,    APP "/promotions",           CALL(api_promotions_list), PERMIT_PULL, NONE, WORKER},
    {POST,   VERSION "/copy",             CALL(api_versions_copy), PERMIT_PULL, JSON, WORKER},
    {POST,   VERSION "/pulls",            CALL(api_pulls_report), PERMIT_PULL, JSON, WORKER},
    {GET,    VERSION "/reads",            CALL(api_reads_get), PERMIT_PULL, NONE, WORKER},
    {PUT,    VERSION "/reads",            CALL(api_reads_put), PERMIT_PULL, JSON, WORKER},
    {GET,    API "/hosts",                CALL(api_hosts_list), PERMIT_SEE, NONE, WORKER},
    {PUT,    LEASES,                      CALL(api_leases_put), PERMIT_SEE, JSON, WORKER},
    {DELETE, LEASES "/{place}",           CALL(api_leases_remove), PERMIT_ADMIN, NONE, WORKER},

    {POST,   APP "/pushes",               CALL(api_pushes_create), PERMIT_PUSH, JSON, WORKER},
    {GET,    PUSH,                        CALL(api_pushes_get), PERMIT_PUSH, NONE, WORKER},
    {DELETE, PUSH,                        CALL(api_pushes_abandon), PERMIT_PUSH, NONE, WORKER},
    {PUT,    PUSH "/listing",             TAKE(api_push_listing), PERMIT_PUSH, STREAM, WORKER},
    {PUT,    PUSH "/times",               TAKE(api_push_times), PERMIT_PUSH, STREAM, WORKER},
    {GET,    PUSH "/missing",             CALL(api_pushes_missing), PERMIT_PUSH, NONE, WORKER},
    {HEAD,   PUSH "/blobs/{d}",           CALL(api_push_blobs_head), PERMIT_PUSH, NONE, WORKER},
    {PATCH,  PUSH "/blobs/{d}",           TAKE(api_push_blobs_append), PERMIT_PUSH, SIZED, WORKER},
    {PUT,    PUSH "/blobs/{d}",           TAKE(api_push_blobs_delta), PERMIT_PUSH, SIZED, WORKER},
    {POST,   PUSH "/blobs:batch",         TAKE(api_push_packs), PERMIT_PUSH, SIZED, WORKER},
    {POST,   PUSH "/commit",              CALL(api_pushes_commit), PERMIT_PUSH, JSON, WORKER},

    {POST,   API "/gc/preview",           CALL(api_gc_preview), PERMIT_ADMIN, NONE, WORKER},
    {POST,   API "/gc/run",               CALL(api_gc_run), PERMIT_ADMIN, NONE, WORKER},
    {POST,   API "/retention/preview",    CALL(api_retention_preview), PERMIT_SEE_ADMIN, JSON,
             WORKER},
    {POST,   API "/retention/run",        CALL(api_retention_run), PERMIT_SEE_ADMIN, JSON, WORKER},
    {POST,   APP "/cleanup",              CALL(api_apps_cleanup), PERMIT_PUSH, JSON, WORKER},
    {GET,    API "/config",               CALL(api_config_get), PERMIT_ADMIN, NONE, WORKER},
    {PATCH,  API "/config",               CALL(api_config_change), PERMIT_ADMIN, JSON, WORKER},
    {GET,    API "/jobs",                 CALL(api_jobs_list), PERMIT_SEE_PUSH, NONE, WORKER},
    {GET,    API "/jobs/{job}",           CALL(api_jobs_get), PERMIT_SEE_PUSH, NONE, WORKER},
    {DELETE, API "/jobs/{job}",           CALL(api_jobs_cancel), PERMIT_SEE_PUSH, NONE, WORKER},
};
/* clang-format on */

const size_t route_count = sizeof(routes) / sizeof(routes[0]);
