// Tomtom: p-values of the best overlap of motifs with target motifs, one strand each.
//
// Source: Gupta, Stamatoyannopoulos, Bailey & Noble (2007), with complete scores; binned medians and
// weighted target columns as in memelite (Schreiber 2025). Scores are whole numbers, so that they are
// memelite's own; p-values differ from it by the rounding of sums. The compiler must not fuse products
// with sums here (build.py), since a score that is rounded otherwise is another score.
//
// A query column scores a target column by minus their distance, less the median over all targets.
// What a target does not cover counts as much as the median. The probability of a sum comes from the
// histograms of its columns; that of the best of several overlaps from theirs, as if independent.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {
constexpr int64_t LETTERS = 4, SCORE_BINS = 100, MEDIAN_BINS = 1000;

enum Result { FINE, OUTSIDE };
} // namespace

struct Motifs {
  int64_t queries, targets, columns; // of the targets, distinct ones
  const double *query_columns;       // (distinct, letters)
  const double *query_norms;         // squared
  const int64_t *query_ids;          // distinct column of each column of the queries
  const int64_t *query_starts;       // (queries + 1)
  const double *target_columns;      // (letters, columns)
  const double *target_norms;
  const int64_t *target_counts; // how often each distinct column is there
  const int64_t *target_ids;
  const int64_t *target_starts; // (targets + 1)
  double *p_values;             // (queries, targets), as all that follow
  int64_t *scores, *offsets, *overlaps;
};

namespace {
using Values = std::vector<double>;

// of a query column with all target columns: minus the distance
struct Column {
  int64_t id = -1;
  Values distances;
  double lowest = 0, highest = 0, median = 0;
  // as whole numbers from `shift` on, `scale` to one of distance
  int64_t shift = 0, scale = 0;
  std::vector<int32_t> bins;
  Values histogram; // (SCORE_BINS + 1), shares of target columns
};

// the mean of the bin that holds the median
double median_of(const Column &column, const int64_t *counts, std::vector<int32_t> &places) {
  const double range = column.highest - column.lowest;
  const int64_t size = int64_t(column.distances.size());
  if (range == 0) return column.lowest;
  for (int64_t j = 0; j < size; ++j)
    places[j] = int32_t((column.distances[j] - column.lowest) / range * (MEDIAN_BINS - 1));
  int64_t held[MEDIAN_BINS] = {0}, all = 0;
  for (int64_t j = 0; j < size; ++j) held[places[j]] += counts[j], all += counts[j];
  int64_t below = 0;
  for (int32_t bin = 0; bin < MEDIAN_BINS; ++bin) {
    below += held[bin];
    if (double(below) < double(all) / 2) continue;
    double sum = 0;
    for (int64_t j = 0; j < size; ++j)
      if (places[j] == bin) sum += column.distances[j] * double(counts[j]);
    return sum / double(held[bin]);
  }
  return column.highest;
}

void measure(const Motifs &given, Column &column, std::vector<int32_t> &places) {
  const double *x = given.query_columns + LETTERS * column.id, norm = given.query_norms[column.id];
  const double a = 2 * x[0], c = 2 * x[1], g = 2 * x[2], t = 2 * x[3];
  const double *y = given.target_columns;
  const int64_t size = given.columns;
  column.distances.resize(size);
  double *distances = column.distances.data();
  for (int64_t j = 0; j < size; ++j) {
    double square = norm + given.target_norms[j];
    square -= a * y[j];
    square -= c * y[size + j];
    square -= g * y[2 * size + j];
    square -= t * y[3 * size + j];
    distances[j] = square > 0 ? -std::sqrt(square) : 0;
  }
  const auto ends = std::minmax_element(column.distances.begin(), column.distances.end());
  column.lowest = *ends.first, column.highest = *ends.second;
  column.median = median_of(column, given.target_counts, places);
  column.scale = 0;
}

// distances in whole numbers, and how often each is there
bool round_off(Column &column, int64_t shift, int64_t scale, const Values &shares) {
  if (column.scale == scale && column.shift == shift) return true;
  column.shift = shift, column.scale = scale;
  const int64_t size = int64_t(column.distances.size());
  const double zero = column.median + double(shift), by = double(scale);
  column.bins.resize(size);
  for (int64_t j = 0; j < size; ++j)
    column.bins[j] = int32_t(std::floor((column.distances[j] - zero) * by + 0.5));
  column.histogram.assign(SCORE_BINS + 1, 0.0);
  for (int64_t j = 0; j < size; ++j) {
    if (column.bins[j] < 0 || column.bins[j] > SCORE_BINS) return false;
    column.histogram[column.bins[j]] += shares[j];
  }
  return true;
}

// probabilities of sums from `first` on
struct Sums {
  int64_t first = 0;
  Values shares;
};

Sums of_column(const Column &column) {
  int64_t low = 0, high = SCORE_BINS;
  while (low < high && column.histogram[low] == 0) ++low;
  while (high > low && column.histogram[high] == 0) --high;
  const auto begin = column.histogram.begin();
  return {low, Values(begin + low, begin + high + 1)};
}

Sums added(const Sums &one, const Sums &other) {
  const int64_t size = int64_t(one.shares.size()), count = int64_t(other.shares.size());
  Sums sums{one.first + other.first, Values(size + count - 1, 0.0)};
  const double *__restrict__ from = one.shares.data();
  int64_t s = 0;
  for (; s + 4 <= count; s += 4) { // four at a time: each sum is loaded and stored once for them
    const double *f = other.shares.data() + s;
    double *__restrict__ into = sums.shares.data() + s;
    const double f0 = f[0], f1 = f[1], f2 = f[2], f3 = f[3];
    auto edge = [&](int64_t k) {
      for (int64_t r = 0; r < 4; ++r)
        if (k - r >= 0 && k - r < size) into[k] += f[r] * from[k - r];
    };
    const int64_t inner = std::min<int64_t>(3, size + 3);
    for (int64_t k = 0; k < inner; ++k) edge(k);
    for (int64_t k = 3; k < size; ++k)
      into[k] += (f0 * from[k] + f1 * from[k - 1]) + (f2 * from[k - 2] + f3 * from[k - 3]);
    for (int64_t k = std::max<int64_t>(3, size); k < size + 3; ++k) edge(k);
  }
  for (; s < count; ++s)
    for (int64_t k = 0; k < size; ++k) sums.shares[s + k] += other.shares[s] * from[k];
  return sums;
}

// of each score from `low` on, the probability of at least that: of the best of what was taken in
struct Tail {
  int64_t low;
  Values beyond;

