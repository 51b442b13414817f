/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api_client;
struct blob_cache;
struct blob_fetch;
struct error;
struct http_loop;
struct json_value;
struct json_writer;
struct pins;
struct tree_mount;
struct tree_set;

/*
 * care - what a mount does for its cache beside answering the kernel: it brings versions that are
 * to be there (prefetch, pin), checks what is there when it is asked to (verify), goes over all of
 * it by itself (scrubber), and has fetched again what was wrong.
 *
 * Work that takes its time is a *job*: it is asked for, and then asked after. Who asks for one
 * that runs already joins it. A job yields: nothing of it is begun while somebody waits for bytes,
 * for a second at most.
 *
 * When something is read of a version for the first time, it is being started: what starts of it
 * read, declared by its pusher or told to the server by other hosts, is brought before it is asked
 * for; what this one reads within `start_ms` is told to the server, once. Both are hints: nobody
 * waits for them, and that they fail is told to nobody.
 *
 * A pinned version is completed when it is pinned, when the mount begins, and after damage; what
 * fails is tried again later.
 */
struct care;

struct care_options { /* all outlive the care; texts too */
    struct http_loop *loop;
    struct api_client *client;
    struct blob_fetch *engine;
    struct blob_cache *cache;
    struct tree_set *trees;
    struct pins *pins;
    const char *store;                   /* whose pins are this mount's */
    const char *directory;               /* of the cache */
    const char *only_project, *only_app; /* or NULL: what is shown */
    uint64_t deadline_ms;                /* of opening a version */
    uint64_t scrub_bytes_per_s, scrub_every_ms;
    bool brings_starts; /* what starts read is brought */
    const char *host;   /* under which name it is told what they read; NULL: it is not */
    uint64_t start_ms;  /* how long one lasts */
    bool is_resumed;    /* up to this slot versions were in use before this process */
    uint32_t resumed_slots;
};

int care_new(struct care **out_care, const struct care_options *options, struct error *err);
/* The scrubber, and the pinned versions. The loop is run by somebody from now on. */
int care_start(struct care *care, struct error *err);
/* Ends what runs, as soon as that can be. Loop thread, or none running. NULL is fine. */
void care_end(struct care *care);
/* No job runs: the engine may be freed. Any thread. */
bool care_is_idle(struct care *care);
/* After the engine. NULL is fine; returns NULL. */
struct care *care_free(struct care *care);

/* Has a version brought into the cache. Any thread. */
void care_bring(struct care *care, const char *project, const char *app, const char *version);

/* The same; done comes on the loop's thread, never from inside: it is there, or could not come (err
 * says why). Any thread. */
typedef void care_done(void *context, const struct error *err);
int care_bring_then(struct care *care, const char *project, const char *app, const char *version,
                    care_done *done, void *context, struct error *err);

/* Something is read of the version for the first time since it was opened. Any thread. */
void care_first_read(struct care *care, struct tree_mount *mount, uint32_t slot);

/* Every version that is being brought into the cache now; `each` calls nothing of the care. Any
 * thread. */
typedef void care_version(void *context, const char *project, const char *app, const char *version);
void care_each_brought(struct care *care, care_version *each, void *context);

/* For the control socket; any thread but the loop's. `ask`: "prefetch", "pin", "unpin" or "verify";
 * the question names the version ("P/A/V"; verify: may be absent) and, when a job is asked after,
 * its number ("job"). The members of the answer: that of a job which failed says so by "failure",
 * an error is that it could not be asked. */
int care_answer(struct care *care, const char *ask, const struct json_value *question,
                struct json_writer *writer, struct error *err);
struct scrub_progress;
void care_scrub_progress(struct care *care, struct scrub_progress *out); /* any thread */
/* For status: the member "scrub". */
void care_status_json(struct care *care, struct json_writer *writer);
