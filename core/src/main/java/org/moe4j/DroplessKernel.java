package org.moe4j;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/**
 * The dropless expert layer of S25 (grouped form) as one function with a gradient of its own, for
 * the CPU: y[t] = sum over the kept choices s of token t of weight[t,s] * expert[t,s](x[t]).
 *
 * <p>Rows are sorted by expert with a counting sort, so the order is stable and the result does not
 * depend on threads; every expert's weights are read once for all of its rows; each token gathers
 * and sums its rows. What is kept for the backward pass is x and the pre-activation. Scaling the
 * activation instead of the output puts the gradient of the weights on the expert-width side, so
 * the down-projection's output is neither kept nor computed again.
 */
final class DroplessKernel {
  private final Tensor choices;
  private final Tensor wIn;
  private final Tensor wOut;
  private final boolean gated;
  private final Pointwise pointwise;

  /** The nonlinearity of an expert, with its derivative. */
  enum Pointwise {
    SILU,
    GELU,
    RELU;

    Tensor forward(Tensor x) {
      return switch (this) {
        case SILU -> Ops.silu(x);
        case GELU -> Ops.gelu(x);
        case RELU -> Ops.relu(x);
      };
    }

    Tensor backward(Tensor dy, Tensor x) {
      return switch (this) {
        case SILU -> Ops.siluBackward(dy, x);
        case GELU -> Ops.geluBackward(dy, x);
        case RELU -> Ops.reluBackward(dy, x);
      };
    }
  }

  private DroplessKernel(
      Tensor choices, Tensor wIn, Tensor wOut, boolean gated, Pointwise pointwise) {
    this.choices = choices;
    this.wIn = wIn;
    this.wOut = wOut;
    this.gated = gated;
    this.pointwise = pointwise;
  }

  /**
   * Computes the layer.
   *
   * @param x [T,d] on the CPU
   * @param choices [T,k] I64, the expert of each choice, -1 for a dropped one
   * @param weights [T,k], the combine weights
   * @param wIn [E, 2h, d] if gated (gate rows first), else [E, h, d]
   * @param wOut [E, d, h]
   * @return [T,d] in the type of x
   */
  static Tensor apply(
      Tensor x,
      Tensor choices,
      Tensor weights,
      Tensor wIn,
      Tensor wOut,
      boolean gated,
      Pointwise pointwise) {
    DroplessKernel kernel = new DroplessKernel(choices, wIn, wOut, gated, pointwise);
    boolean leaves = wIn.requiresGrad() || wOut.requiresGrad();
    return OwnGradient.apply(kernel::forward, leaves, x, weights);
  }

  private OwnGradient.Result forward(Tensor[] in) {
    Tensor x = in[0];
    DType type = x.dtype();
    RowsByExpert rows = RowsByExpert.of(choices, (int) wIn.size(0));
    Tensor up = wIn.detach().to(type);
    Tensor down = wOut.detach().to(type);
    Tensor rowWeights = in[1].flatten().indexSelect(0, rows.slots()).to(type).unsqueeze(1);
    Tensor hidden = rows.project(x.indexSelect(0, rows.tokens()), up, true);
    Tensor activation = activate(hidden).mulInPlace(rowWeights);
    Tensor y = rows.sum(rows.project(activation, down, true));
    return new OwnGradient.Result(
        y,
        (dy, needed) -> backward(x, in[1], rows, rowWeights, hidden, up, down, dy, needed),
        x,
        in[1],
        rowWeights,
        hidden,
        up,
        down,
        rows.tokens(),
        rows.slots(),
        rows.bagRows(),
        rows.bagStarts());
  }

  private Tensor activate(Tensor hidden) {
    if (!gated) {
      return pointwise.forward(hidden);
    }
    long h = hidden.size(1) / 2;
    return pointwise.forward(hidden.narrow(1, 0, h)).mulInPlace(hidden.narrow(1, h, h));
  }

  private @Nullable Tensor[] backward(
      Tensor x,
      Tensor weights,
      RowsByExpert rows,
      Tensor rowWeights,
      Tensor hidden,
      Tensor up,
      Tensor down,
      Tensor dy,
      boolean[] needed) {
    Tensor dRows = dy.to(x.dtype()).indexSelect(0, rows.tokens());
    // Gradient of (weight * activation), on the expert-width side.
    Tensor dScaled = rows.project(dRows, down, false);
    Tensor dHidden = Tensor.empty(hidden.dtype(), Device.CPU, hidden.shape());
    Tensor activation;
    Tensor dWeights = null;
    if (gated) {
      long h = hidden.size(1) / 2;
      Tensor gate = hidden.narrow(1, 0, h);
      Tensor upper = hidden.narrow(1, h, h);
      Tensor nonlinear = pointwise.forward(gate);
      activation = nonlinear.mul(upper);
      if (needed[1]) {
        dWeights = rowDot(dScaled, activation);
      }
      dScaled.mulInPlace(rowWeights);
      dHidden.narrow(1, h, h).mulInto(dScaled, nonlinear);
      dHidden.narrow(1, 0, h).copyInPlace(pointwise.backward(dScaled.mulInPlace(upper), gate));
    } else {
      activation = pointwise.forward(hidden);
      if (needed[1]) {
        dWeights = rowDot(dScaled, activation);
      }
      dHidden.copyInPlace(pointwise.backward(dScaled.mulInPlace(rowWeights), hidden));
    }
    if (wOut.requiresGrad()) {
      rows.addWeightGradient(wOut, dRows, activation.mulInPlace(rowWeights));
    }
    if (wIn.requiresGrad()) {
      rows.addWeightGradient(wIn, dHidden, x.indexSelect(0, rows.tokens()));
    }
    return new @Nullable Tensor[] {
      needed[0] ? rows.sum(rows.project(dHidden, up, false)) : null,
      dWeights == null ? null : rows.scatterToSlots(dWeights, weights)
    };
  }

