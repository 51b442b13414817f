/* SPDX-License-Identifier: MIT */
#pragma once

struct buf;
struct error;
struct mount_options;
struct options;

/* verbs - one function a verb; each returns the exit code, and the words of a failure in *err. */
int verb_mount(const struct options *options, struct error *err);
int verb_umount(const struct options *options, struct error *err);
int verb_status(const struct options *options, struct error *err);
int verb_pin(const struct options *options, struct error *err);
int verb_unpin(const struct options *options, struct error *err);
int verb_prefetch(const struct options *options, struct error *err);
int verb_verify(const struct options *options, struct error *err);
int verb_stat(const struct options *options, struct error *err);
int verb_upgrade(const struct options *options, struct error *err);

/* Mounts and serves, in the background unless `foreground`; for verb_mount and mount_helper. */
int mount_and_serve(const struct mount_options *options, int foreground, struct error *err);

/* The program as mount(8) calls it: mount.kkartifact SERVER MOUNTPOINT [-sfnv] [-N NS] [-t TYPE]
 * [-o OPTION,...]. */
int mount_helper(int argc, char *const argv[], struct error *err);
