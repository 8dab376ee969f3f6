package org.moe4j;

import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;

/**
 * The dropless expert layer of S25 (grouped form) as one function with a gradient of its own, for
 * the CPU: y[t] = sum over the rows r of token t of weight[r] * expert[r](x[t]).
 *
 * <p>Rows are sorted by expert with a counting sort, so the order is stable and the result does not
 * depend on threads; every expert's weights are read once for all of its rows; each token gathers
 * and sums its rows. What is kept for the backward pass is x and the pre-activation. Scaling the
 * activation instead of the output puts the gradient of the weights on the expert-width side, so
 * the down-projection's output is neither kept nor computed again.
 */
final class DroplessKernel {
  private final RowsByExpert rows;
  private final Tensor wIn;
  private final Tensor wOut;
  private final ExpertForm form;

  private DroplessKernel(RowsByExpert rows, Tensor wIn, Tensor wOut, ExpertForm form) {
    this.rows = rows;
    this.wIn = wIn;
    this.wOut = wOut;
    this.form = form;
  }

  /** True if the kernel computes this case; if not, the plain path does. */
  static boolean serves(Tensor x, Routing routing, FeedForwardExperts experts, TokenContext context) {
    boolean weightOnOutput =
        switch (routing) {
          case TokenChoice r -> r.gating().weightOn() == Gating.WeightOn.OUTPUT;
          case ExpertChoice r -> r.gating().weightOn() == Gating.WeightOn.OUTPUT;
          case Blend r -> false;
          case Retrieval r -> false;
        };
    return weightOnOutput
        && x.device() == Device.CPU
        && !experts.form().biases()
        && !(context.training() && experts.dropout() > 0);
  }

  /**
   * Computes the layer.
   *
   * @param x [T,d] on the CPU
   * @param assignment which rows go to which expert
   * @return [T,d] in the type of x
   */
  static Tensor apply(Tensor x, Assignment assignment, FeedForwardExperts experts) {
    return apply(
        x, assignment, experts.in().tensor(), experts.out().tensor(), experts.form());
  }

  static Tensor apply(
      Tensor x, Assignment assignment, Tensor wIn, Tensor wOut, ExpertForm form) {
    DroplessKernel kernel =
        new DroplessKernel(RowsByExpert.of(assignment, x.size(0)), wIn, wOut, form);
    boolean leaves = wIn.requiresGrad() || wOut.requiresGrad();
    return OwnGradient.apply(kernel::forward, leaves, x, assignment.weights());
  }

  private OwnGradient.Result forward(Tensor[] in) {
    Tensor x = in[0];
    DType type = x.dtype();
    Tensor up = wIn.detach().to(type);
    Tensor down = wOut.detach().to(type);
    Tensor rowWeights = in[1].indexSelect(0, rows.slots()).to(type).unsqueeze(1);
    Tensor hidden = rows.project(x.indexSelect(0, rows.tokens()), up, true);
    Tensor activation = form.hidden(hidden).mulInPlace(rowWeights);
    Tensor y = rows.sum(rows.project(activation, down, true));
    return new OwnGradient.Result(
        y,
        (dy, needed) -> backward(x, in[1], rowWeights, hidden, up, down, dy, needed),
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

  private @Nullable Tensor[] backward(
      Tensor x,
      Tensor weights,
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
    if (form.gated()) {
      long h = hidden.size(1) / 2;
      Tensor gate = hidden.narrow(1, 0, h);
      Tensor upper = hidden.narrow(1, h, h);
      Tensor nonlinear = form.activation().of(gate);
      activation = nonlinear.mul(upper);
      if (needed[1]) {
        dWeights = rowDot(dScaled, activation);
      }
      dScaled.mulInPlace(rowWeights);
      dHidden.narrow(1, h, h).mulInto(dScaled, nonlinear);
      dHidden.narrow(1, 0, h).copyInPlace(form.activation().gradient(dScaled.mulInPlace(upper), gate));
    } else {
      activation = form.activation().of(hidden);
      if (needed[1]) {
        dWeights = rowDot(dScaled, activation);
      }
      dHidden.copyInPlace(form.activation().gradient(dScaled.mulInPlace(rowWeights), hidden));
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
   * The rows of a dropless layer, ordered by expert: row r belongs to token {@code tokens[r]} and its
   * weight stands at {@code slots[r]} of the flattened weights.
   *
   * @param tokens [R] I64
   * @param slots [R] I64
   * @param starts where each expert's rows begin; E+1 values
   * @param bagRows [R] I64, the rows of token 0, then of token 1, ..., each in the order of experts
   * @param bagStarts [T] I64, where each token's rows begin in {@code bagRows}
   */
  private record RowsByExpert(
      Tensor tokens, Tensor slots, int[] starts, Tensor bagRows, Tensor bagStarts) {
    static RowsByExpert of(Assignment assignment, long tokenCount) {
      long[] counts = assignment.counts();
      int[] starts = new int[counts.length + 1];
      for (int e = 0; e < counts.length; e++) {
        starts[e + 1] = starts[e] + (int) counts[e];
      }
      long[] token = assignment.token();
      long[] bagStarts = new long[Math.toIntExact(tokenCount)];
      for (long t : token) {
        if (t + 1 < tokenCount) {
          bagStarts[(int) t + 1]++;
        }
      }
      for (int t = 1; t < bagStarts.length; t++) {
        bagStarts[t] += bagStarts[t - 1];
      }
      long[] next = bagStarts.clone();
      long[] bagRows = new long[token.length];
      for (int r = 0; r < token.length; r++) {
        bagRows[(int) next[(int) token[r]]++] = r;
      }
      return new RowsByExpert(
          Tensor.of(token),
          Tensor.of(assignment.entry()),
          starts,
          Tensor.of(bagRows),
          Tensor.of(bagStarts));
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
