package org.moe4j.lab;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.moe4j.MoeConfig;
import org.moe4j.MoeLayer;
import org.moe4j.MoeOutput;
import org.moe4j.ParameterStore;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.AdamW;
import org.moe4j.train.LearningRate;

/** The training of one sparse layer on a function made of pieces. */
final class PiecewiseTrial implements Trial {
  private static final double RATE = 1e-2;
  private static final double NOISE = 0.5;
  private static final int HELD_OUT = 4_096;

  private final Device device;
  private final ParameterStore store;
  private final MoeLayer layer;
  private final AdamW optimiser;
  private final LearningRate schedule;
  private final Tensor centres;
  private final Tensor maps;
  private final RandomSource points;
  private final RandomSource noise;
  private final TrialLog log = new TrialLog();
  private long step;

  /** The seed decides the function, the start, the points and the router's draws. */
  PiecewiseTrial(MoeConfig config, Device device, long seed, int steps) {
    this.device = device;
    store = new ParameterStore(new RandomSource(seed), device);
    layer = new MoeLayer(config, store);
    optimiser = new AdamW(store.all(), new AdamW.Options(0.9, 0.95, 1e-8, 0));
    schedule = new LearningRate(RATE, 0.01 * RATE, Math.max(1, steps / 20), steps);
    int d = PiecewiseArm.WIDTH;
    RandomSource task = new RandomSource(1000 + seed);
    try (Scope scope = Scope.open()) {
      centres = task.normal(PiecewiseArm.PIECES, d).keep();
      maps = task.normal(0, 1 / Math.sqrt(d), DType.F32, PiecewiseArm.PIECES, d, d).keep();
    }
    points = new RandomSource(2000 + seed);
    noise = new RandomSource(seed + 1);
  }

  /** Points [N,d] and the function's values there. */
  private record Sample(Tensor x, Tensor y) {}

  private Sample sample(int n) {
    int d = PiecewiseArm.WIDTH;
    Tensor piece = points.uniform(0, PiecewiseArm.PIECES, DType.F32, n).to(DType.I64);
    Tensor x = centres.indexSelect(0, piece).add(points.normal(0, NOISE, DType.F32, n, d));
    Tensor y = maps.indexSelect(0, piece).matmul(x.unsqueeze(2)).view(n, d);
    return new Sample(x.to(device), y.to(device));
  }

  @Override
  public double step() {
    long begin = System.nanoTime();
    step++;
    try (Scope scope = Scope.open()) {
      Sample sample = sample(PiecewiseArm.POINTS);
      MoeOutput out = layer.forward(sample.x, TokenContext.train(1, PiecewiseArm.POINTS, noise));
      Tensor error = squared(out.output(), sample.y);
      error.add(out.balance()).backward();
      optimiser.update(schedule.at(step), 1);
      store.all().forEach(p -> p.tensor().clearGrad());
      double value = error.item();
      log.add(value, List.of(out.stats()), (System.nanoTime() - begin) * 1e-9);
      return value;
    }
  }

  private static Tensor squared(Tensor a, Tensor b) {
    Tensor difference = a.sub(b);
    return difference.mul(difference).mean();
  }

  @Override
  public Measurement finish() {
    Map<String, Double> values = new HashMap<>(log.values());
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      Sample sample = sample(HELD_OUT);
      MoeOutput out = layer.forward(sample.x, TokenContext.eval(1, HELD_OUT));
      Tensor mean = sample.y.mean(0, true);
      values.put(
          PiecewiseArm.UNEXPLAINED.key(),
          squared(out.output(), sample.y).item() / squared(sample.y, mean).item());
      values.put(Metric.IMBALANCE.key(), out.stats().imbalance());
    }
    return new Measurement(values, log.curves(), Optional.empty(), log.seconds());
  }

  @Override
  public void close() {
    optimiser.close();
    store.close();
    centres.close();
    maps.close();
  }
}
