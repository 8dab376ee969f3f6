package org.moe4j.tensor;

import java.util.Optional;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.jspecify.annotations.Nullable;

/** Functions of neural networks on tensors; all of them are differentiable. */
public final class Ops {
  static {
    NativeRuntime.prepare();
  }

  /** The target of a row that {@link #crossEntropy} leaves out. */
  public static final long IGNORED = -100;

  private Ops() {}

  /** {@code x * sigmoid(x)}. */
  public static Tensor silu(Tensor x) {
    return new Tensor(torch.silu(x.at));
  }

  /** Gradient of {@link #silu} at {@code x} for the output gradient {@code dy}. */
  public static Tensor siluBackward(Tensor dy, Tensor x) {
    return new Tensor(torch.silu_backward(dy.at, x.at));
  }

  /** {@code x * Phi(x)} with the normal distribution function, exact (not the tanh form). */
  public static Tensor gelu(Tensor x) {
    return new Tensor(torch.gelu(x.at));
  }

  /** Gradient of {@link #gelu}. */
  public static Tensor geluBackward(Tensor dy, Tensor x) {
    return new Tensor(torch.gelu_backward(dy.at, x.at));
  }

  /** {@code max(x, 0)}. */
  public static Tensor relu(Tensor x) {
    return new Tensor(torch.relu(x.at));
  }

  /** Gradient of {@link #relu}. */
  public static Tensor reluBackward(Tensor dy, Tensor x) {
    return new Tensor(torch.threshold_backward(dy.at, x.at, new org.bytedeco.pytorch.Scalar(0.0)));
  }

  /** {@code log(1 + exp(x))}. */
  public static Tensor softplus(Tensor x) {
    return new Tensor(torch.softplus(x.at));
  }

  /** {@code x w^T (+ b)}; w [out, in], b [out]. */
  public static Tensor linear(Tensor x, Tensor weight, @Nullable Tensor bias) {
    if (bias == null) {
      Optional<Tensor> y = Products.unrecorded(x, weight);
      if (y.isPresent()) {
        return y.get();
      }
    }
    return new Tensor(
        bias == null
            ? torch.linear(x.at, weight.at)
            : torch.linear(x.at, weight.at, new TensorOptional(bias.at)));
  }

  /** Rows of {@code weight} [V, d] picked by {@code ids} [...]: [..., d]. */
  public static Tensor embedding(Tensor weight, Tensor ids) {
    return new Tensor(torch.embedding(weight.at, ids.at));
  }

  /**
   * Mean of {@code -log softmax(logits)[target]} over the rows whose target is not {@link
   * #IGNORED}.
   *
   * @param logits [T, V]
   * @param targets [T] I64
   * @return a scalar; NaN if every target is ignored
   */
  public static Tensor crossEntropy(Tensor logits, Tensor targets) {
    return new Tensor(torch.cross_entropy_loss(logits.at, targets.at));
  }

  /** Layer normalisation over the last dimension. */
  public static Tensor layerNorm(
      Tensor x, @Nullable Tensor weight, @Nullable Tensor bias, double eps) {
    return new Tensor(
        torch.layer_norm(
            x.at, new long[] {x.size(-1)}, optional(weight), optional(bias), eps, false));
  }

  /**
   * {@code weight * x / sqrt(mean(x^2) + eps)} over the last dimension, computed in F32 and rounded
   * to the type of {@code x} before the multiplication by the weight, as Llama and Mixtral do.
   */
  public static Tensor rmsNorm(Tensor x, Tensor weight, double eps) {
    Tensor wide = x.to(DType.F32);
    if (x.dtype() == DType.F64) {
      wide = x;
    }
    Tensor scale = wide.square().mean(-1, true).add(eps).rsqrt();
    return wide.mul(scale).to(x.dtype()).mul(weight);
  }

  /**
   * Softmax attention over {@code q [B,H,S,D]}, {@code k, v [B,K,N,D]}; K divides H (grouped-query
   * attention).
   *
   * @param mask added to the scores (or BOOL, true = visible), broadcast to [B,H,S,N]; or null
   * @param causal a query sees the keys up to its own position; not together with a mask
   * @param scale of the scores; NaN for D^-1/2
   */
  public static Tensor attention(
      Tensor q, Tensor k, Tensor v, @Nullable Tensor mask, boolean causal, double scale) {
    return new Tensor(
        torch.scaled_dot_product_attention(
            q.at,
            k.at,
            v.at,
            optional(mask),
            0.0,
            causal,
            Double.isNaN(scale) ? new DoubleOptional() : new DoubleOptional(scale),
            q.size(1) != k.size(1)));
  }

  /** Zeroes each element with probability {@code p} and scales the others by {@code 1/(1-p)}. */
  public static Tensor dropout(Tensor x, double p, RandomSource random) {
    if (p == 0) {
      return x;
    }
    Tensor keep = random.uniform(x.shape()).to(x.device()).ge(p).to(x.dtype());
    return x.mul(keep.mulInPlace(1 / (1 - p)));
  }

  /** One-hot rows: {@code ids [...]} to {@code [..., n]} of {@code dtype}. */
  public static Tensor oneHot(Tensor ids, long n, DType dtype) {
    return new Tensor(torch.one_hot(ids.at, n)).to(dtype);
  }

  /**
   * Matrix product by groups of rows: rows {@code ends[e-1] .. ends[e]-1} of {@code x [R,d]} times
   * {@code w[e] [d,h]}.
   *
   * @param ends [E] I32, the running totals of the group sizes; empty groups are allowed
   */
  public static Tensor groupedMm(Tensor x, Tensor w, Tensor ends) {
    return NativeOp.of("_grouped_mm").call(x, w, ends, null, null);
  }

  /**
   * Sums of rows: row b of the result is the sum of {@code rows[index[i]]} for i from {@code
   * starts[b]} to before {@code starts[b+1]} (the end for the last bag). Deterministic; not
   * differentiable here.
   *
   * @param index [N] I64 rows to read
   * @param starts [B] I64, not decreasing; empty bags give zero rows
   */
  public static Tensor sumRows(Tensor rows, Tensor index, Tensor starts) {
    return NativeOp.of("_embedding_bag_forward_only")
        .call(rows, index, starts, false, 0L, false, null, false, -1L);
  }

  /**
   * As {@link #sumRows(Tensor, Tensor, Tensor)}, each row read multiplied by its weight.
   *
   * @param weights [N], of the type of {@code rows}
   */
  public static Tensor sumRows(Tensor rows, Tensor index, Tensor starts, Tensor weights) {
    return NativeOp.of("_embedding_bag_forward_only")
        .call(rows, index, starts, false, 0L, false, weights, false, -1L);
  }

  /** The number of threads one operation uses on the CPU. */
  public static int threads() {
    return torch.get_num_threads();
  }

  /** Sets the number of threads one operation uses on the CPU, for the whole process. */
  public static void threads(int n) {
    torch.set_num_threads(n);
  }

  private static TensorOptional optional(@Nullable Tensor t) {
    return t == null ? new TensorOptional() : new TensorOptional(t.at);
  }
}
