/* Runs launches of emulated CUDA kernels. What goes in: problems, each followed by its launches.
 * What comes out: results, and the kernels' names on stdout; or the emulation's words and status 2.
 * Where a problem has several items, they have the same inputs, and the results are the first's.
 */
#include <dlfcn.h>

namespace {

/* Numbers in an allocation of exactly their size; null: none. */
std::unique_ptr<Memory> table(Reader &in) {
  const uint64_t bytes = in.number() * sizeof(int64_t);
  if (bytes == 0) return nullptr;
  auto memory = std::make_unique<Memory>(sizeof(int64_t), bytes);
  in.bytes(memory->start, bytes);
  return memory;
}

void launch(Reader &in, Problem &problem, std::unique_ptr<Memory> &workspace) {
  const std::string name = in.text();
  tf_emulate_request request = {};
  request.kernel = dlsym(RTLD_DEFAULT, name.c_str());
  request.values = problem.values.data();
  request.n_values = static_cast<uint32_t>(problem.values.size());
  request.grid_x = static_cast<uint32_t>(in.number());
  request.grid_y = static_cast<uint32_t>(in.number());
  request.grid_z = static_cast<uint32_t>(problem.items);
  request.threads = static_cast<uint32_t>(in.number());
  request.shared_bytes = in.number();
  request.n_rows = static_cast<int64_t>(in.number());
  request.n_cols = static_cast<int64_t>(in.number());
  request.cols_per_split = static_cast<int64_t>(in.number());
  request.splits = static_cast<int32_t>(in.number());
  request.seed = in.number();
  const bool renew = in.number() != 0;
  const uint64_t count = in.number();
  if (renew) workspace = std::make_unique<Memory>(64, count);
  request.workspace = workspace ? workspace->start : nullptr;
  const auto tiles = table(in), ranges = table(in);
  if (tiles) request.tiles.at = tiles->at<const tf_tile>(0);
  if (ranges) request.tiles.ranges = ranges->at<const int64_t>(0);
  request.tiles.states = static_cast<int64_t>(in.number());
  char error[256];
  if (tf_emulate_launch(&request, error, sizeof error) != 0) {
    std::printf("%s: %s\n", name.c_str(), error);
    std::exit(2);
  }
}

}  // namespace

int main(int count, char **arguments) {
  return run_all(count, arguments, [](Reader &in, Problem &problem) {
    std::unique_ptr<Memory> workspace;
    for (uint64_t left = in.number(); left != 0; --left) launch(in, problem, workspace);
    if (!problem.items_agree()) {
      std::printf("items with the same inputs have other results\n");
      std::exit(2);
    }
  });
}
