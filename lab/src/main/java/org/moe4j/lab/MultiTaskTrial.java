package org.moe4j.lab;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import org.moe4j.Blend;
import org.moe4j.Init;
import org.moe4j.MoeConfig;
import org.moe4j.Options;
import org.moe4j.Parameter;
import org.moe4j.ParameterStore;
import org.moe4j.Role;
import org.moe4j.Router;
import org.moe4j.RouterEntry;
import org.moe4j.RouterSetup;
import org.moe4j.Routing;
import org.moe4j.RoutingStats;
import org.moe4j.TokenChoice;
import org.moe4j.TokenContext;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Scope;
import org.moe4j.tensor.Tensor;
import org.moe4j.train.AdamW;

/** The training of one multi-gate mixture. */
final class MultiTaskTrial implements Trial {
  private static final int POINTS = 100;
  private static final int TEST = 4096;
  private static final double RATE = 0.01;

  private final MultiTask tasks;
  private final ParameterStore store;
  private final Router router;
  private final Parameter first;
  private final Parameter bias;
  private final Parameter second;
  private final Parameter heads;
  private final Parameter offsets;
  private final AdamW optimiser;
  private final RandomSource examples;
  private final RandomSource noise;
  private final int steps;
  private final List<Double> losses = new ArrayList<>();
  private final List<Double> moves = new ArrayList<>();
  private double[] gates = {};
  private double seconds;

  /** The seed decides the tasks, the start, the examples and the routers' noise. */
  MultiTaskTrial(MultiTaskArm arm, Device device, long seed, int steps) {
    this.steps = steps;
    tasks = new MultiTask(seed, device);
    store = new ParameterStore(new RandomSource(seed), device);
    int experts = MultiTaskArm.EXPERTS;
    int hidden = experts * MultiTaskArm.EXPERT_WIDTH;
    Role role = new Role.RoutedExperts(0, experts);
    // What the arms have in common comes first, so that a seed gives all of them the same.
    first = store.create("experts.in", role, Init.kaimingUniform(16), hidden, MultiTask.INPUTS);
    bias = store.create("experts.bias", role, Init.zeros(), hidden);
    second =
        store.create(
            "experts.out",
            role,
            Init.kaimingUniform(MultiTaskArm.EXPERT_WIDTH),
            experts,
            MultiTaskArm.EXPERT_WIDTH,
            MultiTaskArm.EXPERT_OUTPUTS);
    heads =
        store.create(
            "heads",
            Role.NON_EXPERT,
            Init.kaimingUniform(MultiTaskArm.EXPERT_OUTPUTS),
            MultiTask.TASKS,
            MultiTaskArm.EXPERT_OUTPUTS);
    offsets = store.create("offsets", Role.NON_EXPERT, Init.zeros(), MultiTask.TASKS);
    MoeConfig config = arm.gates();
    RouterEntry entry = config.routerEntry();
    Options options =
        Options.check("router " + entry.name(), entry.options(), config.routerOptions());
    router = entry.maker().apply(new RouterSetup(config, options, store, 0));
    optimiser = new AdamW(store.all(), new AdamW.Options(0.9, 0.999, 1e-8, 0));
    examples = new RandomSource(seed + 1);
    noise = new RandomSource(seed + 2);
  }

  @Override
  public double step() {
    long begin = System.nanoTime();
    double value;
    try (Scope scope = Scope.open()) {
      MultiTask.Batch batch = tasks.draw(MultiTaskArm.EXAMPLES, examples);
      TokenContext context = TokenContext.train(1, MultiTask.TASKS, noise).withDomains(numbers());
      Routing routing = route(context);
      Tensor weights = weights(routing);
      Tensor loss = error(batch, weights);
      value = loss.item();
      Tensor total = loss;
      for (Tensor own : routing.evidence().losses().values()) {
        total = total.add(own);
      }
      total.backward();
      optimiser.update(rate(losses.size() + 1), 1);
      store.all().forEach(p -> p.tensor().clearGrad());
      RoutingStats stats = RoutingStats.of(routing, context);
      router.controllers().forEach(c -> c.update(stats));
      follow(weights.detach().toDoubles());
    }
    losses.add(value);
    seconds += (System.nanoTime() - begin) * 1e-9;
    return value;
  }

  /** Constant, then down to 0 over the last third. */
  private double rate(int step) {
    return RATE * Math.min(1, 3.0 * (steps - step + 1) / (steps + 1));
  }

