/* Records image series, and files of any kind, into a Skein cluster: the C interface of
 * libskein-streamer.
 *
 * Every call returns SKEIN_OK or says what went wrong; skein_error_text() has the sentence. Nothing
 * is thrown. A cluster handle may be used by several threads, and outlives its series and files. Of
 * a series, skein_series_submit(), _submit_given(), _event() and _counters() may be called by several
 * threads at once, of files skein_files_put(), _put_given(), _wait(), _flush() and _counters();
 * _finish(), _failures(), _missing() and _close() by one, when no other call is under way.
 *
 * Pixels are an array [width][height][depth] with strides in bytes, x along the width. Manual page:
 * skein-streamer(3). Structures are set up by their _init() function, so that later versions can
 * add members at the end.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct skein_cluster skein_cluster;
typedef struct skein_series skein_series;
typedef struct skein_files skein_files;

enum {
  SKEIN_OK = 0,
  SKEIN_WRONG = 1,      /* an argument, or a call at the wrong time; nothing happened */
  SKEIN_EXISTS = 2,     /* the series, the frame's number or the file's name is taken */
  SKEIN_FULL = 3,       /* no room until the deadline; the frame or file was not accepted */
  SKEIN_NO_NODE = 4,    /* no node of the cluster answers */
  SKEIN_TIMED_OUT = 5,  /* something is still on its way; call again */
  SKEIN_INCOMPLETE = 6, /* finish: something is missing; skein_series_missing(), or
                           skein_files_failures(), names it */
  SKEIN_FAILED = 7      /* anything else */
};

enum { SKEIN_UINT8 = 0, SKEIN_UINT16 = 1, SKEIN_FLOAT32 = 2 };            /* pixels */
enum { SKEIN_RAW = 0, SKEIN_HUFFMAN = 1, SKEIN_ZSTD = 2 };                /* codecs */

/* The sentence for this thread's last call that did not return SKEIN_OK; valid until its next call. */
const char* skein_error_text(void);
const char* skein_version(void);

/* What happens beside the calls: nodes that come and go, frames given up. Text without a line end;
 * `level` is one of these. Called by one thread at a time, a thread of the library or one that is
 * within a call; it must call nothing of the library. */
enum { SKEIN_LOG_INFO = 0, SKEIN_LOG_WARNING = 1, SKEIN_LOG_ERROR = 2 };
typedef void (*skein_log_function)(void* context, int level, const char* text);
/* NULL, as before the first call: warnings and errors go to the standard error. On return the
 * function before it is not called any more. */
void skein_log_to(skein_log_function function, void* context);

/* `cluster`: the nodes whose name holds it, "" = all. `nodes`: URLs separated by commas, and no
 * others are looked for; NULL = mDNS and this host's registry. Waits `settle_ms` at most. */
int skein_cluster_open(const char* cluster, const char* nodes, int settle_ms,
                       skein_cluster** opened);
/* After its last series and files are closed. NULL is nothing. */
void skein_cluster_close(skein_cluster* cluster);

typedef struct skein_series_options {
  size_t struct_bytes; /* set by init */
  const char* path;    /* in the cluster: "2024_05_02/run1.pcs"; must not exist */
  int pixel_type;      /* default SKEIN_UINT16 */
  uint32_t width, height, depth; /* pixels; depth default 1 */
  int codec;           /* default SKEIN_RAW */
  int quantize;        /* not 0: by square root, uint16 only, not with SKEIN_RAW */
  float quantize_offset, quantize_scale;
  const char* metadata_json; /* one flat object, or NULL */
  int64_t size_c, size_z, size_t_; /* frames along C, Z and T; -1 = open; default 1, 1, -1 */
  const char* dim_order;     /* default "XYCZT" */
  uint64_t queue_bytes;      /* most bytes accepted and not stored; default 256 MiB */
  unsigned encode_threads;   /* 0 = half of the processors */
  const char* recovery_folder; /* keeps what no node takes; NULL = its bytes are gone, and it is
                                  named all the same */
  int spill;                   /* not 0: what no longer fits the queue goes there, and is sent later */
  uint64_t spill_bytes;        /* most bytes of that; default 16 GiB */
} skein_series_options;
void skein_series_options_init(skein_series_options* options);

int skein_series_create(skein_cluster* cluster, const skein_series_options* options,
                        skein_series** created);

typedef struct skein_frame {
  size_t struct_bytes;  /* set by init */
  const void* pixels;   /* pixel [0][0][0] */
  size_t size_bytes;    /* of the memory, where strides are all 0 */
  ptrdiff_t strides[3]; /* bytes to the neighbour along x, y, z; all 0: dense, x fastest */
  uint64_t timestamp;
} skein_frame;
void skein_frame_init(skein_frame* frame);

/* Copies the frame; it is stored, or named by finish. `index` counts from 0. Returns within
 * `wait_ms`, which may be 0. */
int skein_series_submit(skein_series* series, uint64_t index, const skein_frame* frame, int wait_ms);

/* Takes memory back that was given instead of copied: a camera's buffer may be filled again. Called
 * exactly once for each call that gave it, whatever that returned: by a thread of the library or
 * within a call, several at a time. It must call nothing of the library, and not wait for a thread
 * that does. */
