/* SPDX-License-Identifier: MIT */
#pragma once

struct error;
struct options;
struct settings;

/*
 * verbs - what the program does, one function a verb. They print their result on stdout and return
 * 0 or a negative errno; main.c tells the error and makes the exit code of it.
 */
int verb_serve(const struct options *options, struct settings *settings, struct error *err);
int verb_token_create(const struct options *options, struct settings *settings, struct error *err);
int verb_token_list(const struct options *options, struct settings *settings, struct error *err);
int verb_token_revoke(const struct options *options, struct settings *settings, struct error *err);
int verb_migrate(const struct options *options, struct settings *settings, struct error *err);
int verb_gc(const struct options *options, struct settings *settings, struct error *err);
int verb_fsck(const struct options *options, struct settings *settings, struct error *err);
int verb_backup(const struct options *options, struct settings *settings, struct error *err);
int verb_restore(const struct options *options, struct settings *settings, struct error *err);
int verb_rebuild(const struct options *options, struct settings *settings, struct error *err);
int verb_config(const struct options *options, struct settings *settings, struct error *err);

/* A failure that is the user's command line or configuration: exit 2. Returns `result`. */
#define VERB_USAGE (-ENOEXEC)