  private static Tensor rowDot(Tensor a, Tensor b) {
    return a.mul(b).sum(1, false);
  }

  /**
   * The rows of a dropless layer, ordered by expert: row r belongs to token {@code tokens[r]} and is
   * its choice {@code slots[r]} of the flattened [T*k] choices.
   *
   * @param tokens [R] I64
   * @param slots [R] I64
   * @param starts where each expert's rows begin; E+1 values
   * @param bagRows [R] I64, the rows of token 0, then of token 1, ...
   * @param bagStarts [T] I64, where each token's rows begin in {@code bagRows}
   */
  record RowsByExpert(Tensor tokens, Tensor slots, int[] starts, Tensor bagRows, Tensor bagStarts) {
    static RowsByExpert of(Tensor choices, int experts) {
      int t = (int) choices.size(0);
      int k = (int) choices.size(1);
      Tensor plain = choices.contiguous();
      MemorySegment chosen = plain.segment();
      int[] starts = new int[experts + 1];
      for (long i = 0; i < (long) t * k; i++) {
        int e = (int) chosen.getAtIndex(ValueLayout.JAVA_LONG, i);
        if (e >= 0) {
          starts[e + 1]++;
        }
      }
      for (int e = 0; e < experts; e++) {
        starts[e + 1] += starts[e];
      }
      int r = starts[experts];
      int[] next = starts.clone();
      long[] tokens = new long[r];
      long[] slots = new long[r];
      long[] bagRows = new long[r];
      long[] bagStarts = new long[t];
      int filled = 0;
      for (int token = 0; token < t; token++) {
        bagStarts[token] = filled;
        for (int s = 0; s < k; s++) {
          long slot = (long) token * k + s;
          int e = (int) chosen.getAtIndex(ValueLayout.JAVA_LONG, slot);
          if (e >= 0) {
            int row = next[e]++;
            tokens[row] = token;
            slots[row] = slot;
            bagRows[filled++] = row;
          }
        }
      }
      return new RowsByExpert(
          Tensor.of(tokens), Tensor.of(slots), starts, Tensor.of(bagRows), Tensor.of(bagStarts));
    }

    /** Each expert's rows times its matrix {@code w[e]}, transposed if asked: [R, out]. */
    Tensor project(Tensor rows, Tensor w, boolean transposed) {
      Tensor out =
          Tensor.empty(rows.dtype(), Device.CPU, rows.size(0), w.size(transposed ? 1 : 2));
      for (int e = 0; e + 1 < starts.length; e++) {
        int n = starts[e + 1] - starts[e];
        if (n > 0) {
          Tensor matrix = w.select(0, e);
          out.narrow(0, starts[e], n)
              .mmInto(rows.narrow(0, starts[e], n), transposed ? matrix.t() : matrix);
        }
      }
      return out;
    }

    /** Each token's sum over its rows: [T, d]. */
    Tensor sum(Tensor rows) {
      return Ops.sumRows(rows, bagRows, bagStarts);
    }

    /** Adds {@code dOut[e]^T in[e]} of every expert to the gradient of the leaf {@code w}. */
    void addWeightGradient(Tensor w, Tensor dOut, Tensor in) {
      boolean first = w.grad().isEmpty();
      Tensor gradient =
          w.grad().orElseGet(() -> Tensor.empty(w.dtype(), w.device(), w.shape()));
      for (int e = 0; e + 1 < starts.length; e++) {
        int n = starts[e + 1] - starts[e];
        Tensor target = gradient.select(0, e);
        if (n == 0) {
          if (first) {
            target.fillInPlace(0);
          }
          continue;
        }
        Tensor left = dOut.narrow(0, starts[e], n).t();
        Tensor right = in.narrow(0, starts[e], n);
        if (w.dtype() != in.dtype()) {
          Tensor part = left.mm(right);
          if (first) {
            target.copyInPlace(part);
          } else {
            target.addInPlace(part);
          }
        } else if (first) {
          target.mmInto(left, right);
        } else {
          target.addmmInPlace(left, right, 1);
        }
      }
      if (first) {
        w.setGrad(gradient);
      }
    }

    /** A value for each row, put at its choice: the shape of {@code like}, zero where dropped. */
    Tensor scatterToSlots(Tensor values, Tensor like) {
      return Tensor.zeros(like.dtype(), Device.CPU, like.numel())
          .indexCopyInPlace(0, slots, values.to(like.dtype()))
          .view(like.shape());
    }
  }
}
