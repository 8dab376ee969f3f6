package org.moe4j.models;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NativeOp;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * Rotary positions and causal attention of whole sequences as one function for the CPU, the workers
 * taking a few sequences at a time. The rotated queries and keys are not kept: turning them again
 * is cheaper than fetching them from memory.
 */
final class AttentionKernel {
  private static final NativeOp FORWARD =
      NativeOp.of("_scaled_dot_product_flash_attention_for_cpu");
  private static final NativeOp BACKWARD =
      NativeOp.of("_scaled_dot_product_flash_attention_for_cpu_backward");

  /** Numbers of the queries that a worker takes at once, unless one sequence has more. */
  private static final long BLOCK = 1 << 15;

  private final int heads;
  private final int kvHeads;
  private final Tensor cos;
  private final Tensor sin;

  private AttentionKernel(int heads, int kvHeads, Tensor cos, Tensor sin) {
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.cos = cos;
    this.sin = sin;
  }

  /**
   * The pair of passes of attention from position 0, without recording.
   *
   * @param q [B,S,H*D]
   * @param k [B,S,K*D]
   * @param v [B,S,K*D]
   * @param rope cosines and sines are taken from here
   * @return an output [B,S,H*D]
   */
  static OwnGradient.Result forward(
      Tensor q, Tensor k, Tensor v, int heads, int kvHeads, Rope rope) {
    return new AttentionKernel(heads, kvHeads, rope.cosines(q.size(1)), rope.sines(q.size(1)))
        .forward(q, k, v);
  }

  private OwnGradient.Result forward(Tensor q, Tensor k, Tensor v) {
    Tensor y = Tensor.empty(q.dtype(), Device.CPU, q.shape());
    // libtorch's kernels are faster in F32 than in BF16, conversions included.
    DType wide = q.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor logsumexp = Tensor.empty(wide, Device.CPU, q.size(0), q.size(1), heads);
    Workers.rows(
        q.size(0),
        sequences(q),
        (b, n) -> {
          List<Tensor> out =
              FORWARD.callAll(
                  turned(split(q, b, n, heads).to(wide), 1),
                  shared(turned(split(k, b, n, kvHeads).to(wide), 1)),
                  shared(split(v, b, n, kvHeads).to(wide)),
                  0.0,
                  true,
                  null,
                  null);
          split(y, b, n, heads).copyInPlace(out.get(0));
          logsumexp.narrow(0, b, n).transpose(1, 2).copyInPlace(out.get(1));
        });
    return new OwnGradient.Result(
        y, (dy, needed) -> backward(q, k, v, y, logsumexp, dy), q, k, v, y, logsumexp, cos, sin);
  }

  private @Nullable Tensor[] backward(
      Tensor q, Tensor k, Tensor v, Tensor y, Tensor logsumexp, Tensor dy) {
    Tensor dq = Tensor.empty(q.dtype(), Device.CPU, q.shape());
    Tensor dk = Tensor.empty(k.dtype(), Device.CPU, k.shape());
    Tensor dv = Tensor.empty(v.dtype(), Device.CPU, v.shape());
    DType wide = logsumexp.dtype();
    Workers.rows(
        q.size(0),
        sequences(q),
        (b, n) -> {
          List<Tensor> gradients =
              BACKWARD.callAll(
                  split(dy, b, n, heads).to(wide),
                  turned(split(q, b, n, heads).to(wide), 1),
                  shared(turned(split(k, b, n, kvHeads).to(wide), 1)),
                  shared(split(v, b, n, kvHeads).to(wide)),
                  split(y, b, n, heads).to(wide),
                  logsumexp.narrow(0, b, n).transpose(1, 2),
                  0.0,
                  true,
                  null,
                  null);
          split(dq, b, n, heads).copyInPlace(turned(gradients.get(0), -1));
          split(dk, b, n, kvHeads).copyInPlace(turned(gathered(gradients.get(1)), -1));
          split(dv, b, n, kvHeads).copyInPlace(gathered(gradients.get(2)));
        });
    return new @Nullable Tensor[] {dq, dk, dv};
  }

  /** How many sequences a worker takes at once. */
  private static int sequences(Tensor q) {
    return (int) Math.max(1, BLOCK / Math.max(1, q.size(1) * q.size(2)));
  }

  /** n sequences from b on as [n,heads,S,D], a view. */
  private static Tensor split(Tensor x, long b, long n, int heads) {
    return x.narrow(0, b, n).view(n, x.size(1), heads, x.size(2) / heads).transpose(1, 2);
  }

  /** [n,K,S,D] as seen by the H query heads. */
  private Tensor shared(Tensor x) {
    return heads == kvHeads ? x : x.repeatInterleave(heads / kvHeads, 1);
  }

  /** Gradients of the H query heads summed for the K key heads. */
  private Tensor gathered(Tensor dx) {
    return heads == kvHeads
        ? dx
        : dx.reshape(dx.size(0), kvHeads, heads / kvHeads, dx.size(2), dx.size(3)).sum(2, false);
  }

  /** Every pair of channels (j, j + D/2) turned by its angle, or back for direction -1. */
  private Tensor turned(Tensor x, int direction) {
    long half = x.size(3) / 2;
    Tensor c = cos.to(x.dtype());
    Tensor s = sin.to(x.dtype());
    Tensor a = x.narrow(3, 0, half);
    Tensor b = x.narrow(3, half, half);
    Tensor y = Tensor.empty(x.dtype(), Device.CPU, x.shape());
    y.narrow(3, 0, half).mulInto(a, c).addInPlace(b.mul(s), -direction);
    y.narrow(3, half, half).mulInto(b, c).addInPlace(a.mul(s), direction);
    return y;
  }
}
