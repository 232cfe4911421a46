/* NVIDIA's driver, as far as tilefold and cudarc call it, on the host. It proves that the host's
 * side of a call is right: the functions that are called, their order, arguments, memory, streams
 * and errors. It proves nothing about a device: README.md says both at length.
 *
 * What goes in: calls of the driver's API. What comes out: their effects, a journal of them, and
 * the end of the program where memory is touched that must not be. It never runs a device's code.
 */
#include "modules.h"

using namespace driver;

using device_ptr = uint64_t;

/* What every function of the driver begins with. */
#define CALL                                                          \
  const std::lock_guard<std::recursive_mutex> lock(everything);       \
  if (fails()) return static_cast<int>(fail_code)

/* What those that work in a context go on with. */
#define IN_CONTEXT                                  \
  Device *const here = context();                   \
  if (here == nullptr) return INVALID_CONTEXT

/* What those that work on a stream go on with. */
#define ON_STREAM                                                         \
  IN_CONTEXT;                                                             \
  Stream *const stream = stream_of(handle);                               \
  if (stream == nullptr || stream->device != here->ordinal) return INVALID_HANDLE

static Device *device_of(int ordinal) {
  const bool is_one = ordinal >= 0 && static_cast<std::size_t>(ordinal) < devices.size();
  return is_one ? devices[static_cast<std::size_t>(ordinal)].get() : nullptr;
}

/* ---- The driver and its devices ---- */

EXPORT int cuInit(unsigned) {
  CALL;
  if (const long status = setting("init", 0)) return static_cast<int>(status);
  if (!devices.empty()) return SUCCESS;
  for (int k = 0; k < setting("devices", 1); ++k) {
    devices.push_back(std::make_unique<Device>(Device{k, 0, 0, {0, k, true, {}, nullptr}}));
  }
  watch();
  return devices.empty() ? NO_DEVICE : SUCCESS;
}

EXPORT int cuDriverGetVersion(int *version) {
  CALL;
  *version = static_cast<int>(setting("version", 12080));
  return SUCCESS;
}

EXPORT int cuDeviceGetCount(int *count) {
  CALL;
  *count = static_cast<int>(devices.size());
  return SUCCESS;
}

EXPORT int cuDeviceGet(int *device, int ordinal) {
  CALL;
  *device = ordinal;
  return device_of(ordinal) == nullptr ? INVALID_DEVICE : SUCCESS;
}

EXPORT int cuDeviceGetName(char *name, int room, int device) {
  CALL;
  std::snprintf(name, static_cast<std::size_t>(room), "emulated device %d", device);
  return SUCCESS;
}

static int compute(int device) { return static_cast<int>(setting("compute", 90, device)); }

EXPORT int cuDeviceGetAttribute(int *value, int which, int device) {
  CALL;
  switch (which) {
    case 16: *value = static_cast<int>(setting("multiprocessors", 3)); break;
    case 75: *value = compute(device) / 10; break;
    case 76: *value = compute(device) % 10; break;
    case 115: *value = static_cast<int>(setting("pools", 1)); break;
    default: return INVALID_VALUE;
  }
  return SUCCESS;
}

static std::size_t capacity(int device) {
  return static_cast<std::size_t>(setting("memory", 1l << 30, device));
}

EXPORT int cuDeviceTotalMem_v2(std::size_t *bytes, int device) {
  CALL;
  *bytes = capacity(device);
  return SUCCESS;
}

EXPORT int cuGetErrorName(int, const char **name) {
  *name = "NAME";
  return SUCCESS;
}

EXPORT int cuGetErrorString(int, const char **text) {
  *text = "text";
  return SUCCESS;
}

/* ---- Contexts ---- */

EXPORT int cuDevicePrimaryCtxRetain(void **out, int device) {
  CALL;
  Device *const it = device_of(device);
  if (it == nullptr) return INVALID_DEVICE;
  ++it->retained;
  *out = it;
  return SUCCESS;
}

EXPORT int cuDevicePrimaryCtxRelease_v2(int device) {
  CALL;
  Device *const it = device_of(device);
  if (it == nullptr || it->retained == 0) return INVALID_CONTEXT;
  if (it->retained > 1) {
    --it->retained;
    return SUCCESS;
  }
  finish_all(*it);
  for (auto &[at, a] : allocations) {
    if (a.live && a.device == device) release(device, reinterpret_cast<uint64_t>(a.data));
  }
  it->retained = 0;
  ++it->age;
  note("context of device %d destroyed", device);
  return SUCCESS;
}

