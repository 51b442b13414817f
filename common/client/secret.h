/* SPDX-License-Identifier: MIT */
#pragma once

struct error;

/*
 * secret - a token in memory: read once, never shown, overwritten when it goes.
 *
 * Taken from a file (its first line, white space at both ends dropped) or from
 * text. Never part of an error. -ENOENT and so on for the file; -EINVAL: empty, longer than
 * 512 bytes, or with a byte that cannot stand in a header.
 */
struct secret;

int secret_load(const char *path, struct secret **out_secret, struct error *err);
int secret_from_text(const char *text, struct secret **out_secret, struct error *err);
struct secret *secret_free(struct secret *secret); /* wipes; NULL is fine; returns NULL */

const char *secret_text(const struct secret *secret); /* NULL for NULL */
