package org.moe4j.train;

import java.util.Arrays;
import org.moe4j.Dispatch;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * How fast a sparse layer alone is, forward and backward, on random input: softmax top-k routing
 * and SwiGLU experts.
 *
 * @param tokens T
 * @param width d
 * @param ffn h
 * @param experts E
 * @param topK k
 * @param dispatch how rows reach the experts
 * @param balanced whether routing is forced to be even, to tell the kernels' speed from skew
 * @param bf16 whether activations are BF16; parameters and router are F32
 */
public record LayerBenchmark(
    int tokens,
    int width,
    int ffn,
    int experts,
    int topK,
    Dispatch dispatch,
    boolean balanced,
    boolean bf16) {
  private static final int WARM_UP = 3;

  /** The median time of a forward and backward pass in milliseconds, over {@code steps}. */
  public double run(int steps) {
    if (steps < 1 || tokens < 1) {
      throw new MoeException("steps and tokens must be at least 1");
    }
    NativeMemory.reuseFreedBlocks(1L << 30);
    RandomSource random = new RandomSource(0);
    MoeConfig config =
        MoeConfig.builder(width, ffn, experts, topK)
            .dispatch(dispatch)
            .forceBalance(balanced)
            .build();
    try (ParameterStore store = new ParameterStore(random, Device.CPU)) {
      MoeLayer layer = new MoeLayer(config, store);
      double[] milliseconds = new double[steps];
      for (int i = -WARM_UP; i < steps; i++) {
        long begin = System.nanoTime();
        try (Scope scope = Scope.open()) {
          Tensor x = random.normal(tokens, width).to(bf16 ? DType.BF16 : DType.F32);
          x.requiresGrad(true);
          Tensor y = layer.forward(x, TokenContext.train(1, tokens, random)).output();
          y.backward(y.detach());
        }
        for (Parameter p : store.all()) {
          p.tensor().clearGrad();
        }
        if (i >= 0) {
          milliseconds[i] = (System.nanoTime() - begin) * 1e-6;
        }
      }
      Arrays.sort(milliseconds);
      return milliseconds[steps / 2];
    }
  }
}
