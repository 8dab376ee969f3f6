package org.moe4j.lab;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.moe4j.ListedSystem;
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

  /** Several as one JSON array. */
  public static String json(List<Report> reports) {
    return JSON.writerWithDefaultPrettyPrinter()
        .writeValueAsString(reports.stream().map(Report::tree).toList());
  }

  private Map<String, Object> tree() {
    ListedSystem system = experiment.system();
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("id", experiment.id());
    tree.put("name", system.name());
    tree.put("paper", system.paper().title());
    tree.put("claim", experiment.claim());
    tree.put("verdict", judgement.verdict().label());
    tree.put("findings", judgement.findings().stream().map(Report::finding).toList());
    tree.put("arms", results.arms().stream().map(Report::arm).toList());
    tree.put("seeds", results.seeds());
    tree.put("seconds", results.seconds());
    tree.put("device", device);
    tree.put("command", command());
    return tree;
  }

  private static Map<String, Object> finding(Finding f) {
    Map<String, Object> tree = new LinkedHashMap<>();
    tree.put("system", f.criterion().system());
    tree.put("baseline", f.criterion().baseline());
    tree.put("metric", f.criterion().metric().key());
    tree.put("rule", f.criterion().rule().name().toLowerCase(Locale.ROOT));
    tree.put("system_value", f.system());
    tree.put("baseline_value", f.baseline());
    tree.put("effect", f.effect());
    tree.put("spread", f.spread());
    tree.put("expected", f.criterion().expected());
    tree.put("threshold", f.criterion().threshold());
    tree.put("verdict", f.verdict().label());
    return tree;
  }

  private static Map<String, Object> arm(ArmResult arm) {
    Map<String, Object> tree = new LinkedHashMap<>();
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
  private static Map<String, List<Double>> values(List<Measurement> runs) {
    Map<String, List<Double>> values = new LinkedHashMap<>();
    runs.getFirst().values().keySet().stream()
        .sorted()
        .forEach(
            key ->
                values.put(
                    key,
                    IntStream.range(0, runs.size())
                        .mapToObj(i -> runs.get(i).values().get(key))
                        .toList()));
    return values;
  }
}
