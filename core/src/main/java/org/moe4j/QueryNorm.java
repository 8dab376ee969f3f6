package org.moe4j;

import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NativeOp;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.Tensor;

/**
 * The norm of product-key queries (S52): without one few experts receive most tokens.
 *
 * <p>Batch norm takes each feature's mean and variance over the real tokens of a training batch,
 * and running averages of them (momentum 0.1, the variance's unbiased) everywhere else, so that a
 * token's result in evaluation does not depend on its neighbours. A training batch of fewer than
 * two real tokens has no variance: it uses the running averages too, and does not move them.
 */
final class QueryNorm {
  private static final double MOMENTUM = 0.1;
  private static final double EPSILON = 1e-5;

  /** Over what a query is normalised. */
  enum Kind {
    /** Each feature over the batch: the paper's. */
    BATCH,
    /** Each head's query over its features: looks at no other token. */
    LAYER,
    /** Not at all. */
    NONE
  }

  private final Kind kind;
  private final int heads;
  private final @Nullable Parameter scale;
  private final @Nullable Parameter shift;
  private final @Nullable Parameter mean;
  private final @Nullable Parameter variance;

  /**
   * Makes {@code gate.query_norm.weight} and {@code .bias} [h * width], and for batch norm the
   * state {@code gate.query_norm.mean} and {@code .variance} of that shape.
   */
  QueryNorm(Kind kind, int heads, int width, ParameterStore store, int layer) {
    this.kind = kind;
    this.heads = heads;
    long n = (long) heads * width;
    ParameterStore own = store.under("gate.query_norm");
    boolean some = kind != Kind.NONE;
    Role role = new Role.Gate(layer);
    this.scale = some ? own.create("weight", role, Init.constant(1), n) : null;
    this.shift = some ? own.create("bias", role, Init.zeros(), n) : null;
    boolean batch = kind == Kind.BATCH;
    this.mean = batch ? own.state("mean", layer, zeros(n)) : null;
    this.variance = batch ? own.state("variance", layer, zeros(n).add(1)) : null;
  }

  private static Tensor zeros(long n) {
    return Tensor.zeros(DType.F32, Device.CPU, n);
  }

  /** How many parameters a norm of {@code features} has. */
  static long parameters(Kind kind, long features) {
    return kind == Kind.NONE ? 0 : 2 * features;
  }

  /** Normalised queries [T, h * width], F32 or F64. */
  Tensor apply(Tensor q, TokenContext context) {
    return switch (kind) {
      case NONE -> q;
      case LAYER -> {
        Tensor parts = q.view(q.size(0), heads, q.size(1) / heads);
        yield scaled(Ops.layerNorm(parts, null, null, EPSILON).view(q.shape()));
      }
      case BATCH -> batch(q, context);
    };
  }

  private Tensor scaled(Tensor q) {
    return q.mul(in(scale, q)).add(in(shift, q));
  }

  private Tensor batch(Tensor q, TokenContext context) {
    Optional<Tensor> real = context.padding().map(p -> p.nonzero().flatten());
    long tokens = real.map(Tensor::numel).orElse(q.size(0));
    if (!context.training() || tokens < 2) {
      Tensor deviation = in(variance, q).add(EPSILON).sqrt();
      return scaled(q.sub(in(mean, q)).div(deviation));
    }
    Tensor own = real.map(rows -> q.indexSelect(0, rows)).orElse(q);
    var all =
        NativeOp.of("native_batch_norm")
            .callAll(own, in(scale, q), in(shift, q), null, null, true, MOMENTUM, EPSILON);
    if (NoGrad.recording()) {
      move(all.get(1), all.get(2), tokens);
    }
    Tensor normed = all.getFirst();
    return real.map(
            rows -> Tensor.zeros(q.dtype(), q.device(), q.shape()).indexAdd(0, rows, normed))
        .orElse(normed);
  }

  /** Moves the running averages towards a batch's, as every batch norm does in its pass. */
  private void move(Tensor batchMean, Tensor inverse, long tokens) {
    if (mean == null || variance == null) {
      return;
    }
    try (NoGrad off = NoGrad.open()) {
      Tensor spread = inverse.pow(-2).sub(EPSILON).mul(tokens / (tokens - 1.0));
      blend(mean.tensor(), batchMean);
      blend(variance.tensor(), spread);
    }
  }

  private static void blend(Tensor average, Tensor batch) {
    average.mulInPlace(1 - MOMENTUM).addInPlace(batch.to(average.dtype()), MOMENTUM);
  }

  private static Tensor in(@Nullable Parameter p, Tensor like) {
    if (p == null) {
      throw new IllegalStateException("this norm has no such parameter");
    }
    return p.tensor().to(like.dtype());
  }
}
