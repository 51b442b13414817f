/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * tcp_cork - TCP_CORK stays off in this program.
 *
 * libmicrohttpd corks a connection for the whole of a body that it sends from a file, and offers
 * no way to say no (1.0 neither). A corked socket keeps back what does not fill a segment at the
 * end of each of its 128 KiB calls, which took a third of the rate of 1 GiB from the page cache (a
 * reader on the other core falls asleep and is woken at each); `tcp_nopush on` costs nginx as
 * much. So this module defines setsockopt(2) for the whole program, by the ordinary rule that the
 * program's own definition goes before the C library's: TCP_CORK is taken and does nothing,
 * everything else goes to the kernel unchanged.
 *
 * Nothing is lost by it: the library also sets TCP_NODELAY, and what is short leaves in one call.
 */