  // takes in one more overlap, with `rest` for what it does not cover
  void take(const Sums &sums, int64_t rest, Values &room) {
    const int64_t size = int64_t(sums.shares.size()), first = sums.first + rest - low;
    double sum = 0;
    room.resize(size);
    for (int64_t k = size - 1; k >= 0; --k) room[k] = sum += sums.shares[k];
    std::fill(beyond.begin(), beyond.begin() + first + 1, 1.0);
    double *__restrict__ into = beyond.data() + first;
    const double *__restrict__ from = room.data();
    for (int64_t k = 1; k < size; ++k) into[k] += from[k] * (1 - into[k]);
  }

  void take(const Tail &other) {
    for (size_t k = 0; k < beyond.size(); ++k) beyond[k] += other.beyond[k] * (1 - beyond[k]);
  }

  double operator()(int64_t score) const {
    if (score <= low) return 1;
    return score - low < int64_t(beyond.size()) ? std::min(beyond[score - low], 1.0) : 0;
  }
};

// by length of a target: of the best overlap with random columns
std::vector<Tail> backgrounds(const std::vector<Sums> &columns, int64_t rest,
                              const std::vector<char> &wanted) {
  const int64_t width = int64_t(columns.size()), longest = int64_t(wanted.size()) - 1;
  int64_t low = INT64_MAX, high = 0, inner = 0;
  for (int64_t i = 0; i < width; ++i) {
    int64_t first = 0, last = 0;
    for (int64_t j = i; j < width; ++j) {
      first += columns[j].first;
      last += columns[j].first + int64_t(columns[j].shares.size()) - 1;
      low = std::min(low, first + rest * (width - 1 - (j - i)));
      high = std::max(high, last + rest * (width - 1 - (j - i)));
    }
  }
  for (int64_t t = 1; t < width && t <= longest; ++t)
    if (wanted[t]) inner = t;
  const Tail none{low, Values(high - low + 1, 0.0)};
  std::vector<Tail> tails(wanted.size(), Tail{low, {}});
  Values room;
  Tail ends = none; // of overlaps that reach over an end of the query, shorter than `size`
  std::vector<Sums> spans = columns;
  Sums first = columns[0], last = columns[width - 1];
  for (int64_t size = 1; size < width; ++size) {
    if (size > 1) {
      first = added(first, columns[size - 1]);
      last = added(last, columns[width - size]);
      for (int64_t i = 0; i + size <= width && size <= inner; ++i)
        spans[i] = added(spans[i], columns[i + size - 1]);
    }
    const int64_t outside = rest * (width - size);
    if (size <= longest && wanted[size]) {
      tails[size] = ends;
      for (int64_t i = 0; i + size <= width; ++i) tails[size].take(spans[i], outside, room);
    }
    ends.take(first, outside, room);
    ends.take(last, outside, room);
  }
  const Sums all = width > 1 ? added(first, columns[width - 1]) : first;
  Tail whole = none;
  whole.take(all, 0, room);
  for (int64_t t = width; t <= longest; ++t) {
    ends.take(whole);
    if (wanted[t]) tails[t] = ends;
  }
  return tails;
}

// the best overlap of a query with each target; of equal ones as memelite has it
void best_overlaps(const Motifs &given, const std::vector<int32_t> &scores, int64_t width,
                   int64_t rest, const std::vector<Tail> &tails, int64_t query) {
  std::vector<int32_t> sums;
  for (int64_t target = 0; target < given.targets; ++target) {
    const int64_t *ids = given.target_ids + given.target_starts[target];
    const int64_t length = given.target_starts[target + 1] - given.target_starts[target];
    sums.assign(length + width - 1, int32_t(width * rest));
    for (int64_t k = 0; k < length; ++k) {
      const int32_t *row = scores.data() + ids[k] * width;
      int32_t *__restrict__ into = sums.data() + k;
      for (int64_t l = 0; l < width; ++l) into[l] += row[l];
    }
    const int32_t most = *std::max_element(sums.begin(), sums.end());
    int64_t offset = 0, overlap = 0;
    bool is_found = false;
    for (int64_t k = 0; most > 0 && k < int64_t(sums.size()); ++k) {
      if (sums[k] != most) continue;
      const int64_t shared =
          std::min(k + 1, width) - std::max<int64_t>(0, k - length + 1);
      if (is_found && offset >= shared) continue;
      is_found = true, offset = k - width + 1, overlap = shared;
    }
    const int64_t place = query * given.targets + target;
    given.p_values[place] = is_found ? tails[length](most) : 1;
    given.scores[place] = std::max(most, 0);
    given.offsets[place] = offset, given.overlaps[place] = overlap;
  }
}
} // namespace

