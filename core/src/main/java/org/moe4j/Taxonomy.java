package org.moe4j;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.moe4j.tensor.MoeException;

/**
 * The twelve dimensions by which the review of sparse expert models (S22) tells systems apart. A
 * value may combine several of a dimension's words with {@code " + "}.
 *
 * @param chooser who chooses
 * @param signal what the router reads
 * @param unit what is routed
 * @param learning how the router is trained
 * @param choices k
 * @param gate order of score and selection, and renormalisation
 * @param balance what keeps experts evenly used
 * @param overflow what happens to choices beyond capacity
 * @param placement where the experts sit
 * @param experts how many and what kind
 * @param systems how it is computed
 * @param use what it is for
 */
public record Taxonomy(
    String chooser,
    String signal,
    String unit,
    String learning,
    String choices,
    String gate,
    String balance,
    String overflow,
    String placement,
    String experts,
    String systems,
    String use) {

  /** The words of each dimension. */
  public static final Map<String, List<String>> WORDS = words();

  private static Map<String, List<String>> words() {
    Map<String, List<String>> w = new LinkedHashMap<>();
    w.put("chooser", List.of("token", "expert", "global assignment", "fixed rule", "none"));
    w.put(
        "signal",
        List.of(
            "linear",
            "cosine",
            "multi-layer",
            "recurrent",
            "attention",
            "product keys",
            "cluster",
            "none",
            "attention slots"));
    w.put(
        "unit",
        List.of(
            "token",
            "sub-token",
            "slot",
            "sequence",
            "task",
            "domain",
            "patch",
            "modality",
            "none"));
    w.put(
        "learning",
        List.of(
            "gate gradient",
            "full gradient",
            "reinforcement",
            "straight-through",
            "sampled",
            "none",
            "matching"));
    w.put("choices", List.of("1", "2", "n", "variable", "all", "none"));
    w.put(
        "gate",
        List.of(
            "softmax then select",
            "select then softmax",
            "sigmoid",
            "fixed",
            "dense",
            "posterior",
            "renormalised",
            "not renormalised",
            "none"));
    w.put(
        "balance",
        List.of(
            "importance and load",
            "mean importance",
            "fraction times probability",
            "adaptive coefficient",
            "z-loss",
            "mutual information",
            "assignment",
            "sinkhorn",
            "by construction",
            "by data",
            "bias controller",
            "entropy",
            "none"));
    w.put(
        "overflow",
        List.of(
            "drop by position",
            "drop by priority",
            "next choice",
            "random re-route",
            "unchosen skip",
            "dropless",
            "pad",
            "none"));
    w.put(
        "placement",
        List.of(
            "feed-forward",
            "attention",
            "embedding",
            "whole model",
            "every layer",
            "every other",
            "every fourth",
            "all but first",
            "one layer",
            "last n",
            "first n",
            "shared expert beside",
            "dense network beside",
            "none"));
    w.put(
        "experts",
        List.of(
            "few large",
            "many small",
            "single neurons",
            "hierarchical",
            "nested",
            "low-rank",
            "heterogeneous",
            "none"));
    w.put(
        "systems",
        List.of(
            "all-to-all",
            "model parallel",
            "pipeline",
            "sharded",
            "no communication",
            "offload",
            "quantised",
            "capacity buffers",
            "block-sparse",
            "grouped",
            "gather",
            "one-hot",
            "dense",
            "none"));
    w.put(
        "use",
        List.of(
            "pre-train",
            "upcycle",
            "distil",
            "fine-tune",
            "merge",
            "prune",
            "compress",
            "serve",
            "analyse",
            "evaluate"));
    return Collections.unmodifiableMap(w);
  }

  /** A linear router over tokens, k of many small experts, dropless: most language models. */
  public static final Taxonomy TOKEN_TOP_K =
      new Taxonomy(
          "token",
          "linear",
          "token",
          "gate gradient",
          "n",
          "softmax then select",
          "fraction times probability",
          "dropless",
          "feed-forward",
          "many small",
          "grouped",
          "pre-train");

  public Taxonomy {
    check("chooser", chooser);
    check("signal", signal);
    check("unit", unit);
    check("learning", learning);
    check("choices", choices);
    check("gate", gate);
    check("balance", balance);
    check("overflow", overflow);
    check("placement", placement);
    check("experts", experts);
    check("systems", systems);
    check("use", use);
  }

  private static void check(String dimension, String value) {
    List<String> known = WORDS.getOrDefault(dimension, List.of());
    for (String word : value.split(" \\+ ", -1)) {
      if (!known.contains(word)) {
        throw new MoeException(
            "taxonomy: "
                + dimension
                + " has no value \""
                + word
                + "\"; did you mean \""
                + Nearest.to(word, known)
                + "\"?");
      }
    }
  }

  /**
   * These values with another {@code value} of {@code dimension}.
   *
   * @throws MoeException if either is unknown
   */
  public Taxonomy with(String dimension, String value) {
    if (!WORDS.containsKey(dimension)) {
      throw new MoeException(
          "taxonomy: no dimension \""
              + dimension
              + "\"; did you mean \""
              + Nearest.to(dimension, WORDS.keySet())
              + "\"?");
    }
    Map<String, String> v = values();
    v.put(dimension, value);
    return of(List.copyOf(v.values()));
  }

  /**
   * The taxonomy of these twelve values, in the survey's order.
   *
   * @throws MoeException if one is unknown or their number is not twelve
   */
  public static Taxonomy of(List<String> v) {
    if (v.size() != 12) {
      throw new MoeException("taxonomy: " + v.size() + " values; give 12");
    }
    return new Taxonomy(
        v.get(0), v.get(1), v.get(2), v.get(3), v.get(4), v.get(5), v.get(6), v.get(7), v.get(8),
        v.get(9), v.get(10), v.get(11));
  }

  /** The values by dimension, in the survey's order. */
  public Map<String, String> values() {
    Map<String, String> v = new LinkedHashMap<>();
    List<String> all =
        List.of(
            chooser, signal, unit, learning, choices, gate, balance, overflow, placement, experts,
            systems, use);
    int i = 0;
    for (String dimension : WORDS.keySet()) {
      v.put(dimension, all.get(i++));
    }
    return v;
  }
}
