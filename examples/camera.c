/* A simulated camera that records a series:
 *   cc camera.c $(pkg-config --cflags --libs skein-streamer) -o camera
 *   ./camera http://127.0.0.1:15348 test/camera.pcs 100
 */
#include <skein/skein_stream.h>
#include <stdio.h>
#include <stdlib.h>

enum { kWidth = 64, kHeight = 48 };

static int failed(const char* what) {
  fprintf(stderr, "camera: %s: %s\n", what, skein_error_text());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: camera NODES SERIES FRAMES\n");
    return 2;
  }
  const unsigned long frames = strtoul(argv[3], NULL, 10);
  skein_cluster* cluster = NULL;
  if (skein_cluster_open("", argv[1], 2000, &cluster) != SKEIN_OK) return failed("open");

  skein_series_options options;
  skein_series_options_init(&options);
  options.path = argv[2];
  options.width = kWidth;
  options.height = kHeight;
  options.codec = SKEIN_HUFFMAN;
  options.metadata_json = "{\"Camera.Name\": \"simulated\", \"Camera.EMGain\": 1.0}";
  skein_series* series = NULL;
  int status = skein_series_create(cluster, &options, &series);
  if (status != SKEIN_OK) {
    skein_cluster_close(cluster);
    return failed("create");
  }
  static uint16_t pixels[kWidth * kHeight];
  for (unsigned long n = 0; n < frames && status == SKEIN_OK; ++n) {
    for (unsigned i = 0; i < kWidth * kHeight; ++i) pixels[i] = (uint16_t)(100 + (i * 7 + n) % 50);
    skein_frame frame;
    skein_frame_init(&frame);
    frame.pixels = pixels;
    frame.size_bytes = sizeof pixels;
    status = skein_series_submit(series, n, &frame, 1000);
  }
  if (status == SKEIN_OK) status = skein_series_event(series, "ProtocolTask", "done", 1.0);
  if (status == SKEIN_OK) status = skein_series_finish(series, NULL, 30000);
  const int result = status == SKEIN_OK ? 0 : failed("record");
  skein_series_close(series);
  skein_cluster_close(cluster);
  if (result == 0) printf("%lu frames stored\n", frames);
  return result;
}
