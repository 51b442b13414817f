/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

struct buf;
struct error;
struct mount_options;
struct options;

/* verbs - one function a verb; each returns the exit code, and the words of a failure in *err. */
int verb_mount(const struct options *options, struct error *err);
int verb_attach(const struct options *options, struct error *err);
int verb_detach(const struct options *options, struct error *err);
int verb_umount(const struct options *options, struct error *err);
int verb_status(const struct options *options, struct error *err);
int verb_pin(const struct options *options, struct error *err);
int verb_unpin(const struct options *options, struct error *err);
int verb_prefetch(const struct options *options, struct error *err);
int verb_verify(const struct options *options, struct error *err);
int verb_stat(const struct options *options, struct error *err);
int verb_doctor(const struct options *options, struct error *err);
int verb_upgrade(const struct options *options, struct error *err);

/* The words of mount and attach: the first is the server, -o has options; attached: what is, or
 * NULL. Returns the exit code; the options are to be released in any case. */
int mount_words_read(const struct options *words, const char *place, const char *attached,
                     struct mount_options *options, struct error *err);
/* "-o help": it is shown. */
bool mount_words_want_help(const struct options *words);

/* Mounts and serves, in the background unless `foreground`; for verb_mount and mount_helper. */
int mount_and_serve(const struct mount_options *options, int foreground, struct error *err);

/* The program as mount(8) calls it: mount.kkartifact SERVER MOUNTPOINT [-sfnv] [-N NS] [-t TYPE]
 * [-o OPTION,...]. */
int mount_helper(int argc, char *const argv[], struct error *err);
