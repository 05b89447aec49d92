// Steps of Adam for the rows of a table that are read: each row once through the cache.
//
// A row of `moments` is m, v and m / (sqrt(v) + eps), one after the other. Rows are distinct, so that
// their order does not matter. REAL is float or double, by the compiler's command line.
//
// Source: Kingma & Ba (2015), algorithm 1; see lazy_adam.py for what is missed between two steps.

#include <cmath>
#include <cstdint>

struct Table {
  int64_t rows, size; // of a row
  REAL *weights;
  REAL *moments;
  int64_t *last;  // step of each row
  double *moved;  // along its direction, since
};

namespace {
// rows are far apart: the next ones are fetched while this one is worked on
void fetch(const REAL *from, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / int64_t(sizeof(REAL)))
    __builtin_prefetch(from + i, 1);
}

constexpr int64_t AHEAD = 4;

// what is not there is neither read nor written: the rows before it are done
enum Result { FINE, NO_ROW, NO_STEP };

bool among(int64_t index, int64_t count) { return uint64_t(index) < uint64_t(count); }
} // namespace

extern "C" {
// moves rows as far as steps without a gradient would have: `missed` by last step, from `settled` on
int catch_up(const Table *table, int64_t count, const int64_t *rows, const double *missed,
             int64_t steps, int64_t settled) {
  const int64_t size = table->size;
  for (int64_t i = 0; i < count; ++i) {
    if (i + AHEAD < count) {
      const int64_t next = rows[i + AHEAD];
      fetch(table->weights + next * size, size);
      fetch(table->moments + (3 * next + 2) * size, size);
    }
    const int64_t row = rows[i];
    if (!among(row, table->rows)) return NO_ROW;
    const int64_t place = table->last[row] - settled;
    if (!among(place, steps)) return NO_STEP;
    const double due = missed[place];
    const REAL distance = REAL(due - table->moved[row]);
    table->moved[row] = due;
    REAL *__restrict__ weights = table->weights + row * size;
    const REAL *__restrict__ direction = table->moments + (3 * row + 2) * size;
    if (distance != 0)
      for (int64_t j = 0; j < size; ++j)
        weights[j] -= distance * direction[j];
  }
  return FINE;
}

// `eps` is of sqrt(v) before its bias is corrected; with `fades`, moments do so in missed steps
int step(const Table *table, int64_t count, const int64_t *rows, const REAL *gradients,
         int64_t number, double beta1, double beta2, double eps, double distance, int64_t fades) {
  const int64_t size = table->size;
  const REAL to1 = REAL(1 - beta1), to2 = REAL(1 - beta2), add = REAL(eps), far = REAL(distance);
  for (int64_t i = 0; i < count; ++i) {
    if (i + AHEAD < count) {
      fetch(table->weights + rows[i + AHEAD] * size, size);
      fetch(table->moments + 3 * rows[i + AHEAD] * size, 3 * size);
    }
    const int64_t row = rows[i];
    if (!among(row, table->rows)) return NO_ROW;
    if (!among(table->last[row], number)) return NO_STEP;
    const double missed = fades ? double(number - 1 - table->last[row]) : 0;
    const REAL fade1 = REAL(std::pow(beta1, missed));
    const REAL fade2 = REAL(std::pow(beta2, missed) * beta2);
    table->last[row] = number;
    table->moved[row] = 0;
    REAL *__restrict__ weights = table->weights + row * size;
    REAL *__restrict__ m = table->moments + 3 * row * size;
    REAL *__restrict__ v = m + size;
    REAL *__restrict__ direction = v + size;
    const REAL *__restrict__ gradient = gradients + i * size;
    for (int64_t j = 0; j < size; ++j) {
      const REAL g = gradient[j], faded = m[j] * fade1;
      m[j] = faded + to1 * (g - faded);
      v[j] = v[j] * fade2 + to2 * g * g;
      direction[j] = m[j] / (std::sqrt(v[j]) + add);
      weights[j] -= far * direction[j];
    }
  }
  return FINE;
}
}
