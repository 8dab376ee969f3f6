package org.moe4j;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Products;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * The dropless expert layer of S25 (grouped form) as one function with a gradient of its own, for
 * the CPU: y[t] = sum over the rows r of token t of weight[r] * expert[r](x[t]).
 *
 * <p>Rows are sorted by expert with a counting sort, so the order is stable and the result does not
 * depend on threads. Each expert's rows are worked off in blocks that stay in a core's cache, from
 * the gathered input to the weighted output; each token then gathers and sums its rows. What is
 * kept for the backward pass is x and the pre-activation. Scaling the activation instead of the
 * output puts the gradient of the weights on the expert-width side, so the down-projection's output
 * is neither kept nor computed again.
 */
final class DroplessKernel {
  /** Rows of a block: enough for the products' speed, few enough for a core's cache. */
  private static final int BLOCK = 256;

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
  static boolean serves(
      Tensor x, Routing routing, FeedForwardExperts experts, TokenContext context) {
    return serves(x, routing)
        && !experts.form().biases()
        && experts.form().clamp().equals(ExpertForm.Clamp.NONE)
        && !(context.training() && experts.dropout() > 0);
  }

  /** As above, of experts without biases, clamps or dropout. */
  static boolean serves(Tensor x, Routing routing) {
    boolean weightOnOutput =
        switch (routing) {
          case TokenChoice r -> r.gating().weightOn() == Gating.WeightOn.OUTPUT;
          case ExpertChoice r -> r.gating().weightOn() == Gating.WeightOn.OUTPUT;
          case Blend r -> false;
          case Retrieval r -> false;
        };
    return weightOnOutput && x.device() == Device.CPU;
  }

  /**
   * Computes the layer.
   *
   * @param x [T,d] on the CPU
   * @param assignment which rows go to which expert
   * @return [T,d] in the type of x
   */
  static Tensor apply(Tensor x, Assignment assignment, FeedForwardExperts experts) {
    return apply(x, assignment, experts.in().tensor(), experts.out().tensor(), experts.form());
  }

  /**
   * Below F32 products go to a library that compiles code for every new shape and keeps it: with
   * rows in multiples of 16 the shapes repeat.
   */
  private static int multiple(DType type) {
    return type == DType.F32 || type == DType.F64 ? 1 : 16;
  }

  static Tensor apply(Tensor x, Assignment assignment, Tensor wIn, Tensor wOut, ExpertForm form) {
    DroplessKernel kernel =
        new DroplessKernel(
            RowsByExpert.of(assignment, x.size(0), multiple(x.dtype())), wIn, wOut, form);
    boolean leaves = wIn.requiresGrad() || wOut.requiresGrad();
    return OwnGradient.apply(kernel::forward, leaves, x, assignment.weights());
  }

  /**
   * The same with the weights lent one expert at a time, without a gradient. The blocks and so the
   * bits are those of stacked weights.
   */
  static Tensor apply(Tensor x, Assignment assignment, LentExperts experts) {
    RowsByExpert rows = RowsByExpert.of(assignment, x.size(0), multiple(x.dtype()));
    long up = experts.form().inRows(experts.expertWidth());
    return OwnGradient.apply(
        in -> {
          Tensor hidden = rows.buffer(in[0], up);
          Tensor weights = rows.weights(in[0], in[1]);
          Tensor y = pass(in[0], weights, rows, experts::lend, experts.form(), hidden);
          return new OwnGradient.Result(
              y,
              (dy, needed) -> {
                throw new MoeException("experts that are lent one at a time have no gradients");
              });
        },
        x,
        assignment.weights());
  }

  /** Gives a block the weights of its expert, [h or 2h, d] and [d,h]. */
  @FunctionalInterface
  private interface Lender {
    void lend(int expert, LentExperts.Use use);
  }