extern "C" int compare(const Motifs *motifs) {
  const Motifs &given = *motifs;
  const int64_t columns = given.columns;
  int64_t longest = 0, all = 0;
  for (int64_t t = 0; t < given.targets; ++t)
    longest = std::max(longest, given.target_starts[t + 1] - given.target_starts[t]);
  std::vector<char> wanted(longest + 1, 0);
  for (int64_t t = 0; t < given.targets; ++t)
    wanted[given.target_starts[t + 1] - given.target_starts[t]] = 1;
  for (int64_t k = 0; k < given.target_starts[given.targets]; ++k)
    if (given.target_ids[k] < 0 || given.target_ids[k] >= columns) return OUTSIDE;
  for (int64_t j = 0; j < columns; ++j) all += given.target_counts[j];
  Values shares(columns);
  for (int64_t j = 0; j < columns; ++j) shares[j] = double(given.target_counts[j]) / double(all);
  std::vector<int32_t> places(columns);
  std::vector<Column> held, used; // orders of the same columns follow each other
  std::vector<int32_t> scores;
  for (int64_t query = 0; query < given.queries; ++query) {
    const int64_t *ids = given.query_ids + given.query_starts[query];
    const int64_t width = given.query_starts[query + 1] - given.query_starts[query];
    used.assign(width, Column());
    std::vector<int64_t> from(width); // places of equal columns share one
    for (int64_t i = 0; i < width; ++i) {
      from[i] = std::find(ids, ids + i, ids[i]) - ids;
      if (from[i] < i) continue;
      const auto same = [&](const Column &column) { return column.id == ids[i]; };
      const auto known = std::find_if(held.begin(), held.end(), same);
      if (known != held.end()) {
        std::swap(used[i], *known);
        continue;
      }
      used[i].id = ids[i];
      measure(given, used[i], places);
    }
    double lowest = INFINITY, highest = -INFINITY;
    for (int64_t i = 0; i < width; ++i) {
      const Column &column = used[from[i]];
      lowest = std::min(lowest, column.lowest - column.median);
      highest = std::max(highest, column.highest - column.median);
    }
    const int64_t shift = int64_t(std::floor(lowest));
    const int64_t scale = int64_t(std::floor(SCORE_BINS / std::max(highest - double(shift), 1.0)));
    const int64_t rest = -shift * scale; // the score of the median
    std::vector<Sums> histograms;
    scores.resize(columns * width);
    for (int64_t i = 0; i < width; ++i) {
      Column &column = used[from[i]];
      if (!round_off(column, shift, scale, shares)) return OUTSIDE;
      histograms.push_back(of_column(column));
      int32_t *into = scores.data() + (width - 1 - i);
      for (int64_t j = 0; j < columns; ++j) into[j * width] = column.bins[j] - int32_t(rest);
    }
    best_overlaps(given, scores, width, rest, backgrounds(histograms, rest, wanted), query);
    held.swap(used);
  }
  return FINE;
}