  private Tensor numbers() {
    return Tensor.arange(0, MultiTask.TASKS).to(store.device());
  }

  private Routing route(TokenContext context) {
    return router.route(Ops.oneHot(numbers(), MultiTask.TASKS, DType.F32), context.atLayer(0));
  }

  /** The experts' weights of each task [tasks,E]. */
  private static Tensor weights(Routing routing) {
    return switch (routing) {
      case Blend.Dense dense -> dense.weights();
      case TokenChoice choice ->
          Tensor.zeros(
                  choice.weights().dtype(),
                  choice.weights().device(),
                  choice.tokens(),
                  choice.expertCount())
              .scatterAdd(1, choice.experts().maskedFill(choice.kept().not(), 0), choice.weights());
      default -> throw new MoeException("a gate of a task must choose or mix experts");
    };
  }

  /** The mean squared error over examples and tasks. */
  private Tensor error(MultiTask.Batch batch, Tensor weights) {
    Tensor hidden =
        Ops.relu(Ops.linear(batch.inputs(), first.tensor(), bias.tensor()))
            .view(batch.inputs().size(0), MultiTaskArm.EXPERTS, MultiTaskArm.EXPERT_WIDTH);
    Tensor outputs = hidden.transpose(0, 1).bmm(second.tensor());
    // Each head's view of each expert, then the mixture of the task: [E,B,tasks] to [B,tasks].
    Tensor seen = outputs.matmul(heads.tensor().t());
    Tensor mixed = seen.mul(weights.t().unsqueeze(1)).sum(0, false);
    return mixed.add(offsets.tensor()).sub(batch.targets()).square().mean();
  }

  /** Notes how far the gate that moved most has moved in this step. */
  private void follow(double[] now) {
    double most = 0;
    for (int i = 0; i < gates.length; i++) {
      most = Math.max(most, Math.abs(now[i] - gates[i]));
    }
    if (gates.length > 0) {
      moves.add(most);
    }
    gates = now;
  }

  @Override
  public Measurement finish() {
    Map<String, Double> values = new HashMap<>();
    try (NoGrad off = NoGrad.open();
        Scope scope = Scope.open()) {
      TokenContext context = TokenContext.eval(1, MultiTask.TASKS).withDomains(numbers());
      Tensor weights = weights(route(context));
      MultiTask.Batch test = tasks.draw(TEST, new RandomSource(0));
      values.put("mse", error(test, weights).item());
      double[] w = weights.toDoubles();
      values.put(
          "experts",
          (double) IntStream.range(0, w.length).filter(i -> w[i] > 0).count() / MultiTask.TASKS);
      values.put("agreement", agreement(w));
      for (int i = 0; i < w.length; i++) {
        values.put("gate." + i / MultiTaskArm.EXPERTS + "." + i % MultiTaskArm.EXPERTS, w[i]);
      }
    }
    values.put("jump", moves.stream().mapToDouble(m -> m).max().orElse(0));
    Map<String, Curve> curves =
        Map.of(
            "loss", Curve.of(losses, POINTS),
            "largest change of a gate's weight in a step", Curve.of(moves, POINTS));
    return new Measurement(values, curves, Optional.empty(), seconds);
  }

  /**
   * How much more the two main experts of tasks of one cluster agree than those of different
   * clusters: the difference of the mean Jaccard indices, 1 if each cluster has its own two.
   */
  static double agreement(double[] weights) {
    List<Set<Integer>> chosen = new ArrayList<>();
    for (int task = 0; task < MultiTask.TASKS; task++) {
      int row = task * MultiTaskArm.EXPERTS;
      chosen.add(
          new HashSet<>(
              IntStream.range(0, MultiTaskArm.EXPERTS)
                  .boxed()
                  .sorted((a, b) -> Double.compare(weights[row + b], weights[row + a]))
                  .limit(2)
                  .toList()));
    }
    List<Double> within = new ArrayList<>();
    List<Double> across = new ArrayList<>();
    for (int a = 0; a < MultiTask.TASKS; a++) {
      for (int b = 0; b < a; b++) {
        Set<Integer> both = new HashSet<>(chosen.get(a));
        both.retainAll(chosen.get(b));
        double jaccard = both.size() / (4.0 - both.size());
        (MultiTask.cluster(a) == MultiTask.cluster(b) ? within : across).add(jaccard);
      }
    }
    return Statistics.mean(within) - Statistics.mean(across);
  }

  @Override
  public void close() {
    optimiser.close();
    store.close();
    tasks.close();
  }
}