EXPORT int cuCtxGetCurrent(void **out) {
  CALL;
  *out = current;
  return SUCCESS;
}

EXPORT int cuCtxSetCurrent(void *which) {
  CALL;
  for (const auto &device : devices) {
    if (device.get() != which) continue;
    if (device->retained == 0) return INVALID_CONTEXT;
    current = device.get();
    return SUCCESS;
  }
  current = nullptr;
  return which == nullptr ? SUCCESS : INVALID_CONTEXT;
}

EXPORT int cuCtxSynchronize() {
  CALL;
  IN_CONTEXT;
  note("wait for device %d", here->ordinal);
  finish_all(*here);
  return SUCCESS;
}

/* ---- Streams and events ---- */

EXPORT int cuStreamCreate(void **out, unsigned flags) {
  CALL;
  IN_CONTEXT;
  const int id = static_cast<int>(streams.size()) + 1;
  const bool blocking = (flags & 1) == 0;
  streams.push_back(std::make_unique<Stream>(Stream{id, here->ordinal, blocking, {}, nullptr}));
  *out = streams.back().get();
  return SUCCESS;
}

EXPORT int cuStreamDestroy_v2(void *handle) {
  CALL;
  ON_STREAM;
  return stream->id == 0 ? INVALID_HANDLE : SUCCESS;
}

EXPORT int cuStreamSynchronize(void *handle) {
  CALL;
  ON_STREAM;
  if (stream->recording != nullptr) return CAPTURE_UNSUPPORTED;
  note("wait for stream %d", stream->id);
  finish(*stream, last_number);
  return SUCCESS;
}

EXPORT int cuEventCreate(void **out, unsigned) {
  CALL;
  IN_CONTEXT;
  auto event = std::make_unique<Event>(Event{here->ordinal, nullptr, 0});
  *out = event.get();
  events[event.get()] = std::move(event);
  return SUCCESS;
}

static Event *event_of(void *handle) {
  const auto found = events.find(static_cast<Event *>(handle));
  return found == events.end() ? nullptr : found->first;
}

EXPORT int cuEventDestroy_v2(void *handle) {
  CALL;
  return events.erase(static_cast<Event *>(handle)) == 0 ? INVALID_HANDLE : SUCCESS;
}

EXPORT int cuEventRecord(void *which, void *handle) {
  CALL;
  ON_STREAM;
  Event *const event = event_of(which);
  if (event == nullptr || event->device != here->ordinal) return INVALID_HANDLE;
  if (stream->recording != nullptr) return CAPTURE_UNSUPPORTED;
  submit(*stream, [] {});
  event->stream = stream;
  event->number = last_number;
  return SUCCESS;
}

EXPORT int cuStreamWaitEvent(void *handle, void *which, unsigned) {
  CALL;
  ON_STREAM;
  const Event *const event = event_of(which);
  if (event == nullptr) return INVALID_HANDLE;
  if (stream->recording != nullptr) return CAPTURE_ISOLATION;
  if (event->stream != nullptr) wait_for(*stream, *event->stream, event->number);
  return SUCCESS;
}

EXPORT int cuEventQuery(void *which) {
  CALL;
  const Event *const event = event_of(which);
  if (event == nullptr) return INVALID_HANDLE;
  const bool done = event->stream == nullptr || event->stream->queue.empty() ||
                    event->stream->queue.front().number > event->number;
  return done ? SUCCESS : NOT_READY;
}

EXPORT int cuEventSynchronize(void *which) {
  CALL;
  const Event *const event = event_of(which);
  if (event == nullptr) return INVALID_HANDLE;
  note("wait for an event");
  if (event->stream != nullptr) finish(*event->stream, event->number);
  return SUCCESS;
}

/* ---- Graphs: what one stream was told between begin and end ---- */

EXPORT int cuStreamBeginCapture_v2(void *handle, int) {
  CALL;
  ON_STREAM;
  if (stream->id == 0 || stream->recording != nullptr) return CAPTURE_UNSUPPORTED;
  graphs.push_back(std::make_unique<Graph>());
  stream->recording = graphs.back().get();
  return SUCCESS;
}

EXPORT int cuStreamIsCapturing(void *handle, int *status) {
  CALL;
  ON_STREAM;
  *status = stream->recording != nullptr ? 1 : 0;
  return SUCCESS;
}

EXPORT int cuStreamEndCapture(void *handle, void **out) {
  CALL;
  ON_STREAM;
  if (stream->recording == nullptr) return INVALID_VALUE;
  *out = stream->recording;
  stream->recording = nullptr;
  return SUCCESS;
}

