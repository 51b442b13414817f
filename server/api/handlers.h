/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct http_exchange;
struct http_sink;

/*
 * handlers - what the lines of routes.c call; each lives in the file of its noun. All of them take
 * the request (request.h) as the exchange's state, and answer or return a failure.
 */
typedef int handler(struct http_exchange *exchange, void *context, struct error *err);

/* health.c, metrics.c, version.c, openapi.c */
handler api_healthz;
handler api_readyz;
handler api_metrics;
handler api_version;
handler api_openapi;

/* events.c */
handler api_events_get;

/* projects.c, apps.c, versions.c, promotions.c */
handler api_projects_list;
handler api_projects_get;
handler api_projects_put;
handler api_projects_delete;
handler api_apps_list;
handler api_apps_get;
handler api_apps_put;
handler api_apps_delete;
handler api_versions_list;
handler api_versions_get;
handler api_versions_change;
handler api_versions_delete;
handler api_versions_restore;
handler api_versions_meta;

/* copies.c */
handler api_versions_copy;
handler api_promote;
handler api_rollback;
handler api_promotions_list;

/* hosts.c */
handler api_hosts_list;
handler api_leases_put;
handler api_leases_remove;
handler api_pulls_report;

/* reads.c */
handler api_reads_get;
handler api_reads_put;

/* tree.c, files.c, blobs.c, blob_packs.c */
handler api_tree_get;
handler api_tree_merkle;
handler api_files_list;
handler api_files_get;
handler api_blobs_get;
handler api_blobs_merkle;
handler api_blobs_chunks;
extern const struct http_sink api_blob_packs;

/* config.c */
handler api_config_get;
handler api_config_change;

/* jobs.c, collection.c, retention.c */
handler api_jobs_list;
handler api_jobs_get;
handler api_jobs_cancel;
handler api_gc_preview;
handler api_gc_run;
handler api_retention_preview;
handler api_retention_run;
handler api_apps_cleanup;

/* pushes.c */
handler api_pushes_create;
handler api_pushes_get;
handler api_pushes_abandon;
handler api_pushes_missing;
handler api_pushes_commit;

/* push_documents.c, push_blobs.c, push_deltas.c, push_packs.c */
extern const struct http_sink api_push_listing;
extern const struct http_sink api_push_times;
handler api_push_blobs_head;
extern const struct http_sink api_push_blobs_append;
extern const struct http_sink api_push_blobs_delta;
extern const struct http_sink api_push_packs;