typedef void (*skein_release_function)(void* context);
/* As skein_series_submit(), without the copy if the pixels are dense (else they are copied). They must
 * stay as they are until `release` is called: before the return if the frame is refused or was copied,
 * else once it is coded, or stored, or kept in the recovery folder, or given up; at the latest before
 * skein_series_finish() returns SKEIN_OK or SKEIN_INCOMPLETE, or skein_series_close() returns. It says
 * nothing of the frame's end. NULL: they stay until then. */
int skein_series_submit_given(skein_series* series, uint64_t index, const skein_frame* frame,
                              int wait_ms, skein_release_function release, void* context);
/* `unix_time`: seconds. */
int skein_series_event(skein_series* series, const char* name, const char* description,
                       double unix_time);
/* Waits for all frames and marks the series complete. `metadata_json`: what is to be added, or NULL. */
int skein_series_finish(skein_series* series, const char* metadata_json, int wait_ms);
/* After SKEIN_INCOMPLETE: the numbers that are not stored, in order. Fills at most `most`, returns
 * how many there are. */
size_t skein_series_missing(skein_series* series, uint64_t* indices, size_t most);

typedef struct skein_counters {
  size_t struct_bytes; /* set by the caller: sizeof(skein_counters) */
  uint64_t accepted_frames, stored_frames, failed_frames; /* or files */
  uint64_t coding_frames;            /* before the encoder */
  uint64_t queued_bytes, sent_bytes; /* of files */
  uint64_t offered_again_files;
  double headroom_s; /* until queue, and spill folder, are full; infinity: they are not filling */
  uint64_t spilled_files, spilled_bytes; /* on the local disk, to be sent */
  char slowest_node[128];                /* with most bytes queued; "" = none has any */
} skein_counters;
int skein_series_counters(skein_series* series, skein_counters* counters);

/* Sends what ended programs left in a recovery folder, killed ones too. A file goes from there once
 * a node has it with these bytes. Waits `wait_ms` at most. Both counts may be NULL; they are set
 * unless it is SKEIN_WRONG. SKEIN_INCOMPLETE: `left` of them are there still, for the reason in the
 * error text; call again. SKEIN_FAILED: the folder cannot be read. */
int skein_cluster_send_left_behind(skein_cluster* cluster, const char* folder, int wait_ms,
                                   uint64_t* sent, uint64_t* left);

/* What is not stored yet is given up: finish first. NULL is nothing. */
void skein_series_close(skein_series* series);

/* Files as they are, each under its own path. A node that dies, stops or fills up costs none. */

/* How a file ended: `error` NULL, it is stored; else why not. Once for each accepted file, by
 * threads of the library, or within skein_files_put() and _close(); several at a time. The texts are
 * valid during the call. Of the library it may call skein_files_put() and skein_files_put_given(),
 * with wait_ms 0, alone. */
typedef void (*skein_file_function)(void* context, uint64_t ticket, const char* path,
                                    const char* error);

typedef struct skein_files_options {
  size_t struct_bytes;         /* set by init */
  uint64_t queue_bytes;        /* most bytes accepted and not stored; default 256 MiB */
  uint64_t files_per_chunk;    /* so many files in a row go to one node; default 1 */
  const char* recovery_folder; /* as for a series */
  int spill;
  uint64_t spill_bytes;
  skein_file_function on_done; /* or NULL: skein_files_wait() and _finish() tell */
  void* context;
} skein_files_options;
void skein_files_options_init(skein_files_options* options);
int skein_files_open(skein_cluster* cluster, const skein_files_options* options,
                     skein_files** opened);

/* Copies the bytes; the file is stored, or named by finish. Files with one `key` go to one node; NULL
 * = none. `ticket`, which may be NULL, gets the file's number. Returns within `wait_ms`, which may be
 * 0. */
int skein_files_put(skein_files* files, const char* path, const void* bytes, size_t size_bytes,
                    const char* key, int wait_ms, uint64_t* ticket);
/* The same without the copy: as skein_series_submit_given() does for a frame. Where on_done is called
 * for the file, `release` may be called before it or after it. */
int skein_files_put_given(skein_files* files, const char* path, const void* bytes, size_t size_bytes,
                          const char* key, int wait_ms, uint64_t* ticket,
                          skein_release_function release, void* context);
/* Waits for one file's end: SKEIN_OK, it is stored; SKEIN_TIMED_OUT; else why it failed. */
int skein_files_wait(skein_files* files, uint64_t ticket, int wait_ms);
/* Waits for the end of all files put before. SKEIN_OK also if some failed. */
int skein_files_flush(skein_files* files, int wait_ms);
/* The same for all files; SKEIN_INCOMPLETE if any failed. More may be put afterwards. */
int skein_files_finish(skein_files* files, int wait_ms);

typedef struct skein_failure {
  uint64_t ticket;
  const char* path;
  const char* reason;
  const char* kept_as; /* its bytes' file in the recovery folder; "" = not kept */
} skein_failure;
/* After SKEIN_INCOMPLETE: all failures so far, in the order they happened. Fills at most `most`,
 * returns how many there are. The texts are valid until the next finish, or close. */
size_t skein_files_failures(skein_files* files, skein_failure* failures, size_t most);
int skein_files_counters(skein_files* files, skein_counters* counters);
/* What is not stored yet is given up: finish first. NULL is nothing. */
void skein_files_close(skein_files* files);

#ifdef __cplusplus
}
#endif
