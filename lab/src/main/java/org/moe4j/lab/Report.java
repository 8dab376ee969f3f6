package org.moe4j.lab;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.moe4j.ListedSystem;
import org.moe4j.train.report.Numbers;
import tools.jackson.databind.json.JsonMapper;

/**
 * An experiment that was run, with its verdict.
 *
 * @param experiment what was run
 * @param results what came out
 * @param judgement what follows
 * @param device where it ran, and on how many threads
 */
public record Report(Experiment experiment, Results results, Judgement judgement, String device) {
  private static final JsonMapper JSON = new JsonMapper();

  /** Judges {@code results}. */
  public static Report of(Experiment experiment, Results results, String device) {
    return new Report(experiment, results, experiment.judge(results), device);
  }

  /** The command that gives the same again. */
  public String command() {
    int steps =
        experiment.arms().stream()
            .filter(arm -> arm.timeOf().isEmpty())
            .mapToInt(arm -> results.arm(arm.name()).steps())
            .findFirst()
            .orElse(1);
    return "moe paper run %s --steps %d --seeds %d%s"
        .formatted(
            experiment.id(),
            steps,
            results.seeds().size(),
            device.startsWith("cuda") ? " --device cuda" : "");
  }

  /** As one JSON document, without curves and routing. */
  public String json() {
    return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(tree());
  }

  /** Several as one JSON array; those that failed with an {@code error} in place of a verdict. */
  public static String json(List<Attempt> attempts) {
    List<Map<String, @Nullable Object>> trees = new ArrayList<>();
    for (Attempt attempt : attempts) {
      trees.add(
          switch (attempt) {
            case Attempt.Done done -> done.report().tree();
            case Attempt.Failed failed -> {
              Map<String, @Nullable Object> tree = head(failed.experiment());
              tree.put("error", failed.reason());
              yield tree;
            }
          });
    }
    return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(trees);
  }

  private static Map<String, @Nullable Object> head(Experiment experiment) {
    ListedSystem system = experiment.system();
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("id", experiment.id());
    tree.put("name", system.name());
    tree.put("paper", system.paper().title());
    tree.put("claim", experiment.claim());
    return tree;
  }

  private Map<String, @Nullable Object> tree() {
    Map<String, @Nullable Object> tree = head(experiment);
    tree.put("verdict", judgement.verdict().label());
    tree.put("findings", judgement.findings().stream().map(Report::finding).toList());
    tree.put("arms", results.arms().stream().map(Report::arm).toList());
    tree.put("seeds", results.seeds());
    tree.put("seconds", results.seconds());
    tree.put("device", device);
    tree.put("command", command());
    return tree;
  }

  private static Map<String, @Nullable Object> finding(Finding f) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("system", f.criterion().system());
    tree.put("baseline", f.criterion().baseline());
    tree.put("metric", f.criterion().metric().key());
    tree.put("rule", f.criterion().rule().name().toLowerCase(Locale.ROOT));
    tree.put("system_value", Numbers.exact(f.system()));
    tree.put("baseline_value", Numbers.exact(f.baseline()));
    tree.put("effect", Numbers.exact(f.effect()));
    tree.put("spread", Numbers.exact(f.spread()));
    tree.put("expected", f.criterion().expected());
    tree.put("threshold", f.criterion().threshold());
    tree.put("verdict", f.verdict().label());
    return tree;
  }

  private static Map<String, @Nullable Object> arm(ArmResult arm) {
    Map<String, @Nullable Object> tree = new LinkedHashMap<>();
    tree.put("name", arm.name());
    tree.put("parameters", arm.cost().parameters());
    tree.put("active_parameters", arm.cost().active());
    tree.put("flops_per_token", arm.cost().flops());
    tree.put("steps", arm.steps());
    tree.put("tokens", arm.steps() * arm.cost().tokensPerStep());
    tree.put("values", values(arm.runs()));
    tree.put("seconds", arm.runs().stream().map(Measurement::seconds).toList());
    return tree;
  }

  /** Each quantity with its values, one a seed. */
  private static Map<String, List<@Nullable Number>> values(List<Measurement> runs) {
    Map<String, List<@Nullable Number>> values = new LinkedHashMap<>();
    runs.getFirst().values().keySet().stream()
        .sorted()
        .forEach(
            key ->
                values.put(
                    key,
                    IntStream.range(0, runs.size())
                        .mapToObj(i -> Numbers.exact(runs.get(i).values().get(key)))
                        .toList()));
    return values;
  }
}
