// From the first token to the last: the states, and what the way back needs.
#pragma once

#include "cells.h"
#include "layer.h"
#include "products.h"

template <class Cell>
class Forward {
  const Layer &l;
  const Part x{l.inputs, l.weight_x, l.x_masks, false}, h{l.hidden, l.weight_h, l.h_masks, true};
  const int64_t units = up(l.hidden, PANEL), depth = l.inputs + l.hidden;
  const int64_t a_row = apart(depth), a_mask = BLOCK * a_row;
  const int64_t of_state = BLOCK * units, scratch = l.num_masks * a_mask + 2 * of_state;
  const Numbers packed{units * Cell::GATES * depth}, bias{units * Cell::GATES};

 public:
  explicit Forward(const Layer &layer) : l(layer) {}

  void run() {
    split(units / PANEL, l.threads, [&](int64_t, int64_t first, int64_t last) {
      for (int64_t tile = first * Cell::GATES; tile < last * Cell::GATES; tile++) pack(tile);
    });
    Numbers all{std::min(l.threads, l.batch) * scratch};
    split(l.batch, l.threads, [&](int64_t thread, int64_t first, int64_t last) {
      for (int64_t begin = first; begin < last; begin += BLOCK)
        block(begin, std::min(begin + BLOCK, last), all + thread * scratch);
    });
  }

 private:
  // in the order of reading: for each input the weights of a tile's units, 0 behind the last one
  void pack(int64_t tile) {
    Real *to = packed + tile * depth * PANEL;
    for (int64_t column = 0; column < PANEL; column++) {
      int64_t unit = tile / Cell::GATES * PANEL + column;
      int64_t row = tile % Cell::GATES * l.hidden + unit;
      bool is_unit = unit < l.hidden;
      bias[tile * PANEL + column] = is_unit ? l.bias[row] : Real(0);
      for (int64_t k = 0; k < l.inputs; k++)
        to[k * PANEL + column] = is_unit ? l.weight_x[row * l.inputs + k] : Real(0);
      for (int64_t k = 0; k < l.hidden; k++)
        to[(l.inputs + k) * PANEL + column] = is_unit ? l.weight_h[row * l.hidden + k] : Real(0);
    }
  }

  void block(int64_t first, int64_t last, Real *a) const {
    Real *states = a + l.num_masks * a_mask, *c = states + of_state;
    std::fill(states, states + 2 * of_state, Real(0));
    copy_rows(last - first, l.hidden, l.h0 + first * l.hidden, l.hidden, states, units);
    if (Cell::STATES > 1)
      copy_rows(last - first, l.hidden, l.c0 + first * l.hidden, l.hidden, c, units);
    for (int64_t t = 0; t < l.time; t++) {
      for (int64_t m = 0; m < l.num_masks; m++)
        for (int64_t i = 0; i < last - first; i++) {
          Real *to = a + m * a_mask + i * a_row;
          masked(to, l.x + (first + i) * l.x_row + t * l.x_step, x.mask(l, m, first + i), x.size);
          masked(to + l.inputs, states + i * units, h.mask(l, m, first + i), h.size);
        }
      for (int64_t unit = 0; unit < units; unit += PANEL)
        for_tiles(0, last - first, [&](auto rows, int64_t i) {
          step<rows>(a + i * a_row, unit, t, first + i, states + i * units, c + i * units);
        });
      copy_rows(last - first, l.hidden, states, units, l.h + (first * l.time + t) * l.hidden,
                l.time * l.hidden);
    }
    if (Cell::STATES > 1)
      copy_rows(last - first, l.hidden, c, units, l.c + first * l.hidden, l.hidden);
  }

  // the sums of all gates for M rows and a panel of units, and what the cell makes of them
  template <int M>
  void step(const Real *a, int64_t unit, int64_t t, int64_t row, Real *states, Real *c) const {
    Vector sums[WIDE][M][Cell::SUMS];
    for (int gate = 0; gate < Cell::GATES; gate++) {
      int64_t panel = unit * Cell::GATES + gate * PANEL;
      const Real *from = a + (l.num_masks > 1 ? gate * a_mask : 0), *b = packed + panel * depth;
      Vector tile[M][WIDE];
      for (int i = 0; i < M; i++)
        for (int j = 0; j < WIDE; j++) tile[i][j] = load(bias + panel + j * LANES);
      multiply<M>(from, a_row, 1, b, PANEL, l.inputs, tile);
      if (h.place<Cell>(gate) != gate) {
        for (int i = 0; i < M; i++)
          for (int j = 0; j < WIDE; j++) sums[j][i][gate] = tile[i][j], tile[i][j] = Vector{};
      }
      multiply<M>(from + l.inputs, a_row, 1, b + l.inputs * PANEL, PANEL, l.hidden, tile);
      for (int i = 0; i < M; i++)
        for (int j = 0; j < WIDE; j++) sums[j][i][h.place<Cell>(gate)] = tile[i][j];
    }
    for (int i = 0; i < M; i++)
      for (int j = 0; j < WIDE; j++) {
        int64_t place = i * units + unit + j * LANES;
        Real *kept = l.kept + ((t * l.batch + row + i) * Cell::KEPT) * units + unit + j * LANES;
        State before = {load(states + place), load(c + place)};
        State after = Cell::forward(sums[j][i], before, kept, units);
        if (!real(l, row + i, t)) after = before;
        store(states + place, after.h);
        if (Cell::STATES > 1) {
          store(c + place, after.c);
          store(kept + (Cell::KEPT - 1) * units, after.c);
        }
      }
  }
};
