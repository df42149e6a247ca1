// The cheapest assignment of targets to queries for many small tables at once (Kuhn & Munkres, by shortest paths with
// potentials: Jonker & Volgenant 1987).
//
// cost   [tables, targets, queries] f32, targets <= queries
// counts [tables] targets that a table has
// chosen [tables, targets] the query of each target, -1 behind the last

#include <cstdint>
#include <limits>
#include <vector>

extern "C" void assign(const float* cost, const int32_t* counts, int32_t* chosen, int tables, int targets, int queries) {
  const double far = std::numeric_limits<double>::infinity();
  std::vector<double> u(targets + 1), v(queries + 1), least(queries + 1);
  std::vector<int> owner(queries + 1), from(queries + 1);
  std::vector<char> used(queries + 1);
  for (int t = 0; t < tables; t++) {
    const float* table = cost + (int64_t)t * targets * queries;
    int32_t* out = chosen + (int64_t)t * targets;
    for (int i = 0; i < targets; i++) out[i] = -1;
    std::fill(u.begin(), u.end(), 0);
    std::fill(v.begin(), v.end(), 0);
    std::fill(owner.begin(), owner.end(), 0);
    for (int i = 1; i <= counts[t]; i++) {
      owner[0] = i;
      std::fill(least.begin(), least.end(), far);
      std::fill(used.begin(), used.end(), 0);
      int at = 0;
      do {
        used[at] = 1;
        const int row = owner[at];
        double delta = far;
        int next = 0;
        for (int j = 1; j <= queries; j++) {
          if (used[j]) continue;
          const double c = table[(row - 1) * queries + j - 1] - u[row] - v[j];
          if (c < least[j]) least[j] = c, from[j] = at;
          if (least[j] < delta) delta = least[j], next = j;
        }
        for (int j = 0; j <= queries; j++) {
          if (used[j]) u[owner[j]] += delta, v[j] -= delta;
          else least[j] -= delta;
        }
        at = next;
      } while (owner[at] != 0);
      for (; at; at = from[at]) owner[at] = owner[from[at]];
    }
    for (int j = 1; j <= queries; j++) if (owner[j] > 0) out[owner[j] - 1] = j - 1;
  }
}
