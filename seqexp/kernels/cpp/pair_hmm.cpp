// Sums over all alignments of reads with candidates, by a pair hidden Markov model of 1 to 4 states.
//
// A cell (i, j) stands for "the first i bases of the candidate have written the first j letters of
// the read". F_s(i, j) sums all ways from (0, 0) to state s of it, B_s(i, j) all ways from there to
// the end. A group of LANES pairs goes through the cells together, a lane of a vector each, row by
// row; rows are divided by their largest entry now and then, whose logarithm is kept.
//
// States, by how many there are, and where each event leads:
//   1: all the same
//   2: clean, recent error            insertion, deletion, substitution -> recent
//   3: clean, after a gap, recent     insertion, deletion -> after a gap; substitution -> recent
//   4: clean, after an insertion, after a deletion, recent
//                                     insertion -> 1, deletion -> 2, substitution -> recent
// A copied base leaves clean clean, leads from a gap to recent, and stays in recent by `stay`.
// (Of 2 states, a gap is recent itself.)
//
// Source: Durbin, Eddy, Krogh & Mitchison (1998), sec. 4.2.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "room.h"
#include "threads.h"

struct Pairs {
  int64_t pairs, bases, length, states, threads;
  // of each pair, rows of padding included; letters and bases are 0 to 3, -1 where there are none
  const double *emission;    // (pairs, states, bases, 4): a base is passed on as a letter
  const double *insertion;   // (pairs, states, bases + 1, 4): a letter in the gap before a base
  const double *deletion;    // (pairs, states, bases)
  const double *stay;        // (pairs, bases), for several states
  const double *end;         // (pairs, states): of the end after all
  const double *after_last;  // (pairs, 4): insertions of the last gap on the way *to* it, or null
  const int64_t *base, *read, *num_bases, *num_letters;
  const int64_t *band;  // (pairs): cells with |i - j| above the largest of a group are left out
  double *log_likelihood;  // (pairs)
  // derivatives of the log-likelihood by the rates, of the same shapes; null where none are wanted
  double *passed, *inserted, *skipped, *stayed, *ended;
  double *through;  // (pairs, bases + 1): ways through any cell of a row, divided by the likelihood
  // or, in place of the rates above: a table of kinds of places, and the kind of each
  int64_t kinds;
  const float *table;    // (kinds, states * 9 + 1 + states), see `take_by_place`
  const int64_t *place;  // (pairs, bases + 1); null where rates are given by pair
};

