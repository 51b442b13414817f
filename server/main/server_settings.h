/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

struct error;
struct options;
struct settings;

/* server_settings - the server's settings, and where they come from (flag > environment > file >
 * default). */

/* Reads all sources. `options` may have --config, --data and --listen. Errors are the user's to
 * mend
 * (exit 2). */
int server_settings_load(const struct options *options, struct settings **out_settings,
                         struct error *err);

/* log_level and log_format take effect. */
void server_settings_apply_log(const struct settings *settings);

/* "127.0.0.1:8080", "[::1]:0": the address without brackets (memory_free() it) and the port.
 * -EINVAL. */
int server_settings_listen(const struct settings *settings, char **out_address, uint16_t *out_port,
                           struct error *err);

/* `database` and `storage`, or what stands for them in the data directory; memory_free() it. */
int server_settings_database(const struct settings *settings, char **out_location,
                             struct error *err);
/* Of a database that is a file: *out_path lies in *out_location. -ENOTSUP. */
int server_settings_database_file(const struct settings *settings, char **out_location,
                                  const char **out_path, struct error *err);
int server_settings_storage(const struct settings *settings, char **out_path, struct error *err);