  /** The forward pass; the pre-activations go into {@code hidden}. */
  private static Tensor pass(
      Tensor x, Tensor weights, RowsByExpert rows, Lender lender, ExpertForm form, Tensor hidden) {
    Tensor outputs = rows.buffer(x, x.size(1));
    rows.blocks(
        (e, start, n) ->
            lender.lend(
                e,
                (in, out) -> {
                  Tensor pre = hidden.narrow(0, start, n);
                  pre.mmInto(rows.gather(x, start, n), in.to(x.dtype()).t());
                  Tensor activation = form.hidden(pre).mulInPlace(weights.narrow(0, start, n));
                  outputs.narrow(0, start, n).mmInto(activation, out.to(x.dtype()).t());
                }));
    return rows.sum(outputs);
  }

  private OwnGradient.Result forward(Tensor[] in) {
    Tensor x = in[0];
    Tensor weights = rows.weights(x, in[1]);
    Tensor hidden = rows.buffer(x, wIn.size(1));
    Lender stacks = (e, use) -> use.accept(wIn.detach().select(0, e), wOut.detach().select(0, e));
    Tensor y = pass(x, weights, rows, stacks, form, hidden);
    return new OwnGradient.Result(
        y,
        (dy, needed) -> backward(x, in[1], weights, hidden, dy.to(x.dtype()), needed),
        x,
        in[1],
        weights,
        hidden,
        rows.tokens(),
        rows.slots(),
        rows.bagRows(),
        rows.bagStarts());
  }

  private @Nullable Tensor[] backward(
      Tensor x, Tensor allWeights, Tensor weights, Tensor hidden, Tensor dy, boolean[] needed) {
    Tensor dHidden = rows.buffer(x, wIn.size(1));
    Tensor scaled = rows.buffer(x, wOut.size(2));
    Tensor dWeights = rows.buffer(x, 1);
    Tensor dRows = rows.buffer(x, needed[0] ? wOut.size(1) : 0);
    rows.blocks(
        (e, start, n) -> {
          Tensor pre = hidden.narrow(0, start, n);
          Tensor dPre = dHidden.narrow(0, start, n);
          Tensor weight = weights.narrow(0, start, n);
          // Gradient of (weight * activation), on the expert-width side.
          Tensor dScaled = rows.gather(dy, start, n).mm(matrix(wOut, e, x));
          Tensor activation = activationGradient(pre, dPre, dScaled, weight, dWeights, start);
          scaled.narrow(0, start, n).mulInto(activation, weight);
          if (needed[0]) {
            dRows.narrow(0, start, n).mmInto(dPre, matrix(wIn, e, x));
          }
        });
    if (wOut.requiresGrad()) {
      rows.addWeightGradient(wOut, dy, true, scaled);
    }
    if (wIn.requiresGrad()) {
      rows.addWeightGradient(wIn, x, false, dHidden);
    }
    return new @Nullable Tensor[] {
      needed[0] ? rows.sum(dRows) : null,
      needed[1] ? rows.scatterToSlots(dWeights.flatten(), allWeights) : null
    };
  }

  /** Fills the pre-activation's gradient and the weights' and returns the activation. */
  private Tensor activationGradient(
      Tensor pre, Tensor dPre, Tensor dScaled, Tensor weight, Tensor dWeights, long start) {
    if (!form.gated()) {
      Tensor activation = form.activation().of(pre);
      rowDot(dScaled, activation, dWeights, start);
      dPre.copyInPlace(form.activation().gradient(dScaled.mulInPlace(weight), pre));
      return activation;
    }
    long h = pre.size(1) / 2;
    Tensor gate = pre.narrow(1, 0, h);
    Tensor up = pre.narrow(1, h, h);
    Tensor nonlinear = form.activation().of(gate);
    Tensor activation = nonlinear.mul(up);
    rowDot(dScaled, activation, dWeights, start);
    dScaled.mulInPlace(weight);
    dPre.narrow(1, h, h).mulInto(dScaled, nonlinear);
    dPre.narrow(1, 0, h).copyInPlace(form.activation().gradient(dScaled.mulInPlace(up), gate));
    return activation;
  }

