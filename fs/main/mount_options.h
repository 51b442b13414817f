/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct error;

/*
 * mount_options - what a mount is told: `-o OPTION,...` of the command line and of fstab.
 *
 * One table names the options, reads them, and makes the help; a test holds the manual against it.
 * An unknown option, a bad value, an option given twice that may be given once: -EINVAL, naming it.
 * What mount(8) passes to every helper (ro, rw, noauto, _netdev, user, x-...) is taken; of that
 * only noexec has an effect (also implied by user and the like; exec after it takes it back): a
 * mount of ours is always read-only, nosuid, nodev, noatime.
 *
 * Paths may be relative to the current directory; they are made absolute.
 */
enum mount_prefetch {
    PREFETCH_AUTO, /* what a reader seems to go to */
    PREFETCH_NONE,
    PREFETCH_ALL, /* and each version that is opened, whole */
};

enum mount_passthrough {
    PASSTHROUGH_AUTO, /* for an attach; not for the mount of a repository */
    PASSTHROUGH_ON,
    PASSTHROUGH_OFF,
};

struct mount_options {
    char **servers; /* the one that was named first is tried first */
    size_t server_count;
    char *mountpoint;
    char *token_file; /* or NULL */
    char *cache;
    char *ca_file;                 /* or NULL */
    char *metrics;                 /* where it is asked for metrics (scrape_address.h), or NULL */
    char *only_project, *only_app; /* or NULL */
    uint64_t cache_size;           /* bytes; 0: no limit */
    uint64_t cache_free;           /* bytes, or */
    uint32_t cache_free_percent;   /* ... of the file system when cache_free is 0 */
    uint64_t deadline_ms;
    enum mount_prefetch prefetch;
    bool learn; /* the server is told what starts of versions read */
    enum mount_passthrough passthrough;
    uint64_t scrub_rate;     /* bytes a second */
    uint64_t scrub_every_ms; /* from the beginning of a pass to that of the next */
    bool strict_auth, xattr, insecure;
    bool attached;        /* one version alone is shown, of only_project/only_app: */
    char *attach_channel; /* ... that of this channel; NULL: */
    char *attach_version; /* ... this one */
    bool attach_prefetch; /* it is shown when all of it is in the cache */
    bool offline;         /* nothing is ever asked of a server */
    bool noexec;          /* no program may be run from it */
    bool wants_write;     /* rw was said: it will not be */
    uint32_t uid, gid, umask;
    uint64_t seen; /* bits of the table: which were given */
};

/* Nothing but the defaults of the user who runs this. -ENOMEM. */
int mount_options_init(struct mount_options *options, struct error *err);
void mount_options_release(struct mount_options *options);

int mount_options_add_server(struct mount_options *options, const char *url, struct error *err);
int mount_options_set_mountpoint(struct mount_options *options, const char *path,
                                 struct error *err);
/* The same without a question to what is mounted there, which may have nobody who answers. */
int mount_options_set_mountpoint_unasked(struct mount_options *options, const char *path,
                                         struct error *err);
/* Whether complete files are to be read by the kernel alone. */
bool mount_options_want_passthrough(const struct mount_options *options);
/* One `-o` text. */
int mount_options_parse(struct mount_options *options, const char *text, struct error *err);

/* The options are of an attach, of "P/A", "P/A@CHANNEL" or "P/A/V"; after the others. -EINVAL. */
int mount_options_attach(struct mount_options *options, const char *name, bool prefetch,
                         struct error *err);

/* A line for each: "  name=VALUE   what it does". */
void mount_options_help(struct buf *out);