namespace {
constexpr int LANES = 8, LETTERS = 4, RESCALE_EVERY = 8;
typedef double Lanes __attribute__((vector_size(LANES * sizeof(double))));

Lanes each(double value) { return value - Lanes{}; }

// where events lead from each state
template <int S> struct Leads {
  static constexpr int inserted = S > 1 ? 1 : 0, deleted = S == 4 ? 2 : S > 1 ? 1 : 0;
  static constexpr int recent = S - 1;  // after a substitution
};

// what the ways behind a copied base are worth to each state before it: B of where it leads
template <int S>
inline Lanes copied(const Lanes *behind, int state, Lanes stay) {
  if (S == 1 || state == 0) return behind[0];
  if (state == S - 1) return stay * behind[S - 1] + (1 - stay) * behind[0];
  return behind[S - 1];
}

template <int S> class Group {
 public:
  Group(const Pairs &all, int64_t first)
      : all_(all), first_(first), count_(std::min<int64_t>(LANES, all.pairs - first)),
        bases_(largest(all.num_bases)), length_(largest(all.num_letters)),
        band_(std::min(largest(all.band), std::max(bases_, length_))),
        width_(std::min(2 * band_ + 1, length_ + 1)), emission_((bases_ + 1) * S * LETTERS),
        insertion_((bases_ + 1) * S * LETTERS), deletion_((bases_ + 1) * S), stay_(bases_ + 1),
        is_base_((bases_ + 1) * LETTERS), is_letter_((length_ + 1) * LETTERS), end_(S),
        last_(LETTERS) {
    take();
  }

  void run(bool with_sums) {
    Room<Lanes> kept((with_sums ? bases_ + 1 : 2) * width_ * S);
    Room<Lanes> scales(bases_ + 1);
    forward(kept, scales, with_sums);
    if (with_sums) backward(kept, scales);
  }

 private:
  const Pairs &all_;
  const int64_t first_, count_, bases_, length_, band_, width_;
  // rates side by side, a lane a pair, zeros for what is not there
  Room<Lanes> emission_, insertion_, deletion_, stay_, is_base_, is_letter_, end_, last_;
  Lanes found_ = {};

  int64_t largest(const int64_t *values) const {
    return *std::max_element(values + first_, values + first_ + count_);
  }
  int64_t low(int64_t i) const { return std::max<int64_t>(0, i - band_); }
  int64_t high(int64_t i) const { return std::min(length_, i + band_); }

  void take() {
    if (all_.place) return take_by_place();
    auto clear = [](Lanes *values, int64_t count) { std::fill(values, values + count, Lanes{}); };
    clear(emission_, (bases_ + 1) * S * LETTERS), clear(insertion_, (bases_ + 1) * S * LETTERS);
    clear(deletion_, (bases_ + 1) * S), clear(stay_, bases_ + 1), clear(end_, S);
    clear(is_base_, (bases_ + 1) * LETTERS), clear(is_letter_, (length_ + 1) * LETTERS);
    clear(last_, LETTERS);
    for (int64_t lane = 0; lane < count_; ++lane) {
      const int64_t pair = first_ + lane, bases = all_.num_bases[pair];
      for (int s = 0; s < S; ++s) {
        const double *emission = all_.emission + (pair * S + s) * all_.bases * LETTERS;
        const double *insertion = all_.insertion + (pair * S + s) * (all_.bases + 1) * LETTERS;
        const double *deletion = all_.deletion + (pair * S + s) * all_.bases;
        for (int64_t i = 0; i <= bases; ++i)
          for (int b = 0; b < LETTERS; ++b) {
            insertion_[(i * S + s) * LETTERS + b][lane] = insertion[i * LETTERS + b];
            if (i < bases)
              emission_[(i * S + s) * LETTERS + b][lane] = emission[i * LETTERS + b];
          }
        for (int64_t i = 0; i < bases; ++i)
          deletion_[i * S + s][lane] = deletion[i];
        end_[s][lane] = all_.end[pair * S + s];
      }
      for (int64_t i = 0; i < bases && S > 1; ++i) {
        stay_[i][lane] = all_.stay[pair * all_.bases + i];
        is_base_[i * LETTERS + all_.base[pair * all_.bases + i]][lane] = 1;
      }
      for (int64_t j = 0; j < all_.num_letters[pair]; ++j)
        is_letter_[j * LETTERS + all_.read[pair * all_.length + j]][lane] = 1;
      if (all_.after_last)
        for (int b = 0; b < LETTERS; ++b) {
          const int64_t at = (bases * S) * LETTERS + b;
          last_[b][lane] = all_.after_last[pair * LETTERS + b] - insertion_[at][lane];
        }
    }
  }

  // the same of a table: of each state emissions, insertions, deletion; then stay; then the ends
  void take_by_place() {
    constexpr int RATES = 2 * LETTERS + 1, WIDTH = S * RATES + 1 + S;
    std::fill(is_base_ + 0, is_base_ + bases_ * LETTERS, Lanes{});
    std::fill(is_letter_ + 0, is_letter_ + length_ * LETTERS, Lanes{});
    std::fill(end_ + 0, end_ + S, Lanes{});
    const float nothing[WIDTH] = {};
    for (int64_t i = 0; i <= bases_; ++i) {
      const float *rates[LANES];
      for (int lane = 0; lane < LANES; ++lane) {
        const int64_t pair = first_ + lane;
        const bool is_there = lane < count_ && i <= all_.num_bases[pair];
        const int64_t kind = is_there ? all_.place[pair * (all_.bases + 1) + i] : 0;
        rates[lane] = is_there ? all_.table + kind * WIDTH : nothing;
        if (!is_there || i < all_.num_bases[pair]) continue;
        for (int s = 0; s < S; ++s)
          end_[s][lane] = rates[lane][S * RATES + 1 + s];
      }
      auto side_by_side = [&](int column) {
        Lanes values;
        for (int lane = 0; lane < LANES; ++lane)
          values[lane] = rates[lane][column];
        return values;
      };
      for (int s = 0; s < S; ++s) {
        for (int b = 0; b < LETTERS; ++b) {
          emission_[(i * S + s) * LETTERS + b] = side_by_side(s * RATES + b);
          insertion_[(i * S + s) * LETTERS + b] = side_by_side(s * RATES + LETTERS + b);
        }
        deletion_[i * S + s] = side_by_side(s * RATES + 2 * LETTERS);
      }
      stay_[i] = side_by_side(S * RATES);
    }
    for (int64_t lane = 0; lane < count_; ++lane) {
      const int64_t pair = first_ + lane;
      for (int64_t i = 0; i < all_.num_bases[pair] && S > 1; ++i)
        is_base_[i * LETTERS + all_.base[pair * all_.bases + i]][lane] = 1;
      for (int64_t j = 0; j < all_.num_letters[pair]; ++j)
        is_letter_[j * LETTERS + all_.read[pair * all_.length + j]][lane] = 1;
    }
  }

  // the rate of what was read, of four
  static Lanes of(const Lanes *letter, const Lanes *rates) {
    return letter[0] * rates[0] + letter[1] * rates[1] + letter[2] * rates[2] +
           letter[3] * rates[3];
  }

  // insertions on the way to the last gap are other ones, where those are asked for
  void change_last(double sign) {
    if (!all_.after_last) return;
    for (int64_t lane = 0; lane < count_; ++lane)
      for (int b = 0; b < LETTERS; ++b)
        insertion_[all_.num_bases[first_ + lane] * S * LETTERS + b][lane] += sign * last_[b][lane];
  }

  static Lanes rescale(Lanes *row, int64_t count) {
    Lanes most = {}, logs = {}, by = each(1);
    for (int64_t k = 0; k < count; ++k)
      most = row[k] > most ? row[k] : most;
    for (int l = 0; l < LANES; ++l)
      if (most[l] > 0) logs[l] = std::log(most[l]), by[l] = 1 / most[l];
    for (int64_t k = 0; k < count; ++k)
      row[k] *= by;
    return logs;
  }

  void forward(Lanes *kept, Lanes *scales, bool keeps) {
    using To = Leads<S>;
    change_last(1);
    for (int64_t i = 0; i <= bases_; ++i) {
      const int64_t begin = low(i), end = high(i), before = i ? low(i - 1) : 0;
      Lanes *row = kept + (keeps ? i : i % 2) * width_ * S;
      const Lanes *last = kept + (keeps ? i - 1 : (i + 1) % 2) * width_ * S;
      const Lanes *insertion = insertion_ + i * S * LETTERS;
      const Lanes *emission = emission_ + (i - 1) * S * LETTERS;
      for (int64_t j = begin; j <= end; ++j) {
        Lanes sums[S] = {};
        const Lanes *letter = is_letter_ + (j - 1) * LETTERS;
        if (i == 0 && j == 0) sums[0] = each(1);
        if (i > 0 && j <= high(i - 1)) {
          const Lanes *from = last + (j - before) * S;
          for (int s = 0; s < S; ++s)
            sums[To::deleted] += deletion_[(i - 1) * S + s] * from[s];
        }
        if (i > 0 && j - 1 >= before) {
          const Lanes *from = last + (j - 1 - before) * S;
          if (S == 1) {
            sums[0] += of(letter, emission) * from[0];
          } else {
            const Lanes same = of(letter, is_base_ + (i - 1) * LETTERS), stay = stay_[i - 1];
            for (int s = 0; s < S; ++s) {
              const Lanes passed = of(letter, emission + s * LETTERS) * from[s];
              const Lanes copy = passed * same;
              const Lanes clean = s == 0 ? copy : s == S - 1 ? copy * (1 - stay) : Lanes{};
              sums[0] += clean;
              sums[To::recent] += passed - clean;
            }
          }
        }
        if (j > begin) {
          const Lanes *from = row + (j - 1 - begin) * S;
          for (int s = 0; s < S; ++s)
            sums[To::inserted] += of(letter, insertion + s * LETTERS) * from[s];
        }
        for (int s = 0; s < S; ++s)
          row[(j - begin) * S + s] = sums[s];
      }
      scales[i] = i ? scales[i - 1] : Lanes{};
      if (i % RESCALE_EVERY == 0) scales[i] += rescale(row, (end - begin + 1) * S);
      note(i, row, scales[i]);
    }
    change_last(-1);
  }

  // log-likelihoods of the pairs that end in this row
  void note(int64_t i, const Lanes *row, Lanes scale) {
    for (int64_t lane = 0; lane < count_; ++lane) {
      const int64_t pair = first_ + lane, j = all_.num_letters[pair];
      if (all_.num_bases[pair] != i) continue;
      double value = 0;
      if (j >= low(i) && j <= high(i))
        for (int s = 0; s < S; ++s)
          value += row[(j - low(i)) * S + s][lane] * end_[s][lane];
      found_[lane] = std::log(value) + scale[lane];
      all_.log_likelihood[pair] = found_[lane];
    }
  }

  void backward(const Lanes *kept, const Lanes *scales) {
    using To = Leads<S>;
    Room<Lanes> rows(2 * width_ * S);
    Lanes scale = {}, behind_scale = {};
    for (int64_t i = bases_; i >= 0; --i) {
      const int64_t begin = low(i), end = high(i), next = low(i + 1);
      Lanes *row = rows + (i % 2) * width_ * S;
      const Lanes *behind = rows + ((i + 1) % 2) * width_ * S, *ahead = kept + i * width_ * S;
      const Lanes *insertion = insertion_ + i * S * LETTERS, *emission = emission_ + i * S * LETTERS;
      Lanes passed[S * LETTERS] = {}, inserted[S * LETTERS] = {}, skipped[S] = {};
      Lanes stayed = {}, through = {};
      const bool some_end = std::count(all_.num_bases + first_, all_.num_bases + first_ + count_, i);
      behind_scale = scale;
      for (int64_t j = end; j >= begin; --j) {
        Lanes sums[S];
        const Lanes *here = ahead + (j - begin) * S, *letter = is_letter_ + j * LETTERS;
        for (int s = 0; s < S; ++s)
          sums[s] = Lanes{};
        if (some_end) starts(i, j, sums);
        if (j < end) {
          const Lanes to = row[(j + 1 - begin) * S + To::inserted];
          for (int s = 0; s < S; ++s) {
            sums[s] += of(letter, insertion + s * LETTERS) * to;
            for (int b = 0; b < LETTERS; ++b)
              inserted[s * LETTERS + b] += letter[b] * (here[s] * to);
          }
        }
        if (i < bases_ && j >= next && j <= high(i + 1)) {
          const Lanes to = behind[(j - next) * S + To::deleted];
          for (int s = 0; s < S; ++s) {
            sums[s] += deletion_[i * S + s] * to;
            skipped[s] += here[s] * to;
          }
        }
        if (i < bases_ && j + 1 >= next && j + 1 <= high(i + 1)) {
          const Lanes *to = behind + (j + 1 - next) * S;
          const Lanes same = S == 1 ? each(1) : of(letter, is_base_ + i * LETTERS), stay = stay_[i];
          for (int s = 0; s < S; ++s) {
            const Lanes worth =
                S == 1 ? to[0] : same * copied<S>(to, s, stay) + (1 - same) * to[To::recent];
            const Lanes rate = of(letter, emission + s * LETTERS);
            sums[s] += rate * worth;
            for (int b = 0; b < LETTERS; ++b)
              passed[s * LETTERS + b] += letter[b] * (here[s] * worth);
            if (S > 1 && s == S - 1)
              stayed += here[s] * rate * same * (to[S - 1] - to[0]);
          }
        }
        for (int s = 0; s < S; ++s) {
          row[(j - begin) * S + s] = sums[s];
          through += here[s] * sums[s];
        }
      }
      write(i, scales[i], scale, behind_scale, passed, inserted, skipped, stayed, through);
      if (i % RESCALE_EVERY == 0 && i) scale += rescale(row, (end - begin + 1) * S);
    }
    ends(kept, scales);
    settle(rows, scale);
  }

  // the ways that begin where a pair ends
  void starts(int64_t i, int64_t j, Lanes *sums) const {
    for (int64_t lane = 0; lane < count_; ++lane)
      if (all_.num_bases[first_ + lane] == i && all_.num_letters[first_ + lane] == j)
        for (int s = 0; s < S; ++s)
          sums[s][lane] = end_[s][lane];
  }

  void write(int64_t i, Lanes ahead, Lanes here, Lanes behind, const Lanes *passed,
             const Lanes *inserted, const Lanes *skipped, Lanes stayed, Lanes through) const {
    for (int64_t lane = 0; lane < count_; ++lane) {
      const int64_t pair = first_ + lane, all = all_.bases;
      if (i > all_.num_bases[pair]) continue;
      const double in_row = std::exp(ahead[lane] + here[lane] - found_[lane]);
      const double to_next = std::exp(ahead[lane] + behind[lane] - found_[lane]);
      all_.through[pair * (all + 1) + i] = through[lane] * in_row;
      for (int s = 0; s < S; ++s)
        for (int b = 0; b < LETTERS; ++b) {
          const int64_t gap = ((pair * S + s) * (all + 1) + i) * LETTERS + b;
          all_.inserted[gap] = inserted[s * LETTERS + b][lane] * in_row;
        }
      if (i == all_.num_bases[pair]) continue;
      if (S > 1) all_.stayed[pair * all + i] = stayed[lane] * to_next;
      for (int s = 0; s < S; ++s) {
        all_.skipped[(pair * S + s) * all + i] = skipped[s][lane] * to_next;
        for (int b = 0; b < LETTERS; ++b) {
          const int64_t at = ((pair * S + s) * all + i) * LETTERS + b;
          all_.passed[at] = passed[s * LETTERS + b][lane] * to_next;
        }
      }
    }
  }

  void ends(const Lanes *kept, const Lanes *scales) const {
    for (int64_t lane = 0; lane < count_; ++lane) {
      const int64_t pair = first_ + lane, i = all_.num_bases[pair], j = all_.num_letters[pair];
      if (j < low(i) || j > high(i)) continue;
      const Lanes *cell = kept + (i * width_ + j - low(i)) * S;
      for (int s = 0; s < S; ++s)
        all_.ended[pair * S + s] = cell[s][lane] * std::exp(scales[i][lane] - found_[lane]);
    }
  }

  // where the way to the last gap was another, the likelihood is that of the way back
  void settle(const Lanes *rows, Lanes scale) {
    if (!all_.after_last) return;
    for (int64_t lane = 0; lane < count_; ++lane) {
      const int64_t pair = first_ + lane, all = all_.bases;
      const double total = std::log(rows[0][lane]) + scale[lane];
      const double share = std::exp(found_[lane] - total);
      all_.log_likelihood[pair] = total;
      auto times = [share](double *values, int64_t count) {
        for (int64_t k = 0; k < count; ++k) values[k] *= share;
      };
      times(all_.passed + pair * S * all * LETTERS, S * all * LETTERS);
      times(all_.inserted + pair * S * (all + 1) * LETTERS, S * (all + 1) * LETTERS);
      times(all_.skipped + pair * S * all, S * all);
      times(all_.through + pair * (all + 1), all + 1);
    }
  }
};

template <int S> void run(const Pairs &all) {
  const int64_t groups = (all.pairs + LANES - 1) / LANES;
  split(groups, all.threads, [&](int64_t, int64_t from, int64_t to) {
    for (int64_t group = from; group < to; ++group)
      Group<S>(all, group * LANES).run(all.passed != nullptr);
  });
}

// letters and lengths that are not what the sizes allow for would be read from elsewhere
bool is_sound(const Pairs &all) {
  for (int64_t pair = 0; pair < all.pairs; ++pair) {
    const int64_t bases = all.num_bases[pair], letters = all.num_letters[pair];
    if (bases < 0 || bases > all.bases || letters < 0 || letters > all.length) return false;
    if (all.band[pair] < 0) return false;
    for (int64_t i = 0; i <= bases && all.place; ++i)
      if (uint64_t(all.place[pair * (all.bases + 1) + i]) >= uint64_t(all.kinds)) return false;
    for (int64_t i = 0; i < bases; ++i)
      if (uint64_t(all.base[pair * all.bases + i]) >= LETTERS) return false;
    for (int64_t j = 0; j < letters; ++j)
      if (uint64_t(all.read[pair * all.length + j]) >= LETTERS) return false;
  }
  return true;
}
}  // namespace

extern "C" {
// 0, or 1 where a length, a letter or a kind of place is none
int align(const Pairs *all) {
  if (!is_sound(*all)) return 1;
  switch (all->states) {
    case 1: run<1>(*all); break;
    case 2: run<2>(*all); break;
    case 3: run<3>(*all); break;
    case 4: run<4>(*all); break;
    default: return 1;
  }
  return 0;
}
}
