/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * upload_windows - how far back matches may lie in what is sent in zstd, as the exponent of a power
 * of two. It is the memory that the server's reader holds for as long as somebody sends, however
 * slowly: the server refuses frames that need more, so whoever writes keeps to it.
 */
#define UPLOAD_PART_WINDOW_LOG 18     /* of a part of a blob, of which many come at a time */
#define UPLOAD_DOCUMENT_WINDOW_LOG 21 /* of a listing or times */
