package org.moe4j.lab;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;

/**
 * A regression of several tasks on the same inputs, as in S11's synthetic study: tasks come in
 * clusters, and the tasks of a cluster are mixtures of the same two hidden functions, which no
 * other cluster has. A hidden function is a sum of rectified projections. Targets have variance 1.
 */
final class MultiTask implements AutoCloseable {
  static final int CLUSTERS = 4;
  static final int TASKS = 16;
  static final int INPUTS = 50;
  private static final int UNITS = 4;
  private static final int SAMPLE = 4096;

  private final Tensor projections;
  private final Tensor mixture;

  /** Inputs [B,d] and targets [B,tasks]. */
  record Batch(Tensor inputs, Tensor targets) {}

  /** The hidden functions and the tasks' mixtures follow from {@code seed}. */
  MultiTask(long seed, Device device) {
    RandomSource random = new RandomSource(seed);
    int hidden = 2 * CLUSTERS * UNITS;
    try (Scope scope = Scope.open()) {
      projections = random.normal(hidden, INPUTS).mul(1 / Math.sqrt(INPUTS)).to(device).keep();
      float[] signs = random.normal(2 * CLUSTERS, UNITS).toFloats();
      float[] shares = random.uniform(0.3, 0.7, DType.F32, TASKS).toFloats();
      float[] weights = new float[hidden * TASKS];
      for (int task = 0; task < TASKS; task++) {
        int cluster = cluster(task);
        for (int unit = 0; unit < 2 * UNITS; unit++) {
          float share = unit < UNITS ? shares[task] : 1 - shares[task];
          int row = cluster * 2 * UNITS + unit;
          weights[row * TASKS + task] = share * signs[row];
        }
      }
      Tensor raw = Tensor.of(weights, hidden, TASKS).to(device);
      Tensor sample = hidden(random.normal(SAMPLE, INPUTS).to(device)).mm(raw);
      Tensor centred = sample.sub(sample.mean(0, true));
      mixture = raw.div(centred.square().mean(0, true).sqrt()).keep();
    }
  }

  /** The cluster of a task. */
  static int cluster(int task) {
    return task * CLUSTERS / TASKS;
  }

  /** Fresh examples without noise. */
  Batch draw(int examples, RandomSource random) {
    Tensor x = random.normal(examples, INPUTS).to(projections.device());
    return new Batch(x, hidden(x).mm(mixture));
  }

  private Tensor hidden(Tensor x) {
    return Ops.relu(Ops.linear(x, projections, null)).sub(Math.sqrt(0.5 / Math.PI));
  }

  @Override
  public void close() {
    projections.close();
    mixture.close();
  }
}
