/* A stand-in for NVIDIA's driver, for machines without a GPU. "Device" memory is host memory, and
 * the two entries that it knows are those of the fake kernel `dot`, run block by block as a
 * device would: they read their arguments as `tf_cuda_stage` says. Every call is counted, and the
 * k-th one can be made to fail. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "tf_abi.h"

typedef int32_t status;
typedef uint64_t device_ptr;

static int64_t calls, syncs, allocations, live, fail_at, fail_code;

void stand_in_fail(int64_t at, int64_t code) { calls = 0; fail_at = at; fail_code = code; }
int64_t stand_in_calls(void) { return calls; }
int64_t stand_in_syncs(void) { return syncs; }
int64_t stand_in_allocations(void) { return allocations; }
int64_t stand_in_live(void) { return live; }

#define CALL \
  if (++calls == fail_at) return (status)fail_code

status cuInit(unsigned flags) { (void)flags; CALL; return 0; }
status cuDriverGetVersion(int *version) { CALL; *version = 12080; return 0; }
status cuDeviceGetCount(int *count) { CALL; *count = 1; return 0; }
status cuDeviceGet(int *device, int n) { CALL; *device = n; return n == 0 ? 0 : 101; }
status cuDeviceGetName(char *name, int len, int device) {
  (void)device; CALL; strncpy(name, "stand-in", (size_t)len); return 0;
}
status cuDeviceGetAttribute(int *value, int which, int device) {
  (void)device; CALL;
  *value = which == 16 ? 3 : which == 75 ? 9 : which == 115 ? 1 : 0;
  return 0;
}
status cuDeviceTotalMem_v2(size_t *bytes, int device) {
  (void)device; CALL; *bytes = 1u << 30; return 0;
}

status cuDevicePrimaryCtxRetain(void **context, int device) {
  (void)device; CALL; *context = (void *)64; return 0;
}
status cuDevicePrimaryCtxRelease_v2(int device) { (void)device; CALL; return 0; }
status cuCtxGetCurrent(void **context) { CALL; *context = (void *)64; return 0; }
status cuCtxSetCurrent(void *context) { (void)context; CALL; return 0; }
status cuCtxSynchronize(void) { CALL; syncs++; return 0; }
status cuStreamCreate(void **stream, unsigned flags) {
  (void)flags; CALL; *stream = (void *)128; return 0;
}
status cuStreamDestroy_v2(void *stream) { (void)stream; CALL; return 0; }
status cuStreamSynchronize(void *stream) { (void)stream; CALL; syncs++; return 0; }
status cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
  (void)stream; (void)event; (void)flags; CALL; return 0;
}
status cuEventCreate(void **event, unsigned flags) {
  (void)flags; CALL; *event = (void *)192; return 0;
}
status cuEventRecord(void *event, void *stream) { (void)event; (void)stream; CALL; return 0; }
status cuEventDestroy_v2(void *event) { (void)event; CALL; return 0; }
status cuGetErrorName(status code, const char **name) { (void)code; *name = "NAME"; return 0; }
status cuGetErrorString(status code, const char **text) { (void)code; *text = "text"; return 0; }

static status take(device_ptr *out, size_t bytes) {
  if (bytes == 0) return 1;
  void *data = aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!data) return 2;
  memset(data, 0xff, bytes);
  *out = (device_ptr)(uintptr_t)data;
  allocations++;
  live++;
  return 0;
}
static status give_back(device_ptr data) { free((void *)(uintptr_t)data); live--; return 0; }

status cuMemAlloc_v2(device_ptr *out, size_t bytes) { CALL; return take(out, bytes); }
status cuMemAllocAsync(device_ptr *out, size_t bytes, void *stream) {
  (void)stream; CALL; return take(out, bytes);
}
status cuMemFree_v2(device_ptr data) { CALL; return give_back(data); }
status cuMemFreeAsync(device_ptr data, void *stream) { (void)stream; CALL; return give_back(data); }
status cuMemcpyHtoDAsync_v2(device_ptr to, const void *from, size_t bytes, void *stream) {
  (void)stream; CALL; memcpy((void *)(uintptr_t)to, from, bytes); return 0;
}
status cuMemcpyDtoHAsync_v2(void *to, device_ptr from, size_t bytes, void *stream) {
  (void)stream; CALL; memcpy(to, (void *)(uintptr_t)from, bytes); return 0;
}
status cuMemsetD8Async(device_ptr to, unsigned char value, size_t bytes, void *stream) {
  (void)stream; CALL; memset((void *)(uintptr_t)to, value, bytes); return 0;
}

status cuModuleLoadData(void **module, const void *image) {
  CALL; *module = (void *)256; return memcmp(image, "image", 5) == 0 ? 0 : 209;
}
status cuModuleUnload(void *module) { (void)module; CALL; return 0; }
status cuModuleGetFunction(void **function, void *module, const char *name) {
  (void)module; CALL;
  *function = strcmp(name, "rows") == 0 ? (void *)1 : (void *)2;
  return strcmp(name, "rows") == 0 || strcmp(name, "finish") == 0 ? 0 : 500;
}
status cuFuncSetAttribute(void *function, int which, int value) {
  (void)function; (void)which; (void)value; CALL; return 0;
}
status cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *blocks, void *function, int threads, size_t shared, unsigned flags) {
  (void)function; (void)threads; (void)shared; (void)flags; CALL; *blocks = 2; return 0;
}

static float at(tf_array a, int64_t row, int64_t col) {
  return ((const float *)a.data)[row * a.row_stride + col * a.col_stride];
}

typedef struct { tf_array x, y, gamma, a; } dot_values;

/* One row a thread, one state (a double) a thread and split. */
static void rows(dot_values v, int64_t m, int64_t n, int64_t width, double *states,
                 unsigned block, unsigned blocks, unsigned split, unsigned threads) {
  for (unsigned t = 0; t < threads; t++) {
    int64_t i = (int64_t)block * threads + t, j1 = (split + 1) * width;
    double sum = 0;
    for (int64_t j = split * width; i < m && j < n && j < j1; j++)
      sum += (double)at(v.x, i, 0) * at(v.y, j, 0) + (double)at(v.x, i, 1) * at(v.y, j, 1);
    states[((int64_t)split * blocks + block) * threads + t] = sum;
  }
}