EXPORT int cuGraphInstantiateWithFlags(void **out, void *graph, unsigned long long) {
  CALL;
  *out = graph;
  return SUCCESS;
}

EXPORT int cuGraphLaunch(void *which, void *handle) {
  CALL;
  ON_STREAM;
  const Graph &graph = *static_cast<const Graph *>(which);
  note("graph of %zu nodes on stream %d", graph.work.size(), stream->id);
  for (const auto &run : graph.work) submit(*stream, run);
  return SUCCESS;
}

EXPORT int cuGraphExecDestroy(void *) { return SUCCESS; }
EXPORT int cuGraphDestroy(void *) { return SUCCESS; }

/* ---- Memory ---- */

EXPORT int cuMemAlloc_v2(device_ptr *out, std::size_t bytes) {
  CALL;
  IN_CONTEXT;
  const Status status = allocate(here->ordinal, bytes, capacity(here->ordinal), out);
  if (status == SUCCESS) note("allocate %zu bytes on device %d", bytes, here->ordinal);
  return status;
}

EXPORT int cuMemAllocAsync(device_ptr *out, std::size_t bytes, void *handle) {
  CALL;
  ON_STREAM;
  if (setting("pools", 1) == 0) return NOT_SUPPORTED;
  Status status = allocate(here->ordinal, bytes, capacity(here->ordinal), out);
  if (status == OUT_OF_MEMORY) {
    /* What the stream frees before is there for it. */
    finish(*stream, last_number);
    status = allocate(here->ordinal, bytes, capacity(here->ordinal), out);
  }
  if (status == SUCCESS) note("allocate %zu bytes on stream %d", bytes, stream->id);
  return status;
}

static void free_now(int device, device_ptr data) {
  if (!release(device, data)) fatal("%#lx is freed, but nothing begins there", data);
}

EXPORT int cuMemFree_v2(device_ptr data) {
  CALL;
  IN_CONTEXT;
  note("free on device %d", here->ordinal);
  free_now(here->ordinal, data);
  return SUCCESS;
}

EXPORT int cuMemFreeAsync(device_ptr data, void *handle) {
  CALL;
  ON_STREAM;
  note("free on stream %d", stream->id);
  const int device = here->ordinal;
  submit(*stream, [device, data] { free_now(device, data); });
  return SUCCESS;
}

EXPORT int cuMemcpyHtoDAsync_v2(device_ptr to, const void *from, std::size_t bytes, void *handle) {
  CALL;
  ON_STREAM;
  const int device = here->ordinal;
  if (holding(device, to, bytes) == nullptr) return INVALID_VALUE;
  if (stream->recording != nullptr) fatal("a graph would copy what is gone when it runs");
  note("copy %zu bytes to the device on stream %d", bytes, stream->id);
  const char *const start = static_cast<const char *>(from);
  submit(*stream, [device, to, staged = std::vector<char>(start, start + bytes)] {
    const Open open(device);
    std::memcpy(reinterpret_cast<void *>(to), staged.data(), staged.size());
  });
  return SUCCESS;
}

EXPORT int cuMemcpyDtoHAsync_v2(void *to, device_ptr from, std::size_t bytes, void *handle) {
  CALL;
  ON_STREAM;
  if (holding(here->ordinal, from, bytes) == nullptr) return INVALID_VALUE;
  note("copy %zu bytes to the host on stream %d", bytes, stream->id);
  submit(*stream, [] {});
  finish(*stream, last_number);
  const Open open(here->ordinal);
  std::memcpy(to, reinterpret_cast<const void *>(from), bytes);
  return SUCCESS;
}

