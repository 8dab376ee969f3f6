package org.moe4j.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NativeMemory;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.AdamW;

/**
 * How a PEER layer's time and memory grow with its number of experts: 8 heads, k = 16, F32. The
 * sizes take turns in one process, so that a ratio is of pairs.
 *
 * <p>Arguments: tokens, width, steps, {@code rows} or {@code dense} gradients, then the numbers of
 * experts. A line per size: the medians of forward and backward, of the optimiser's step behind it,
 * the parameters' bytes and the most that was resident beyond what was before the first step (of
 * use with one size alone).
 */
public final class PeerScaling {
  private static final int WARM_UP = 3;

  private final ParameterStore store = new ParameterStore(new RandomSource(1), Device.CPU);
  private final MoeLayer layer;
  private final AdamW optimiser;
  private final List<Double> pass = new ArrayList<>();
  private final List<Double> update = new ArrayList<>();

  private PeerScaling(int width, int experts, boolean rows) {
    layer =
        new MoeLayer(
            MoeConfig.builder(width, 1, experts, 16)
                .router("peer", Map.of("row-gradients", rows))
                .build(),
            store);
    optimiser = new AdamW(store.all(), new AdamW.Options(0.9, 0.95, 1e-8, 0.1));
  }

  private void step(int tokens, RandomSource random, boolean optimise, boolean counts) {
    try (Scope scope = Scope.open()) {
      Tensor x = random.normal(tokens, layer.config().width()).requiresGrad(true);
      Tensor dy = random.normal(x.shape());
      long begin = System.nanoTime();
      layer.forward(x, TokenContext.train(1, tokens, random)).output().backward(dy);
      long middle = System.nanoTime();
      if (optimise) {
        optimiser.update(1e-4, 1);
      }
      for (Parameter p : store.all()) {
        p.tensor().clearGrad();
      }
      if (counts) {
        pass.add((middle - begin) * 1e-6);
        update.add((System.nanoTime() - middle) * 1e-6);
      }
    }
  }

  private static double median(List<Double> values) {
    double[] sorted = values.stream().mapToDouble(v -> v).sorted().toArray();
    return sorted[sorted.length / 2];
  }

  /** Measures and prints. */
  public static void main(String[] args) {
    int tokens = Integer.parseInt(args[0]);
    int width = Integer.parseInt(args[1]);
    int steps = Integer.parseInt(args[2]);
    boolean rows = args[3].startsWith("rows");
    boolean optimise = args[3].endsWith("+step");
    int[] sizes = Arrays.stream(args).skip(4).mapToInt(Integer::parseInt).toArray();
    NativeMemory.reuseFreedBlocks(1L << 30);
    Ops.threads(2);
    RandomSource random = new RandomSource(0);
    PeerScaling[] all =
        Arrays.stream(sizes)
            .mapToObj(n -> new PeerScaling(width, n, rows))
            .toArray(PeerScaling[]::new);
    long before = NativeMemory.resident();
    for (int i = -WARM_UP; i < steps; i++) {
      for (PeerScaling one : all) {
        one.step(tokens, random, optimise, i >= 0);
      }
    }
    for (PeerScaling one : all) {
      System.out.printf(
          Locale.ROOT,
          "T=%d d=%d %s N=%d: forward+backward %.0f ms, optimiser %.0f ms, parameters %.0f MB,"
              + " beyond them at most %.0f MB, ratio to the first %.2f (with the optimiser %.2f)%n",
          tokens,
          width,
          args[3],
          one.layer.config().experts(),
          median(one.pass),
          median(one.update),
          4e-6 * one.store.count(p -> true),
          (NativeMemory.peakResident() - before) * 1e-6,
          median(one.pass) / median(all[0].pass),
          (median(one.pass) + median(one.update)) / (median(all[0].pass) + median(all[0].update)));
      one.optimiser.close();
      one.store.close();
    }
  }
}