static void finish(dot_values v, int64_t m, int32_t splits, const double *states, unsigned block,
                   unsigned blocks, unsigned threads) {
  for (unsigned t = 0; t < threads; t++) {
    int64_t i = (int64_t)block * threads + t;
    double sum = 0;
    for (int32_t split = 0; split < splits; split++)
      sum += states[((int64_t)split * blocks + block) * threads + t];
    if (i < m) ((float *)v.a.data)[i * v.a.row_stride] = (float)(at(v.gamma, 0, 0) * sum);
  }
}

status cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                      unsigned by, unsigned bz, unsigned shared, void *stream, void **arguments,
                      void **extra) {
  (void)shared; (void)stream; CALL;
  if (gz != 1 || by != 1 || bz != 1 || extra || gx == 0 || gy == 0) return 1;
  dot_values values;
  memcpy(&values, arguments[0], sizeof values);
  int64_t m = *(int64_t *)arguments[1], n = *(int64_t *)arguments[2];
  int64_t width = *(int64_t *)arguments[3];
  int32_t splits = *(int32_t *)arguments[4];
  double *states = *(double **)arguments[5];
  for (unsigned x = 0; x < gx; x++)
    for (unsigned y = 0; y < gy; y++) {
      if (function == (void *)1) rows(values, m, n, width, states, x, gx, y, bx);
      else finish(values, m, splits, states, x, gx, bx);
    }
  return 0;
}