EXPORT int cuMemcpyDtoDAsync_v2(device_ptr to, device_ptr from, std::size_t bytes, void *handle) {
  CALL;
  ON_STREAM;
  const int device = here->ordinal;
  if (holding(device, to, bytes) == nullptr) return INVALID_VALUE;
  if (holding(device, from, bytes) == nullptr) return INVALID_VALUE;
  note("copy %zu bytes on stream %d", bytes, stream->id);
  submit(*stream, [=] {
    const Open open(device);
    std::memmove(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
  });
  return SUCCESS;
}

EXPORT int cuMemsetD8Async(device_ptr to, unsigned char value, std::size_t bytes, void *handle) {
  CALL;
  ON_STREAM;
  const int device = here->ordinal;
  if (holding(device, to, bytes) == nullptr) return INVALID_VALUE;
  note("set %zu bytes on stream %d", bytes, stream->id);
  submit(*stream, [=] {
    const Open open(device);
    std::memset(reinterpret_cast<void *>(to), value, bytes);
  });
  return SUCCESS;
}

EXPORT int cuMemsetD32Async(device_ptr to, unsigned value, std::size_t count, void *handle) {
  CALL;
  ON_STREAM;
  const int device = here->ordinal;
  if (holding(device, to, 4 * count) == nullptr) return INVALID_VALUE;
  note("set %zu words on stream %d", count, stream->id);
  submit(*stream, [=] {
    const Open open(device);
    std::fill_n(reinterpret_cast<unsigned *>(to), count, value);
  });
  return SUCCESS;
}

/* ---- Modules and launches ---- */

EXPORT int cuModuleLoadData(void **out, const void *image) {
  CALL;
  IN_CONTEXT;
  const int capability = compute(here->ordinal);
  Module *module = nullptr;
  const Status status =
      load(static_cast<const char *>(image), capability / 10, capability % 10, &module);
  if (status == SUCCESS) note("load a module on device %d", here->ordinal);
  *out = module;
  return status;
}

static Module *module_of(void *handle) {
  for (const auto &module : modules) {
    if (module.get() == handle && is_usable(*module)) return module.get();
  }
  return nullptr;
}

EXPORT int cuModuleUnload(void *handle) {
  CALL;
  Module *const module = module_of(handle);
  if (module == nullptr) return INVALID_HANDLE;
  module->loaded = false;
  note("unload a module");
  return SUCCESS;
}

EXPORT int cuModuleGetFunction(void **out, void *handle, const char *name) {
  CALL;
  Module *const module = module_of(handle);
  if (module == nullptr) return INVALID_HANDLE;
  Function *function = nullptr;
  const Status status = find(*module, name, &function);
  *out = function;
  return status;
}

static Function *function_of(void *handle) {
  for (const auto &function : functions) {
    if (function.get() == handle && is_usable(*function->module)) return function.get();
  }
  return nullptr;
}

EXPORT int cuFuncSetAttribute(void *handle, int which, int value) {
  CALL;
  Function *const function = function_of(handle);
  if (function == nullptr) return INVALID_HANDLE;
  if (which != 8 || value < 0 || value > MOST_SHARED) return INVALID_VALUE;
  function->most_dynamic = std::max(SHARED_WITHOUT_ASKING, static_cast<uint64_t>(value));
  return SUCCESS;
}

EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks, void *handle,
                                                                int threads, std::size_t shared,
                                                                unsigned) {
  CALL;
  const Function *const function = function_of(handle);
  if (function == nullptr) return INVALID_HANDLE;
  if (threads < 1 || threads > 1024 || shared > function->most_dynamic) return INVALID_VALUE;
  *blocks = static_cast<int>(setting("resident", 2));
  return SUCCESS;
}

EXPORT int cuLaunchKernel(void *which, unsigned x, unsigned y, unsigned z, unsigned threads,
                          unsigned threads_y, unsigned threads_z, unsigned shared, void *handle,
                          void **arguments, void **extra) {
  CALL;
  ON_STREAM;
  const Function *const function = function_of(which);
  if (function == nullptr) return INVALID_HANDLE;
  const auto fits = [](unsigned blocks) { return blocks >= 1 && blocks <= 65535; };
  const bool grid = x >= 1 && x <= 0x7fffffffu && fits(y) && fits(z);
  const bool block = threads >= 1 && threads <= 1024 && threads_y == 1 && threads_z == 1;
  if (!grid || !block || shared > function->most_dynamic || extra != nullptr) return INVALID_VALUE;
  note("launch %s of %u x %u x %u blocks on stream %d of device %d", function->name.c_str(), x, y,
       z, stream->id, here->ordinal);
  if (function->module->plain) {
    submit(*stream, prepare_plain(*function, arguments));
    return SUCCESS;
  }
  auto launch = std::make_shared<Launch>(prepare(*function, arguments));
  launch->request.grid_x = x;
  launch->request.grid_y = y;
  launch->request.grid_z = z;
  launch->request.threads = threads;
  launch->request.shared_bytes = shared;
  submit(*stream, [launch] { launch->run(); });
  return SUCCESS;
}

/* ---- For the tests ---- */

/* Live allocations on all devices, when all work is done. */
EXPORT int64_t fake_cuda_live() {
  const std::lock_guard<std::recursive_mutex> lock(everything);
  for (const auto &device : devices) finish_all(*device);
  int64_t live = 0;
  for (const auto &[at, a] : allocations) live += a.live ? 1 : 0;
  return live;
}
