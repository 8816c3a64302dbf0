/* Stores files of this computer in a folder of the cluster, all at once:
 *   cc put_files.c $(pkg-config --cflags --libs skein-streamer) -o put_files
 *   ./put_files http://127.0.0.1:15348 test/logs *.log
 */
#include <skein/skein_stream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char* what, const char* why) {
  fprintf(stderr, "put_files: %s: %s\n", what, why);
  return 1;
}

/* The whole file, to be freed; NULL if it cannot be read. */
static char* content(const char* name, size_t* size_bytes) {
  FILE* file = fopen(name, "rb");
  char* bytes = NULL;
  long size = -1;
  if (file != NULL && fseek(file, 0, SEEK_END) == 0) size = ftell(file);
  if (size >= 0) bytes = malloc((size_t)size + 1);
  if (bytes != NULL) {
    rewind(file);
    *size_bytes = fread(bytes, 1, (size_t)size, file);
    if (*size_bytes != (size_t)size) {
      free(bytes);
      bytes = NULL;
    }
  }
  if (file != NULL) fclose(file);
  return bytes;
}

static int put(skein_files* files, const char* folder, const char* name) {
  size_t size_bytes = 0;
  char* bytes = content(name, &size_bytes);
  if (bytes == NULL) return failed(name, "cannot be read");
  const char* slash = strrchr(name, '/');
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, slash == NULL ? name : slash + 1);
  const int status = skein_files_put(files, path, bytes, size_bytes, NULL, 10000, NULL);
  free(bytes);
  return status == SKEIN_OK ? 0 : failed(name, skein_error_text());
}

/* Names what no node took. */
static int finish(skein_files* files) {
  const int status = skein_files_finish(files, 60000);
  if (status == SKEIN_OK) return 0;
  if (status != SKEIN_INCOMPLETE) return failed("finish", skein_error_text());
  const size_t count = skein_files_failures(files, NULL, 0);
  skein_failure* failures = calloc(count, sizeof *failures);
  if (failures == NULL) return failed("finish", "no memory");
  skein_files_failures(files, failures, count);
  for (size_t i = 0; i < count; ++i) failed(failures[i].path, failures[i].reason);
  free(failures);
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: put_files NODES FOLDER FILE...\n");
    return 2;
  }
  skein_cluster* cluster = NULL;
  if (skein_cluster_open("", argv[1], 2000, &cluster) != SKEIN_OK) {
    return failed("open", skein_error_text());
  }
  skein_files_options options;
  skein_files_options_init(&options);
  skein_files* files = NULL;
  int result = 1;
  if (skein_files_open(cluster, &options, &files) == SKEIN_OK) {
    result = 0;
    for (int i = 3; i < argc; ++i) result |= put(files, argv[2], argv[i]);
    result |= finish(files);
    skein_counters counters;
    counters.struct_bytes = sizeof counters;
    if (skein_files_counters(files, &counters) == SKEIN_OK) {
      printf("%llu of %d files stored\n", (unsigned long long)counters.stored_frames, argc - 3);
    }
  } else {
    failed("open", skein_error_text());
  }
  skein_files_close(files);
  skein_cluster_close(cluster);
  return result;
}
