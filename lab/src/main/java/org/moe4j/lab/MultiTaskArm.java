package org.moe4j.lab;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.MoeConfig;

/**
 * Experts that are shared by the tasks of a regression, with one gate for each task: the multi-gate
 * mixture that S11 puts its selector into. A gate reads nothing but the number of its task.
 *
 * @param router its name in the registry
 * @param choices experts for a task
 * @param options of the router
 */
public record MultiTaskArm(String router, int choices, Map<String, String> options)
    implements Workload {
  static final int EXPERTS = 8;
  static final int EXPERT_WIDTH = 12;
  static final int EXPERT_OUTPUTS = 4;
  static final int EXAMPLES = 256;

  /** Copies the options. */
  public MultiTaskArm {
    options = Map.copyOf(options);
  }

  /** An arm without options. */
  public static MultiTaskArm of(String router, int choices) {
    return new MultiTaskArm(router, choices, Map.of());
  }

  /** The same with one more option. */
  public MultiTaskArm with(String key, String value) {
    Map<String, String> more = new LinkedHashMap<>(options);
    more.put(key, value);
    return new MultiTaskArm(router, choices, more);
  }

  @Override
  public List<String> settings() {
    List<String> settings = new ArrayList<>();
    settings.add("moe.router=" + router);
    settings.add("moe.top-k=" + choices);
    options.forEach((key, value) -> settings.add("moe.options." + key + "=" + value));
    return settings;
  }

  /** The gates: a token of the router is a task. */
  MoeConfig gates() {
    return MoeConfig.builder(MultiTask.TASKS, EXPERT_WIDTH, EXPERTS, choices)
        .router(router, options)
        .build();
  }

  @Override
  public Cost cost(Bench bench) {
    long expert = EXPERT_WIDTH * (MultiTask.INPUTS + 1L + EXPERT_OUTPUTS);
    long heads = MultiTask.TASKS * (EXPERT_OUTPUTS + 1L);
    MoeConfig gates = gates();
    long gate = gates.routerEntry().parameters().applyAsLong(gates);
    // Every expert computes every example: some task wants it.
    long flops = 2 * EXPERTS * (expert + (long) MultiTask.TASKS * EXPERT_OUTPUTS) + 2 * heads;
    return new Cost(
        EXPERTS * expert + heads + gate, choices * expert + heads + gate, flops, EXAMPLES);
  }

  @Override
  public Trial start(Bench bench, long seed, int steps) {
    return new MultiTaskTrial(this, bench.device(), seed, steps);
  }
}
