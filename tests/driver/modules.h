/* Images and launches. Goes in: the text of an image, and launches of its entries. Comes out:
 * kernels run by the emulation when their stream gets there. It never knows what they compute. */
#ifndef TF_DRIVER_MODULES_H
#define TF_DRIVER_MODULES_H
#include <dlfcn.h>

#include <sstream>

#include "streams.h"
#include "tf_emulate.h"

namespace driver {

/* What compute capability 9.0 allows. */
constexpr uint64_t SHARED_WITHOUT_ASKING = 48 << 10;
constexpr int MOST_SHARED = 227 << 10;

/* An entry of a plain library. Goes in: the arguments of a launch, when it is queued. Comes out:
 * what it does when the stream gets there. */
using Plain = void (*)(void *const *, std::function<void()> *);

using Start = int (*)(const tf_emulate_request *, char *, uint64_t);

struct Module {
  Device *device;
  int age;
  bool loaded;
  void *library;
  std::map<std::string, uint32_t> entries; /* with the number of arrays that each takes */
  bool plain; /* its entries are functions of the host: see Plain */
};

struct Function {
  Module *module;
  std::string name;
  void *address;
  uint32_t n_values;
  uint64_t most_dynamic;
};

/* They stay when they are unloaded, for the messages. */
inline std::vector<std::unique_ptr<Module>> modules;
inline std::vector<std::unique_ptr<Function>> functions;

inline bool is_usable(const Module &module) {
  return module.loaded && module.device == context() && module.age == module.device->age;
}

/* The text is
 *   emulated CUDA image
 *   sm MAJOR MINOR
 *   library PATH
 *   entry NAME ARRAYS
 * with as many entries as there are, and a zero at its end; or its first line and
 *   plain LIBRARY
 */
inline Status load(const char *image, int major, int minor, Module **out) {
  if (std::strncmp(image, "emulated CUDA image\n", 20) != 0) return INVALID_IMAGE;
  std::istringstream text(image + 20);
  auto module = std::make_unique<Module>();
  std::string word;
  while (text >> word) {
    if (word == "sm") {
      int wanted_major = 0, wanted_minor = 0;
      text >> wanted_major >> wanted_minor;
      if (wanted_major != major || wanted_minor > minor) return NO_BINARY_FOR_GPU;
    } else if (word == "library" || word == "plain") {
      std::string path;
      text >> path;
      module->plain = word == "plain";
      module->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (module->library == nullptr) fatal("%s", dlerror());
    } else {
      std::string name;
      text >> name;
      text >> module->entries[name];
    }
  }
  module->device = context();
  module->age = module->device->age;
  module->loaded = true;
  *out = module.get();
  modules.push_back(std::move(module));
  return SUCCESS;
}

inline Status find(Module &module, const char *name, Function **out) {
  const auto entry = module.entries.find(name);
  if (entry == module.entries.end() && !module.plain) return NOT_FOUND;
  void *address = dlsym(module.library, name);
  if (address == nullptr) fatal("%s", dlerror());
  const uint32_t n_values = module.plain ? 0 : entry->second;
  functions.push_back(std::make_unique<Function>(
      Function{&module, name, address, n_values, SHARED_WITHOUT_ASKING}));
  *out = functions.back().get();
  return SUCCESS;
}

/* A launch with its arguments, which are copied when it is queued. */
struct Launch {
  tf_emulate_request request;
  std::vector<tf_array> values;
  std::string name;
  int device;
  void *library;

  void run() {
    const auto start = reinterpret_cast<Start>(dlsym(library, "tf_emulate_launch"));
    if (start == nullptr) fatal("%s", dlerror());
    request.values = values.data();
    char error[256] = "";
    const Open open(device);
    if (start(&request, error, sizeof error) != 0) fatal("%s: %s", name.c_str(), error);
  }
};

template <typename T>
T argument(void *const *arguments, int n) {
  T value;
  std::memcpy(&value, arguments[n], sizeof value);
  return value;
}

/* A launch of a plain entry. */
inline std::function<void()> prepare_plain(const Function &function, void *const *arguments) {
  std::function<void()> work;
  reinterpret_cast<Plain>(function.address)(arguments, &work);
  return [work, device = function.module->device->ordinal] {
    const Open open(device);
    work();
  };
}

inline Launch prepare(const Function &function, void *const *arguments) {
  Launch launch = {};
  launch.values.resize(function.n_values);
  std::memcpy(launch.values.data(), arguments[0], function.n_values * sizeof(tf_array));
  launch.name = function.name;
  launch.device = function.module->device->ordinal;
  launch.library = function.module->library;
  tf_emulate_request &request = launch.request;
  request.kernel = function.address;
  request.n_values = function.n_values;
  request.n_rows = argument<int64_t>(arguments, 1);
  request.n_cols = argument<int64_t>(arguments, 2);
  request.cols_per_split = argument<int64_t>(arguments, 3);
  request.splits = argument<int32_t>(arguments, 4);
  request.workspace = argument<void *>(arguments, 5);
  request.shared_limit = function.most_dynamic + SHARED_WITHOUT_ASKING;
  request.seed = last_number;
  return launch;
}

}  // namespace driver
#endif
