package org.moe4j.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Locale;
import org.moe4j.Gating;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.MoeOutput;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * One sparse layer of OLMoE's widths (d = 2048, h = 1024, E = 64, k = 8) with few tokens and no
 * gradient, as in decoding: its time against that of reading its experts.
 *
 * <p>Arguments: {@code F32} or {@code BF16}, threads. Then each line {@code TOKENS STEPS} on
 * standard input is answered by one with the median milliseconds of a forward pass and the mean
 * gigabytes of the experts that it touched; the line {@code bandwidth} by the gigabytes a second at
 * which the workers can read memory. So a driver can let it take turns with a peer.
 */
public final class DecodeLayer {
  private static final int WIDTH = 2048;
  private static final int EXPERT_WIDTH = 1024;
  private static final int WARM_UP = 3;
  private static final int COMPILE = 40;

  private final RandomSource random = new RandomSource(1);
  private final DType type;
  private final MoeLayer layer;

  private DecodeLayer(DType type) {
    this.type = type;
    // As a loaded checkpoint lies in memory.
    ParameterStore store = ParameterStore.uninitialised(Device.CPU, type);
    layer =
        new MoeLayer(
            MoeConfig.builder(WIDTH, EXPERT_WIDTH, 64, 8)
                .gating(Gating.SOFTMAX_TOP_K.with(Gating.Rounding.LOGITS))
                .build(),
            store);
    for (Parameter p : store.all()) {
      try (Scope scope = Scope.open()) {
        Tensor values = random.uniform(-0.03, 0.03, DType.F32, p.tensor().shape());
        p.tensor().detach().copyInPlace(values);
      }
    }
  }

  private String steps(int tokens, int steps) {
    double[] ms = new double[steps];
    double bytes = 0;
    for (int i = -WARM_UP; i < steps; i++) {
      try (Scope scope = Scope.open()) {
        Tensor x = random.normal(tokens, WIDTH).to(type);
        long begin = System.nanoTime();
        MoeOutput out = layer.forward(x, TokenContext.decode(tokens, 1));
        if (i >= 0) {
          ms[i] = (System.nanoTime() - begin) / 1e6;
          bytes += touched(out) / steps;
        }
      }
    }
    Arrays.sort(ms);
    return String.format(Locale.ROOT, "%.3f %.4f", ms[steps / 2], bytes / 1e9);
  }

  private double touched(MoeOutput out) {
    long[] experts = ((TokenChoice) out.routing()).experts().toLongs();
    long one = 3L * WIDTH * EXPERT_WIDTH * (type == DType.F32 ? 4 : 2);
    return (double) Arrays.stream(experts).distinct().count() * one;
  }

  private static double bandwidth() {
    try (Scope scope = Scope.open()) {
      int parts = 64;
      Tensor memory = Tensor.empty(DType.F32, Device.CPU, parts, 1 << 20).fillInPlace(1);
      double best = Double.POSITIVE_INFINITY;
      for (int i = 0; i < 9; i++) {
        long begin = System.nanoTime();
        Workers.run(parts, part -> memory.select(0, part).sum());
        best = Math.min(best, (System.nanoTime() - begin) / 1e9);
      }
      return memory.numel() * 4 / best / 1e9;
    }
  }

  /** Measures; see above. */
  public static void main(String[] args) throws IOException {
    Ops.threads(Integer.parseInt(args[1]));
    DecodeLayer bench = new DecodeLayer(DType.valueOf(args[0]));
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    try (NoGrad off = NoGrad.open()) {
      bench.steps(1, COMPILE);
      bench.steps(4, COMPILE);
      System.out.println("ready");
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        String[] words = line.strip().split(" ", -1);
        System.out.println(
            words[0].equals("bandwidth")
                ? String.format(Locale.ROOT, "%.1f", bandwidth())
                : bench.steps(Integer.parseInt(words[0]), Integer.parseInt(words[1])));
      }
    }
  }
}