  private static void rowDot(Tensor a, Tensor b, Tensor into, long start) {
    into.narrow(0, start, a.size(0)).copyInPlace(a.mul(b).sum(1, true));
  }

  /** Expert e's matrix in the type of {@code like}. */
  private static Tensor matrix(Tensor stacked, int e, Tensor like) {
    return stacked.detach().select(0, e).to(like.dtype());
  }

  /**
   * The rows of a dropless layer, ordered by expert: row r belongs to token {@code tokens[r]} and
   * its weight stands at {@code slots[r]} of the flattened weights.
   *
   * @param tokens [R] I64
   * @param slots [R] I64
   * @param starts where each expert's rows begin; E+1 values
   * @param bagRows [R] I64, the rows of token 0, then of token 1, ..., each in the order of experts
   * @param bagStarts [T] I64, where each token's rows begin in {@code bagRows}
   */
  private record RowsByExpert(
      Tensor tokens, Tensor slots, int[] starts, Tensor bagRows, Tensor bagStarts) {
    /**
     * The rows of an assignment.
     *
     * @param multiple each expert's rows are padded to a multiple of it; padding reads token 0 with
     *     the weight 0 that stands behind all others, and is in no token's sum
     */
    static RowsByExpert of(Assignment assignment, long tokenCount, int multiple) {
      long[] counts = assignment.counts();
      int[] starts = new int[counts.length + 1];
      for (int e = 0; e < counts.length; e++) {
        starts[e + 1] = starts[e] + (int) ((counts[e] + multiple - 1) / multiple) * multiple;
      }
      long[] realToken = assignment.token();
      long[] realEntry = assignment.entry();
      long[] bagStarts = new long[Math.toIntExact(tokenCount)];
      for (long t : realToken) {
        if (t + 1 < tokenCount) {
          bagStarts[(int) t + 1]++;
        }
      }
      for (int t = 1; t < bagStarts.length; t++) {
        bagStarts[t] += bagStarts[t - 1];
      }
      long[] next = bagStarts.clone();
      long[] bagRows = new long[realToken.length];
      long[] token = new long[starts[counts.length]];
      long[] slot = new long[token.length];
      Arrays.fill(slot, assignment.weights().numel());
      int real = 0;
      for (int e = 0; e < counts.length; e++) {
        for (int i = 0; i < counts[e]; i++) {
          int row = starts[e] + i;
          token[row] = realToken[real];
          slot[row] = realEntry[real];
          bagRows[(int) next[(int) realToken[real]]++] = row;
          real++;
        }
      }
      return new RowsByExpert(
          Tensor.of(token), Tensor.of(slot), starts, Tensor.of(bagRows), Tensor.of(bagStarts));
    }

    /** Room for so many numbers a row. */
    Tensor buffer(Tensor like, long columns) {
      return Tensor.empty(like.dtype(), Device.CPU, tokens.numel(), columns);
    }

    /** Each row's weight [R,1] in the type of {@code x}, from the flattened ones. */
    Tensor weights(Tensor x, Tensor flat) {
      Tensor all = Tensor.cat(List.of(flat, Tensor.zeros(flat.dtype(), Device.CPU, 1)), 0);
      return all.indexSelect(0, slots).to(x.dtype()).unsqueeze(1);
    }

    /** What is done with a block of rows of one expert. */
    @FunctionalInterface
    private interface Block {
      void accept(int expert, long start, long count);
    }

    /** Runs {@code body} for blocks of at most {@link #BLOCK} rows, each of one expert. */
    void blocks(Block body) {
      int[] expert = new int[starts.length + (int) tokens.numel() / BLOCK];
      int[] start = new int[expert.length];
      int count = 0;
      for (int e = 0; e + 1 < starts.length; e++) {
        for (int row = starts[e]; row < starts[e + 1]; row += BLOCK) {
          expert[count] = e;
          start[count++] = row;
        }
      }
      Workers.run(
          count,
          i -> body.accept(expert[i], start[i], Math.min(BLOCK, starts[expert[i] + 1] - start[i])));
    }

    /** Rows of {@code x [T,d]} for the sorted rows {@code start .. start+n-1}. */
    Tensor gather(Tensor x, long start, long n) {
      return x.indexSelect(0, tokens.narrow(0, start, n));
    }

    /** Each token's sum over its rows: [T, d]. */
    Tensor sum(Tensor rows) {
      long t = bagStarts.numel();
      Tensor y = Tensor.empty(rows.dtype(), Device.CPU, t, rows.size(1));
      long[] from = bagStarts.toLongs();
      Workers.rows(
          t,
          BLOCK,
          (start, n) -> {
            long begin = from[(int) start];
            long end = start + n < t ? from[(int) (start + n)] : bagRows.numel();
            Tensor bags = Tensor.of(shifted(from, (int) start, (int) n, begin));
            Tensor index = bagRows.narrow(0, begin, end - begin);
            y.narrow(0, start, n).copyInPlace(Ops.sumRows(rows, index, bags));
          });
      return y;
    }

    private static long[] shifted(long[] values, int start, int count, long by) {
      long[] part = Arrays.copyOfRange(values, start, start + count);
      for (int i = 0; i < count; i++) {
        part[i] -= by;
      }
      return part;
    }

    /**
     * Adds to the gradient of the leaf {@code w} what its experts' rows say: for w_out dy^T a, for
     * w_in da^T x.
     *
     * @param perToken dy or x [T,d]
     * @param tokensLeft whether the tokens' side is the transposed left factor
     * @param perRow a or da [R, ...]
     */
    void addWeightGradient(Tensor w, Tensor perToken, boolean tokensLeft, Tensor perRow) {
      boolean first = w.grad().isEmpty();
      Tensor gradient = w.grad().orElseGet(() -> Tensor.empty(w.dtype(), w.device(), w.shape()));
      // An expert with more than its share of rows is cut into bands of its matrix's rows.
      int experts = starts.length - 1;
      long share = Math.max(BLOCK, tokens.numel() / (3L * Ops.threads()));
      int[] expert = new int[experts + (int) (tokens.numel() / share)];
      int[] band = new int[expert.length];
      int[] bands = new int[experts];
      int count = 0;
      for (int e = 0; e < experts; e++) {
        bands[e] = 1 + (int) ((starts[e + 1] - starts[e]) / share);
        for (int i = 0; i < bands[e]; i++) {
          expert[count] = e;
          band[count++] = i;
        }
      }
      Workers.run(
          count,
          i -> {
            int e = expert[i];
            long n = (long) starts[e + 1] - starts[e];
            long height = (w.size(1) + bands[e] - 1) / bands[e];
            long top = (long) band[i] * height;
            if (top >= w.size(1)) {
              return;
            }
            Tensor target = gradient.select(0, e).narrow(0, top, Math.min(height, w.size(1) - top));
            if (n == 0) {
              if (first) {
                target.fillInPlace(0);
              }
              return;
            }
            Tensor gathered = gather(perToken, starts[e], n);
            Tensor own = perRow.narrow(0, starts[e], n);
            Tensor left = (tokensLeft ? gathered : own).narrow(1, top, target.size(0));
            Tensor right = tokensLeft ? own : gathered;
            if (first) {
              Products.into(target, left.t(), right);
            } else {
              Products.addInto(target, left.t(), right);
            }
          });
      if (first) {
        w.setGrad(gradient);
      }
    }

    /** A value for each row, put at its choice: the shape of {@code like}, zero where dropped. */
    Tensor scatterToSlots(Tensor values, Tensor like) {
      // Padding rows write to one place more, which is then left out.
      return Tensor.zeros(like.dtype(), Device.CPU, like.numel() + 1)
          .indexCopyInPlace(0, slots, values.to(like.dtype()))
          .narrow(0, 0, like.numel())
          .view(like.shape());
    }
  }
}
