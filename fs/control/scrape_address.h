/* SPDX-License-Identifier: MIT */
#pragma once

struct error;

/*
 * scrape_address - where a mount is asked for its metrics: a port of this machine, or a socket of
 * the file system.
 *
 *     9100, :9100, localhost:9100    the loopback address
 *     192.0.2.7:9100, [2001:db8::7]:9100    one address of this machine
 *     *:9100                         every address of this machine
 *     /run/kkartifact/metrics.sock   a path; it is made anew, mode 0660
 *
 * Names are not looked up. 0.0.0.0 and [::] are refused: what is open to everybody has to be said.
 */

/* -EINVAL: it is none. */
int scrape_address_check(const char *text, struct error *err);

/* A descriptor that listens and does not block; the caller's to close. -EADDRINUSE (also: somebody
 * listens at the path), -EEXIST (something else is there), and those of bind(2). */
int scrape_address_listen(const char *text, int *out_fd, struct error *err);

/* Removes the path of an address that is one. */
void scrape_address_remove(const char *text);
